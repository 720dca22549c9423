//! Build script of every crate that links libtorch: writes the library's folder into the run path, so that
//! a plain `cargo run` and `cargo test` start without any variable exported in the shell.

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    if let Ok(dir) = std::env::var("LIBTORCH") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{dir}/lib");
    }
}
