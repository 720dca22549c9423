//! Python as Joern's front end (pysrc2cpg) lowers it: iteration, comprehensions, dictionaries, `with` and calls of
//! expressions' methods become blocks with variables of their own (`tmp0`), and every name has a LOCAL.
//!
//! Joern makes the text of a node of the texts of its children; that is done when the tree is complete (`codes`).

mod codes;
mod comprehensions;
mod expressions;
mod imports;
mod names;
mod targets;

use super::tree::{Item, ItemId, Source, Tree};
use crate::{Cpg, EdgeKind, NodeId, NodeKind};
use targets::Value;

/// What is still to be put below a node of the tree.
enum Work {
    /// What an expression or statement is made of.
    Parts(ItemId, NodeId),
    Statements(ItemId, Vec<NodeId>),
    /// The items of a `with` that are left, and its statements.
    With(ItemId, Vec<NodeId>, Vec<NodeId>),
    /// The comparisons of a chain that are left: operators, each with its right side.
    Chain(ItemId, Vec<(String, NodeId)>, String),
    /// The rest of a comprehension, whose results a variable collects.
    Clause(ItemId, NodeId, comprehensions::Collected),
}

pub(super) struct Lowering<'a> {
    source: Source<'a>,
    tree: Tree,
    work: Vec<Work>,
    /// Number of the next variable of its own.
    next: u32,
}

/// Line and column.
type Place = (u32, u32);

pub(super) fn lower(cpg: &Cpg, text: &str) -> Tree {
    let mut lowering = Lowering {
        source: Source::new(cpg, text),
        tree: Tree::default(),
        work: Vec::new(),
        next: 0,
    };
    for method in crate::query::nodes_of(cpg, NodeKind::Method) {
        lowering.method(method);
    }
    names::declare(&mut lowering.tree);
    codes::write(&mut lowering.tree);
    lowering.tree
}

impl Lowering<'_> {
    fn method(&mut self, node: NodeId) {
        let at = self.source.at(node);
        let method = Item::new(NodeKind::Method, self.source.name(node), super::tree::EMPTY).at(at);
        let method = self.tree.add_method(method);
        let children: Vec<NodeId> = self.source.children(node).collect();
        for child in children {
            let (kind, name) = (self.source.kind(child), self.source.name(child));
            match kind {
                NodeKind::MethodParameterIn => {
                    let at = self.source.name_at(child);
                    self.add(method, Item::new(kind, name, name).at(at));
                }
                NodeKind::Block => {
                    let block = self.add(method, Item::new(kind, "", "").at(at));
                    let statements = self.source.children(child).collect();
                    self.work.push(Work::Statements(block, statements));
                }
                NodeKind::MethodReturn => {
                    self.add(method, Item::new(kind, "", "RET").at(at));
                }
                _ => {}
            }
        }
        while let Some(work) = self.work.pop() {
            match work {
                Work::Parts(item, node) => self.parts(item, node),
                Work::Statements(parent, nodes) => self.statements(parent, &nodes),
                Work::With(parent, items, body) => self.with_item(parent, &items, body),
                Work::Chain(parent, rest, left) => self.chain(parent, &rest, &left),
                Work::Clause(parent, node, collected) => self.clause(parent, node, collected),
            }
        }
    }

    fn add(&mut self, parent: ItemId, item: Item) -> ItemId {
        self.tree.add(parent, item)
    }

    /// A variable that the source does not have.
    fn unused(&mut self, prefix: &str) -> String {
        self.next += 1;
        format!("{prefix}tmp{}", self.next - 1)
    }

    fn name_item(name: &str, at: Place) -> Item {
        Item::new(NodeKind::Identifier, name, name).at(at)
    }

    fn operator_item(operator: &str, at: Place) -> Item {
        Item::new(NodeKind::Call, format!("<operator>.{operator}"), "").at(at)
    }

    fn block(&mut self, parent: ItemId, at: Place) -> ItemId {
        self.add(parent, Item::new(NodeKind::Block, "", "").at(at))
    }

    /// A block of some statements.
    fn body(&mut self, parent: ItemId, statements: Vec<NodeId>, at: Place) -> ItemId {
        let block = self.block(parent, at);
        self.work.push(Work::Statements(block, statements));
        block
    }

    /// The statements of blocks, and of what stands without one.
    fn statements_of(&self, nodes: &[NodeId]) -> Vec<NodeId> {
        let mut found = Vec::new();
        for &node in nodes {
            match self.source.kind(node) {
                NodeKind::Block => found.extend(self.source.children(node)),
                NodeKind::ControlStructure if self.source.name(node) == "ELSE" => {
                    let inner: Vec<NodeId> = self.source.children(node).collect();
                    for part in inner {
                        match self.source.kind(part) {
                            NodeKind::Block => found.extend(self.source.children(part)),
                            _ => found.push(part),
                        }
                    }
                }
                _ => found.push(node),
            }
        }
        found
    }

    fn statements(&mut self, parent: ItemId, nodes: &[NodeId]) {
        let mut rest = nodes;
        while let [node, tail @ ..] = rest {
            if self.source.kind(*node) == NodeKind::Import {
                let imports = rest
                    .iter()
                    .take_while(|&&next| self.source.kind(next) == NodeKind::Import);
                let (group, after) = rest.split_at(imports.count());
                self.imports(parent, group);
                rest = after;
            } else {
                self.statement(parent, *node);
                rest = tail;
            }
        }
    }

    fn statement(&mut self, parent: ItemId, node: NodeId) {
        let at = self.source.at(node);
        let name = self.source.name(node);
        match self.source.kind(node) {
            NodeKind::Local | NodeKind::Member => {}
            NodeKind::Return => {
                let item = self.add(parent, Item::new(NodeKind::Return, "", "").at(at));
                self.work.push(Work::Parts(item, node));
            }
            NodeKind::Block => {
                let statements: Vec<NodeId> = self.source.children(node).collect();
                self.statements(parent, &statements);
            }
            NodeKind::Call if name == "<operator>.assignment" => self.assignment(parent, node),
            NodeKind::ControlStructure => match name {
                "FOREACH" => self.for_loop(parent, node),
                "WITH" => {
                    let (bodies, items): (Vec<NodeId>, Vec<NodeId>) = self
                        .source
                        .children(node)
                        .partition(|&child| self.source.kind(child) == NodeKind::Block);
                    let body = self.statements_of(&bodies);
                    self.with_item(parent, &items, body);
                }
                "THROW" | "ASSERT" => {
                    let operator = if name == "THROW" { "raise" } else { "assert" };
                    let item = self.add(parent, Self::operator_item(operator, at));
                    self.work.push(Work::Parts(item, node));
                }
                _ => {
                    let (kind, code) = match name {
                        "IF" => ("IF", "if ... : ..."),
                        "WHILE" => ("WHILE", "while ... : ..."),
                        "TRY" => ("TRY", "try: ..."),
                        "MATCH" => ("SWITCH", "match ... : ..."),
                        "BREAK" => ("BREAK", "break"),
                        "CONTINUE" => ("CONTINUE", "continue"),
                        _ => (name, name),
                    };
                    let item = self.add(parent, Item::new(NodeKind::ControlStructure, kind, code).at(at));
                    self.work.push(Work::Parts(item, node));
                }
            },
            _ => self.expression(parent, None, node),
        }
    }

    /// What an expression, a `return` or a control structure is made of.
    fn parts(&mut self, item: ItemId, node: NodeId) {
        match self.source.kind(node) {
            NodeKind::Return => {
                for value in self.source.role(node, 1) {
                    self.expression(item, Some(1), value);
                }
            }
            NodeKind::ControlStructure => self.control_parts(item, node),
            _ => self.expression_parts(item, node),
        }
    }

    fn control_parts(&mut self, item: ItemId, node: NodeId) {
        let at = self.source.at(node);
        let role = |order| self.source.role(node, order);
        match self.source.name(node) {
            "IF" | "WHILE" => {
                let (conditions, then, otherwise) = (role(1), role(2), role(3));
                for condition in conditions {
                    self.expression(item, None, condition);
                }
                let then = self.statements_of(&then);
                self.body(item, then, at);
                let otherwise = self.statements_of(&otherwise);
                if let Some(&first) = otherwise.first() {
                    let at = self.source.at(first);
                    self.body(item, otherwise, at);
                }
            }
            "TRY" => self.try_parts(item, node),
            "MATCH" => self.match_parts(item, node),
            "THROW" => {
                let values: Vec<NodeId> = self.source.children(node).collect();
                for (value, order) in values.into_iter().zip(1..) {
                    self.expression(item, Some(order), value);
                }
            }
            "ASSERT" => {
                for (order, values) in [(1, role(1)), (2, role(2))] {
                    for value in values {
                        self.expression(item, Some(order), value);
                    }
                }
            }
            _ => {}
        }
    }

    /// Body, handlers, `finally`, `else`: a block each, even where there is nothing in it.
    fn try_parts(&mut self, item: ItemId, node: NodeId) {
        let at = self.source.at(node);
        let children: Vec<NodeId> = self.source.children(node).collect();
        let named = |name: &str| -> Vec<NodeId> {
            let is_control = |child: NodeId| self.source.kind(child) == NodeKind::ControlStructure;
            let found = children.iter().copied();
            found
                .filter(|&child| is_control(child) && self.source.name(child) == name)
                .collect()
        };
        let (handlers, finally, otherwise) = (named("CATCH"), named("FINALLY"), named("ELSE"));
        let bodies: Vec<NodeId> = children.iter().copied().filter(|&child| self.is_block(child)).collect();
        let body = self.statements_of(&bodies);
        self.body(item, body, at);
        let all = self.block(item, at);
        for handler in handlers {
            let at = self.source.at(handler);
            let inner: Vec<NodeId> = self
                .source
                .children(handler)
                .filter(|&child| self.is_block(child))
                .collect();
            let statements = self.statements_of(&inner);
            let block = self.body(all, statements, at);
            if let Some(variable) = self.source.child_of(handler, NodeKind::Local) {
                let name = self.source.name(variable);
                self.add(block, Item::new(NodeKind::Local, name, name));
            }
        }
        for part in [finally, otherwise] {
            let inner: Vec<NodeId> = part.iter().flat_map(|&part| self.source.children(part)).collect();
            let statements = self.statements_of(&inner);
            self.body(item, statements, at);
        }
    }

    /// The cases are blocks, of which nothing but the statements is kept.
    fn match_parts(&mut self, item: ItemId, node: NodeId) {
        for subject in self.source.role(node, 1) {
            self.expression(item, None, subject);
        }
        let blocks = self.source.children(node).filter(|&child| self.is_block(child));
        let mut cases: Vec<(NodeId, Vec<NodeId>)> = Vec::new();
        for part in blocks.flat_map(|block| self.source.children(block)) {
            match cases.last_mut() {
                _ if self.source.kind(part) == NodeKind::JumpTarget => cases.push((part, Vec::new())),
                Some((_, body)) => body.push(part),
                None => {}
            }
        }
        for (label, body) in cases {
            let pattern = self.source.children(label).next().unwrap_or(label);
            let at = self.source.at(pattern);
            let body = self.statements_of(&body);
            self.body(item, body, at);
        }
    }

    fn is_block(&self, node: NodeId) -> bool {
        self.source.kind(node) == NodeKind::Block
    }

    /// `{ tmp0 = iterated.__iter__(); while …: target = tmp0.__next__(); … }`
    fn for_loop(&mut self, parent: ItemId, node: NodeId) {
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
    fn loop_over(
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
    fn call_on_name(&mut self, parent: ItemId, argument: Option<u32>, name: &str, method: &str, at: Place) -> ItemId {
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
    fn with_item(&mut self, parent: ItemId, items: &[NodeId], body: Vec<NodeId>) {
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

    /// Whether something is an argument of the node above it.
    fn is_argument(&self, call: NodeId, node: NodeId) -> bool {
        let edges = self.source.cpg.outgoing(call, EdgeKind::Argument);
        edges.iter().any(|edge| edge.target == node)
    }
}
