//! `import a as b` is an assignment: `b = import("", "a", "b")`.

use super::{Lowering, Place};
use crate::joern::tree::{Item, ItemId};
use crate::{NodeId, NodeKind, Span};

/// A statement of imports, as the source writes it.
pub(super) struct Statement<'a> {
    pub(super) start: u32,
    /// What is imported from; empty in `import a`.
    module: &'a str,
}

impl<'a> Lowering<'a> {
    /// Imports that follow one another: of one statement, or of several.
    pub(super) fn imports(&mut self, parent: ItemId, nodes: &[NodeId]) {
        let statements: Vec<Statement> = nodes.iter().map(|&node| self.import_statement(node)).collect();
        let mut first = 0;
        while let Some(statement) = statements.get(first) {
            let count = statements[first..]
                .iter()
                .take_while(|next| next.start == statement.start)
                .count();
            let at = self.source.place(statement.start);
            let parent = if count > 1 { self.block(parent, at) } else { parent };
            for &node in &nodes[first..first + count] {
                self.import(parent, node, statement.module, at);
            }
            first += count;
        }
    }

    /// Goes back from an item to the `from` or `import` that its statement begins with.
    pub(super) fn import_statement(&self, node: NodeId) -> Statement<'a> {
        let end = self.source.span(node).start;
        let before = self.source.text_of(Span { start: 0, end });
        let is_start = |word: &str, at: usize| {
            let line = before[..at].rfind(['\n', ';']).map_or(0, |start| start + 1);
            before[line..at].trim().is_empty() && before[at + word.len()..].starts_with([' ', '\t'])
        };
        let starts = ["from", "import"].into_iter().filter_map(|word| {
            let mut found = before.rmatch_indices(word).map(|(at, _)| at);
            found.find(|&at| is_start(word, at))
        });
        let start = starts.max().unwrap_or(end as usize);
        let head = &before[start..];
        let module = head.strip_prefix("from").and_then(|rest| rest.split("import").next());
        Statement {
            start: start as u32,
            module: module.unwrap_or_default().trim(),
        }
    }

    fn import(&mut self, parent: ItemId, node: NodeId, module: &str, at: Place) {
        let item = self.source.code(node);
        let (path, alias) = match item.split_once(" as ") {
            Some((path, alias)) => (path.trim(), Some(alias.trim())),
            None => (item.as_str(), None),
        };
        let bound = alias.unwrap_or(path).split('.').next().unwrap_or_default();
        let assigned = self.add(parent, Self::operator_item("assignment", at));
        self.add(assigned, Self::name_item(bound, at).argument(1));
        let call = self.add(assigned, Item::new(NodeKind::Call, "import", "").at(at).argument(2));
        self.add(call, Self::name_item("import", at));
        for (text, order) in [Some(module), Some(path), alias].into_iter().flatten().zip(1..) {
            self.add(call, Item::new(NodeKind::Literal, "", text).at(at).argument(order));
        }
    }
}
