//! What a code property graph costs, beside a bare tree-sitter parse of the same text in the same run: one thread, warm.
//!
//! Every text is taken several times and its best time kept, so that what other processes take is not counted. A graph's time
//! covers everything between the text and the encoded graph that crosses a front end's boundary.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use serde_json::json;
use transducer_frontend::cpg::wire;
use transducer_frontend::{FrontEnd, ParseLimits};
use transducer_frontend_java::JavaFrontEnd;
use transducer_frontend_python::PythonFrontEnd;

/// Measures the CPG front ends over real code.
#[derive(Parser)]
struct Args {
    /// Methods: a JSONL file with the code in `source`
    #[arg(long, value_name = "FILE")]
    java_methods: Option<PathBuf>,
    /// Whole files: a folder, searched in depth
    #[arg(long, value_name = "FOLDER")]
    java_files: Option<PathBuf>,
    /// Functions: a JSONL file with the code in `source`
    #[arg(long, value_name = "FILE")]
    python_functions: Option<PathBuf>,
    /// Whole files: a folder, searched in depth
    #[arg(long, value_name = "FOLDER")]
    python_files: Option<PathBuf>,
    /// The program, to measure from its start to the printed DOT of a method
    #[arg(long, value_name = "transducer-host")]
    program: Option<PathBuf>,
    /// Folder to which the texts are written, a file each, so that a peer can read the same
    #[arg(long, value_name = "FOLDER")]
    sample: Option<PathBuf>,
    /// How many methods, spread evenly over the file
    #[arg(long, default_value_t = 292)]
    methods: usize,
    /// How many files, spread evenly over the folder
    #[arg(long, default_value_t = 200)]
    files: usize,
    /// Times that each text is taken
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// One JSON object instead of the table
    #[arg(long)]
    json: bool,
}

/// A language: its front end, and the grammar for the bare parse.
struct Language {
    name: &'static str,
    extension: &'static str,
    graph: fn(&str) -> usize,
    grammar: tree_sitter::Language,
}

fn graph<F: FrontEnd>(source: &str) -> usize {
    F::parse(source, &ParseLimits::DEFAULT).map_or(0, |cpg| wire::encode(&cpg).len())
}

/// Best times of one text.
#[derive(Clone, Copy)]
struct Taken {
    bytes: usize,
    lines: usize,
    graph: Duration,
    tree: Duration,
}

fn measure(language: &Language, texts: &[String], rounds: usize) -> Result<Vec<Taken>> {
    let mut parser = tree_sitter::Parser::new();
    parser.set_language(&language.grammar)?;
    let mut best = |text: &String| {
        let mut taken = Taken {
            bytes: text.len(),
            lines: text.lines().count(),
            graph: Duration::MAX,
            tree: Duration::MAX,
        };
        for _ in 0..rounds {
            let start = Instant::now();
            std::hint::black_box(parser.parse(text, None));
            taken.tree = taken.tree.min(start.elapsed());
            let start = Instant::now();
            std::hint::black_box((language.graph)(text));
            taken.graph = taken.graph.min(start.elapsed());
        }
        taken
    };
    Ok(texts.iter().map(&mut best).collect())
}

/// Every `n`th of many, so that `count` are left.
fn spread<T>(all: Vec<T>, count: usize) -> Vec<T> {
    let total = all.len();
    let keep = |place: usize| place * count / total != (place + 1) * count / total;
    all.into_iter()
        .enumerate()
        .filter(|&(place, _)| total <= count || keep(place))
        .map(|(_, one)| one)
        .collect()
}

fn methods(path: &Path, count: usize) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let mut methods = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let row: serde_json::Value =
            serde_json::from_str(line).with_context(|| format!("{}:{number}", path.display()))?;
        let source = row["source"]
            .as_str()
            .with_context(|| format!("{}:{number}: no text in `source`", path.display()))?;
        // Shorter ones are accessors, longer ones generated.
        if (4..=150).contains(&source.lines().count()) {
            methods.push(source.to_owned());
        }
    }
    ensure!(!methods.is_empty(), "{}: no method of 4 to 150 lines", path.display());
    Ok(spread(methods, count))
}

fn files(folder: &Path, extension: &str, count: usize) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    ensure!(!found.is_empty(), "{}: no *.{extension}", folder.display());
    let read = spread(found, count)
        .into_iter()
        .filter_map(|path| std::fs::read_to_string(path).ok());
    Ok(read.collect())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The value below which `share` percent of sorted values lie.
fn percentile(sorted: &[f64], share: usize) -> f64 {
    sorted[(sorted.len() - 1) * share / 100]
}

struct Figures {
    title: String,
    /// What, ours, and the bare parse's.
    rows: Vec<(&'static str, f64, Option<f64>)>,
}

impl Figures {
    fn of_methods(language: &Language, taken: &[Taken]) -> Self {
        let sorted = |time: fn(&Taken) -> Duration| {
            let mut times: Vec<f64> = taken.iter().map(|taken| millis(time(taken))).collect();
            times.sort_by(f64::total_cmp);
            times
        };
        let (graph, tree) = (sorted(|taken| taken.graph), sorted(|taken| taken.tree));
        let mut rows = vec![
            ("median, ms", percentile(&graph, 50), Some(percentile(&tree, 50))),
            ("p90, ms", percentile(&graph, 90), Some(percentile(&tree, 90))),
            ("p99, ms", percentile(&graph, 99), Some(percentile(&tree, 99))),
            ("max, ms", percentile(&graph, 100), Some(percentile(&tree, 100))),
        ];
        let long: Vec<&Taken> = taken.iter().filter(|taken| (80..=125).contains(&taken.lines)).collect();
        if !long.is_empty() {
            let lines: usize = long.iter().map(|taken| taken.lines).sum();
            let per_100 = |time: fn(&Taken) -> Duration| {
                let total: Duration = long.iter().map(|taken| time(taken)).sum();
                millis(total) * 100.0 / lines as f64
            };
            rows.push((
                "100 lines, ms",
                per_100(|taken| taken.graph),
                Some(per_100(|taken| taken.tree)),
            ));
        }
        Self {
            title: format!("{}: {} methods", language.name, taken.len()),
            rows,
        }
    }

    fn of_files(language: &Language, taken: &[Taken]) -> Self {
        let bytes: usize = taken.iter().map(|taken| taken.bytes).sum();
        let speed = |time: fn(&Taken) -> Duration| {
            let total: Duration = taken.iter().map(time).sum();
            bytes as f64 / 1e6 / total.as_secs_f64()
        };
        Self {
            title: format!("{}: {} files, {:.1} MB", language.name, taken.len(), bytes as f64 / 1e6),
            rows: vec![("MB/s", speed(|taken| taken.graph), Some(speed(|taken| taken.tree)))],
        }
    }

    fn print(&self) {
        println!(
            "{:<44} {:>10} {:>12} {:>7}",
            self.title, "graph", "tree-sitter", "ratio"
        );
        for (name, graph, tree) in &self.rows {
            match tree {
                Some(tree) => println!("  {name:<42} {graph:>10.3} {tree:>12.3} {:>7.2}", graph / tree),
                None => println!("  {name:<42} {graph:>10.3}"),
            }
        }
    }

    fn json(&self) -> serde_json::Value {
        let rows = self
            .rows
            .iter()
            .map(|(name, graph, tree)| json!({"figure": name, "graph": graph, "tree_sitter": tree}));
        json!({"title": self.title, "rows": rows.collect::<Vec<_>>()})
    }
}

/// Writes texts for a peer: `<folder>/<what>/<number>.<extension>`.
fn write_sample(folder: &Path, what: &str, extension: &str, texts: &[String]) -> Result<()> {
    let folder = folder.join(what);
    std::fs::create_dir_all(&folder)?;
    for (text, number) in texts.iter().zip(0..) {
        std::fs::write(folder.join(format!("{number:05}.{extension}")), text)?;
    }
    Ok(())
}

/// The process from its start to its end, in milliseconds, the best and the median of the rounds.
fn measure_start(program: &Path, source: &Path) -> Result<Figures> {
    const ROUNDS: usize = 40;
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let output = std::process::Command::new(program)
            .arg("cpg")
            .arg(source)
            .args(["--format", "dot"])
            .output()
            .with_context(|| program.display().to_string())?;
        times.push(millis(start.elapsed()));
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    times.sort_by(f64::total_cmp);
    Ok(Figures {
        title: "from the start of the process to DOT".to_owned(),
        rows: vec![
            ("best, ms", times[0], None),
            ("median, ms", percentile(&times, 50), None),
        ],
    })
}

/// The most memory that this process ever held, in MB: texts, trees and graphs, and the program itself.
fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes / 1024.0)
}

fn main() -> Result<()> {
    let args = Args::parse();
    let java = Language {
        name: "java",
        extension: "java",
        graph: graph::<JavaFrontEnd>,
        grammar: tree_sitter_java::LANGUAGE.into(),
    };
    let python = Language {
        name: "python",
        extension: "py",
        graph: graph::<PythonFrontEnd>,
        grammar: tree_sitter_python::LANGUAGE.into(),
    };
    let mut figures = Vec::new();
    for (language, code, folder) in [
        (&java, &args.java_methods, &args.java_files),
        (&python, &args.python_functions, &args.python_files),
    ] {
        let sample = |what: &str, texts: &[String]| match &args.sample {
            Some(folder) => write_sample(folder, &format!("{}-{what}", language.name), language.extension, texts),
            None => Ok(()),
        };
        if let Some(path) = code {
            let texts = methods(path, args.methods)?;
            sample("methods", &texts)?;
            figures.push(Figures::of_methods(language, &measure(language, &texts, args.rounds)?));
        }
        if let Some(folder) = folder {
            let texts = files(folder, language.extension, args.files)?;
            sample("files", &texts)?;
            let taken = measure(language, &texts, args.rounds.min(3))?;
            figures.push(Figures::of_files(language, &taken));
        }
    }
    if let Some(program) = &args.program {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/short.java");
        figures.push(measure_start(program, &source)?);
    }
    ensure!(!figures.is_empty(), "nothing to measure: see --help");
    if let Some(peak) = peak_memory() {
        figures.push(Figures {
            title: "all of the above".to_owned(),
            rows: vec![("peak memory, MB", peak, None)],
        });
    }
    if args.json {
        println!("{}", json!(figures.iter().map(Figures::json).collect::<Vec<_>>()));
    } else {
        figures.iter().for_each(Figures::print);
    }
    Ok(())
}
