//! What adapters cost a host that has many: time until they serve, and resident memory.
//!
//! `many_bundles MODEL FRONT_ENDS BUNDLE [--count 1000] [--adapter-memory MIB] [--different] [--json]` copies the folder of one
//! bundle under as many names, packs each, and loads a host on them: without adapters, with their tasks never compiled before, and
//! again. The memory is beside that of the host without adapters. With `--different` each copy has a component of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use transducer_bundle::Package;
use transducer_pipeline::{AdapterState, Host, HostOptions, Residency, ResidencyOptions, Service};

const USAGE: &str =
    "usage: many_bundles MODEL FRONT_ENDS BUNDLE [--count N] [--adapter-memory MIB] [--different] [--json]";

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let (mut places, mut count, mut json, mut different) = (Vec::new(), 1000, false, false);
    let mut residency = ResidencyOptions::default();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--json" => json = true,
            "--different" => different = true,
            "--adapter-memory" => residency.memory = words.next().ok_or(USAGE)?.parse::<u64>()? << 20,
            "--count" => count = words.next().ok_or(USAGE)?.parse()?,
            _ => places.push(PathBuf::from(word)),
        }
    }
    let [model, front_ends, bundle] = <[PathBuf; 3]>::try_from(places).map_err(|_| USAGE)?;
    let folder = tempfile::tempdir()?;
    let (empty, full) = (folder.path().join("empty"), folder.path().join("full"));
    fs::create_dir(&empty)?;
    let bytes = copy(&bundle, &full, count, different)?;

    let load = |adapters: &Path| -> Result<(f64, usize, Residency)> {
        let options = HostOptions {
            model: model.clone(),
            adapters: adapters.to_owned(),
            front_ends: front_ends.clone(),
            compiled: Some(folder.path().join("compiled")),
            residency: residency.clone(),
            ..HostOptions::default()
        };
        let begun = Instant::now();
        let host = Host::load(&options, &|_| ())?;
        let seconds = begun.elapsed().as_secs_f64();
        for adapter in host.adapters() {
            if let AdapterState::Broken { error } = adapter.state {
                return Err(format!("{}: {error}", adapter.name).into());
            }
        }
        Ok((seconds, resident()?, host.residency()))
    };
    // The first load reads the model from disk.
    load(&empty)?;
    let (alone, base, _) = load(&empty)?;
    let (first, ..) = load(&full)?;
    let (again, memory, adapters) = load(&full)?;
    let (memory, ratio) = (memory.saturating_sub(base), |memory: usize| {
        memory as f64 / bytes as f64
    });
    if json {
        println!(
            "{}",
            serde_json::json!({
                "bundles": count, "weights_bytes": bytes,
                "seconds": { "without": alone, "first": first - alone, "again": again - alone },
                "resident_bytes": memory, "resident_per_weights": ratio(memory), "adapters": adapters,
            })
        );
    } else {
        println!("{count} bundles with {:.1} MB of weights", bytes as f64 / 1e6);
        println!(
            "ready after {:.2} s the first time, {:.2} s from then on, beyond the host's {alone:.2} s",
            first - alone,
            again - alone
        );
        println!(
            "resident: {:.1} MB, {:.2} times the weights",
            memory as f64 / 1e6,
            ratio(memory)
        );
        println!(
            "adapters hold {:.1} MB of {:.1} MB; {} were put out of memory",
            adapters.held_bytes as f64 / 1e6,
            adapters.budget_bytes as f64 / 1e6,
            adapters.evicted
        );
    }
    Ok(())
}

/// Packs the bundle under many names. Returns the bytes of all weights.
fn copy(bundle: &Path, to: &Path, count: usize, different: bool) -> Result<usize> {
    fs::create_dir(to)?;
    let manifest = fs::read_to_string(bundle.join("adapter.toml"))?;
    let name = manifest
        .lines()
        .find(|line| line.starts_with("name = "))
        .ok_or("the manifest has no name")?;
    let folder = tempfile::tempdir()?;
    for index in 0..count {
        let copy = format!("copy-{index:04}");
        // A bundle's folder has its name.
        let scratch = folder.path().join(&copy);
        fs::create_dir(&scratch)?;
        for entry in fs::read_dir(bundle)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                fs::copy(entry.path(), scratch.join(entry.file_name()))?;
            }
        }
        let manifest = manifest.replace(name, &format!("name = \"{copy}\""));
        fs::write(scratch.join("adapter.toml"), manifest)?;
        if different {
            let task = scratch.join("task.wasm");
            let mut component = fs::read(&task)?;
            // A custom section of the copy's name, and nothing in it.
            let length = u8::try_from(copy.len())?;
            component.extend([0, length + 1, length]);
            component.extend(copy.as_bytes());
            fs::write(task, component)?;
        }
        let archive = Package::open(&scratch)?.pack()?;
        fs::write(to.join(format!("{copy}.tadapter")), archive)?;
        fs::remove_dir_all(&scratch)?;
    }
    let weights = fs::metadata(bundle.join("transducer.safetensors"))?.len();
    Ok(usize::try_from(weights)? * count)
}

/// Memory of this process that is in RAM, in bytes.
fn resident() -> Result<usize> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .ok_or("no VmRSS")?;
    let kib: usize = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024)
}
