//! What is asked, and when.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rand::{Rng, RngExt};
use serde::Deserialize;
use serde_json::Value;

/// A request to an adapter.
pub(super) struct Ask {
    pub(super) adapter: String,
    pub(super) body: String,
}

/// The requests of each adapter.
pub(super) struct Plan {
    adapters: Vec<Vec<Ask>>,
}

/// A line of the requests' file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    adapter: Option<String>,
    request: Value,
}

impl Plan {
    /// The adapters that are wanted, of those that the server has, with the requests of a file or their own.
    pub(super) fn new(known: &Value, wanted: &[String], file: Option<&Path>) -> Result<Self> {
        let known = known["data"]
            .as_array()
            .context("the server's list of adapters is none")?;
        let ready = known.iter().filter(|adapter| adapter["state"] == "ready");
        let ready: Vec<(&str, &Value)> = ready
            .filter_map(|adapter| Some((adapter["name"].as_str()?, &adapter["examples"])))
            .collect();
        let names = || ready.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        for name in wanted {
            if !ready.iter().any(|(known, _)| known == name) {
                bail!("no adapter that answers is named {name}; there are: {}", names());
            }
        }
        let lines = file.map(read).transpose()?;
        let mut adapters = Vec::new();
        for (name, examples) in &ready {
            if !wanted.is_empty() && !wanted.iter().any(|wanted| wanted == name) {
                continue;
            }
            let requests: Vec<&Value> = match &lines {
                Some(lines) => {
                    let own = lines
                        .iter()
                        .filter(|line| line.adapter.as_deref().is_none_or(|own| own == *name));
                    own.map(|line| &line.request).collect()
                }
                None => examples
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|example| &example["request"])
                    .collect(),
            };
            let ask = |request: &&Value| Ask {
                adapter: (*name).to_owned(),
                body: request.to_string(),
            };
            if requests.is_empty() && wanted.iter().any(|wanted| wanted == name) {
                bail!("there are no requests for {name}: give some in --requests");
            }
            if !requests.is_empty() {
                adapters.push(requests.iter().map(ask).collect());
            }
        }
        if adapters.is_empty() {
            bail!(
                "there is nothing to ask: adapters that answer: {}; give --requests if they bring no examples",
                names()
            );
        }
        Ok(Self { adapters })
    }

    /// Each adapter as likely as any other, and each of its requests too.
    pub(super) fn choose(&self, random: &mut impl Rng) -> (usize, usize) {
        let adapter = random.random_range(0..self.adapters.len());
        (adapter, random.random_range(0..self.adapters[adapter].len()))
    }

    pub(super) fn request(&self, (adapter, request): (usize, usize)) -> &Ask {
        &self.adapters[adapter][request]
    }
}

fn read(path: &Path) -> Result<Vec<Line>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            serde_json::from_str(line).with_context(|| format!("{}, line {}", path.display(), number + 1))
        })
        .collect()
}

/// The time to the next arrival of a Poisson process: exponentially distributed.
pub(super) fn gap(random: &mut impl Rng, rate: f64) -> Duration {
    let uniform: f64 = random.random();
    Duration::from_secs_f64(-(1.0 - uniform).ln() / rate)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use serde_json::json;

    use super::*;

    #[test]
    fn arrivals_have_the_rate_and_the_scatter_of_a_poisson_process() {
        let mut random = StdRng::seed_from_u64(7);
        let gaps: Vec<f64> = (0..20_000).map(|_| gap(&mut random, 50.0).as_secs_f64()).collect();
        let mean = gaps.iter().sum::<f64>() / 20_000.0;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / 20_000.0;
        assert!((mean * 50.0 - 1.0).abs() < 0.03, "{mean}");
        assert!(
            (variance.sqrt() / mean - 1.0).abs() < 0.03,
            "its standard deviation is its mean"
        );
    }

    #[test]
    fn requests_come_from_the_file_or_from_the_adapters() {
        let known = json!({"data": [
            {"name": "a", "state": "ready", "examples": [{"request": {"code": "1"}}]},
            {"name": "b", "state": "ready", "examples": []},
            {"name": "c", "state": "broken"},
        ]});
        let sizes = |plan: Result<Plan>| plan.map(|plan| plan.adapters.iter().map(Vec::len).collect::<Vec<_>>());
        assert_eq!(
            sizes(Plan::new(&known, &[], None)).unwrap(),
            [1],
            "b has nothing to ask it"
        );
        let error = sizes(Plan::new(&known, &["c".to_owned()], None))
            .unwrap_err()
            .to_string();
        assert!(error.contains("named c; there are: a, b"), "{error}");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            file.path(),
            "{\"request\": {}}\n\n{\"adapter\": \"b\", \"request\": {\"code\": \"2\"}}\n",
        )
        .unwrap();
        assert_eq!(sizes(Plan::new(&known, &[], Some(file.path()))).unwrap(), [1, 2]);
        std::fs::write(file.path(), "{\"request\": {}}\n{\"ask\": 1}\n").unwrap();
        let error = format!("{:#}", sizes(Plan::new(&known, &[], Some(file.path()))).unwrap_err());
        assert!(error.contains("line 2"), "{error}");
    }
}
