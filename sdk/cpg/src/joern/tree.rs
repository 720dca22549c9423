//! The tree as Joern draws it, under construction: an arena, in which children keep their order.

use std::collections::HashMap;

use crate::{NameId, NodeId, NodeKind, Span};

/// Index of an [`Item`].
pub(super) type ItemId = u32;

/// One node of Joern's tree.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) kind: NodeKind,
    /// Its name; of a control structure its type, such as `IF`.
    pub(super) name: String,
    pub(super) code: String,
    /// Line and column, from 1; 0 where Joern gives none.
    pub(super) line: u32,
    pub(super) column: u32,
    /// Place among the arguments of the call or return above it: the receiver is 0.
    pub(super) argument: Option<u32>,
    /// What an identifier names.
    pub(super) declaration: Option<ItemId>,
    pub(super) parent: Option<ItemId>,
    pub(super) children: Vec<ItemId>,
}

/// The text that Joern gives to what has none.
pub(super) const EMPTY: &str = "<empty>";

impl Item {
    pub(super) fn new(kind: NodeKind, name: impl Into<String>, code: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
            code: code.into(),
            line: 0,
            column: 0,
            argument: None,
            declaration: None,
            parent: None,
            children: Vec::new(),
        }
    }

    /// Where it stands.
    pub(super) fn at(mut self, (line, column): (u32, u32)) -> Self {
        (self.line, self.column) = (line, column);
        self
    }

    pub(super) fn argument(mut self, index: u32) -> Self {
        self.argument = Some(index);
        self
    }

    pub(super) fn naming(mut self, declaration: Option<ItemId>) -> Self {
        self.declaration = declaration;
        self
    }
}

/// Joern's trees of all methods.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) items: Vec<Item>,
    /// The methods.
    pub(super) methods: Vec<ItemId>,
    /// Arguments that are passed by name.
    pub(super) keywords: HashMap<ItemId, String>,
}

impl Tree {
    pub(super) fn item(&self, id: ItemId) -> &Item {
        &self.items[id as usize]
    }

    /// Adds the last child of a node so far.
    pub(super) fn add(&mut self, parent: ItemId, item: Item) -> ItemId {
        let id = self.items.len() as ItemId;
        self.items.push(Item {
            parent: Some(parent),
            ..item
        });
        self.items[parent as usize].children.push(id);
        id
    }

    pub(super) fn add_method(&mut self, item: Item) -> ItemId {
        let id = self.items.len() as ItemId;
        self.items.push(item);
        self.methods.push(id);
        id
    }

    /// A node and all below it, in pre-order.
    pub(super) fn pre_order(&self, root: ItemId) -> Vec<ItemId> {
        let mut found = Vec::new();
        let mut stack = vec![root];
        while let Some(id) = stack.pop() {
            found.push(id);
            stack.extend(self.item(id).children.iter().rev());
        }
        found
    }

    /// The call that a node is an argument of.
    pub(super) fn call_of(&self, id: ItemId) -> Option<ItemId> {
        self.item(id).argument?;
        let parent = self.item(id).parent?;
        (self.item(parent).kind == NodeKind::Call).then_some(parent)
    }
}

/// What lowering asks of the source and of our graph.
pub(super) struct Source<'a> {
    pub(super) cpg: &'a crate::Cpg,
    text: &'a str,
    line_starts: Vec<u32>,
}

impl<'a> Source<'a> {
    pub(super) fn new(cpg: &'a crate::Cpg, text: &'a str) -> Self {
        let after_breaks = text.bytes().zip(1..).filter(|&(byte, _)| byte == b'\n');
        Self {
            cpg,
            text,
            line_starts: std::iter::once(0).chain(after_breaks.map(|(_, next)| next)).collect(),
        }
    }

    pub(super) fn kind(&self, node: NodeId) -> NodeKind {
        self.cpg.nodes()[node as usize].kind
    }

    pub(super) fn order(&self, node: NodeId) -> u32 {
        self.cpg.nodes()[node as usize].order
    }

    pub(super) fn name(&self, node: NodeId) -> &'a str {
        self.cpg.name(node)
    }

    pub(super) fn has_name(&self, node: NodeId) -> bool {
        self.cpg.nodes()[node as usize].name != NameId::EMPTY
    }

    pub(super) fn span(&self, node: NodeId) -> Span {
        self.cpg.nodes()[node as usize].span
    }

    /// The text of a node as it stands.
    pub(super) fn raw(&self, node: NodeId) -> &'a str {
        self.span(node).text(self.text).unwrap_or_default()
    }

    /// The text of a node, blanks collapsed, as a printer of syntax trees writes it.
    pub(super) fn code(&self, node: NodeId) -> String {
        self.raw(node).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The text of a span.
    pub(super) fn text_of(&self, span: Span) -> &'a str {
        span.text(self.text).unwrap_or_default()
    }

    /// Line and column of a node's first character, from 1.
    pub(super) fn at(&self, node: NodeId) -> (u32, u32) {
        self.place(self.span(node).start)
    }

    /// The same, of the name in a declaration.
    pub(super) fn name_at(&self, node: NodeId) -> (u32, u32) {
        let before = self.raw(node).find(self.name(node)).unwrap_or_default();
        self.place(self.span(node).start + before as u32)
    }

    /// Line and column of a byte, from 1.
    pub(super) fn place(&self, byte: u32) -> (u32, u32) {
        let line = self.line_starts.partition_point(|&line| line <= byte);
        let start = self.line_starts[line.saturating_sub(1)];
        let before = self.text_of(Span { start, end: byte });
        (line as u32, before.chars().count() as u32 + 1)
    }

    /// The line of a node alone, for what Joern gives no column.
    pub(super) fn line(&self, node: NodeId) -> (u32, u32) {
        (self.at(node).0, 0)
    }

    pub(super) fn children(&self, node: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let is_comment = |child: &NodeId| self.kind(*child) == NodeKind::Comment;
        self.cpg.children(node).filter(move |child| !is_comment(child))
    }

    /// The children in a role.
    pub(super) fn role(&self, node: NodeId, order: u32) -> Vec<NodeId> {
        self.children(node)
            .filter(|&child| self.order(child) == order)
            .collect()
    }

    pub(super) fn child_of(&self, node: NodeId, kind: NodeKind) -> Option<NodeId> {
        self.children(node).find(|&child| self.kind(child) == kind)
    }
}
