//! Tasks in C: `src/*.c`, with bindings that are made of the WIT, and a C library of memory and nothing else.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use wit_bindgen_core::{Files, wit_parser::Resolve};

use crate::{GuestError, component, read_dir, run, wit};

/// What a task is compiled with, beside its bindings. The author sees all of it, in [`GENERATED`].
const SDK: [(&str, &str); 5] = [
    ("transducer.h", include_str!("../../../sdk/c/transducer.h")),
    ("transducer.c", include_str!("../../../sdk/c/transducer.c")),
    ("libc/stdlib.h", include_str!("../../../sdk/c/libc/stdlib.h")),
    ("libc/string.h", include_str!("../../../sdk/c/libc/string.h")),
    ("libc/libc.c", include_str!("../../../sdk/c/libc/libc.c")),
];

/// The folder for what is made new by every build, in the project.
const GENERATED: &str = "generated";

/// What comes after the sources on the command line.
const FLAGS: [&str; 13] = [
    "--target=wasm32-unknown-unknown",
    "-std=c11",
    "-O2",
    "-Wall",
    "-Wextra",
    // There is no C library but ours, and so no function that the compiler may take for granted.
    "-ffreestanding",
    "-nostdlibinc",
    "-nostdlib",
    "-Wl,--no-entry",
    // A stack that is too deep ends in a trap rather than in the program's data.
    "-Wl,--stack-first",
    "-Wl,-z,stack-size=131072",
    "-Wl,--strip-debug",
    "-o",
];

/// The file that every project in C has.
pub(crate) const MAIN: &str = "src/task.c";

pub(crate) fn build(folder: &Path) -> Result<Vec<u8>, GuestError> {
    let world = wit::world_of(folder)?;
    for program in ["clang", "wasm-ld"] {
        let found = Command::new(program)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if found.is_err() {
            return Err(GuestError::NoClang { program });
        }
    }
    let generated = folder.join(GENERATED);
    let mut sources = generate(&world, &generated)?;
    sources.extend(sources_in(&folder.join("src"))?);
    let module = generated.join("task.wasm");
    let mut clang = Command::new("clang");
    // Paths from the project's folder, so that the same sources give the same bytes anywhere.
    clang.current_dir(folder);
    for source in &sources {
        clang.arg(source.strip_prefix(folder).unwrap_or(source));
    }
    for include in [GENERATED.to_owned(), format!("{GENERATED}/libc"), "src".to_owned()] {
        clang.arg("-I").arg(include);
    }
    clang.args(FLAGS).arg(&module);
    run(clang)?;
    component(&module)
}

/// Writes the bindings and the SDK, and names what of it is to be compiled or linked.
fn generate(world: &str, to: &Path) -> Result<Vec<PathBuf>, GuestError> {
    let package = wit::unpacked(world)?;
    let mut resolve = Resolve::default();
    let (id, _) = resolve.push_dir(package.path()).map_err(|error| wrong(world, &error))?;
    let id = resolve
        .select_world(&[id], Some(wit::WORLD))
        .map_err(|error| wrong(world, &error))?;
    let mut files = Files::default();
    let mut generator = wit_bindgen_c::Opts::default().build();
    generator
        .generate(&mut resolve, id, &mut files)
        .map_err(|error| wrong(world, &error))?;

    let sdk = SDK.iter().map(|(name, text)| (*name, text.as_bytes()));
    let mut compiled = Vec::new();
    for (name, bytes) in files.iter().chain(sdk) {
        let path = to.join(name);
        crate::write(&path, bytes)?;
        if !name.ends_with(".h") {
            compiled.push(path);
        }
    }
    Ok(compiled)
}

fn wrong(world: &str, error: &impl Display) -> GuestError {
    GuestError::Bindings {
        world: world.to_owned(),
        message: format!("{error:#}"),
    }
}

/// The `.c` files of a folder, by name.
fn sources_in(folder: &Path) -> Result<Vec<PathBuf>, GuestError> {
    let mut sources = read_dir(folder)?;
    sources.retain(|path| path.extension().is_some_and(|extension| extension == "c"));
    sources.sort();
    Ok(sources)
}
