//! The machine: libtorch, the CPU, compilers, the disk.

use std::path::{Path, PathBuf};
use std::process::Command;

use transducer_guests::{TARGET, Toolchain};

use super::Finding;
use crate::bundles::CacheDir;
use crate::{LLM_PROGRAM, parts_dir};

/// The version that this program is built for.
const LIBTORCH_VERSION: &str = "2.13.";

/// How the file name of its library begins. A test holds that this program does not name the whole file, as one that links it does.
const LIBTORCH: &str = "libtorch_cpu";

/// Prepared training data of a large corpus are some hundred MB.
const FREE_BYTES: u64 = 1 << 30;

const GET_LIBTORCH: &str = "in a clone of the repository, `cargo xtask setup` fetches libtorch and a build finds it; else set LD_LIBRARY_PATH to the lib folder of a libtorch 2.13.0";

/// The program with the LLM, and what it links.
pub(super) fn libtorch() -> Vec<Finding> {
    let program = match parts_dir() {
        Ok(dir) => dir.join(LLM_PROGRAM),
        Err(error) => return vec![Finding::fail("program", format!("{error:#}"), "install it again")],
    };
    if !program.is_file() {
        return vec![Finding::fail(
            "program",
            format!("there is no {}", program.display()),
            format!("build or install both programs: {LLM_PROGRAM} lies beside transducer-host"),
        )];
    }
    let mut findings = vec![Finding::ok(
        "program",
        format!(
            "transducer-host {} and {}",
            env!("CARGO_PKG_VERSION"),
            program.display()
        ),
    )];
    // The loader's own list of what it would load, which runs nothing of the program.
    let listed = Command::new(&program).env("LD_TRACE_LOADED_OBJECTS", "1").output();
    let listed = match listed {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(error) => {
            let found = format!("{} cannot be started: {error}", program.display());
            findings.push(Finding::fail("libtorch", found, "build it again for this machine"));
            return findings;
        }
    };
    let missing: Vec<&str> = listed
        .lines()
        .filter(|line| line.contains("not found"))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    if !missing.is_empty() {
        let found = format!("the loader does not find {}", missing.join(", "));
        findings.push(Finding::fail("libtorch", found, GET_LIBTORCH));
        return findings;
    }
    findings.push(match loaded_from(&listed) {
        Some(path) => version(&path),
        None => Finding::warn("libtorch", format!("the loader does not list {LIBTORCH}"), GET_LIBTORCH),
    });
    findings
}

fn loaded_from(listed: &str) -> Option<PathBuf> {
    let line = listed.lines().find(|line| line.trim().starts_with(LIBTORCH))?;
    let path = line.split("=>").nth(1)?.split_whitespace().next()?;
    Some(PathBuf::from(path))
}

fn version(library: &Path) -> Finding {
    let lib = library.parent().unwrap_or(Path::new("/"));
    // Beside the lib folder in every libtorch that is handed out.
    let said = std::fs::read_to_string(lib.join("../build-version"));
    match said.as_deref().map(str::trim) {
        Ok(said) if said.starts_with(LIBTORCH_VERSION) => Finding::ok("libtorch", format!("{said}, {}", lib.display())),
        Ok(said) => Finding::fail(
            "libtorch",
            format!("{said}, {}; expected {LIBTORCH_VERSION}*", lib.display()),
            GET_LIBTORCH,
        ),
        Err(_) => Finding::warn(
            "libtorch",
            format!("{}, of an unknown version: it has no build-version", lib.display()),
            format!("make sure that it is {LIBTORCH_VERSION}0"),
        ),
    }
}

/// What the LLM computes with: what answers are multiplied in is the first of tiles, AVX-512 VNNI and AVX2 that is there.
pub(super) fn cpu() -> Vec<Finding> {
    let told = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = told.lines().find(|line| line.starts_with("flags"));
    let flags: Vec<&str> = flags.unwrap_or_default().split_whitespace().collect();
    let has = |flag: &str| flags.contains(&flag);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let name = told
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let name = format!("{}, {cores} cores", name.unwrap_or("of an unknown name"));
    let another = "nothing on this machine: a newer CPU, or a GPU with a libtorch for CUDA";
    // Few machines have these, and the host is fast without.
    let rare = |part, flag, there: &str, else_: &str| {
        let found = if has(flag) {
            there.to_owned()
        } else {
            format!("missing: {else_}")
        };
        Finding::ok(part, found)
    };
    vec![
        Finding::ok("cpu", name),
        if has("avx2") && has("fma") {
            Finding::ok("cpu avx2", "there")
        } else {
            let found = "missing: the LLM computes in f32, with narrower instructions, and slower";
            Finding::warn("cpu avx2", found, another)
        },
        if has("avx512f") {
            Finding::ok("cpu avx512", "there")
        } else {
            let found = "missing: AVX2 is used, whose registers are half as wide";
            Finding::warn("cpu avx512", found, another)
        },
        rare(
            "cpu avx512 vnni",
            "avx512_vnni",
            "there: answers are computed in int8 with it",
            "answers are computed in int8 with AVX2",
        ),
        rare(
            "cpu avx512 bf16",
            "avx512_bf16",
            "there: `train` and `eval` compute in bf16 where that turns out to be faster, else in f32",
            "`train` and `eval` compute in f32",
        ),
        rare(
            "cpu amx",
            "amx_bf16",
            "there: all is computed in bf16 with it",
            "as on most",
        ),
    ]
}

/// What authors of tasks need.
pub(super) fn toolchain() -> Vec<Finding> {
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    vec![match Toolchain::find(&here) {
        Ok(Toolchain::Installed) => Finding::ok("tasks in Rust", format!("{TARGET} is installed")),
        Ok(Toolchain::BuildStd { bin, .. }) => Finding::ok(
            "tasks in Rust",
            format!("the standard library is built for {TARGET} with {}", bin.display()),
        ),
        Err(error) => Finding::warn(
            "tasks in Rust",
            "`build` cannot compile tasks; hosts do not need it",
            error.to_string(),
        ),
    }]
}

/// Room for prepared data and compiled tasks.
pub(super) fn disk(cache: &CacheDir) -> Vec<Finding> {
    let mend = "name a folder with --cache or TRANSDUCER_CACHE";
    let dir = match cache.dir() {
        Ok(dir) => dir,
        Err(error) => return vec![Finding::warn("cache", format!("{error:#}"), mend)],
    };
    // It is made when it is needed; until then, the folder above it tells of the disk.
    let there = dir.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"));
    vec![match rustix::fs::statvfs(there) {
        Ok(stat) => {
            let free = stat.f_bavail * stat.f_frsize;
            let found = format!("{}, {:.1} GiB free", dir.display(), free as f64 / f64::from(1 << 30));
            if free < FREE_BYTES {
                Finding::warn("cache", found, format!("make room, or {mend}"))
            } else {
                Finding::ok("cache", found)
            }
        }
        Err(error) => Finding::warn("cache", format!("{}: {error}", there.display()), mend),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    #[test]
    fn the_loaders_list_names_the_library() {
        let listed =
            "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibtorch_cpu.so => /opt/libtorch/lib/libtorch_cpu.so (0x00007f)\n";
        assert_eq!(loaded_from(listed), Some("/opt/libtorch/lib/libtorch_cpu.so".into()));
        assert_eq!(loaded_from("\tlibc.so.6 => /lib/libc.so.6 (0x1)\n"), None);
    }

    #[test]
    fn another_libtorch_is_told() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("lib")).unwrap();
        let state = || version(&dir.path().join("lib").join(LIBTORCH)).state;
        assert_eq!(state(), State::Warn);
        std::fs::write(dir.path().join("build-version"), "2.13.0+cpu\n").unwrap();
        assert_eq!(state(), State::Ok);
        std::fs::write(dir.path().join("build-version"), "2.4.0+cpu\n").unwrap();
        assert_eq!(state(), State::Fail);
    }
}
