//! Data-flow match (section 3.3 of the paper): which value comes from which, names replaced by numbers.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use crate::Language;
use crate::flow::{self, Flow, Relation};
use crate::tokens::Symbol;
use crate::tree::Flat;

/// A value, how it came about, and the values that it came from: numbers in the order of appearance.
type Item = (u32, Relation, Vec<u32>);

/// The data flow of a text; empty if it has none, or none that can be told.
pub(crate) fn normalized(language: Language, text: &str, tree: &Flat<'_>) -> Vec<Item> {
    let mut flows = flow::extract(language, text, tree).unwrap_or_default();
    flows.sort_by_key(|flow| flow.at);
    // What neither comes from anything nor is the source of anything is left out.
    let mut linked = HashSet::new();
    for flow in &flows {
        if !flow.from_at.is_empty() {
            linked.insert(flow.at);
            linked.extend(&flow.from_at);
        }
    }
    flows.retain(|flow| linked.contains(&flow.at));
    let flows = merge(flows, |flow| flow.at);

    let mut names = HashMap::new();
    let mut number = |symbol: Symbol| {
        let next = names.len() as u32;
        *names.entry(symbol).or_insert(next)
    };
    let mut items = Vec::with_capacity(flows.len());
    for flow in flows {
        // Sources get their numbers first.
        let from: Vec<u32> = flow.from.iter().map(|symbol| number(*symbol)).collect();
        items.push((number(flow.symbol), flow.relation, from));
    }
    items
}

/// Items of the reference that the answer has, each of the answer's used once, and items of the reference.
pub(crate) fn matches(answer: Vec<Item>, reference: &[Item]) -> [f64; 2] {
    let mut left: HashMap<Item, u32> = HashMap::new();
    for item in answer {
        *left.entry(item).or_insert(0) += 1;
    }
    let mut found = 0_u32;
    for item in reference {
        if let Some(count) = left.get_mut(item).filter(|count| **count > 0) {
            *count -= 1;
            found += 1;
        }
    }
    [f64::from(found), reference.len() as f64]
}

/// Makes one flow of all that share a key, at the place of the first, with the relation of the last.
///
/// Sources that are merged lose their repetitions; those of a flow that stands alone keep them.
pub(crate) fn merge<K: Eq + std::hash::Hash>(flows: Vec<Flow>, key: impl Fn(&Flow) -> K) -> Vec<Flow> {
    let mut places: HashMap<K, usize> = HashMap::new();
    let mut merged: Vec<(Flow, Option<Seen>)> = Vec::new();
    for flow in flows {
        match places.entry(key(&flow)) {
            Entry::Vacant(place) => {
                place.insert(merged.len());
                merged.push((flow, None));
            }
            Entry::Occupied(place) => {
                let (into, seen) = &mut merged[*place.get()];
                into.relation = flow.relation;
                let seen = seen.get_or_insert_with(|| {
                    let mut seen = Seen::default();
                    into.from.retain(|symbol| seen.symbols.insert(*symbol));
                    into.from_at.retain(|at| seen.places.insert(*at));
                    seen
                });
                into.from
                    .extend(flow.from.into_iter().filter(|symbol| seen.symbols.insert(*symbol)));
                into.from_at
                    .extend(flow.from_at.into_iter().filter(|at| seen.places.insert(*at)));
            }
        }
    }
    merged.into_iter().map(|(flow, _)| flow).collect()
}

/// What a merged flow has taken in.
#[derive(Default)]
struct Seen {
    symbols: HashSet<Symbol>,
    places: HashSet<u32>,
}
