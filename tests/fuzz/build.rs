//! The front ends are libraries of their own, each with the symbols by which a host finds it. Here several are in one program, and what
//! the sanitizer adds to those symbols has the same name in each.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-link-arg-bins=-Wl,--allow-multiple-definition");
}
