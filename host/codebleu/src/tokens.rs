//! Tokens as the data flow knows them: leaves of the tree, told apart by their span.

use std::collections::HashMap;

use crate::tree::{Flat, Point};

/// The text of a token, as a number.
pub(crate) type Symbol = u32;

/// A token: its place among tokens, its text.
#[derive(Clone, Copy)]
pub(crate) struct Token {
    pub(crate) at: u32,
    pub(crate) symbol: Symbol,
}

/// A leaf, or a string whatever is in it; never a node named `comment`.
pub(crate) fn is_token(tree: &Flat<'_>, node: usize) -> bool {
    let kind = tree.nodes[node].kind;
    (tree.is_leaf(node) || matches!(kind, "string_literal" | "string" | "character_literal")) && kind != "comment"
}

/// The token nodes below a node, or the node itself.
pub(crate) fn token_nodes(tree: &Flat<'_>, node: usize) -> impl Iterator<Item = usize> {
    let end = tree.nodes[node].end;
    let mut at = node;
    std::iter::from_fn(move || {
        while at < end {
            let here = at;
            let found = is_token(tree, here);
            at = if found { tree.nodes[here].end } else { here + 1 };
            if found {
                return Some(here);
            }
        }
        None
    })
}

/// Each node's token and the tokens' texts. Of tokens with one span, as made-up ones are, the last counts.
pub(crate) fn tokens(text: &str, tree: &Flat<'_>) -> Option<(Vec<Option<Token>>, Vec<String>)> {
    let lines: Vec<Vec<char>> = text.split('\n').map(|line| line.chars().collect()).collect();
    let mut symbols: HashMap<String, Symbol> = HashMap::new();
    let mut names = Vec::new();
    let mut by_span: HashMap<(Point, Point), Token> = HashMap::new();
    for (at, node) in token_nodes(tree, 0).enumerate() {
        let span = tree.nodes[node].span;
        let text = slice(&lines, span)?;
        let symbol = *symbols.entry(text).or_insert_with_key(|text| {
            names.push(text.clone());
            names.len() as Symbol - 1
        });
        by_span.insert(span, Token { at: at as u32, symbol });
    }
    let tokens = tree.nodes.iter().map(|node| by_span.get(&node.span).copied());
    Some((tokens.collect(), names))
}

/// The text of a span. The program takes the parser's bytes for characters, so in lines beyond ASCII this is shifted.
fn slice(lines: &[Vec<char>], (start, end): (Point, Point)) -> Option<String> {
    let cut = |line: &[char], from: usize, to: usize| -> String {
        let to = to.min(line.len());
        line[from.min(to)..to].iter().collect()
    };
    let first = lines.get(start.0)?;
    if start.0 == end.0 {
        return Some(cut(first, start.1, end.1));
    }
    let mut text = cut(first, start.1, first.len());
    for line in lines.get(start.0 + 1..end.0)? {
        text.extend(line);
    }
    text += &cut(lines.get(end.0)?, 0, end.1);
    Some(text)
}
