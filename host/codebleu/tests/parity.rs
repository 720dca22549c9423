//! Scores against those of the Python package `codebleu`, made by `tests/parity/codebleu_reference.py`.

use std::collections::BTreeMap;
use std::path::Path;

use transducer_codebleu::{Language, Scores, Statistics, scores, statistics};

/// The reference is rounded to nine digits; sums are made in another order.
const TOLERANCE: f64 = 1e-6;

#[derive(serde::Deserialize)]
struct Reference {
    languages: BTreeMap<String, Corpus>,
}

#[derive(serde::Deserialize)]
struct Corpus {
    texts: Vec<String>,
    items: Vec<Item>,
    corpus: [f64; 5],
}

#[derive(serde::Deserialize)]
struct Item {
    answer: usize,
    reference: usize,
    scores: [f64; 5],
    /// Whether the package gives one score whatever seed Python hashes with.
    stable: bool,
    /// Not for text that the package's version of tree-sitter mends otherwise; the script has the list.
    in_corpus: bool,
}

fn difference(ours: Scores, theirs: &[f64; 5]) -> [f64; 5] {
    let ours = [
        ours.codebleu,
        ours.ngram,
        ours.weighted_ngram,
        ours.syntax,
        ours.dataflow,
    ];
    std::array::from_fn(|at| (ours[at] - theirs[at]).abs())
}

/// Compares all pairs; says how many differ in each component, and shows the first few.
fn compare(path: &Path) -> usize {
    let text = std::fs::read_to_string(path).expect("the reference exists");
    let reference: Reference = serde_json::from_str(&text).expect("the reference is of its form");
    let mut wrong = 0;
    for (name, corpus) in &reference.languages {
        let language: Language = name.parse().expect("a language that is scored");
        let mut all: Vec<Statistics> = Vec::new();
        let mut components = [0; 5];
        for (at, item) in corpus.items.iter().enumerate() {
            let (answer, wanted) = (&corpus.texts[item.answer], &corpus.texts[item.reference]);
            let found = statistics(language, answer, wanted);
            let off = difference(scores([&found]), &item.scores);
            if item.in_corpus {
                all.push(found);
            }
            if off.iter().any(|off| *off > TOLERANCE) {
                wrong += 1;
                for (count, off) in components.iter_mut().zip(off) {
                    *count += usize::from(off > TOLERANCE);
                }
                if wrong <= 10 {
                    println!("{name} {at}: {off:?}\n{answer:?}\n{wanted:?}");
                }
            }
        }
        let unstable = corpus.items.iter().filter(|item| !item.stable).count();
        let off = difference(scores(&all), &corpus.corpus);
        println!(
            "{name}: {} pairs, {unstable} of them by order of names; differ in {components:?}, the corpus by {off:?}",
            corpus.items.len()
        );
        wrong += usize::from(off.iter().any(|off| *off > TOLERANCE));
    }
    wrong
}

#[test]
fn our_own_pairs_score_as_in_python() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/metrics/codebleu.json");
    assert_eq!(compare(&path), 0);
}

/// A larger set, of code that may not lie in this repository.
#[test]
#[ignore = "reads TRANSDUCER_CODEBLEU_REFERENCE, written by tests/parity/codebleu_reference.py --data"]
fn other_pairs_score_as_in_python() {
    let path = std::env::var_os("TRANSDUCER_CODEBLEU_REFERENCE").expect("TRANSDUCER_CODEBLEU_REFERENCE is set");
    assert_eq!(compare(Path::new(&path)), 0);
}
