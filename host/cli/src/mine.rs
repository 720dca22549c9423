//! `transducer-host mine`: training data from a source tree.

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use transducer_mine::{Options, Output, Progress, Ratios, Report, Similarity, Stage, Tally, Watch, mine};

use crate::{FrontEndOptions, Stopped, stop_flag};

/// A run that is over sooner shows no bar: it would only flicker.
const QUIET: Duration = Duration::from_secs(2);

const EXAMPLES: &str = "\
Examples:
  transducer-host mine src/ --task summarize --out data/ --split directory
  transducer-host mine ~/projects --task assert --out data/ --language java
  transducer-host mine src/ --task summarize --out data/ --json | jq .rows

Rows are JSON lines with id, source, target, language, project, path, line and name; for
`assert` also focal_name, focal_how and framework. The same tree gives the same files, and a
project, directory or file goes to the same split every time. The licences of the sources hold
for the data too.";

/// Arguments of the command.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder with the sources; with --split project, a folder of projects
    #[arg(value_name = "TREE")]
    tree: PathBuf,

    /// What a row asks and answers
    #[arg(long, value_enum)]
    task: Task,

    /// Folder for train.jsonl, valid.jsonl, test.jsonl and report.json; made where it is missing
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Only these languages [default: all that can be mined, by the files' endings]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    language: Vec<String>,

    /// What stays together when rows are split
    #[arg(long, value_enum, default_value_t)]
    split: SplitBy,

    /// Shares of train, valid and test
    #[arg(long, value_name = "A,B,C", default_value = "80,10,10")]
    ratios: Ratios,

    /// Longest source of a row
    #[arg(long, value_name = "BYTES", default_value_t = Options::MAX_SOURCE_BYTES)]
    max_source_bytes: usize,

    /// Fewest words of a summary
    #[arg(long, value_name = "N", default_value_t = Options::MIN_TARGET_WORDS)]
    min_target_words: usize,

    /// Most words of a summary
    #[arg(long, value_name = "N", default_value_t = Options::MAX_TARGET_WORDS)]
    max_target_words: usize,

    /// From which Jaccard index of their words on two sources count as one, 0.5 to 1; test wins over valid, valid over train
    #[arg(long, value_name = "SHARE", default_value = "0.8")]
    near_duplicates: Similarity,

    /// Threads [default: as many as there are cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    frontends: FrontEndOptions,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Task {
    /// A method; the first sentence of its Javadoc comment or docstring
    Summarize,
    /// A test with `<AssertPlaceHolder>` for its only assertion, and the method under test; the assertion
    Assert,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, Default)]
enum SplitBy {
    /// The folders straight below TREE
    #[default]
    Project,
    /// The files of a folder
    Directory,
    /// The methods of a file
    File,
}

impl Args {
    fn options(&self) -> Options {
        let task = match self.task {
            Task::Summarize => transducer_mine::Task::Summarize,
            Task::Assert => transducer_mine::Task::Assert,
        };
        Options {
            languages: self.language.iter().map(|name| name.to_lowercase()).collect(),
            split: match self.split {
                SplitBy::Project => transducer_mine::SplitBy::Project,
                SplitBy::Directory => transducer_mine::SplitBy::Directory,
                SplitBy::File => transducer_mine::SplitBy::File,
            },
            ratios: self.ratios,
            max_source_bytes: self.max_source_bytes,
            target_words: self.min_target_words..=self.max_target_words,
            near_duplicates: self.near_duplicates,
            jobs: self.jobs.unwrap_or_default().into(),
            ..Options::new(task)
        }
    }
}

/// Mines the tree, writes the files and prints the report.
///
/// # Errors
/// Where there is nothing to mine or the files cannot be written.
pub fn run(args: &Args) -> Result<()> {
    let front_ends = args.frontends.load()?;
    // Before the work: hours of it are lost on a folder that cannot be written to.
    let output = Output::create(&args.out)?;
    let stop = stop_flag()?;
    let started = Instant::now();
    let bar = bar();
    let progress = |progress| show(&bar, started, progress);
    let watch = Watch {
        stop,
        progress: &progress,
    };
    let mined = mine(&front_ends, &args.tree, &args.options(), &watch);
    bar.finish_and_clear();
    if stop.load(Ordering::Relaxed) {
        return Err(Stopped("nothing was written".to_owned()).into());
    }
    let mined = mined?;
    output.write(&mined)?;
    let text = if args.json {
        serde_json::to_string_pretty(&mined.report)? + "\n"
    } else {
        let seconds = started.elapsed().as_secs_f64();
        format!(
            "{}written to {} in {seconds:.1} s\n",
            table(&mined.report),
            args.out.display()
        )
    };
    for warning in &mined.report.warnings {
        eprintln!("warning: {warning}");
    }
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("cannot write to standard output")
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    match ProgressStyle::with_template("{msg} [{bar:40}] {human_pos} of {human_len} files, {eta} left") {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}

/// Called from many threads, after each file.
fn show(bar: &ProgressBar, started: Instant, progress: Progress) {
    if bar.is_hidden() && started.elapsed() > QUIET {
        bar.set_draw_target(ProgressDrawTarget::stderr());
    }
    bar.set_message(match progress.stage {
        Stage::Files => "reading",
        Stage::Focal => "methods under test",
    });
    bar.set_length(progress.total as u64);
    bar.set_position(progress.done as u64);
}

/// The report for people.
fn table(report: &Report) -> String {
    let count = |count: usize| HumanCount(count as u64).to_string();
    let mut lines = Vec::new();
    for (language, &files) in &report.files {
        lines.push(format!("{:>9} {language} files", count(files)));
    }
    lines.push(format!("{:>9} files of other kinds", count(report.other_files)));
    lines.extend(
        report
            .skipped
            .iter()
            .map(|(reason, tally)| line(reason.describe(), tally)),
    );
    let what = if report.task == "assert" { "tests" } else { "methods" };
    lines.push(format!(
        "\n{:>9} {what}, of which are dropped for",
        count(report.methods)
    ));
    lines.extend(
        report
            .dropped
            .iter()
            .map(|(reason, tally)| line(reason.describe(), tally)),
    );
    lines.push(format!(
        "\n          rows, from {} groups by {}",
        count(report.groups),
        report.split
    ));
    for (split, &rows) in &report.rows {
        lines.push(format!("{:>9} {}", count(rows), split.name()));
    }
    lines.join("\n") + "\n\n"
}

fn line(reason: &str, tally: &Tally) -> String {
    let count = HumanCount(tally.count as u64).to_string();
    format!("{count:>9}   {reason:<40} {}", tally.examples.join("  "))
}
