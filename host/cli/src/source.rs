//! The code that a command is about: a file or standard input, its language, and one method of it.

use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use transducer_cpg::{Cpg, query};
use transducer_frontends::FrontEnds;

/// Longest file that is read: a source file of a megabyte is generated or data, and far beyond any model's context.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// Options that name code.
#[derive(Args, Debug)]
pub struct SourceArgs {
    /// Source file, or `-` for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Only this method; of several with the name, `NAME#2` is the second
    #[arg(long, value_name = "NAME")]
    method: Option<String>,

    /// Language of the code [default: by the file's extension]
    #[arg(long, value_name = "NAME")]
    language: Option<String>,
}

/// Code in a language.
#[derive(Debug)]
pub struct Source {
    /// All of the file, or the method.
    pub text: String,
    /// Its language in lower case.
    pub language: String,
}

impl SourceArgs {
    /// Reads the file and cuts the method out of it.
    ///
    /// # Errors
    /// Where the file cannot be read, or has no such method, or is in no known language.
    pub fn read(&self, front_ends: &FrontEnds) -> Result<Source> {
        let language = self.language(front_ends)?;
        let mut text = read(&self.file)?;
        if let Some(wanted) = &self.method {
            let cpg = front_ends
                .parse(&language, &text)
                .with_context(|| self.file.display().to_string())?;
            let range = method(&cpg, &text, wanted).with_context(|| self.file.display().to_string())?;
            text = text[range].to_owned();
        }
        Ok(Source { text, language })
    }

    fn language(&self, front_ends: &FrontEnds) -> Result<String> {
        if let Some(language) = &self.language {
            return Ok(language.clone());
        }
        let extension = self.file.extension().and_then(|extension| extension.to_str());
        match extension.and_then(|extension| front_ends.by_extension(extension)) {
            Some(language) => Ok(language.name.clone()),
            None => {
                let known: Vec<_> = front_ends
                    .languages()
                    .iter()
                    .map(|language| language.name.as_str())
                    .collect();
                bail!(
                    "cannot tell the language of {}: name it with --language ({})",
                    self.file.display(),
                    known.join(", ")
                )
            }
        }
    }
}

fn read(path: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    let name = if path == Path::new("-") {
        "standard input".into()
    } else {
        path.display().to_string()
    };
    let reader: Box<dyn Read> = match path == Path::new("-") {
        true => Box::new(std::io::stdin()),
        false => Box::new(std::fs::File::open(path).with_context(|| format!("cannot read {name}"))?),
    };
    reader
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {name}"))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        bail!(
            "{name} is longer than {} MB: give the part that the question is about",
            MAX_FILE_BYTES >> 20
        );
    }
    String::from_utf8(bytes).with_context(|| format!("{name} is not UTF-8: convert it first (iconv)"))
}

/// Where the method stands; `NAME` must be the only one of its name, `NAME#2` is the second.
fn method(cpg: &Cpg, text: &str, wanted: &str) -> Result<Range<usize>> {
    let (name, number) = match wanted.rsplit_once('#') {
        Some((name, number)) => (
            name,
            Some(number.parse::<usize>().with_context(|| format!("--method {wanted}"))?),
        ),
        None => (wanted, None),
    };
    let methods = query::find_methods_named(cpg, name);
    let line = |id: u32| cpg.node(id).map_or(0, |node| node.line);
    let chosen = match (methods.as_slice(), number) {
        ([], _) => {
            let mut names: Vec<_> = query::find_methods(cpg)
                .into_iter()
                .map(|id| cpg.name(id))
                .filter(|name| !name.is_empty())
                .collect();
            names.dedup();
            bail!(
                "there is no method {name}; there are: {}",
                if names.is_empty() {
                    "none".to_owned()
                } else {
                    names.join(", ")
                }
            );
        }
        ([one], None) => *one,
        (several, None) => {
            let lines: Vec<_> = several
                .iter()
                .enumerate()
                .map(|(index, &id)| format!("{name}#{} in line {}", index + 1, line(id)))
                .collect();
            bail!(
                "{} methods are named {name}: choose {}",
                several.len(),
                lines.join(", ")
            );
        }
        (several, Some(number)) => match number.checked_sub(1).and_then(|index| several.get(index)) {
            Some(&id) => id,
            None => bail!("there is no {name}#{number}: {} methods have this name", several.len()),
        },
    };
    let span = cpg
        .node(chosen)
        .map(|node| node.span.start as usize..node.span.end as usize)
        .unwrap_or_default();
    // The first line keeps its indentation, so that the method looks as it does in the file.
    let start = text[..span.start].rfind('\n').map_or(0, |newline| newline + 1);
    let indented = text[start..span.start].chars().all(char::is_whitespace);
    Ok(if indented { start } else { span.start }..span.end)
}
