//! The numbers of sacrebleu, rouge-score and NLTK, made by `tests/parity/metrics_reference.py`.

use std::collections::BTreeMap;

use serde::Deserialize;
use transducer_metrics::{Metric, Pair, Scored};

const TOLERANCE: f64 = 1e-6;

#[derive(Deserialize)]
struct Fixture {
    corpus: BTreeMap<String, f64>,
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    answer: String,
    reference: String,
    scores: BTreeMap<String, f64>,
}

#[test]
fn every_score_is_that_of_the_package_it_is_named_after() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/metrics/text.json");
    let text = std::fs::read_to_string(path).expect("the fixture is in the repository");
    let fixture: Fixture = serde_json::from_str(&text).expect("the fixture has the form of its script");
    assert!(fixture.items.len() >= 500, "only {} pairs", fixture.items.len());
    let pairs: Vec<_> = fixture
        .items
        .iter()
        .map(|item| Pair {
            answer: &item.answer,
            reference: &item.reference,
        })
        .collect();
    let mut wrong = Vec::new();
    for metric in Metric::ALL {
        let name = metric.name();
        let scored = Scored::new(metric, &pairs);
        let mut furthest: f64 = 0.0;
        for (at, item) in fixture.items.iter().enumerate() {
            let (ours, theirs) = (scored.score_of(&[at]), item.scores[name]);
            furthest = furthest.max((ours - theirs).abs());
            if (ours - theirs).abs() > TOLERANCE {
                wrong.push(format!("{name} {ours}, expected {theirs}: {:?}", pairs[at]));
            }
        }
        let (ours, theirs) = (scored.score(), fixture.corpus[name]);
        if (ours - theirs).abs() > TOLERANCE {
            wrong.push(format!("{name} of all: {ours}, expected {theirs}"));
        }
        println!(
            "{name}: off by at most {furthest:.1e} in {} items, {:.1e} in the corpus",
            pairs.len(),
            (ours - theirs).abs()
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
