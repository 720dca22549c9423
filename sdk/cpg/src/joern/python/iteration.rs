//! Loops over what is iterated, `with`, and the calls of methods that both are made of.

use super::targets::Value;
use super::{Lowering, Place, Work};
use crate::joern::tree::{Item, ItemId};
use crate::{NodeId, NodeKind};

impl Lowering<'_> {
    /// `{ tmp0 = iterated.__iter__(); while …: target = tmp0.__next__(); … }`
    pub(super) fn for_loop(&mut self, parent: ItemId, node: NodeId) {
        let at = self.source.at(node);
        let role = |order| self.source.role(node, order);
        let (targets, iterated, body, otherwise) = (role(1), role(2), role(3), role(4));
        let Some(&iterated) = iterated.first() else { return };
        let (_, body_block, control) = self.loop_over(parent, &targets, iterated, at);
        let body = self.statements_of(&body);
        self.work.push(Work::Statements(body_block, body));
        let otherwise = self.statements_of(&otherwise);
        if !otherwise.is_empty() {
            self.body(control, otherwise, at);
        }
    }

    /// The block of a loop, the block of its body, in which the targets already have their values, and the loop itself.
    pub(super) fn loop_over(
        &mut self,
        parent: ItemId,
        targets: &[NodeId],
        iterated: NodeId,
        at: Place,
    ) -> (ItemId, ItemId, ItemId) {
        let block = self.block(parent, at);
        let iterator = self.unused("");
        let assigned = self.add(block, Self::operator_item("assignment", at));
        self.add(assigned, Self::name_item(&iterator, at).argument(1));
        self.method_of(assigned, Some(2), iterated, "__iter__", at);
        let control = Item::new(NodeKind::ControlStructure, "WHILE", "while ... : ...").at(at);
        let control = self.add(block, control);
        self.add(
            control,
            Item::new(NodeKind::Unknown, "", "iteratorNonEmptyOrException").at(at),
        );
        let body = self.block(control, at);
        self.decompose(body, targets, &Value::Next(iterator), at);
        (block, body, control)
    }

    /// A call of a method without arguments on an expression; what may have side effects is evaluated once.
    fn method_of(&mut self, parent: ItemId, argument: Option<u32>, object: NodeId, method: &str, at: Place) {
        if self.source.kind(object) == NodeKind::Identifier {
            let call = Item::new(NodeKind::Call, method, "").at(at);
            let call = self.add(parent, Item { argument, ..call });
            let access = self.add(call, Self::operator_item("fieldAccess", at));
            self.expression(access, Some(1), object);
            self.add(
                access,
                Item::new(NodeKind::FieldIdentifier, method, method).at(at).argument(2),
            );
            self.expression(call, Some(0), object);
        } else {
            let block = Item::new(NodeKind::Block, "", "").at(at);
            let block = self.add(parent, Item { argument, ..block });
            let name = self.unused("");
            let assigned = self.add(block, Self::operator_item("assignment", at));
            self.add(assigned, Self::name_item(&name, at).argument(1));
            self.expression(assigned, Some(2), object);
            self.call_on_name(block, None, &name, method, at);
        }
    }

    /// `name.method(…)`, its arguments still to come.
    pub(super) fn call_on_name(
        &mut self,
        parent: ItemId,
        argument: Option<u32>,
        name: &str,
        method: &str,
        at: Place,
    ) -> ItemId {
        let call = Item::new(NodeKind::Call, method, "").at(at);
        let call = self.add(parent, Item { argument, ..call });
        let access = self.add(call, Self::operator_item("fieldAccess", at));
        self.add(access, Self::name_item(name, at).argument(1));
        self.add(
            access,
            Item::new(NodeKind::FieldIdentifier, method, method).at(at).argument(2),
        );
        self.add(call, Self::name_item(name, at).argument(0));
        call
    }

    /// `with a as b: …`: the manager's two methods are taken, one called before, one in a `finally`.
    pub(super) fn with_item(&mut self, parent: ItemId, items: &[NodeId], body: Vec<NodeId>) {
        let [item, rest @ ..] = items else {
            return self.statements(parent, &body);
        };
        let is_named = self.source.name(*item) == "<operator>.assignment";
        let part = |order| self.source.role(*item, order).first().copied();
        let (target, value) = if is_named {
            (part(1), part(2))
        } else {
            (None, Some(*item))
        };
        let Some(value) = value else { return };
        let at = self.source.at(value);
        let block = self.block(parent, at);
        let [manager, enter, exit, entered] =
            ["manager_", "enter_", "exit_", "value_"].map(|prefix| self.unused(prefix));
        let assigned = self.add(block, Self::operator_item("assignment", at));
        self.add(assigned, Self::name_item(&manager, at).argument(1));
        self.expression(assigned, Some(2), value);
        for (name, method) in [(&enter, "__enter__"), (&exit, "__exit__")] {
            let assigned = self.add(block, Self::operator_item("assignment", at));
            self.add(assigned, Self::name_item(name, at).argument(1));
            let access = self.add(assigned, Self::operator_item("fieldAccess", at).argument(2));
            self.add(access, Self::name_item(&manager, at).argument(1));
            self.add(
                access,
                Item::new(NodeKind::FieldIdentifier, method, method).at(at).argument(2),
            );
        }
        let assigned = self.add(block, Self::operator_item("assignment", at));
        self.add(assigned, Self::name_item(&entered, at).argument(1));
        self.bound_call(assigned, Some(2), &enter, &manager, at);

        let control = self.add(block, Item::new(NodeKind::ControlStructure, "TRY", "try: ...").at(at));
        let inner = self.block(control, at);
        if let Some(target) = target {
            self.decompose(inner, &[target], &Value::Name(entered), at);
        }
        self.work.push(Work::With(inner, rest.to_vec(), body));
        self.block(control, at);
        let last = self.block(control, at);
        self.bound_call(last, None, "__exit__", &manager, at);
        self.block(control, at);
    }

    /// A call of a function that a name holds, on an object that is not written.
    fn bound_call(&mut self, parent: ItemId, argument: Option<u32>, function: &str, object: &str, at: Place) {
        let call = Item::new(NodeKind::Call, "", "").at(at);
        let call = self.add(parent, Item { argument, ..call });
        self.add(call, Self::name_item(function, at));
        self.add(call, Self::name_item(object, at).argument(0));
    }
}
