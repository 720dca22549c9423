//! The concrete syntax tree as a flat table in pre-order: read from tree-sitter once, then cheap to walk in any way.

use tree_sitter::{Language, Tree};

use crate::Insertions;

/// Index of a node in a [`Syntax`].
pub type SyntaxId = usize;

/// The named kinds of a grammar that a front end tells apart: an enum made by [`kinds!`](crate::kinds).
pub trait Kind: Copy + Eq + std::fmt::Debug + Send + Sync + 'static {
    /// A part that could not be parsed.
    const ERROR: Self;
    /// A named kind of no interest.
    const OTHER: Self;
    /// A keyword, operator or bracket.
    const TOKEN: Self;

    /// The kind of that name, or [`Kind::OTHER`].
    fn of_name(name: &str) -> Self;
}

/// The fields of a grammar that a front end tells apart: an enum made by [`fields!`](crate::fields).
pub trait Field: Copy + Eq + std::fmt::Debug + Send + Sync + 'static {
    /// None, or one of no interest.
    const OTHER: Self;

    /// The field of that name, or [`Field::OTHER`].
    fn of_name(name: &str) -> Self;
}

/// Makes an enum of the named kinds of a grammar: `kinds! { Block = "block", … }`.
#[macro_export]
macro_rules! kinds {
    ($(#[$meta:meta])* $name:ident { $($variant:ident = $literal:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name {
            $($variant,)+
            /// A part that could not be parsed.
            Error,
            /// A named kind of no interest here.
            Other,
            /// A keyword, operator or bracket.
            Token,
        }

        impl $crate::Kind for $name {
            const ERROR: Self = Self::Error;
            const OTHER: Self = Self::Other;
            const TOKEN: Self = Self::Token;

            fn of_name(name: &str) -> Self {
                match name { $($literal => Self::$variant,)+ _ => Self::Other }
            }
        }
    };
}

/// Makes an enum of the fields of a grammar: `fields! { Body = "body", … }`.
#[macro_export]
macro_rules! fields {
    ($(#[$meta:meta])* $name:ident { $($variant:ident = $literal:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name {
            $($variant,)+
            /// None, or one of no interest here.
            Other,
        }

        impl $crate::Field for $name {
            const OTHER: Self = Self::Other;

            fn of_name(name: &str) -> Self {
                match name { $($literal => Self::$variant,)+ _ => Self::Other }
            }
        }
    };
}

/// How much of a node is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// It and what is below it.
    All,
    /// It alone.
    Alone,
    /// Nothing.
    Nothing,
}

/// What the ids of a grammar's kinds and fields mean to a front end.
#[derive(Debug)]
pub struct Grammar<K, F> {
    kinds: Vec<K>,
    reach: Vec<Reach>,
    fields: Vec<F>,
}

impl<K: Kind, F: Field> Grammar<K, F> {
    /// `is_leaf` names kinds whose children are not looked at; `is_kept` the tokens that are kept, by their text: most
    /// keywords, brackets and separators say nothing that the kinds do not say. A token in a known field is kept anyway.
    pub fn new(language: &Language, is_leaf: impl Fn(K) -> bool, is_kept: impl Fn(&str) -> bool) -> Self {
        let ids = 0..language.node_kind_count() as u16;
        let name = |id| language.node_kind_for_id(id).unwrap_or_default();
        let kind = |id| {
            if language.node_kind_is_named(id) {
                K::of_name(name(id))
            } else {
                K::TOKEN
            }
        };
        let kinds: Vec<K> = ids.clone().map(kind).collect();
        let reach = ids.map(|id| match kinds[usize::from(id)] {
            kind if kind == K::TOKEN && !is_kept(name(id)) => Reach::Nothing,
            kind if kind == K::TOKEN || is_leaf(kind) => Reach::Alone,
            _ => Reach::All,
        });
        let reach = reach.collect();
        let field = |id| language.field_name_for_id(id).map_or(F::OTHER, F::of_name);
        Self {
            reach,
            kinds,
            fields: (0..=language.field_count() as u16).map(field).collect(),
        }
    }
}

/// One node of the concrete syntax.
#[derive(Clone, Copy, Debug)]
pub struct SyntaxNode<K, F> {
    /// What it is.
    pub kind: K,
    /// The role that it plays in its parent.
    pub field: F,
    /// Put in where the source lacks it, by the parser or before; its span is empty.
    pub missing: bool,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
    /// Line of the first byte, from 1.
    pub line: u32,
    /// One past the last node below this one.
    pub next: SyntaxId,
}

/// A parsed text, nodes in pre-order; node 0 is the whole of it.
#[derive(Debug)]
pub struct Syntax<K, F> {
    /// The nodes.
    pub nodes: Vec<SyntaxNode<K, F>>,
    /// Bytes in parts that could not be parsed, and tokens that had to be added: 0 for correct code.
    pub damage: usize,
}

/// Tells lines, asked for bytes in ascending order.
struct Lines<'a> {
    source: &'a [u8],
    at: usize,
    line: u32,
}

impl Lines<'_> {
    /// The line of a byte, from 1.
    fn line_of(&mut self, byte: u32) -> u32 {
        let passed = self.source.get(self.at..byte as usize).unwrap_or_default();
        self.line += passed.iter().filter(|&&byte| byte == b'\n').count() as u32;
        self.at = self.at.max(byte as usize);
        self.line
    }
}

/// Of nothing, not even a whole.
impl<K, F> Default for Syntax<K, F> {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            damage: 0,
        }
    }
}

impl<K: Kind, F: Field> Syntax<K, F> {
    /// Reads a tree, without recursion: source nests as deep as it likes. The text parsed was the source with some insertions,
    /// and perhaps other bytes in place of some of its own: positions and lines are those in the source.
    pub fn read(tree: &Tree, grammar: &Grammar<K, F>, source: &str, insertions: &Insertions) -> Self {
        let in_source = |byte: usize| insertions.in_source(byte).min(source.len()) as u32;
        let mut lines = Lines {
            source: source.as_bytes(),
            at: 0,
            line: 1,
        };
        let mut cursor = tree.walk();
        let mut syntax = Syntax {
            nodes: Vec::with_capacity(source.len() / 4 + 16),
            damage: 0,
        };
        let mut ancestors: Vec<SyntaxId> = Vec::new();
        loop {
            let node = cursor.node();
            let id_of_kind = usize::from(node.kind_id());
            // An error has the id beyond all kinds.
            let kind = grammar.kinds.get(id_of_kind).copied().unwrap_or(K::ERROR);
            let field = cursor
                .field_id()
                .map_or(F::OTHER, |id| grammar.fields[usize::from(id.get())]);
            let missing = node.is_missing();
            let reach = match grammar.reach.get(id_of_kind) {
                Some(Reach::Nothing) if missing || field != F::OTHER => Reach::Alone,
                Some(&reach) => reach,
                None => Reach::All,
            };
            let mut goes_down = false;
            if reach != Reach::Nothing {
                let text = node.byte_range();
                let (start, end) = (in_source(text.start), in_source(text.end));
                if kind == K::ERROR {
                    let is_outermost = ancestors.last().is_none_or(|&id| syntax.nodes[id].kind != K::ERROR);
                    syntax.damage += 1 + if is_outermost { (end - start) as usize } else { 0 };
                }
                syntax.damage += usize::from(missing);
                let id = syntax.nodes.len();
                syntax.nodes.push(SyntaxNode {
                    kind,
                    field,
                    missing: missing || start == end && !text.is_empty() && node.child_count() == 0,
                    start,
                    end,
                    line: lines.line_of(start),
                    next: id + 1,
                });
                goes_down = reach == Reach::All && cursor.goto_first_child();
                if goes_down {
                    ancestors.push(id);
                }
            }
            while !goes_down && !cursor.goto_next_sibling() {
                let Some(parent) = ancestors.pop() else { return syntax };
                syntax.nodes[parent].next = syntax.nodes.len();
                if !cursor.goto_parent() {
                    return syntax;
                }
            }
        }
    }

    /// The node of an id.
    pub fn node(&self, id: SyntaxId) -> &SyntaxNode<K, F> {
        &self.nodes[id]
    }

    /// What a node is.
    pub fn kind(&self, id: SyntaxId) -> K {
        self.nodes[id].kind
    }

    /// Children, in order.
    pub fn children(&self, id: SyntaxId) -> impl Iterator<Item = SyntaxId> + Clone + use<'_, K, F> {
        let end = self.nodes[id].next;
        let next = move |&child: &SyntaxId| Some(self.nodes[child].next).filter(|&next| next < end);
        std::iter::successors(Some(id + 1).filter(|&first| first < end), next)
    }

    /// The first child in a role.
    pub fn field(&self, id: SyntaxId, field: F) -> Option<SyntaxId> {
        self.children(id).find(|&child| self.nodes[child].field == field)
    }

    /// The first child of a kind.
    pub fn child(&self, id: SyntaxId, kind: K) -> Option<SyntaxId> {
        self.children(id).find(|&child| self.nodes[child].kind == kind)
    }
}
