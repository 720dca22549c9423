//! A data set as a file: one JSON object a line, plain or gzipped. Read as a stream.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::TrainError;

/// Longest line that is read: far more than an LLM's context holds, so that a row that is only too long for it is left out, and not an error.
const MAX_LINE: usize = 16 << 20;

/// One example.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Row {
    /// Names it in logs and predictions.
    pub id: String,
    /// What the task is given.
    pub source: String,
    /// What the LLM should write.
    pub target: String,
}

/// The rows of a file, one after the other.
pub struct Rows {
    path: PathBuf,
    lines: Box<dyn BufRead + Send>,
    line: usize,
}

impl Rows {
    /// Opens a file; one named `….gz` is decompressed.
    ///
    /// # Errors
    /// [`TrainError::File`].
    pub fn open(path: &Path) -> Result<Self, TrainError> {
        let file = File::open(path).map_err(TrainError::file(path))?;
        let lines: Box<dyn BufRead + Send> = if path.extension().is_some_and(|extension| extension == "gz") {
            Box::new(BufReader::new(MultiGzDecoder::new(file)))
        } else {
            Box::new(BufReader::new(file))
        };
        Ok(Self {
            path: path.to_owned(),
            lines,
            line: 0,
        })
    }

    /// Up to `count` more rows; none at the end. Empty lines are passed over.
    ///
    /// # Errors
    /// [`TrainError::Row`] names the line.
    pub fn take(&mut self, count: usize) -> Result<Vec<Row>, TrainError> {
        let mut rows = Vec::new();
        while rows.len() < count
            && let Some(line) = self.next_line()?
        {
            if !line.trim().is_empty() {
                rows.push(serde_json::from_str(&line).map_err(|error| self.wrong(error.to_string()))?);
            }
        }
        Ok(rows)
    }

    fn next_line(&mut self) -> Result<Option<String>, TrainError> {
        let mut bytes = Vec::new();
        self.line += 1;
        let mut limited = self.lines.by_ref().take(MAX_LINE as u64 + 1);
        limited
            .read_until(b'\n', &mut bytes)
            .map_err(TrainError::file(&self.path))?;
        if bytes.len() > MAX_LINE {
            return Err(self.wrong(format!("longer than {MAX_LINE} bytes")));
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        let line = String::from_utf8(bytes).map_err(|error| self.wrong(error.to_string()))?;
        Ok(Some(line))
    }

    fn wrong(&self, message: String) -> TrainError {
        TrainError::Row {
            path: self.path.clone(),
            line: self.line,
            message,
        }
    }
}

/// Looks whether every row has an id of its own, as rows have that answers are told apart by.
///
/// # Errors
/// [`TrainError::Repeated`] names the lines.
pub fn ids_are_unique(path: &Path) -> Result<(), TrainError> {
    let mut rows = Rows::open(path)?;
    let mut lines = HashMap::new();
    while let Some(row) = rows.take(1)?.pop() {
        if let Some(first) = lines.insert(row.id.clone(), rows.line) {
            return Err(TrainError::Repeated {
                path: path.to_owned(),
                line: rows.line,
                first,
                id: row.id,
            });
        }
    }
    Ok(())
}

/// SHA-256 of a file's bytes as they lie there.
///
/// # Errors
/// [`TrainError::File`].
pub fn file_sha256(path: &Path) -> Result<String, TrainError> {
    let mut file = File::open(path).map_err(TrainError::file(path))?;
    let mut hash = Sha256::new();
    let mut bytes = vec![0; 1 << 16];
    loop {
        let count = file.read(&mut bytes).map_err(TrainError::file(path))?;
        if count == 0 {
            break;
        }
        hash.update(&bytes[..count]);
    }
    Ok(hex::encode(hash.finalize()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::{MAX_LINE, Rows, ids_are_unique};

    fn read(name: &str, bytes: &[u8]) -> Result<Vec<String>, String> {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).expect("a file");
        let mut rows = Rows::open(&path).map_err(|error| error.to_string())?;
        let mut ids = Vec::new();
        loop {
            let some = rows.take(2).map_err(|error| error.to_string())?;
            if some.is_empty() {
                return Ok(ids);
            }
            ids.extend(some.into_iter().map(|row| row.id));
        }
    }

    const THREE: &str = "{\"id\":\"a\",\"source\":\"s\",\"target\":\"t\",\"more\":1}\n\n\
                         {\"id\":\"b\",\"source\":\"s\",\"target\":\"t\"}\r\n{\"id\":\"c\",\"source\":\"\",\"target\":\"\"}";

    #[test]
    fn plain_and_gzipped_files_have_the_same_rows() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(THREE.as_bytes()).expect("in memory");
        let gzipped = gzip.finish().expect("in memory");
        assert_eq!(
            read("x.jsonl", THREE.as_bytes()),
            Ok(vec!["a".into(), "b".into(), "c".into()])
        );
        assert_eq!(read("x.jsonl.gz", &gzipped), read("x.jsonl", THREE.as_bytes()));
        let cut = read("x.jsonl.gz", &gzipped[..gzipped.len() / 2]).expect_err("half a file");
        assert!(cut.contains("x.jsonl.gz"), "{cut}");
    }

    #[test]
    fn an_id_that_comes_again_is_named_with_both_lines() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("x.jsonl");
        std::fs::write(&path, THREE).expect("a file");
        ids_are_unique(&path).expect("three ids");
        std::fs::write(&path, THREE.replace("\"c\"", "\"a\"")).expect("a file");
        let error = ids_are_unique(&path).expect_err("one twice").to_string();
        assert!(
            error.ends_with("x.jsonl, line 4: `a` is the id of line 1 too"),
            "{error}"
        );
    }

    #[test]
    fn a_wrong_line_is_named() {
        let long = vec![b'x'; MAX_LINE + 2];
        for (bytes, expected) in [
            (
                &b"{\"id\":\"a\",\"source\":\"s\",\"target\":\"t\"}\n{\"id\":1}\n"[..],
                "line 2: invalid type",
            ),
            (b"{\"id\":\"a\",\"source\":\"s\"}", "line 1: missing field `target`"),
            (b"\xff\n", "line 1: invalid utf-8"),
            (&long, "line 1: longer than"),
        ] {
            let error = read("x.jsonl", bytes).expect_err(expected);
            assert!(error.contains(expected), "{error}");
        }
    }
}
