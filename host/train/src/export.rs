//! What training and evaluation see, as token ids, for other trainers: a comparison is fair when all are given the same.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde_json::json;
use transducer_pipeline::Workpiece;

use crate::TrainError;
use crate::example::Example;
use crate::order::Order;
use crate::store::Examples;

/// Writes the examples of a run in the order in which it sees them, one JSON object a line: `id`, `prompt` and `answer` as
/// token ids, `reference`. Returns how many.
///
/// # Errors
/// [`TrainError::File`].
pub fn training(piece: &Workpiece, examples: &Examples, path: &Path) -> Result<usize, TrainError> {
    let train = &piece.manifest.train;
    let order = Order::new(train.seed, examples.len()).examples(0, u64::from(train.examples));
    write(
        examples,
        order.into_iter(),
        path,
        |example| json!({"id": example.id, "prompt": example.prompt, "answer": example.answer, "reference": example.reference}),
    )
}

/// Writes the first `count` examples as they are asked, one JSON object a line: `id`, `prompt` as token ids, `source`,
/// `reference`, `max_new_tokens` and `stop`, and as `answer` the reference's token ids, to find out how likely it is. Returns how many.
///
/// # Errors
/// [`TrainError::File`].
pub fn evaluation(examples: &Examples, count: usize, path: &Path) -> Result<usize, TrainError> {
    write(examples, 0..examples.len().min(count), path, |example| {
        json!({
            "id": example.id, "prompt": example.prompt, "source": example.source, "reference": example.reference, "answer": example.answer,
            "max_new_tokens": example.max_new_tokens, "stop": example.stop,
        })
    })
}

fn write(
    examples: &Examples,
    which: impl Iterator<Item = usize>,
    path: &Path,
    form: impl Fn(&Example) -> serde_json::Value,
) -> Result<usize, TrainError> {
    let mut out = BufWriter::new(File::create(path).map_err(TrainError::file(path))?);
    let mut count = 0;
    for index in which {
        writeln!(out, "{}", form(&examples.get(index)?)).map_err(TrainError::file(path))?;
        count += 1;
    }
    out.flush().map_err(TrainError::file(path))?;
    Ok(count)
}
