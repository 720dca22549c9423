//! CFG and CDG over Joern's tree, by Joern's conventions: labelled jumps and exceptions are not followed, the children of a
//! control structure have the roles of their places, and blocks other than bodies are nodes.
//!
//! The flow through a node is put together from the flows through its children, children before parents.

use std::collections::{HashMap, HashSet};

use super::tree::{Item, ItemId, Tree};
use crate::NodeKind;
use crate::analysis::{Graph, dominators};

/// The flow through a node and all below it.
#[derive(Debug, Default)]
struct Part {
    /// Whether there is no flow at all.
    is_empty: bool,
    entry: Option<ItemId>,
    /// The nodes after which the next node comes.
    fringe: Vec<ItemId>,
    breaks: Vec<ItemId>,
    continues: Vec<ItemId>,
    cases: Vec<ItemId>,
}

impl Part {
    fn empty() -> Self {
        Self {
            is_empty: true,
            ..Self::default()
        }
    }

    fn of(node: ItemId) -> Self {
        Self {
            entry: Some(node),
            fringe: vec![node],
            ..Self::default()
        }
    }

    /// Takes over the jumps of another part.
    fn take_jumps(&mut self, other: &mut Part) {
        self.breaks.append(&mut other.breaks);
        self.continues.append(&mut other.continues);
        self.cases.append(&mut other.cases);
    }
}

/// The control flow of a method.
#[derive(Debug, Default)]
pub(super) struct ControlFlow {
    /// CFG, in order.
    pub(super) edges: Vec<(ItemId, ItemId)>,
    /// The node that Joern takes for the end of the body: the first `return`, or whatever comes last.
    pub(super) last: Option<ItemId>,
}

struct Builder<'a> {
    tree: &'a Tree,
    exit: Option<ItemId>,
    edges: Vec<(ItemId, ItemId)>,
    /// The first of the nodes after which the body just ends.
    falls_out: Option<ItemId>,
    /// Children of control structures that have no role by their place: nothing in them is part of the flow.
    ignored: Vec<ItemId>,
}

/// The control flow of a method.
pub(super) fn of_method(tree: &Tree, method: ItemId) -> ControlFlow {
    let exit = tree.item(method).children.iter().copied();
    let exit = exit
        .rev()
        .find(|&child| tree.item(child).kind == NodeKind::MethodReturn);
    let mut builder = Builder {
        tree,
        exit,
        edges: Vec::new(),
        falls_out: None,
        ignored: Vec::new(),
    };
    let order = tree.pre_order(method);
    builder.method(&order);
    let Builder {
        mut edges,
        falls_out,
        ignored,
        ..
    } = builder;
    let ignored: HashSet<ItemId> = ignored.into_iter().flat_map(|id| tree.pre_order(id)).collect();
    edges.retain(|(source, target)| !ignored.contains(source) && !ignored.contains(target));
    edges.sort_unstable();
    edges.dedup();
    let is_return = |&id: &ItemId| tree.item(id).kind == NodeKind::Return && !ignored.contains(&id);
    let returns = order.into_iter().find(is_return);
    ControlFlow {
        edges,
        last: returns.or(falls_out),
    }
}

impl Builder<'_> {
    fn method(&mut self, order: &[ItemId]) {
        let mut parts: HashMap<ItemId, Part> = HashMap::new();
        for &id in order.iter().rev() {
            let children = self.tree.item(id).children.iter();
            let below = children
                .map(|child| parts.remove(child).unwrap_or_else(Part::empty))
                .collect();
            let part = self.part(id, below);
            parts.insert(id, part);
        }
    }

    fn connect(&mut self, sources: &[ItemId], target: Option<ItemId>) {
        let Some(target) = target else { return };
        self.edges.extend(sources.iter().map(|&source| (source, target)));
    }

    /// One part after another.
    fn then(&mut self, mut first: Part, mut second: Part) -> Part {
        if second.is_empty {
            return first;
        }
        if first.is_empty {
            return second;
        }
        self.connect(&first.fringe, second.entry);
        if second.entry.is_some() && second.entry == self.exit {
            self.falls_out = first.fringe.first().copied();
        }
        first.take_jumps(&mut second);
        first.fringe = second.fringe;
        first
    }

    fn sequence(&mut self, parts: Vec<Part>) -> Part {
        parts.into_iter().fold(Part::empty(), |all, part| self.then(all, part))
    }

    fn part(&mut self, id: ItemId, below: Vec<Part>) -> Part {
        let item = self.tree.item(id);
        match item.kind {
            NodeKind::Method => {
                let body = self.sequence(below);
                self.then(Part::of(id), body)
            }
            NodeKind::MethodParameterIn | NodeKind::Local | NodeKind::TypeDecl | NodeKind::Modifier => Part::empty(),
            NodeKind::ControlStructure => self.control(id, item, below),
            NodeKind::JumpTarget => {
                let mut part = Part::of(id);
                if matches!(item.name.as_str(), "case" | "default") {
                    part.cases.push(id);
                }
                part
            }
            NodeKind::Return => {
                let value = self.sequence(below);
                self.connect(&[id], self.exit);
                let mut returns = Part::of(id);
                returns.fringe.clear();
                self.then(value, returns)
            }
            NodeKind::Call => match item.name.as_str() {
                "<operator>.logicalAnd" | "<operator>.logicalOr" => self.short_circuit(id, below),
                "<operator>.conditional" => self.conditional(id, below),
                _ => self.after_children(id, below),
            },
            NodeKind::Block if self.is_body(item) => self.sequence(below),
            _ => self.after_children(id, below),
        }
    }

    fn after_children(&mut self, id: ItemId, below: Vec<Part>) -> Part {
        let children = self.sequence(below);
        self.then(children, Part::of(id))
    }

    /// The blocks of methods, control structures and logical operators are no nodes of the flow.
    fn is_body(&self, block: &Item) -> bool {
        let Some(parent) = block.parent.map(|parent| self.tree.item(parent)) else {
            return false;
        };
        let is_logical = matches!(
            parent.name.as_str(),
            "<operator>.logicalAnd" | "<operator>.logicalOr" | "<operator>.conditional"
        );
        matches!(parent.kind, NodeKind::Method | NodeKind::ControlStructure)
            || parent.kind == NodeKind::Call && is_logical
    }

    fn short_circuit(&mut self, id: ItemId, below: Vec<Part>) -> Part {
        let mut parts = below.into_iter();
        let mut left = parts.next().unwrap_or_else(Part::empty);
        let mut right = parts.next().unwrap_or_else(Part::empty);
        // Joern looks at the first two operands alone.
        self.ignored.extend(self.tree.item(id).children.iter().skip(2));
        self.connect(&left.fringe, right.entry);
        left.take_jumps(&mut right);
        left.fringe.append(&mut right.fringe);
        self.then(left, Part::of(id))
    }

    fn conditional(&mut self, id: ItemId, below: Vec<Part>) -> Part {
        let mut parts = below.into_iter();
        let mut condition = parts.next().unwrap_or_else(Part::empty);
        let decided = condition.fringe.clone();
        condition.fringe.clear();
        for mut branch in parts.take(2) {
            self.connect(&decided, branch.entry);
            condition.take_jumps(&mut branch);
            condition.fringe.append(&mut branch.fringe);
        }
        self.then(condition, Part::of(id))
    }

    /// The children of a control structure are told apart by their places.
    fn control(&mut self, id: ItemId, item: &Item, below: Vec<Part>) -> Part {
        let is_local = |child: &&ItemId| self.tree.item(**child).kind == NodeKind::Local;
        let locals = item.children.iter().filter(is_local).count();
        let places = match item.name.as_str() {
            "IF" | "WHILE" | "TRY" => 0..3,
            "DO" | "SWITCH" => 0..2,
            "FOR" => locals..locals + 4,
            "ELSE" => 0..below.len(),
            _ => 0..0,
        };
        let without_role = item
            .children
            .iter()
            .enumerate()
            .filter(|(place, _)| !places.contains(place));
        self.ignored.extend(without_role.map(|(_, &child)| child));
        let mut parts: Vec<Option<Part>> = below.into_iter().map(Some).collect();
        let mut place = |index: usize| {
            let part = parts.get_mut(index).and_then(Option::take);
            part.unwrap_or_else(Part::empty)
        };
        match item.name.as_str() {
            "BREAK" => Part {
                entry: Some(id),
                breaks: vec![id],
                ..Part::default()
            },
            "CONTINUE" => Part {
                entry: Some(id),
                continues: vec![id],
                ..Part::default()
            },
            "IF" => {
                let (condition, then, otherwise) = (place(0), place(1), place(2));
                self.branch(condition, then, otherwise)
            }
            "WHILE" => {
                let (condition, body, otherwise) = (place(0), place(1), place(2));
                self.while_loop(condition, body, otherwise)
            }
            "DO" => {
                // Where the body is missing, the condition has its place, and is evaluated twice over.
                let (body, condition) = (place(0), place(1));
                self.do_loop(body, condition)
            }
            "FOR" => {
                let [start, condition, update, body] = [0, 1, 2, 3].map(|index| place(locals + index));
                self.for_loop(start, condition, update, body)
            }
            "SWITCH" => {
                let (selector, body) = (place(0), place(1));
                self.switch(selector, body)
            }
            "TRY" => {
                let has_body = item
                    .children
                    .first()
                    .is_some_and(|&body| !self.tree.item(body).children.is_empty());
                let body = place(0);
                // Without handlers, `finally` has their place.
                let (handlers, finally) = (place(1), place(2));
                self.attempt(has_body, body, handlers, finally)
            }
            "ELSE" => {
                let rest = parts.into_iter().flatten().collect();
                self.sequence(rest)
            }
            _ => Part::empty(),
        }
    }

    fn branch(&mut self, mut condition: Part, mut then: Part, mut otherwise: Part) -> Part {
        self.connect(&condition.fringe, then.entry);
        self.connect(&condition.fringe, otherwise.entry);
        condition.take_jumps(&mut then);
        condition.take_jumps(&mut otherwise);
        let decided = std::mem::take(&mut condition.fringe);
        condition.fringe.append(&mut then.fringe);
        match otherwise.entry {
            Some(_) => condition.fringe.append(&mut otherwise.fringe),
            None => condition.fringe.extend(decided),
        }
        condition
    }

    fn while_loop(&mut self, mut condition: Part, mut body: Part, mut otherwise: Part) -> Part {
        self.connect(&condition.fringe, body.entry);
        self.connect(&body.fringe, otherwise.entry);
        self.connect(&body.fringe, condition.entry);
        let continues = std::mem::take(&mut body.continues);
        self.connect(&continues, condition.entry);
        condition.fringe.append(&mut body.breaks);
        condition.fringe.append(&mut otherwise.fringe);
        condition.take_jumps(&mut body);
        condition.take_jumps(&mut otherwise);
        condition
    }

    fn do_loop(&mut self, mut body: Part, mut condition: Part) -> Part {
        let (breaks, continues) = (std::mem::take(&mut body.breaks), std::mem::take(&mut body.continues));
        self.connect(&continues, condition.entry);
        self.connect(&body.fringe, condition.entry);
        let entry = if body.is_empty { condition.entry } else { body.entry };
        self.connect(&condition.fringe, entry);
        condition.take_jumps(&mut body);
        condition.fringe.extend(breaks);
        Part { entry, ..condition }
    }

    fn for_loop(&mut self, start: Part, condition: Part, update: Part, mut body: Part) -> Part {
        let (breaks, continues) = (std::mem::take(&mut body.breaks), std::mem::take(&mut body.continues));
        let mut out = condition.fringe.clone();
        let update_entry = update.entry;
        let inner = self.then(condition, body);
        let inner = self.then(inner, update);
        self.connect(&inner.fringe, inner.entry);
        self.connect(&continues, update_entry.or(inner.entry));
        let mut all = self.then(start, inner);
        out.extend(breaks);
        all.fringe = out;
        all
    }

    fn switch(&mut self, mut selector: Part, mut body: Part) -> Part {
        let cases = std::mem::take(&mut body.cases);
        for &case in &cases {
            self.connect(&selector.fringe, Some(case));
        }
        let has_default = cases.iter().any(|&case| self.tree.item(case).name == "default");
        if has_default {
            selector.fringe.clear();
        }
        selector.fringe.append(&mut body.breaks);
        selector.fringe.append(&mut body.fringe);
        selector.take_jumps(&mut body);
        selector
    }

    /// The end of the protected part leads to the handlers and to `finally`.
    fn attempt(&mut self, has_body: bool, mut body: Part, mut handlers: Part, mut finally: Part) -> Part {
        if !has_body {
            return finally;
        }
        self.connect(&body.fringe, handlers.entry);
        self.connect(&handlers.fringe, finally.entry);
        self.connect(&body.fringe, finally.entry);
        body.take_jumps(&mut handlers);
        body.take_jumps(&mut finally);
        match finally.entry {
            Some(_) => body.fringe = finally.fringe,
            None => body.fringe.append(&mut handlers.fringe),
        }
        body
    }
}

/// The CDG edges that follow from the CFG edges of a method, over all that can reach its end.
pub(super) fn dependences(tree: &Tree, method: ItemId, cfg: &[(ItemId, ItemId)]) -> Vec<(ItemId, ItemId)> {
    let order = tree.pre_order(method);
    let Some(exit) = order
        .iter()
        .position(|&id| tree.item(id).kind == NodeKind::MethodReturn)
    else {
        return Vec::new();
    };
    let numbers: HashMap<ItemId, u32> = order.iter().copied().zip(0..).collect();
    let edges: Vec<(u32, u32)> = cfg
        .iter()
        .map(|(source, target)| (numbers[source], numbers[target]))
        .collect();
    let graph = Graph::new(order.len(), &edges);
    let post_dominators = dominators(&graph.clone().reversed(), exit as u32);
    let mut found = Vec::new();
    for decider in 0..order.len() as u32 {
        let stop = post_dominators.immediate(decider);
        let branches = graph.successors(decider);
        let decides = matches!(
            tree.item(order[decider as usize]).kind,
            NodeKind::Literal
                | NodeKind::Identifier
                | NodeKind::Call
                | NodeKind::MethodRef
                | NodeKind::Unknown
                | NodeKind::ControlStructure
                | NodeKind::JumpTarget
        );
        if stop.is_none() || branches.len() < 2 || !decides {
            continue;
        }
        for &branch in branches {
            let mut decided = Some(branch);
            while let Some(node) = decided.filter(|_| decided != stop) {
                found.push((order[decider as usize], order[node as usize]));
                decided = post_dominators.immediate(node);
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}
