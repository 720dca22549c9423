//! Comprehensions: loops that collect what they find in a variable.

use super::{Lowering, Place, Work};
use crate::joern::tree::{Item, ItemId};
use crate::{NodeId, NodeKind};

/// Where the results of a comprehension go.
#[derive(Clone)]
pub(super) struct Collected {
    /// The variable.
    name: String,
    /// The block of the whole comprehension, which has its variables.
    block: ItemId,
    /// The comprehension.
    node: NodeId,
    at: Place,
}

impl Lowering<'_> {
    /// `tmp0 = []; for …: tmp0.append(element); tmp0`, below a block that is there.
    pub(super) fn comprehension(&mut self, block: ItemId, node: NodeId) {
        let at = self.expression_at(node);
        let name = self.unused("");
        let made = match self.source.name(node) {
            "<operator>.listComprehension" => "listLiteral",
            "<operator>.setComprehension" => "setLiteral",
            "<operator>.dictComprehension" => "dictLiteral",
            _ => "genExp",
        };
        let assigned = self.add(block, Self::operator_item("assignment", at));
        self.add(assigned, Self::name_item(&name, at).argument(1));
        self.add(assigned, Self::operator_item(made, at).argument(2));
        let collected = Collected {
            name: name.clone(),
            block,
            node,
            at,
        };
        let clauses: Vec<NodeId> = self.source.children(node).collect();
        for clause in clauses {
            self.clause(block, clause, collected.clone());
        }
        self.add(block, Self::name_item(&name, at));
    }

    /// A loop with its conditions, or the element.
    pub(super) fn clause(&mut self, parent: ItemId, node: NodeId, collected: Collected) {
        let is_loop = self.source.kind(node) == NodeKind::ControlStructure && self.source.name(node) == "FOREACH";
        if !is_loop {
            return self.collect(parent, node, &collected);
        }
        let at = collected.at;
        let (targets, iterated) = (self.source.role(node, 1), self.source.role(node, 2));
        let Some(&iterated) = iterated.first() else { return };
        for &variable in targets
            .iter()
            .filter(|&&target| self.source.kind(target) == NodeKind::Local)
        {
            let name = self.source.name(variable);
            self.tree.add(collected.block, Item::new(NodeKind::Local, name, name));
        }
        let (_, body, _) = self.loop_over(parent, &targets, iterated, at);
        let mut inner = self.source.role(node, 3);
        let mut conditions = Vec::new();
        while let [control] = inner[..]
            && self.source.kind(control) == NodeKind::ControlStructure
            && self.source.name(control) == "IF"
        {
            conditions.extend(self.source.role(control, 1));
            inner = self.source.role(control, 2);
        }
        self.conditions(body, &conditions);
        if let [key, value] = inner[..]
            && self.source.name(collected.node) == "<operator>.dictComprehension"
        {
            return self.collect_pair(body, key, value, &collected);
        }
        for part in inner {
            self.work.push(Work::Clause(body, part, collected.clone()));
        }
    }

    /// `if not condition: continue`
    fn conditions(&mut self, body: ItemId, conditions: &[NodeId]) {
        let [first, ..] = conditions else { return };
        let at = self.source.at(*first);
        let control = self.add(body, Item::new(NodeKind::ControlStructure, "IF", "if ... : ...").at(at));
        let mut negated = (self.add(control, Self::operator_item("logicalNot", at)), 1);
        if conditions.len() > 1 {
            negated = (
                self.add(negated.0, Self::operator_item("logicalAnd", at).argument(1)),
                1,
            );
        }
        for &condition in conditions {
            self.expression(negated.0, Some(negated.1), condition);
            negated.1 += 1;
        }
        let block = self.block(control, at);
        self.add(
            block,
            Item::new(NodeKind::ControlStructure, "CONTINUE", "continue").at(at),
        );
    }

    fn collect(&mut self, parent: ItemId, element: NodeId, collected: &Collected) {
        let method = if self.source.name(collected.node) == "<operator>.setComprehension" {
            "add"
        } else {
            "append"
        };
        let call = self.call_on_name(parent, None, &collected.name, method, collected.at);
        self.expression(call, Some(1), element);
    }

    fn collect_pair(&mut self, parent: ItemId, key: NodeId, value: NodeId, collected: &Collected) {
        let assigned = self.add(parent, Self::operator_item("assignment", collected.at));
        let element = self.add(assigned, Self::operator_item("indexAccess", collected.at).argument(1));
        self.add(element, Self::name_item(&collected.name, collected.at).argument(1));
        self.expression(element, Some(2), key);
        self.expression(assigned, Some(2), value);
    }
}
