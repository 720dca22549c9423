//! Java as Joern's front end (javasrc2cpg) lowers it: types are not resolved, but for what can be told from the method alone.

mod expressions;
mod loops;
mod types;

use std::collections::HashMap;

use super::tree::{EMPTY, Item, ItemId, Source, Tree};
use crate::{Cpg, NodeId, NodeKind};

/// What is still to be put below a node of the tree.
enum Work {
    /// The arguments of a call, from an index on.
    Arguments(ItemId, NodeId),
    /// The parts of an assignment.
    Assignment(ItemId, NodeId),
    Statements(ItemId, Vec<NodeId>),
    Control(ItemId, NodeId),
}

pub(super) struct Lowering<'a> {
    source: Source<'a>,
    tree: Tree,
    work: Vec<Work>,
    /// The declarations of the tree, by the node of our graph.
    declared: HashMap<NodeId, ItemId>,
    /// Identifiers of the tree and the node of our graph that they name.
    names: Vec<(ItemId, NodeId)>,
    objects: u32,
    iterators: u32,
    indices: u32,
}

/// The trees of all methods that Joern has as methods: not those of local and anonymous classes.
pub(super) fn lower(cpg: &Cpg, text: &str) -> Tree {
    let mut lowering = Lowering {
        source: Source::new(cpg, text),
        tree: Tree::default(),
        work: Vec::new(),
        declared: HashMap::new(),
        names: Vec::new(),
        objects: 0,
        iterators: 0,
        indices: 0,
    };
    for method in crate::query::nodes_of(cpg, NodeKind::Method) {
        if lowering.is_seen(method) {
            lowering.method(method);
        }
    }
    lowering.resolve();
    lowering.tree
}

impl Lowering<'_> {
    /// Local and anonymous classes are opaque to Joern, initialisers part of the constructors.
    fn is_seen(&self, method: NodeId) -> bool {
        let mut at = method;
        while let Some(parent) = self.source.cpg.parent(at) {
            let above = self.source.cpg.parent(parent).map(|above| self.source.kind(above));
            let is_local = !matches!(above, Some(NodeKind::File | NodeKind::TypeDecl) | None);
            if self.source.kind(parent) == NodeKind::TypeDecl && is_local {
                return false;
            }
            at = parent;
        }
        !matches!(self.source.name(method), "<init>" | "<clinit>")
    }

    fn method(&mut self, node: NodeId) {
        let is_lambda = self.source.name(node) == "<lambda>";
        let name = if self.source.has_name(node) {
            self.source.name(node)
        } else {
            EMPTY
        };
        let code = self.source.code(node);
        let head = code.split('{').next().unwrap_or_default().trim_end().to_owned();
        let method = self
            .tree
            .add_method(Item::new(NodeKind::Method, name, head).at(self.source.at(node)));
        let is_static = self.is_static(node);
        if !is_static && !is_lambda {
            let this = Item::new(NodeKind::MethodParameterIn, "this", "this").at(self.source.line(node));
            self.tree.add(method, this);
        }
        let children: Vec<NodeId> = self.source.children(node).collect();
        for &child in &children {
            match self.source.kind(child) {
                NodeKind::MethodParameterIn => {
                    let parameter = Item::new(
                        NodeKind::MethodParameterIn,
                        self.source.name(child),
                        self.source.code(child),
                    );
                    let parameter = self.tree.add(method, parameter.at(self.source.at(child)));
                    self.declared.insert(child, parameter);
                }
                NodeKind::Block => {
                    self.block(method, child, EMPTY);
                }
                NodeKind::MethodReturn => {
                    let exit = Item::new(NodeKind::MethodReturn, "", "RET").at(self.source.at(child));
                    self.tree.add(method, exit);
                }
                _ => {}
            }
        }
        self.run();
    }

    fn run(&mut self) {
        while let Some(work) = self.work.pop() {
            match work {
                Work::Arguments(item, node) => self.arguments(item, node),
                Work::Assignment(item, node) => self.assignment_parts(item, node),
                Work::Statements(parent, nodes) => self.statements(parent, &nodes),
                Work::Control(item, node) => self.control_parts(item, node),
            }
        }
    }

    fn is_static(&self, method: NodeId) -> bool {
        let is_static =
            |child: NodeId| self.source.kind(child) == NodeKind::Modifier && self.source.name(child) == "static";
        self.source.children(method).any(is_static)
    }

    /// Ties identifiers to their declarations, `this` to the method's own.
    fn resolve(&mut self) {
        for &(identifier, node) in &self.names {
            self.tree.items[identifier as usize].declaration = self.declared.get(&node).copied();
        }
        for method in self.tree.methods.clone() {
            let first = self.tree.item(method).children.first().copied();
            let this = first.filter(|&first| {
                let first = self.tree.item(first);
                first.kind == NodeKind::MethodParameterIn && first.name == "this"
            });
            for id in self.tree.pre_order(method) {
                let item = &mut self.tree.items[id as usize];
                if item.kind == NodeKind::Identifier && item.code == "this" {
                    item.declaration = this;
                }
            }
        }
    }

    fn add(&mut self, parent: ItemId, item: Item) -> ItemId {
        self.tree.add(parent, item)
    }

    /// A block of its own statements.
    fn block(&mut self, parent: ItemId, node: NodeId, code: &str) -> ItemId {
        let block = self.add(parent, Item::new(NodeKind::Block, "", code).at(self.source.at(node)));
        let statements = self.source.children(node).collect();
        self.work.push(Work::Statements(block, statements));
        block
    }

    fn statements(&mut self, parent: ItemId, nodes: &[NodeId]) {
        let mut rest = nodes;
        while let [node, tail @ ..] = rest {
            if self.source.kind(*node) == NodeKind::Local {
                let (group, after) = rest.split_at(self.declaration_end(rest));
                self.declaration(parent, group);
                rest = after;
            } else {
                self.statement(parent, *node);
                rest = tail;
            }
        }
    }

    /// How many of the nodes are one declaration: locals, of which only the first has a type, and what is assigned to them.
    fn declaration_end(&self, nodes: &[NodeId]) -> usize {
        let mut end = 1;
        let mut local = nodes[0];
        while let Some(&next) = nodes.get(end) {
            if self.source.kind(next) == NodeKind::Local && self.source.child_of(next, NodeKind::TypeRef).is_none() {
                local = next;
            } else if !self.is_initialiser(local, next) {
                break;
            }
            end += 1;
        }
        end
    }

    fn is_initialiser(&self, local: NodeId, node: NodeId) -> bool {
        let (local, start) = (self.source.span(local), self.source.span(node).start);
        self.source.kind(node) == NodeKind::Call && local.start <= start && start < local.end
    }

    /// Locals first, then what is assigned to them, all at the place of the whole declaration.
    fn declaration(&mut self, parent: ItemId, group: &[NodeId]) {
        let at = self.source.at(group[0]);
        let typed = self.source.child_of(group[0], NodeKind::TypeRef);
        let typed = typed.map(|typed| self.source.code(typed)).unwrap_or_default();
        let (locals, calls): (Vec<NodeId>, Vec<NodeId>) = group
            .iter()
            .partition(|&&node| self.source.kind(node) == NodeKind::Local);
        for local in locals {
            let name = self.source.name(local);
            let item = self.add(
                parent,
                Item::new(NodeKind::Local, name, format!("{typed} {name}")).at(at),
            );
            self.declared.insert(local, item);
        }
        let short = typed.rsplit('.').next().unwrap_or(&typed).to_owned();
        for call in calls {
            let code = format!("{short} {}", self.source.code(call));
            let item = Item::new(NodeKind::Call, "<operator>.assignment", code).at(at);
            self.assignment(parent, item, call);
        }
    }

    fn statement(&mut self, parent: ItemId, node: NodeId) {
        match self.source.kind(node) {
            NodeKind::Block => {
                if self.is_plain_block(node) {
                    self.block(parent, node, EMPTY);
                } else {
                    self.labelled(parent, node);
                }
            }
            NodeKind::Return => {
                let item = Item::new(NodeKind::Return, "", self.source.code(node)).at(self.source.at(node));
                let item = self.add(parent, item);
                self.work.push(Work::Arguments(item, node));
            }
            NodeKind::ControlStructure => self.control(parent, node),
            NodeKind::TypeDecl | NodeKind::Unknown => {
                let item = Item::new(NodeKind::Unknown, "", self.source.code(node)).at(self.source.at(node));
                self.add(parent, item);
            }
            _ => self.expression(parent, None, node),
        }
    }

    /// A labelled statement stands beside its label; labels may follow one another.
    fn labelled(&mut self, parent: ItemId, block: NodeId) {
        let mut inner: Vec<NodeId> = vec![block];
        while let [only] = inner[..]
            && self.source.kind(only) == NodeKind::Block
            && !self.is_plain_block(only)
        {
            inner = self.source.children(only).collect();
            let name = self.source.name(inner.remove(0));
            self.add(parent, Item::new(NodeKind::JumpTarget, name, EMPTY));
        }
        self.statements(parent, &inner);
    }

    fn control(&mut self, parent: ItemId, node: NodeId) {
        let at = self.source.at(node);
        let name = self.source.name(node);
        let code = |order| {
            let conditions = self.source.role(node, order);
            conditions
                .first()
                .map(|&condition| self.source.code(condition))
                .unwrap_or_default()
        };
        let item = |name: &str, code: String| Item::new(NodeKind::ControlStructure, name, code).at(at);
        let item = match name {
            "IF" => item("IF", format!("if ({})", code(1))),
            "WHILE" => item("WHILE", format!("while ({})", code(1))),
            "DO" => item("DO", format!("do {{...}} while ({})", code(2))),
            "FOR" => item("FOR", self.for_code(node)),
            "FOREACH" => return self.for_each(parent, node),
            "SWITCH" | "MATCH" => item("SWITCH", format!("switch({})", code(1))).at((0, 0)),
            "BREAK" | "CONTINUE" => item(name, self.source.code(node)),
            "TRY" => {
                let is_resource = |child: &NodeId| {
                    matches!(
                        self.source.kind(*child),
                        NodeKind::Local | NodeKind::Call | NodeKind::Identifier
                    )
                };
                let resources: Vec<NodeId> = self.source.children(node).filter(is_resource).collect();
                self.statements(parent, &resources);
                item("TRY", "try".to_owned())
            }
            "SYNCHRONIZED" => Item::new(NodeKind::Block, "", EMPTY).at(at),
            "THROW" => Item::new(NodeKind::Call, "<operator>.throw", self.source.code(node)).at(at),
            "ASSERT" => Item::new(NodeKind::Call, "assert", self.source.code(node)).at(at),
            _ => Item::new(NodeKind::Unknown, "", self.source.code(node)).at(at),
        };
        let item = self.add(parent, item);
        self.work.push(Work::Control(item, node));
    }

    /// What Joern prints of the head of a `for`.
    fn for_code(&self, node: NodeId) -> String {
        let part = |order| {
            let nodes = self.source.role(node, order).into_iter();
            let codes: Vec<String> = nodes.map(|node| self.source.code(node)).collect();
            codes
        };
        let starts = part(1);
        let condition = part(2)
            .first()
            .map_or("None".to_owned(), |code| format!("Some({code})"));
        format!("for ({}; {condition}; {})", starts.join(", "), part(3).join(", "))
    }

    fn control_parts(&mut self, item: ItemId, node: NodeId) {
        let role = |order| self.source.role(node, order);
        match self.source.name(node) {
            "IF" => {
                let (condition, then, otherwise) = (role(1), role(2), role(3));
                self.statements(item, &condition);
                self.statements(item, &then);
                if let Some(&first) = otherwise.first() {
                    let other = Item::new(NodeKind::ControlStructure, "ELSE", "else").at(self.source.at(first));
                    let other = self.add(item, other);
                    self.work.push(Work::Statements(other, otherwise));
                }
            }
            "FOR" => {
                let parts = [role(1), role(2), role(3), role(4)];
                for part in &parts {
                    self.statements(item, part);
                }
            }
            "WHILE" | "DO" => {
                let parts = [role(1), role(2)];
                for part in &parts {
                    self.statements(item, part);
                }
            }
            "SWITCH" | "MATCH" => {
                let (selector, bodies) = (role(1), role(2));
                self.statements(item, &selector);
                let body = self.add(item, Item::new(NodeKind::Block, "", EMPTY));
                let parts: Vec<NodeId> = bodies.iter().flat_map(|&body| self.source.children(body)).collect();
                self.cases(body, &parts);
            }
            "TRY" => self.try_parts(item, node),
            "SYNCHRONIZED" => {
                let parts: Vec<NodeId> = self.source.children(node).collect();
                self.statements(item, &parts);
            }
            "THROW" => self.arguments(item, node),
            "ASSERT" => {
                for condition in role(1) {
                    self.expression(item, Some(1), condition);
                }
            }
            _ => {}
        }
    }

    /// Each label is a jump target beside the constant that it compares with.
    fn cases(&mut self, body: ItemId, parts: &[NodeId]) {
        let mut rest = parts;
        while let [node, tail @ ..] = rest {
            if self.source.kind(*node) != NodeKind::JumpTarget {
                let end = tail
                    .iter()
                    .position(|&next| self.source.kind(next) == NodeKind::JumpTarget);
                let (group, after) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
                self.statements(body, group);
                rest = after;
                continue;
            }
            let labels: Vec<NodeId> = self.source.children(*node).collect();
            if labels.is_empty() {
                self.add(body, Item::new(NodeKind::JumpTarget, "default", "default"));
            }
            for label in labels {
                self.add(body, Item::new(NodeKind::JumpTarget, "case", self.source.code(label)));
                self.expression(body, None, label);
            }
            rest = tail;
        }
    }

    /// The handlers stand one after another in one block.
    fn try_parts(&mut self, item: ItemId, node: NodeId) {
        let children: Vec<NodeId> = self.source.children(node).collect();
        let mut handlers = None;
        for child in children {
            let inner = self.source.child_of(child, NodeKind::Block);
            match (self.source.kind(child), self.source.name(child)) {
                (NodeKind::Block, _) => {
                    self.block(item, child, "try");
                }
                (NodeKind::ControlStructure, "CATCH") => {
                    let handlers =
                        *handlers.get_or_insert_with(|| self.tree.add(item, Item::new(NodeKind::Block, "", "catch")));
                    if let Some(inner) = inner {
                        self.block(handlers, inner, EMPTY);
                    }
                }
                (NodeKind::ControlStructure, "FINALLY") => {
                    if let Some(inner) = inner {
                        self.block(item, inner, "finally");
                    }
                }
                _ => {}
            }
        }
    }

    fn is_plain_block(&self, node: NodeId) -> bool {
        let first = self.source.children(node).next().map(|first| self.source.kind(first));
        self.source.kind(node) == NodeKind::Block && first != Some(NodeKind::JumpTarget)
    }
}
