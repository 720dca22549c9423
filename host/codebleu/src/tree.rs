//! A syntax tree laid out flat, so that whatever walks it needs no stack of its own.

use std::num::NonZeroU16;

use tree_sitter::{Parser, Tree};

use crate::{Language, indents};

/// A place in the text: line and byte in it.
pub(crate) type Point = (usize, usize);

/// A node; its subtree are the nodes from it up to `end`.
pub(crate) struct Node<'a> {
    pub(crate) kind: &'a str,
    /// The field of its parent that it is.
    pub(crate) field: Option<NonZeroU16>,
    pub(crate) named: bool,
    /// The parser mended or skipped something in it.
    pub(crate) broken: bool,
    pub(crate) span: (Point, Point),
    pub(crate) depth: usize,
    /// The first node after its subtree.
    pub(crate) end: usize,
}

/// The nodes in the order of the text, parents first.
pub(crate) struct Flat<'a> {
    /// The tree itself, for what only its library can tell.
    pub(crate) tree: &'a Tree,
    pub(crate) nodes: Vec<Node<'a>>,
}

impl<'a> Flat<'a> {
    /// Lays a tree out.
    pub(crate) fn of(tree: &'a Tree) -> Self {
        Self {
            tree,
            nodes: flatten(tree),
        }
    }

    /// A node's children, in order.
    pub(crate) fn children(&self, node: usize) -> impl Iterator<Item = usize> {
        let end = self.nodes[node].end;
        let first = Some(node + 1).filter(|child| *child < end);
        std::iter::successors(first, move |child| {
            Some(self.nodes[*child].end).filter(|next| *next < end)
        })
    }

    /// Whether a node has no children.
    pub(crate) fn is_leaf(&self, node: usize) -> bool {
        self.nodes[node].end == node + 1
    }

    /// The child that is this field.
    pub(crate) fn field(&self, node: usize, field: &str) -> Option<usize> {
        let field = Some(self.tree.language().field_id_for_name(field)?);
        self.children(node).find(|child| self.nodes[*child].field == field)
    }
}

/// Parses a text.
pub(crate) fn parse(language: Language, text: &str) -> Option<Tree> {
    if language == Language::Python && !indents::fit(text) {
        return None;
    }
    let grammar = match language {
        Language::Java => tree_sitter_java::LANGUAGE,
        Language::CSharp => tree_sitter_c_sharp::LANGUAGE,
        Language::Python => tree_sitter_python::LANGUAGE,
    };
    let mut parser = Parser::new();
    parser.set_language(&grammar.into()).ok()?;
    parser.parse(text, None)
}

fn flatten(tree: &Tree) -> Vec<Node<'_>> {
    let mut nodes = Vec::new();
    // The nodes whose subtrees are being read.
    let mut open: Vec<usize> = Vec::new();
    let mut cursor = tree.walk();
    loop {
        let node = cursor.node();
        let (start, end) = (node.start_position(), node.end_position());
        nodes.push(Node {
            kind: node.kind(),
            field: cursor.field_id(),
            named: node.is_named(),
            broken: node.has_error(),
            span: ((start.row, start.column), (end.row, end.column)),
            depth: open.len(),
            end: nodes.len() + 1,
        });
        open.push(nodes.len() - 1);
        if cursor.goto_first_child() {
            continue;
        }
        loop {
            let end = nodes.len();
            if let Some(done) = open.pop() {
                nodes[done].end = end;
            }
            if cursor.goto_next_sibling() {
                break;
            }
            if !cursor.goto_parent() {
                return nodes;
            }
        }
    }
}
