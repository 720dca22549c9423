//! The files of a tree.

use std::path::{Path, PathBuf};

use ignore::WalkBuilder;

use crate::error::MineError;
use crate::language::Language;
use crate::report::{Report, Skipped};

/// Longest file that is read, in bytes: hand-written files are below (the JDK's largest but for tables is 400 kB); above are
/// generated ones and data.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// A source file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SourceFile {
    /// Where it is.
    pub full: PathBuf,
    /// The same below the tree, with `/`.
    pub path: String,
    /// The folder straight below the tree, or the tree's own name.
    pub project: String,
    /// What it is written in.
    pub language: Language,
}

/// The source files of a tree in the order of their paths; others are counted in the report. Hidden files and what a
/// `.gitignore` of the tree names are left out, links are not followed.
pub(crate) fn walk(
    tree: &Path,
    language_of: impl Fn(&str) -> Option<Language>,
    report: &mut Report,
) -> Result<Vec<SourceFile>, MineError> {
    let cannot_read = |error| MineError::Read {
        path: tree.to_owned(),
        error,
    };
    if !std::fs::metadata(tree).map_err(cannot_read)?.is_dir() {
        return Err(MineError::NotAFolder { path: tree.to_owned() });
    }
    // `.` has no name of its own.
    let name = std::fs::canonicalize(tree).map_err(cannot_read)?;
    let name = name.file_name().map_or("tree".into(), |name| name.to_string_lossy());
    // Only the tree's own files decide: the same tree gives the same rows on another machine and in another folder.
    let mut walker = WalkBuilder::new(tree);
    walker
        .follow_links(false)
        .parents(false)
        .ignore(false)
        .git_global(false)
        .git_exclude(false)
        .require_git(false);
    let mut files = Vec::new();
    for entry in walker.build() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                report.skip(Skipped::Unreadable, &error.to_string());
                continue;
            }
        };
        let (full, kind) = (entry.path(), entry.file_type());
        let Some(path) = below(tree, full) else {
            continue;
        };
        if kind.is_none_or(|kind| kind.is_dir()) {
            continue;
        }
        let extension = full.extension().and_then(|extension| extension.to_str());
        let Some(language) = extension.and_then(&language_of) else {
            report.other_files += 1;
            continue;
        };
        if kind.is_some_and(|kind| !kind.is_file()) {
            report.skip(Skipped::Link, &path);
            continue;
        }
        let project = path.split_once('/').map_or(&*name, |(project, _)| project).to_owned();
        files.push(SourceFile {
            full: full.to_owned(),
            project,
            language,
            path,
        });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// The path below the tree, with `/`; `None` for the tree itself. Names that are no UTF-8 are shown as well as can be.
fn below(tree: &Path, full: &Path) -> Option<String> {
    let parts: Vec<_> = full
        .strip_prefix(tree)
        .ok()?
        .components()
        .map(|part| part.as_os_str().to_string_lossy())
        .collect();
    if parts.is_empty() { None } else { Some(parts.join("/")) }
}

/// The text of a file, its lines ended by `\n` alone.
pub(crate) fn read(file: &SourceFile) -> Result<String, Skipped> {
    let length = std::fs::metadata(&file.full).map_err(|_| Skipped::Unreadable)?.len();
    if length > MAX_FILE_BYTES {
        return Err(Skipped::TooLarge);
    }
    text_of(std::fs::read(&file.full).map_err(|_| Skipped::Unreadable)?)
}

fn text_of(bytes: Vec<u8>) -> Result<String, Skipped> {
    if bytes.contains(&0) {
        return Err(Skipped::Binary);
    }
    let text = String::from_utf8(bytes).map_err(|_| Skipped::NotUtf8)?;
    // A byte order mark is no part of the text.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n");
    let marked = |mark: &str| text.lines().any(|line| line.starts_with(mark));
    if marked("<<<<<<< ") && marked(">>>>>>> ") {
        return Err(Skipped::Conflict);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let cases: &[(&[u8], Result<&str, Skipped>)] = &[
            (b"a\r\nb\n", Ok("a\nb\n")),
            (b"\xef\xbb\xbfa", Ok("a")),
            (b"a\0b", Err(Skipped::Binary)),
            (b"caf\xe9", Err(Skipped::NotUtf8)),
            (b"<<<<<<< mine\na\n=======\nb\n>>>>>>> theirs\n", Err(Skipped::Conflict)),
            (b"s = '<<<<<<< mine'\n", Ok("s = '<<<<<<< mine'\n")),
        ];
        for (bytes, expected) in cases {
            assert_eq!(text_of(bytes.to_vec()), expected.map(str::to_owned), "{bytes:?}");
        }
    }
}
