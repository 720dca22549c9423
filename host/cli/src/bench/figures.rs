//! What came of it.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use serde::Serialize;

use super::client::{Answered, Done};

/// The figures of a test. Times are in milliseconds.
#[derive(Serialize)]
pub(super) struct Figures {
    /// Requests a second that were meant to be sent; none for a closed loop.
    rate: Option<f64>,
    /// From the first request to the last answer, in seconds.
    seconds: f64,
    interrupted: bool,
    sent: usize,
    pub(super) answered: usize,
    /// Sent, and neither answered nor failed when the test was ended early.
    unfinished: usize,
    /// By their codes.
    errors: BTreeMap<String, usize>,
    requests_per_second: f64,
    prompt_tokens_per_second: f64,
    completion_tokens_per_second: f64,
    first_token: Option<Spread>,
    per_token: Option<Spread>,
    end_to_end: Option<Spread>,
    adapters: BTreeMap<String, Adapter>,
}

/// One adapter of the mix.
#[derive(Default, Serialize)]
struct Adapter {
    answered: usize,
    failed: usize,
    end_to_end: Option<Spread>,
}

/// How times are spread.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Spread {
    mean: f64,
    p50: f64,
    p90: f64,
    p95: f64,
    p99: f64,
    max: f64,
}

impl Spread {
    /// None of no times. A percentile is the smallest time that so many of all are not above (the nearest rank).
    fn of(times: impl Iterator<Item = Duration>) -> Option<Self> {
        let mut times: Vec<f64> = times.map(|time| time.as_secs_f64() * 1e3).collect();
        times.sort_by(f64::total_cmp);
        let count = times.len();
        let rank = |percent: usize| times[(percent * count).div_ceil(100).max(1) - 1];
        (count > 0).then(|| Self {
            mean: times.iter().sum::<f64>() / count as f64,
            p50: rank(50),
            p90: rank(90),
            p95: rank(95),
            p99: rank(99),
            max: rank(100),
        })
    }
}

impl Figures {
    pub(super) fn new(rate: Option<f64>, sent: usize, took: Duration, interrupted: bool, all: &[Done]) -> Self {
        let good: Vec<(&str, &Answered)> = all
            .iter()
            .filter_map(|done| Some((done.adapter.as_str(), done.result.as_ref().ok()?)))
            .collect();
        let mut errors = BTreeMap::new();
        let mut adapters: BTreeMap<String, Adapter> = BTreeMap::new();
        for done in all {
            let adapter = adapters.entry(done.adapter.clone()).or_default();
            match &done.result {
                Ok(_) => adapter.answered += 1,
                Err(code) => {
                    adapter.failed += 1;
                    *errors.entry(code.clone()).or_insert(0) += 1;
                }
            }
        }
        for (name, adapter) in &mut adapters {
            let own = good.iter().filter(|(asked, _)| asked == name);
            adapter.end_to_end = Spread::of(own.map(|(_, answered)| answered.end_to_end));
        }
        let seconds = took.as_secs_f64();
        let per_second = |count: u64| count as f64 / seconds;
        let answers = || good.iter().map(|(_, answered)| answered);
        Self {
            rate,
            seconds,
            interrupted,
            sent,
            answered: good.len(),
            unfinished: sent.saturating_sub(all.len()),
            errors,
            requests_per_second: per_second(good.len() as u64),
            prompt_tokens_per_second: per_second(answers().map(|answered| answered.prompt_tokens).sum()),
            completion_tokens_per_second: per_second(answers().map(|answered| answered.completion_tokens).sum()),
            first_token: Spread::of(answers().filter_map(|answered| answered.first_token)),
            per_token: Spread::of(answers().filter_map(|answered| answered.per_token)),
            end_to_end: Spread::of(answers().map(|answered| answered.end_to_end)),
            adapters,
        }
    }

    /// As tables.
    pub(super) fn print(&self, out: &mut impl Write) -> std::io::Result<()> {
        let asked = self
            .rate
            .map_or(String::new(), |rate| format!(", {rate} requests/s asked for"));
        let early = if self.interrupted { ", ended early" } else { "" };
        let failed: usize = self.errors.values().sum();
        writeln!(out, "{:.1} s{asked}{early}", self.seconds)?;
        write!(out, "{} sent, {} answered, {failed} failed", self.sent, self.answered)?;
        match self.unfinished {
            0 => writeln!(out)?,
            unfinished => writeln!(out, ", {unfinished} unfinished")?,
        }
        writeln!(
            out,
            "{:.2} requests/s, {:.1} prompt tokens/s, {:.1} generated tokens/s\n",
            self.requests_per_second, self.prompt_tokens_per_second, self.completion_tokens_per_second
        )?;
        writeln!(out, "{:<24}{HEADS}", "milliseconds")?;
        for (name, spread) in [
            ("to the first token", self.first_token),
            ("for each token after it", self.per_token),
            ("to the end", self.end_to_end),
        ] {
            row(out, name, spread)?;
        }
        if self.adapters.len() > 1 {
            writeln!(
                out,
                "\n{:<24}{HEADS}{:>9}{:>8}",
                "to the end, by adapter", "answers", "failed"
            )?;
            for (name, adapter) in &self.adapters {
                let counts = format!("{:>9}{:>8}", adapter.answered, adapter.failed);
                writeln!(out, "{}{counts}", columns(name, adapter.end_to_end))?;
            }
        }
        if failed > 0 {
            writeln!(out, "\n{:<24}{:>9}", "error", "requests")?;
            for (code, count) in &self.errors {
                writeln!(out, "{code:<24}{count:>9}")?;
            }
        }
        Ok(())
    }
}

const HEADS: &str = "     mean      p50      p90      p95      p99      max";

fn row(out: &mut impl Write, name: &str, spread: Option<Spread>) -> std::io::Result<()> {
    writeln!(out, "{}", columns(name, spread))
}

fn columns(name: &str, spread: Option<Spread>) -> String {
    let mut line = format!("{name:<24}");
    match spread {
        None => line.push_str(&"        -".repeat(6)),
        Some(Spread {
            mean,
            p50,
            p90,
            p95,
            p99,
            max,
        }) => {
            for time in [mean, p50, p90, p95, p99, max] {
                line.push_str(&format!("{time:>9.1}"));
            }
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let times = |count: u64| (1..=count).rev().map(Duration::from_millis);
        let spread = Spread::of(times(100)).unwrap();
        assert_eq!(
            (spread.p50, spread.p90, spread.p99, spread.max),
            (50.0, 90.0, 99.0, 100.0)
        );
        assert_eq!(spread.mean, 50.5);
        let one = Spread::of(times(1)).unwrap();
        assert_eq!((one.p50, one.p99, one.max), (1.0, 1.0, 1.0));
        assert_eq!(Spread::of(times(0)), None);
    }

    #[test]
    fn what_failed_and_what_is_missing_is_counted() {
        let done = |adapter: &str, result: Result<u64, &str>| Done {
            adapter: adapter.to_owned(),
            result: result.map_err(str::to_owned).map(|ms| Answered {
                first_token: Some(Duration::from_millis(ms / 2)),
                per_token: None,
                end_to_end: Duration::from_millis(ms),
                prompt_tokens: 10,
                completion_tokens: 5,
            }),
        };
        let all = [done("a", Ok(100)), done("a", Err("queue_full")), done("b", Ok(300))];
        let figures = Figures::new(Some(2.0), 5, Duration::from_secs(2), true, &all);
        assert_eq!(
            (figures.answered, figures.unfinished, figures.errors["queue_full"]),
            (2, 2, 1)
        );
        assert_eq!(
            (figures.requests_per_second, figures.completion_tokens_per_second),
            (1.0, 5.0)
        );
        let mut text = Vec::new();
        figures.print(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        for line in [
            "2.0 s, 2 requests/s asked for, ended early",
            "5 sent, 2 answered, 1 failed, 2 unfinished",
            "for each token after it         -        -",
            "queue_full                      1",
        ] {
            assert!(text.contains(line), "{line:?} is not in\n{text}");
        }
    }
}
