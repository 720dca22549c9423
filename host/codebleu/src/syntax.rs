//! Syntax match (section 3.2 of the paper): which subtrees of the reference's tree the answer's tree has too.
//!
//! The program writes each subtree as an S-expression and compares texts. Here equal subtrees get equal numbers, from
//! the leaves up, since the texts of a tree are together as long as the tree is large times deep.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU16;

use tree_sitter::TreeCursor;

use crate::tree::Flat;

/// Most nodes, summed over subtrees, for which broken code is written out as text.
///
/// The text shows what the parser made up in places where no node is visible. A tree too large for that is compared
/// by its visible nodes alone.
const MAX_WRITTEN: usize = 2_000_000;

/// What an S-expression shows of a subtree: children with their fields, nodes without a name left out.
#[derive(PartialEq, Eq, Hash)]
enum Shape<'a> {
    Sound(&'a str, bool, Vec<Child>),
    Broken(String),
}

/// A child's field and number.
type Child = (Option<NonZeroU16>, u32);

type Numbers<'a> = HashMap<Shape<'a>, u32>;

/// Subtrees of the reference that the answer has, and subtrees of the reference.
pub(crate) fn matches(answer: &Flat<'_>, reference: &Flat<'_>) -> [f64; 2] {
    let mut numbers = Numbers::new();
    let theirs: HashSet<_> = subtrees(answer, &mut numbers).into_iter().collect();
    let ours = subtrees(reference, &mut numbers);
    let found = ours.iter().filter(|subtree| theirs.contains(subtree)).count();
    [found as f64, ours.len() as f64]
}

/// The numbers of the root and of every other node that has children.
fn subtrees<'a>(flat: &Flat<'a>, numbers: &mut Numbers<'a>) -> Vec<u32> {
    let mut texts = texts(flat);
    let mut found = Vec::new();
    let mut number = vec![0; flat.nodes.len()];
    // What a node without a name hands to its parent.
    let mut passed: HashMap<usize, Vec<Child>> = HashMap::new();
    for at in (0..flat.nodes.len()).rev() {
        let node = &flat.nodes[at];
        let mut shown = Vec::new();
        for child in flat.children(at) {
            let field = flat.nodes[child].field;
            match passed.remove(&child) {
                Some(inner) => shown.extend(inner.iter().map(|(own, number)| (own.or(field), *number))),
                None => shown.push((field, number[child])),
            }
        }
        if !node.named {
            passed.insert(at, shown.clone());
        }
        let shape = match texts.remove(&at) {
            Some(text) => Shape::Broken(text),
            None => Shape::Sound(node.kind, node.named, shown),
        };
        let next = numbers.len() as u32;
        number[at] = *numbers.entry(shape).or_insert(next);
        if at == 0 || !flat.is_leaf(at) {
            found.push(number[at]);
        }
    }
    found
}

/// The S-expressions of the nodes in which something is broken; none if they are too long together.
fn texts(flat: &Flat<'_>) -> HashMap<usize, String> {
    let nodes = &flat.nodes;
    let broken = |at: &usize| nodes[*at].broken;
    let written: usize = (0..nodes.len()).filter(broken).map(|at| nodes[at].end - at).sum();
    let mut texts = HashMap::new();
    if written == 0 || written > MAX_WRITTEN {
        return texts;
    }
    let mut cursor = flat.tree.walk();
    for (at, node) in nodes.iter().enumerate() {
        if node.broken {
            texts.insert(at, cursor.node().to_sexp());
        }
        advance(&mut cursor);
    }
    texts
}

/// To the next node in the order of the flat tree.
fn advance(cursor: &mut TreeCursor<'_>) {
    if cursor.goto_first_child() {
        return;
    }
    while !cursor.goto_next_sibling() {
        if !cursor.goto_parent() {
            return;
        }
    }
}
