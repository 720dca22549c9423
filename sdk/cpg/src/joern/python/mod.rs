//! Python as Joern's front end (pysrc2cpg) lowers it: iteration, comprehensions, dictionaries, `with` and calls of
//! expressions' methods become blocks with variables of their own (`tmp0`), and every name has a LOCAL.
//!
//! Joern makes the text of a node of the texts of its children; that is done when the tree is complete (`codes`).

mod codes;
mod comprehensions;
mod expressions;
mod imports;
mod iteration;
mod names;
mod strings;
mod targets;

use std::collections::HashMap;

use super::tree::{Item, ItemId, Source, Tree};
use crate::{Cpg, EdgeKind, NodeId, NodeKind};

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
    let mut methods: Vec<(ItemId, Option<ItemId>)> = Vec::new();
    let mut items: HashMap<NodeId, ItemId> = HashMap::new();
    for method in crate::query::nodes_of(cpg, NodeKind::Method) {
        let above = std::iter::successors(cpg.parent(method), |&node| cpg.parent(node));
        let around = above.filter_map(|node| items.get(&node).copied()).next();
        let item = lowering.method(method);
        items.insert(method, item);
        methods.push((item, around));
    }
    names::declare(&mut lowering.tree, &methods);
    codes::write(&mut lowering.tree);
    lowering.tree
}

impl Lowering<'_> {
    fn method(&mut self, node: NodeId) -> ItemId {
        let at = self.definition_at(node);
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
        method
    }

    /// Where a function begins, behind its decorators.
    fn definition_at(&self, node: NodeId) -> Place {
        let raw = self.source.raw(node);
        let mut start = 0;
        for line in raw.split_inclusive('\n') {
            let trimmed = line.trim_start();
            if trimmed.starts_with("def ") || trimmed.starts_with("async def ") || !raw.starts_with('@') {
                start += line.len() - trimmed.len();
                break;
            }
            start += line.len();
        }
        self.source
            .place(self.source.span(node).start + start.min(raw.len()) as u32)
    }

    /// Where a statement begins: what is imported behind its words, a function behind its decorators.
    fn statement_at(&self, node: NodeId) -> Place {
        let value = self.source.role(node, 2).first().copied();
        match value {
            _ if self.source.kind(node) == NodeKind::Import => self.source.place(self.import_statement(node).start),
            Some(value) if self.source.kind(value) == NodeKind::MethodRef => self.definition_at(node),
            _ => self.expression_at(node),
        }
    }

    /// `def f` is an assignment of the function, each decorator a call around it.
    fn definition(&mut self, parent: ItemId, target: NodeId, function: NodeId) {
        let at = self.definition_at(function);
        let assigned = self.add(parent, Self::operator_item("assignment", at));
        let name = self.source.name(target);
        self.add(assigned, Self::name_item(name, at).argument(1));
        let mut place = (assigned, 2);
        let is_decorator = |child: &NodeId| self.source.kind(*child) == NodeKind::Annotation;
        let decorators: Vec<NodeId> = self.source.children(function).filter(is_decorator).collect();
        for decorator in decorators {
            let Some(decorator) = self.source.children(decorator).next() else {
                continue;
            };
            let call = Item::new(NodeKind::Call, "", "").at(self.source.at(decorator));
            let call = self.add(place.0, call.argument(place.1));
            self.expression(call, None, decorator);
            place = (call, 1);
        }
        let reference = Item::new(NodeKind::MethodRef, name, format!("def {name}(...)")).at(at);
        self.add(place.0, reference.argument(place.1));
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
                    let at = self.statement_at(first);
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

    /// Whether something is an argument of the node above it.
    fn is_argument(&self, call: NodeId, node: NodeId) -> bool {
        let edges = self.source.cpg.outgoing(call, EdgeKind::Argument);
        edges.iter().any(|edge| edge.target == node)
    }
}
