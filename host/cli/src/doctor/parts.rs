//! The parts that a host is put together of: front ends, policy, model, bundles.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use indicatif::ProgressBar;
use serde_json::Value;
use transducer_bundle::{Bundle, BundleError, Found, check_weights};
use transducer_frontends::FrontEnds;

use super::{Args, Finding};
use crate::bundles::{AdaptersDir, PolicyArgs};
use crate::{FrontEndOptions, LLM_PROGRAM, parts_dir};

/// Each front end, loaded as a host would.
pub(super) fn front_ends(options: &FrontEndOptions) -> Vec<Finding> {
    const MEND: &str = "build the front ends (`cargo build` in a clone), and name their folder with --frontends or TRANSDUCER_FRONTENDS";
    let files = options.dir().and_then(|dir| Ok(FrontEnds::files(&dir)?));
    let files = match files {
        Ok(files) => files,
        Err(error) => return vec![Finding::fail("front ends", format!("{error:#}"), MEND)],
    };
    let mut all = FrontEnds::default();
    let mut findings = Vec::new();
    for file in files {
        findings.push(match all.add(&file) {
            Ok(language) => Finding::ok(
                &format!("front end {}", language.name),
                format!("{} {}, {}", language.frontend, language.version, file.display()),
            ),
            Err(error) => Finding::fail("front end", error.to_string(), "mend or remove that file"),
        });
    }
    findings
}

/// Whom this host trusts.
pub(super) fn policy(args: &PolicyArgs, dir: &AdaptersDir) -> Vec<Finding> {
    const MEND: &str =
        "`transducer-host key trust PUBFILE --policy FILE` makes one; name it with --policy or TRANSDUCER_POLICY";
    let policy = match args.open(&dir.adapters) {
        Ok(Some(policy)) => policy,
        Ok(None) => {
            return vec![Finding::warn(
                "policy",
                "none: every bundle is taken, whoever made it",
                MEND,
            )];
        }
        Err(error) => {
            return vec![Finding::fail(
                "policy",
                format!("{error:#}"),
                "mend that file, or name another",
            )];
        }
    };
    let names: Vec<String> = policy
        .trusted
        .iter()
        .map(|trusted| {
            format!(
                "{} (key {}) with {}",
                trusted.name,
                trusted.key.id(),
                trusted.adapters.join(", ")
            )
        })
        .collect();
    let found = match names.as_slice() {
        [] => "trusts nobody".to_owned(),
        names => format!("trusts {}", names.join("; ")),
    };
    let found = format!("{found}; {} keys revoked", policy.revoked.len());
    vec![if policy.trusted.is_empty() && policy.require_signature {
        Finding::fail(
            "policy",
            format!("{found}; signatures are required, so that no bundle is taken"),
            "`transducer-host key trust PUBFILE` adds a key",
        )
    } else if !policy.require_signature {
        Finding::warn(
            "policy",
            format!("{found}; unsigned bundles are taken"),
            "`require-signature = true` refuses them",
        )
    } else {
        Finding::ok("policy", found)
    }]
}

/// The model, and each bundle against it. Where the LLM's program does not run, or no model loads, each bundle by itself.
pub(super) fn model_and_bundles(args: &Args, runs: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let model = match &args.model {
        None => {
            findings.push(Finding::fail(
                "model",
                "none is named",
                "give --model or set TRANSDUCER_MODEL to a GGUF file or a Hugging Face folder; in a clone, `cargo xtask setup` fetches one",
            ));
            None
        }
        Some(path) if !path.exists() => {
            findings.push(Finding::fail(
                "model",
                format!("there is no {}", path.display()),
                "name a GGUF file or a Hugging Face folder that is there",
            ));
            None
        }
        Some(path) => Some(path),
    };
    if let (Some(path), true) = (model, runs) {
        match listed(args, path) {
            Ok(listed) => {
                findings.push(of_model(&listed["model"], path));
                let endpoints = listed["endpoints"].as_array();
                findings.extend(endpoints.into_iter().flatten().map(of_endpoint));
                let adapters = listed["adapters"].as_array();
                findings.extend(adapters.into_iter().flatten().map(of_adapter));
                if adapters.is_none_or(Vec::is_empty) {
                    findings.push(no_bundles(&args.dir));
                }
                return findings;
            }
            Err(message) => findings.push(Finding::fail(
                "model",
                message,
                "mend what the message names; the lines on front ends and policy may say more",
            )),
        }
    } else if let Some(path) = model {
        let found = format!("{}, which cannot be loaded without libtorch", path.display());
        findings.push(Finding::warn("model", found, "mend libtorch first"));
    }
    findings.extend(by_themselves(args));
    findings
}

/// What the LLM's program says of the model and the adapters.
fn listed(args: &Args, model: &Path) -> Result<Value, String> {
    let told = |error: anyhow::Error| format!("{error:#}");
    let mut command = Command::new(parts_dir().map_err(told)?.join(LLM_PROGRAM));
    command.args(["adapters", "--json", "--model"]).arg(model);
    command.arg("--adapters").arg(&args.dir.adapters);
    command.arg("--frontends").arg(args.frontends.dir().map_err(told)?);
    if let Some(backbone) = &args.backbone {
        command.arg("--backbone").arg(backbone);
    }
    if let Some(model) = &args.backbone_model {
        command.arg("--backbone-model").arg(model);
    }
    if let Some(key) = &args.backbone_key {
        command.arg("--backbone-key").arg(key);
    }
    // Without a place for it, tasks are compiled each time.
    if let Ok(cache) = args.cache.dir() {
        command.arg("--cache").arg(cache);
    }
    if let Some(policy) = &args.policy.policy {
        command.arg("--policy").arg(policy);
    }
    let spinner = ProgressBar::new_spinner().with_message("loading the model");
    spinner.enable_steady_tick(Duration::from_millis(100));
    let output = command.output();
    spinner.finish_and_clear();
    let output = output.map_err(|error| format!("{LLM_PROGRAM}: {error}"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let line = stderr.lines().rev().find_map(|line| line.strip_prefix("error: "));
        return Err(line.map_or_else(|| format!("{LLM_PROGRAM} ended with {}", output.status), str::to_owned));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("{LLM_PROGRAM} printed no JSON: {error}"))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn of_model(model: &Value, path: &Path) -> Finding {
    let found = format!(
        "{} ({}, {} wide, {}, {}), {}",
        text(model, "name"),
        text(model, "family"),
        model["hidden_size"],
        text(model, "precision"),
        text(model, "device"),
        path.display()
    );
    Finding::ok("model", found)
}

/// A server that has the model's layers, while another of them is up.
fn of_endpoint(endpoint: &Value) -> Finding {
    let part = format!("endpoint {}", text(endpoint, "address"));
    if endpoint["state"] == "up" {
        let found = format!(
            "serves {}, and understands this host's embeddings",
            text(endpoint, "model")
        );
        return Finding::ok(&part, found);
    }
    let mend = "start it (`vllm serve MODEL --enable-prompt-embeds`), or take it out of --backbone";
    Finding::fail(&part, text(endpoint, "error"), mend)
}

fn of_adapter(adapter: &Value) -> Finding {
    let part = format!("bundle {}", text(adapter, "name"));
    if adapter["state"] == "ready" {
        let signer = adapter["signer"]["name"]
            .as_str()
            .map(|name| format!(", signed by {name}"));
        let untrained = if adapter["trained"] == true { "" } else { ", untrained" };
        let found = format!("{}{untrained}{}", text(adapter, "version"), signer.unwrap_or_default());
        return Finding::ok(&part, found);
    }
    broken(&part, text(adapter, "error").to_owned())
}

fn broken(part: &str, error: String) -> Finding {
    Finding::fail(
        part,
        error,
        "mend it, or take it out of the adapters directory; `transducer-host inspect` shows it",
    )
}

fn no_bundles(dir: &AdaptersDir) -> Finding {
    let found = format!("none in {}", dir.adapters.display());
    Finding::warn(
        "bundles",
        found,
        "`transducer-host install FILE` puts one there; --adapters names another directory",
    )
}

/// What can be said of bundles without a model.
fn by_themselves(args: &Args) -> Vec<Finding> {
    // A policy that cannot be used has its own line.
    let policy = args.policy.open(&args.dir.adapters).ok().flatten();
    let found = match Bundle::open_all_under(&args.dir.adapters, policy.as_ref()) {
        Ok(found) => found,
        Err(error) => {
            let mend = "name the directory of bundles with --adapters or TRANSDUCER_ADAPTERS";
            return vec![Finding::fail("bundles", error.to_string(), mend)];
        }
    };
    if found.is_empty() {
        return vec![no_bundles(&args.dir)];
    }
    found.into_iter().map(by_itself).collect()
}

fn by_itself(found: Found) -> Finding {
    let part = format!("bundle {}", found.name);
    let bundle = match found.bundle {
        Ok(bundle) => bundle,
        Err(error @ BundleError::Duplicate { .. }) => {
            return Finding::fail(&part, error.to_string(), "keep one of them");
        }
        Err(error) => return broken(&part, error.to_string()),
    };
    let manifest = &bundle.manifest;
    let hidden = manifest.base_model.hidden_size;
    match bundle
        .weights
        .as_deref()
        .map(|weights| check_weights(weights, &manifest.transducer, hidden))
    {
        Some(Err(error)) => broken(&part, error.to_string()),
        _ => Finding::ok(
            &part,
            format!(
                "{}, for {}; not held against a model",
                manifest.version, manifest.base_model.id
            ),
        ),
    }
}
