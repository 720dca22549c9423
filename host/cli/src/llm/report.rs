//! An evaluation as a page: its scores, and some of its answers beside their references and graphs.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use transducer_cpg::{EdgeKind, export};
use transducer_host::scores::{Score, scored};
use transducer_metrics::{Metric, Prediction};
use transducer_pipeline::{Workpiece, Workshop};
use transducer_report::{Example, MetricRow, Page};

/// The edges of the pictures: what a person follows. All twelve kinds at once are a thicket.
const SHOWN: &[EdgeKind] = &[EdgeKind::Ast, EdgeKind::Cfg, EdgeKind::ReachingDef];

/// Writes the page.
pub(crate) fn write(
    path: &Path,
    (workshop, piece): (&Workshop, &Workpiece),
    facts: &[(String, String)],
    predictions: &[Prediction],
    scores: &BTreeMap<String, Score>,
    count: usize,
) -> Result<()> {
    let metrics: Vec<MetricRow> = scores
        .iter()
        .map(|(name, score)| MetricRow {
            name: name.clone(),
            value: score.value,
            low: score.low,
            high: score.high,
        })
        .collect();
    // chrF tells a near miss from nonsense for every task, prose and code.
    let all = scored(Metric::Chrf, predictions);
    let each: Vec<f64> = (0..predictions.len()).map(|item| all.score_of(&[item])).collect();
    let language = piece.manifest.languages.first().map_or("", String::as_str);
    let examples: Vec<Example> = transducer_report::pick(&each, count)
        .into_iter()
        .map(|item| {
            let prediction = &predictions[item];
            // A graph that is too large for a picture has none.
            let cpg = workshop.front_ends().parse(language, &prediction.source).ok();
            Example {
                id: prediction.id.clone(),
                source: prediction.source.clone(),
                graph_svg: cpg.and_then(|cpg| export::svg(&cpg, &prediction.source, SHOWN).ok()),
                reference: prediction.reference.clone(),
                answer: prediction.answer.clone(),
                generated: prediction.generated.clone(),
                score: each[item],
            }
        })
        .collect();
    let page = Page {
        title: &format!("{}: answers to {} rows", piece.manifest.name, predictions.len()),
        facts,
        metrics: &metrics,
        examples: &examples,
    };
    std::fs::write(path, transducer_report::html(&page)).with_context(|| format!("cannot write {}", path.display()))
}
