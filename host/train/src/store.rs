//! Examples made ready, on disk: a data set is prepared once and streamed from there, so that memory does not grow with it.
//!
//! The file's name is a digest over everything that its content depends on. Its form: records of a length (`u32`, little
//! endian) and a postcard-encoded [`Example`], one more record of what was left out and why, then 32 bytes of SHA-256 over all records.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use transducer_bundle::Train;
use transducer_pipeline::{Workpiece, Workshop};

use crate::TrainError;
use crate::example::{Example, LeftOut, answer_end};
use crate::rows::{Rows, file_sha256};

/// Changes with the form of the file and with how examples are made.
const FORMAT: u32 = 2;

/// Rows that are prepared at a time: enough for all cores, little enough to bound memory.
const CHUNK: usize = 512;

const DIGEST: usize = 32;

/// Prepared examples.
pub struct Examples {
    file: File,
    path: PathBuf,
    key: String,
    /// Where each record's bytes lie, and how many.
    records: Vec<(u64, u32)>,
    left_out: BTreeMap<LeftOut, usize>,
}

/// Told how many rows are ready.
pub type Ready<'a> = dyn FnMut(usize) + 'a;

impl Examples {
    /// The examples of a data set, from the folder `cache` if they were made before.
    ///
    /// # Errors
    /// [`TrainError`] for a data set that cannot be read or has no usable row, or a task that fails.
    pub fn prepare(
        workshop: &Workshop,
        piece: &Workpiece,
        train: &Train,
        data: &Path,
        cache: &Path,
        stop: &AtomicBool,
        ready: &mut Ready<'_>,
    ) -> Result<Self, TrainError> {
        let key = key(workshop, piece, train, data)?;
        let path = cache.join(format!("{key}.examples"));
        if path.is_file() {
            match Self::open(&path, &key) {
                Ok(examples) => return Ok(examples),
                Err(error) => tracing::warn!(%error, "prepared examples are damaged and made again"),
            }
        }
        std::fs::create_dir_all(cache).map_err(TrainError::file(cache))?;
        let mut rows = Rows::open(data)?;
        let mut file = tempfile::NamedTempFile::new_in(cache).map_err(TrainError::file(cache))?;
        let (mut total, mut kept) = (0, 0);
        let mut left_out = BTreeMap::<LeftOut, usize>::new();
        {
            let mut out = Hashing::new(BufWriter::new(file.as_file_mut()));
            loop {
                let chunk = rows.take(CHUNK)?;
                if chunk.is_empty() || stop.load(Ordering::Relaxed) {
                    break;
                }
                total += chunk.len();
                let made: Vec<_> = chunk
                    .into_par_iter()
                    .map(|row| Example::new(workshop, piece, train, row))
                    .collect::<Result<_, _>>()?;
                for example in made {
                    match example {
                        Ok(example) => {
                            kept += 1;
                            out.record(&example).map_err(TrainError::file(&path))?;
                        }
                        Err(why) => *left_out.entry(why).or_default() += 1,
                    }
                }
                ready(total);
            }
            out.record(&left_out).map_err(TrainError::file(&path))?;
            out.finish().map_err(TrainError::file(&path))?;
        }
        if kept == 0 {
            let mut why: Vec<String> = left_out.iter().map(|(why, count)| format!("{count} × {why}")).collect();
            if why.is_empty() {
                why.push("it is empty".to_owned());
            }
            return Err(TrainError::NoExamples {
                path: data.to_owned(),
                rows: total,
                why: why.join(", "),
            });
        }
        // One that was stopped halfway serves nobody: it goes with the temporary file.
        if !stop.load(Ordering::Relaxed) {
            file.as_file().sync_all().map_err(TrainError::file(&path))?;
            file.persist(&path)
                .map_err(|error| TrainError::file(&path)(error.error))?;
            return Self::open(&path, &key);
        }
        Ok(Self {
            file: file.into_file(),
            path,
            key,
            records: Vec::new(),
            left_out,
        })
    }

    /// Opens prepared examples and checks that they are whole.
    fn open(path: &Path, key: &str) -> Result<Self, TrainError> {
        let damaged = |message: &str| TrainError::Checkpoint {
            path: path.to_owned(),
            message: message.to_owned(),
        };
        let file = File::open(path).map_err(TrainError::file(path))?;
        let total = file.metadata().map_err(TrainError::file(path))?.len();
        let end = total
            .checked_sub(DIGEST as u64)
            .ok_or_else(|| damaged("it is too short"))?;
        let mut reader = BufReader::new(&file);
        let mut hash = Sha256::new();
        let mut records = Vec::new();
        let mut at = 0;
        let mut bytes = Vec::new();
        while at < end {
            let mut length = [0; 4];
            reader.read_exact(&mut length).map_err(TrainError::file(path))?;
            let count = u32::from_le_bytes(length);
            if u64::from(count) > end - at {
                return Err(damaged("a record reaches beyond its end"));
            }
            bytes.resize(count as usize, 0);
            reader.read_exact(&mut bytes).map_err(TrainError::file(path))?;
            hash.update(length);
            hash.update(&bytes);
            records.push((at + 4, count));
            at += 4 + u64::from(count);
        }
        let mut digest = [0; DIGEST];
        reader.read_exact(&mut digest).map_err(TrainError::file(path))?;
        if hash.finalize()[..] != digest {
            return Err(damaged("its digest does not fit"));
        }
        records.pop().ok_or_else(|| damaged("it has no records"))?;
        // The last record's bytes were read last.
        let left_out = postcard::from_bytes(&bytes).map_err(|error| damaged(&error.to_string()))?;
        Ok(Self {
            file,
            path: path.to_owned(),
            key: key.to_owned(),
            records,
            left_out,
        })
    }

    /// A digest over all that they depend on: the data, and what was made of it how.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// How many rows of the data set were left out, and why.
    pub fn left_out(&self) -> &BTreeMap<LeftOut, usize> {
        &self.left_out
    }

    /// One example.
    ///
    /// # Errors
    /// [`TrainError`] when the file was changed meanwhile.
    pub fn get(&self, index: usize) -> Result<Example, TrainError> {
        let (start, length) = self.records[index];
        let mut bytes = vec![0; length as usize];
        let mut file = &self.file;
        file.seek(SeekFrom::Start(start))
            .map_err(TrainError::file(&self.path))?;
        file.read_exact(&mut bytes).map_err(TrainError::file(&self.path))?;
        postcard::from_bytes(&bytes).map_err(|error| TrainError::Checkpoint {
            path: self.path.clone(),
            message: error.to_string(),
        })
    }
}

/// A digest over all that prepared examples depend on.
fn key(workshop: &Workshop, piece: &Workpiece, train: &Train, data: &Path) -> Result<String, TrainError> {
    let front_ends: Vec<_> = workshop
        .front_ends()
        .languages()
        .iter()
        .filter(|language| piece.manifest.languages.contains(&language.name))
        .map(|language| Ok((language.name.clone(), file_sha256(&language.path)?)))
        .collect::<Result<_, TrainError>>()?;
    let embedder = workshop.embedder();
    let frame = embedder
        .chat()
        .split(None)
        .map_err(transducer_backbone::BackboneError::from)?;
    let facts = json!({
        "format": FORMAT,
        "data": file_sha256(data)?,
        "component": piece.component_sha256,
        "tokenizer": embedder.fingerprint().tokenizer_sha256,
        "context": embedder.config().max_context,
        "frame": format!("{frame:?}"),
        "special tokens": [embedder.around_prompt().0, embedder.around_prompt().1, embedder.before_answer(), answer_end(embedder)],
        "front ends": front_ends,
        "request": train.request,
        "source field": train.source_field,
        "answer end": train.answer_end,
        "lengths": [train.max_prompt_tokens, train.max_answer_tokens],
    });
    Ok(hex::encode(Sha256::digest(facts.to_string())))
}

/// Writes records and digests them on the way.
struct Hashing<W> {
    out: W,
    hash: Sha256,
}

impl<W: Write> Hashing<W> {
    fn new(out: W) -> Self {
        Self {
            out,
            hash: Sha256::new(),
        }
    }

    fn record(&mut self, record: &impl Serialize) -> std::io::Result<()> {
        let bytes = postcard::to_allocvec(record).map_err(std::io::Error::other)?;
        let length = u32::try_from(bytes.len()).map_err(std::io::Error::other)?;
        for part in [&length.to_le_bytes()[..], &bytes] {
            self.hash.update(part);
            self.out.write_all(part)?;
        }
        Ok(())
    }

    fn finish(mut self) -> std::io::Result<()> {
        self.out.write_all(&self.hash.finalize())?;
        self.out.flush()
    }
}
