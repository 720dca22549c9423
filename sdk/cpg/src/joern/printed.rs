//! What Joern prints of the data flow: both ends move to the call that they are arguments of; an end whose value is not
//! changed there is passed over; accesses of fields and elements are left out.

use std::collections::{HashMap, HashSet};

use super::data_flow::{DataFlow, Flow};
use super::semantics;
use super::tree::ItemId;
use crate::NodeKind;

impl DataFlow<'_> {
    /// What Joern prints of it.
    pub(super) fn printed(&self) -> Vec<Flow> {
        let mut incoming: HashMap<ItemId, Vec<ItemId>> = HashMap::new();
        for &(source, target) in &self.raw {
            incoming.entry(target).or_default().push(source);
        }
        let mut found: Vec<Flow> = Vec::new();
        for &target in incoming.keys() {
            if matches!(self.kind(target), NodeKind::ControlStructure | NodeKind::JumpTarget) {
                continue;
            }
            let mut seen = HashSet::from([target]);
            let mut stack = vec![target];
            while let Some(at) = stack.pop() {
                for &source in incoming.get(&at).into_iter().flatten() {
                    if self.is_shown(source, at) {
                        self.print(source, target, &mut found);
                    } else if seen.insert(source) {
                        stack.push(source);
                    }
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Whether the source of an edge has a new value there: else what gave it the old one is shown in its place.
    fn is_shown(&self, source: ItemId, target: ItemId) -> bool {
        let between_expressions = self.is_expression(source) && self.is_expression(target);
        !between_expressions || self.tree.call_of(source) == self.tree.call_of(target) || self.is_defined(source)
    }

    fn print(&self, source: ItemId, target: ItemId, found: &mut Vec<Flow>) {
        let surrounding = |id| self.tree.call_of(id).unwrap_or(id);
        let ends = (surrounding(source), surrounding(target));
        let is_access = |id| self.kind(id) == NodeKind::Call && semantics::is_member_access(self.name(id));
        if ends.0 == ends.1 || is_access(ends.0) || is_access(ends.1) {
            return;
        }
        let label = match self.kind(source) {
            NodeKind::Method => String::new(),
            NodeKind::Return => "<RET>".to_owned(),
            NodeKind::MethodParameterIn => self.name(source).to_owned(),
            _ => self.tree.item(source).code.clone(),
        };
        found.push((ends.0, ends.1, label));
    }
}
