//! What is given a value: a name, an attribute, an element, or several of these.

use super::{Lowering, Place};
use crate::joern::tree::{Item, ItemId};
use crate::{NodeId, NodeKind};

/// What is assigned.
pub(super) enum Value {
    Node(NodeId),
    Name(String),
    /// `name.__next__()`
    Next(String),
}

impl Lowering<'_> {
    /// `a = b = value` becomes `tmp0 = value; a = tmp0; b = tmp0`, in a block.
    pub(super) fn assignment(&mut self, parent: ItemId, node: NodeId) {
        let at = self.source.at(node);
        let mut targets = Vec::new();
        let mut value = node;
        // The last target stands outermost.
        loop {
            let [target, inner] = [1, 2].map(|order| self.source.role(value, order).first().copied());
            let (Some(target), Some(inner)) = (target, inner) else {
                return;
            };
            targets.push(target);
            value = inner;
            let is_chained = self.source.kind(value) == NodeKind::Call
                && self.source.name(value) == "<operator>.assignment"
                && self.source.span(value).start == self.source.span(node).start;
            if !is_chained {
                break;
            }
        }
        if let [target] = targets[..]
            && self.source.kind(value) == NodeKind::MethodRef
            && self.source.span(value).start == self.source.span(node).start
        {
            return self.definition(parent, target, value);
        }
        targets.reverse();
        let is_plain = targets.len() == 1 && !self.is_unpacked(targets[0]);
        let parent = if is_plain { parent } else { self.block(parent, at) };
        self.decompose(parent, &targets, &Value::Node(value), at);
    }

    pub(super) fn is_unpacked(&self, target: NodeId) -> bool {
        self.source.kind(target) == NodeKind::Call
            && self.source.name(target) == "<operator>.unpack"
            && !self.source.raw(target).starts_with('*')
    }

    /// One assignment, or where there are several targets, one to a variable that they then take their parts from.
    pub(super) fn decompose(&mut self, parent: ItemId, targets: &[NodeId], value: &Value, at: Place) {
        if let [target] = targets
            && !self.is_unpacked(*target)
        {
            let assigned = self.add(parent, Self::operator_item("assignment", at));
            self.target(assigned, *target);
            return self.value(assigned, value, at);
        }
        let name = self.unused("");
        let assigned = self.add(parent, Self::operator_item("assignment", at));
        self.add(assigned, Self::name_item(&name, at).argument(1));
        self.value(assigned, value, at);
        // The variables of a comprehension stand side by side.
        let is_flat = targets.len() > 1 && self.source.kind(targets[0]) == NodeKind::Local;
        let mut parts: Vec<(NodeId, Vec<usize>)> = targets
            .iter()
            .enumerate()
            .map(|(place, &target)| (target, if is_flat { vec![place] } else { Vec::new() }))
            .collect();
        parts.reverse();
        while let Some((target, path)) = parts.pop() {
            if self.is_unpacked(target) {
                let inner: Vec<NodeId> = self.source.children(target).collect();
                let inner = inner.into_iter().enumerate().map(|(place, part)| {
                    let mut path = path.clone();
                    path.push(place);
                    (part, path)
                });
                let inner: Vec<_> = inner.collect();
                parts.extend(inner.into_iter().rev());
                continue;
            }
            let assigned = self.add(parent, Self::operator_item("assignment", at));
            self.target(assigned, target);
            let mut access = (assigned, 2);
            for _ in &path {
                let element = self.add(access.0, Self::operator_item("indexAccess", at).argument(access.1));
                access = (element, 1);
            }
            self.add(access.0, Self::name_item(&name, at).argument(access.1));
            // The first index is the innermost.
            let mut element = access.0;
            for place in &path {
                let code = place.to_string();
                self.add(element, Item::new(NodeKind::Literal, "", code).at(at).argument(2));
                element = self.tree.item(element).parent.unwrap_or(element);
            }
        }
    }

    fn target(&mut self, assigned: ItemId, target: NodeId) {
        let at = self.source.at(target);
        match self.source.kind(target) {
            NodeKind::Local => {
                let item = Self::name_item(self.source.name(target), at).argument(1);
                self.add(assigned, item);
            }
            NodeKind::Call if self.source.name(target) == "<operator>.unpack" => {
                let item = Item::new(NodeKind::Unknown, "", self.source.code(target)).at(at);
                self.add(assigned, item.argument(1));
            }
            _ => self.expression(assigned, Some(1), target),
        }
    }

    fn value(&mut self, assigned: ItemId, value: &Value, at: Place) {
        match value {
            Value::Node(node) => self.expression(assigned, Some(2), *node),
            Value::Name(name) => {
                self.add(assigned, Self::name_item(name, at).argument(2));
            }
            Value::Next(name) => {
                self.call_on_name(assigned, Some(2), name, "__next__", at);
            }
        }
    }
}
