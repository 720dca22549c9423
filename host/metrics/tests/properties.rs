//! What holds of every metric.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use transducer_metrics::{Metric, Pair, Scored, interval, paired};

/// Four words and more, so that there is an n-gram of every order; some of them come up on both sides.
fn sentence() -> impl Strategy<Value = String> {
    prop::collection::vec("(get|set|values?|[a-z]{1,6}|é[a-z]{2})", 4..12).prop_map(|words| words.join(" "))
}

fn corpus() -> impl Strategy<Value = Vec<(String, String)>> {
    prop::collection::vec((sentence(), sentence()), 1..12)
}

fn pairs(corpus: &[(String, String)]) -> Vec<Pair<'_>> {
    corpus
        .iter()
        .map(|(answer, reference)| Pair { answer, reference })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn scores_lie_in_range_and_do_not_depend_on_the_order(corpus in corpus()) {
        let pairs = pairs(&corpus);
        let backwards: Vec<_> = (0..pairs.len()).rev().collect();
        for metric in Metric::ALL {
            let scored = Scored::new(metric, &pairs);
            prop_assert!((0.0..=100.0 + 1e-9).contains(&scored.score()), "{} {}", metric.name(), scored.score());
            prop_assert!((scored.score() - scored.score_of(&backwards)).abs() < 1e-9);
        }
    }

    #[test]
    fn what_is_the_reference_scores_100(corpus in corpus()) {
        let pairs: Vec<_> = corpus.iter().map(|(text, _)| Pair { answer: text, reference: text }).collect();
        for metric in Metric::ALL {
            let score = Scored::new(metric, &pairs).score();
            match metric {
                // One chunk of m words costs half of 1/m³: at least four words here.
                Metric::Meteor => prop_assert!((100.0 - 50.0 / 64.0 - 1e-9..100.0).contains(&score), "{score}"),
                _ => prop_assert!((score - 100.0).abs() < 1e-9, "{} {score}", metric.name()),
            }
        }
    }

    #[test]
    fn an_empty_answer_scores_0(corpus in corpus()) {
        let pairs: Vec<_> = corpus.iter().map(|(_, text)| Pair { answer: " \n", reference: text }).collect();
        for metric in Metric::ALL {
            let score = Scored::new(metric, &pairs).score();
            match metric {
                // CodeXGLUE's formula leaves the length penalty, exp(-r): at least four words here.
                Metric::BleuSmoothed => prop_assert!(score <= 100.0 * (-4.0_f64).exp() + 1e-9, "{score}"),
                _ => prop_assert_eq!(score, 0.0, "{}", metric.name()),
            }
        }
    }

    #[test]
    fn a_seed_decides_an_interval(corpus in corpus(), seed: u64) {
        let pairs = pairs(&corpus);
        let (a, b) = (Scored::new(Metric::Chrf, &pairs), Scored::new(Metric::Chrf, &pairs));
        let found = interval(&a, seed);
        prop_assert_eq!(found, interval(&b, seed));
        prop_assert!(found.low <= found.high);
    }
}

#[test]
fn an_empty_corpus_scores_0() {
    for metric in Metric::ALL {
        let scored = Scored::new(metric, &[]);
        assert!(scored.is_empty());
        assert_eq!(scored.score(), 0.0);
        let found = interval(&scored, 1);
        assert_eq!((found.low, found.high), (0.0, 0.0));
    }
}

/// 200 items of which `right` in ten are.
fn exact(right: usize) -> Scored {
    let pairs: Vec<_> = (0..200)
        .map(|at| Pair {
            answer: if at % 10 < right { "x" } else { "y" },
            reference: "x",
        })
        .collect();
    Scored::new(Metric::ExactMatch, &pairs)
}

/// For a mean the bootstrap has to come near the normal approximation: 1.96 standard errors to either side.
#[test]
fn an_interval_of_a_share_is_as_wide_as_theory_has_it() {
    let found = interval(&exact(3), 7);
    let expected = 1.96 * 100.0 * (0.3 * 0.7 / 200.0_f64).sqrt();
    assert!((30.0 - found.low - expected).abs() < 1.5, "{found:?}");
    assert!((found.high - 30.0 - expected).abs() < 1.5, "{found:?}");
}

#[test]
fn a_paired_comparison_tells_equal_from_different() {
    let same = paired(&exact(5), &exact(5), 3);
    assert_eq!((same.difference, same.low, same.high, same.p), (0.0, 0.0, 0.0, 1.0));
    let (better, worse) = (exact(6), exact(4));
    let found = paired(&better, &worse, 3);
    assert!((found.difference - 20.0).abs() < 1e-9);
    assert!(found.low > 0.0 && found.p < 0.01, "{found:?}");
    let turned = paired(&worse, &better, 3);
    assert_eq!((turned.difference, turned.p), (-found.difference, found.p));
    assert!(turned.high < 0.0, "{turned:?}");
}

/// The resamples of items that all differ by as much are all alike.
#[test]
fn few_items_are_sure_of_nothing() {
    let chosen = |hit: bool, count: usize| {
        let pairs = vec![
            Pair {
                answer: if hit { "a" } else { "b" },
                reference: "a"
            };
            count
        ];
        Scored::new(Metric::ExactMatch, &pairs)
    };
    for (count, p) in [(1, 1.0), (2, 0.5), (5, 1.0 / 16.0), (30, 1.0 / 1001.0)] {
        let found = paired(&chosen(true, count), &chosen(false, count), 3);
        assert!((found.p - p).abs() < 1e-12, "{count}: {found:?}");
    }
}

#[test]
#[should_panic(expected = "the same items on both sides")]
fn a_paired_comparison_needs_the_same_items() {
    paired(&exact(5), &Scored::new(Metric::ExactMatch, &[]), 3);
}
