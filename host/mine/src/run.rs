//! A run from a tree to rows.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rayon::prelude::*;
use transducer_frontends::FrontEnds;

use crate::assertion::{self, Test};
use crate::error::{MineError, OptionError};
use crate::focal::{self, Definition, Index};
use crate::language::Language;
use crate::options::{Options, Task};
use crate::report::{Dropped, Report, Skipped};
use crate::row::{FocalHow, Row, Split, TestFields};
use crate::tree::{self, SourceFile};
use crate::unit::{Unit, parses_alone};
use crate::{finish, summarize};

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// Files done in this stage.
    pub done: usize,
    /// Files of this stage.
    pub total: usize,
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// All files are read.
    Files,
    /// The files of methods under test are read again.
    Focal,
}

/// How a caller follows and stops a run.
pub struct Watch<'a> {
    /// Set it, and the run ends soon with [`MineError::Stopped`].
    pub stop: &'a AtomicBool,
    /// Told after each file, from any thread.
    pub progress: &'a (dyn Fn(Progress) + Sync),
}

impl Default for Watch<'_> {
    fn default() -> Self {
        static NEVER: AtomicBool = AtomicBool::new(false);
        Self {
            stop: &NEVER,
            progress: &|_| {},
        }
    }
}

/// The rows of a run.
#[derive(Clone, Debug)]
pub struct Mined {
    rows: Vec<(Split, Row)>,
    /// What became of every file and method.
    pub report: Report,
}

impl Mined {
    /// The rows of a split, in the order of their paths and lines.
    pub fn rows(&self, split: Split) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |(of, _)| *of == split).map(|(_, row)| row)
    }
}

/// A row that does not know yet where it goes.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub source: String,
    pub target: String,
    pub line: u32,
    pub name: String,
    pub test: Option<TestFields>,
}

/// Mines a tree.
///
/// # Errors
/// [`MineError`].
pub fn mine(front_ends: &FrontEnds, tree: &Path, options: &Options, watch: &Watch<'_>) -> Result<Mined, MineError> {
    if options.target_words.is_empty() {
        return Err(MineError::Option(OptionError::TargetWords {
            min: *options.target_words.start(),
            max: *options.target_words.end(),
        }));
    }
    let languages = languages(front_ends, &options.languages)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.jobs).build();
    let pool = pool.map_err(|error| MineError::Threads {
        jobs: options.jobs,
        reason: error.to_string(),
    })?;
    let mut report = Report {
        task: options.task.name().to_owned(),
        split: options.split.name().to_owned(),
        ..Report::default()
    };
    let language_of = |extension: &str| {
        let language = Language::from_name(&front_ends.by_extension(extension)?.name)?;
        languages.contains(&language).then_some(language)
    };
    let files = tree::walk(tree, language_of, &mut report)?;
    let drafts = pool.install(|| match options.task {
        Task::Summarize => summaries(front_ends, &files, options, watch, &mut report),
        Task::Assert => tests(front_ends, &files, options, watch, &mut report),
    })?;
    if report.files.is_empty() {
        let extensions = languages
            .iter()
            .filter_map(|language| front_ends.language(language.name()));
        let wanted: Vec<String> = extensions
            .flat_map(|language| &language.extensions)
            .map(|end| format!(".{end}"))
            .collect();
        return Err(MineError::NoSources {
            path: tree.to_owned(),
            wanted: wanted.join(", "),
            skipped: report.skipped_words(),
        });
    }
    let (rows, report) = finish::finish(&files, drafts, options, report);
    let mined = Mined { rows, report };
    if mined.rows.is_empty() {
        return Err(MineError::NothingMined {
            path: tree.to_owned(),
            files: mined.report.files.values().sum(),
            methods: mined.report.methods,
            dropped: mined.report.dropped_words(),
        });
    }
    Ok(mined)
}

/// The languages to look for: those named, or all with both a front end and rules.
fn languages(front_ends: &FrontEnds, wanted: &[String]) -> Result<Vec<Language>, MineError> {
    let known: Vec<Language> = Language::ALL
        .into_iter()
        .filter(|known| front_ends.language(known.name()).is_some())
        .collect();
    let names: Vec<&str> = known.iter().map(|known| known.name()).collect();
    let unknown = |language: &str| MineError::Language {
        language: language.to_owned(),
        known: if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        },
    };
    if known.is_empty() {
        return Err(unknown("any language"));
    }
    if wanted.is_empty() {
        return Ok(known);
    }
    let named = |name: &String| {
        Language::from_name(name)
            .filter(|one| known.contains(one))
            .ok_or_else(|| unknown(name))
    };
    wanted.iter().map(named).collect()
}

/// Does `work` for each of the items on all threads; results keep the items' order.
fn each<T: Sync, R: Send>(
    items: &[T],
    stage: Stage,
    watch: &Watch<'_>,
    work: impl Fn(&T) -> R + Sync,
) -> Result<Vec<R>, MineError> {
    let done = AtomicUsize::new(0);
    let one = |item: &T| {
        if watch.stop.load(Ordering::Relaxed) {
            return Err(MineError::Stopped);
        }
        let result = work(item);
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        (watch.progress)(Progress {
            stage,
            done,
            total: items.len(),
        });
        Ok(result)
    };
    items.par_iter().map(one).collect()
}

/// Counts a file as read or skipped.
fn opened<T>(result: Result<T, Skipped>, file: &SourceFile, report: &mut Report) -> Option<T> {
    match result {
        Ok(value) => {
            *report.files.entry(file.language.name().to_owned()).or_default() += 1;
            Some(value)
        }
        Err(reason) => {
            report.skip(reason, &file.path);
            None
        }
    }
}

/// Drafts with the index of their file.
pub(crate) type Drafts = Vec<(usize, Draft)>;

/// Methods under test, or why not, by file and where they start in it.
type FocalTexts = HashMap<(usize, usize), Result<String, Dropped>>;

fn summaries(
    front_ends: &FrontEnds,
    files: &[SourceFile],
    options: &Options,
    watch: &Watch<'_>,
    report: &mut Report,
) -> Result<Drafts, MineError> {
    let rows = each(files, Stage::Files, watch, |file| {
        let unit = Unit::open(front_ends, file)?;
        Ok(summarize::rows(front_ends, &unit, options))
    })?;
    let mut drafts = Vec::new();
    for (index, (rows, file)) in rows.into_iter().zip(files).enumerate() {
        for (line, row) in opened(rows, file, report).into_iter().flatten() {
            report.methods += 1;
            match row {
                Ok(draft) => drafts.push((index, draft)),
                Err(reason) => report.drop(reason, &file.path, line),
            }
        }
    }
    Ok(drafts)
}

fn tests(
    front_ends: &FrontEnds,
    files: &[SourceFile],
    options: &Options,
    watch: &Watch<'_>,
    report: &mut Report,
) -> Result<Drafts, MineError> {
    let numbered: Vec<(usize, &SourceFile)> = files.iter().enumerate().collect();
    let read = each(&numbered, Stage::Files, watch, |&(index, file)| {
        let unit = Unit::open(front_ends, file)?;
        let tests = assertion::tests(front_ends, &unit);
        let definitions = if tests.is_empty() {
            focal::definitions(&unit, index)
        } else {
            Vec::new()
        };
        Ok((tests, definitions))
    })?;
    let mut index = Index::default();
    let mut tests: Vec<(usize, Test)> = Vec::new();
    for (&(number, file), read) in numbered.iter().zip(read) {
        let Some((of_file, definitions)) = opened(read, file, report) else {
            continue;
        };
        index.add(file.language, definitions);
        for (line, test) in of_file {
            report.methods += 1;
            match test {
                Ok(test) => tests.push((number, test)),
                Err(reason) => report.drop(reason, &file.path, line),
            }
        }
    }
    let found: Vec<_> = tests
        .iter()
        .map(|(number, test)| index.find(files[*number].language, &files[*number].project, test))
        .collect();
    let texts = focal_texts(
        front_ends,
        files,
        found.iter().flatten().map(|(definition, _)| *definition),
        watch,
    )?;
    let mut drafts = Vec::new();
    for ((number, test), found) in tests.iter().zip(found) {
        let draft = found.and_then(|(definition, how)| {
            let focal = texts
                .get(&(definition.file, definition.start))
                .ok_or(Dropped::Changed)?
                .as_ref()
                .map_err(|&reason| reason)?;
            joined(files[*number].language, test, definition, how, focal, options)
        });
        match draft {
            Ok(draft) => drafts.push((*number, draft)),
            Err(reason) => report.drop(reason, &files[*number].path, test.line),
        }
    }
    Ok(drafts)
}

/// The test, and the method under test.
fn joined(
    language: Language,
    test: &Test,
    definition: &Definition,
    how: FocalHow,
    focal: &str,
    options: &Options,
) -> Result<Draft, Dropped> {
    let source = format!("{}\n{}\n{focal}", test.source, language.focal_line());
    if source.len() > options.max_source_bytes {
        return Err(Dropped::SourceTooLong);
    }
    let focal_name = match definition.class.as_str() {
        "" => definition.name.clone(),
        class => format!("{class}.{}", definition.name),
    };
    Ok(Draft {
        source,
        target: test.target.clone(),
        line: test.line,
        name: test.name.clone(),
        test: Some(TestFields {
            focal_name,
            focal_how: how,
            framework: test.framework,
        }),
    })
}

/// The methods under test. Their files are read again: to keep the text of every method of a tree would take as much memory as
/// the tree.
fn focal_texts<'a>(
    front_ends: &FrontEnds,
    files: &[SourceFile],
    definitions: impl Iterator<Item = &'a Definition>,
    watch: &Watch<'_>,
) -> Result<FocalTexts, MineError> {
    let mut by_file: BTreeMap<usize, BTreeMap<usize, &str>> = BTreeMap::new();
    for definition in definitions {
        by_file
            .entry(definition.file)
            .or_default()
            .insert(definition.start, &definition.name);
    }
    let by_file: Vec<(usize, BTreeMap<usize, &str>)> = by_file.into_iter().collect();
    let texts = each(&by_file, Stage::Focal, watch, |(file, wanted)| {
        let Ok(unit) = Unit::open(front_ends, &files[*file]) else {
            return Vec::new();
        };
        let mut texts = Vec::new();
        for method in unit.methods() {
            let start = unit.span(method).start;
            if wanted.get(&start) == Some(&unit.cpg.name(method)) {
                let lines = unit
                    .docstring(method)
                    .and_then(|docstring| unit.docstring_lines(docstring));
                // A body that is nothing but a docstring needs it.
                let piece = lines
                    .filter(|_| !unit.statements(method).is_empty())
                    .map(|lines| (lines, ""));
                let text = unit.cut(method, piece);
                let alone = parses_alone(front_ends, unit.file.language, &text);
                texts.push(((*file, start), if alone { Ok(text) } else { Err(Dropped::NotAlone) }));
            }
        }
        texts
    })?;
    Ok(texts.into_iter().flatten().collect())
}
