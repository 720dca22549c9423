//! The data flow as Joern finds and prints it.
//!
//! First its REACHING_DEF: variables are names, and the texts of calls; a call defines itself and all its arguments, ends
//! the definitions of the same names and texts, and passes its arguments on to each other, as far as [`super::semantics`]
//! allows. What comes from nowhere comes from the method, what is left at the end goes to its return.
//!
//! Then the graph that is printed: both ends move to the call that they are arguments of; an end whose value is not
//! changed there is passed over; accesses of fields and elements are left out.

use std::collections::{HashMap, HashSet};

use super::control_flow::ControlFlow;
use super::semantics;
use super::tree::{ItemId, Tree};
use crate::NodeKind;
use crate::analysis::{Access, AccessKind, Graph, Rows, TooLarge, reaching_definitions};

/// Pairs of definitions and uses of one method; Joern itself gives up at 4,000 definitions.
const MAX_PAIRS: usize = 4 << 20;

/// Source, target, and the text of what flows.
pub(super) type Flow = (ItemId, ItemId, String);

/// The data flow of a method, given its control flow.
pub(super) fn edges(tree: &Tree, method: ItemId, cfg: &ControlFlow) -> Result<Vec<Flow>, TooLarge> {
    let mut data_flow = DataFlow::new(tree, method, cfg);
    data_flow.raw()?;
    Ok(data_flow.printed())
}

/// A variable: a name, or the text of a call.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Key<'a> {
    Name(&'a str),
    Text(&'a str),
}

struct DataFlow<'a> {
    tree: &'a Tree,
    method: ItemId,
    /// All nodes of the method in pre-order.
    all: Vec<ItemId>,
    /// What the flow reaches, the method first.
    reached: Vec<ItemId>,
    graph: Graph,
    /// REACHING_DEF.
    raw: Vec<(ItemId, ItemId)>,
}

impl<'a> DataFlow<'a> {
    fn new(tree: &'a Tree, method: ItemId, cfg: &ControlFlow) -> Self {
        let all = tree.pre_order(method);
        let numbers: HashMap<ItemId, u32> = all.iter().copied().zip(0..).collect();
        let numbered = |(source, target): (ItemId, ItemId)| (numbers[&source], numbers[&target]);
        let edges: Vec<(u32, u32)> = cfg.edges.iter().copied().map(numbered).collect();
        let mut reached = Graph::new(all.len(), &edges).post_order(0);
        reached.reverse();
        let reached: Vec<ItemId> = reached.into_iter().map(|number| all[number as usize]).collect();
        // Definitions come into the first node from the parameters alone, and to the end from one node alone.
        let is_exit = |id: ItemId| tree.item(id).kind == NodeKind::MethodReturn;
        let first = cfg
            .edges
            .iter()
            .find(|(source, _)| *source == method)
            .map(|&(_, first)| first);
        // What is not reached still has the definitions that it makes itself.
        let flows: HashSet<ItemId> = reached
            .iter()
            .copied()
            .chain(all.iter().copied().filter(|&id| is_exit(id)))
            .collect();
        let is_seen = |&(source, target): &(ItemId, ItemId)| {
            flows.contains(&target)
                && (Some(target) != first || source == method)
                && (!is_exit(target) || Some(source) == cfg.last)
        };
        let edges: Vec<(u32, u32)> = cfg.edges.iter().copied().filter(is_seen).map(numbered).collect();
        let graph = Graph::new(all.len(), &edges);
        Self {
            tree,
            method,
            all,
            reached,
            graph,
            raw: Vec::new(),
        }
    }

    fn kind(&self, id: ItemId) -> NodeKind {
        self.tree.item(id).kind
    }

    fn name(&self, id: ItemId) -> &'a str {
        &self.tree.item(id).name
    }

    fn is_exit(&self, id: ItemId) -> bool {
        self.kind(id) == NodeKind::MethodReturn
    }

    /// What a node reads.
    fn uses(&self, id: ItemId) -> Vec<ItemId> {
        let children = self.tree.item(id).children.iter().copied();
        let is_argument = |child: &ItemId| self.tree.item(*child).argument.is_some();
        let is_value = |child: &ItemId| self.kind(*child) != NodeKind::FieldIdentifier;
        match self.kind(id) {
            NodeKind::Return | NodeKind::Call => children.filter(is_argument).filter(is_value).collect(),
            _ => Vec::new(),
        }
    }

    /// What a call defines: itself, and its arguments.
    fn defines(&self, call: ItemId, alone: &HashSet<ItemId>) -> Vec<ItemId> {
        if self.kind(call) != NodeKind::Call || semantics::is_member_access(self.name(call)) {
            return Vec::new();
        }
        let is_variable = |id: &ItemId| matches!(self.kind(*id), NodeKind::Call | NodeKind::Identifier);
        let arguments = self.uses(call).into_iter().filter(is_variable);
        let arguments = arguments.filter(|argument| !alone.contains(argument));
        std::iter::once(call).chain(arguments).collect()
    }

    fn key(&self, id: ItemId) -> Key<'a> {
        let item = self.tree.item(id);
        match item.kind {
            NodeKind::Call => Key::Text(&item.code),
            NodeKind::Identifier => Key::Name(&item.code),
            _ => Key::Name(&item.name),
        }
    }

    /// The text by which a node is compared with definitions.
    fn text(&self, id: ItemId) -> &'a str {
        let item = self.tree.item(id);
        match item.kind {
            NodeKind::MethodParameterIn => &item.name,
            _ => &item.code,
        }
    }

    /// The first argument of an access.
    fn base(&self, id: ItemId) -> Option<ItemId> {
        let is_access = self.kind(id) == NodeKind::Call && semantics::is_member_access(self.name(id));
        let children = self.tree.item(id).children.iter().copied();
        children
            .into_iter()
            .find(|&child| self.tree.item(child).argument.is_some())
            .filter(|_| is_access)
    }

    /// Identifiers that are an argument once, declared nowhere and not returned: they can only reach the end.
    fn alone(&self) -> HashSet<ItemId> {
        let is_declared = |id: &&ItemId| matches!(self.kind(**id), NodeKind::MethodParameterIn | NodeKind::Local);
        let mut declared: HashSet<&str> = self.all.iter().filter(is_declared).map(|&id| self.name(id)).collect();
        let returns = self.all.iter().filter(|&&id| self.kind(id) == NodeKind::Return);
        let returned = returns.flat_map(|&id| self.tree.pre_order(id));
        declared.extend(
            returned
                .filter(|&id| self.kind(id) == NodeKind::Identifier)
                .map(|id| self.name(id)),
        );
        let mut found: HashMap<&str, Vec<ItemId>> = HashMap::new();
        for &id in &self.all {
            if self.kind(id) == NodeKind::Identifier && self.tree.call_of(id).is_some() {
                found.entry(self.name(id)).or_default().push(id);
            }
        }
        let once = found
            .into_iter()
            .filter(|(name, ids)| ids.len() == 1 && !declared.contains(name));
        once.flat_map(|(_, ids)| ids).collect()
    }

    /// Finds REACHING_DEF.
    fn raw(&mut self) -> Result<(), TooLarge> {
        let alone = self.alone();
        let mut keys: HashMap<Key, u32> = HashMap::new();
        let mut number_of = |key: Key<'a>| {
            let next = keys.len() as u32;
            *keys.entry(key).or_insert(next)
        };
        let mut accesses: Vec<Access> = Vec::new();
        let mut nodes: Vec<ItemId> = Vec::new();
        let mut defined: Vec<u32> = Vec::new();
        // The texts that name a part of a variable, and the field accesses that a new value of it ends.
        let mut parts: HashMap<&str, Vec<u32>> = HashMap::new();
        let mut ended: Vec<(u32, u32)> = Vec::new();
        for &id in &self.all {
            if let Some(base) = self.base(id) {
                let text = number_of(Key::Text(&self.tree.item(id).code));
                parts.entry(self.text(base)).or_default().push(text);
                if self.name(id) == "<operator>.fieldAccess" {
                    let below = self.tree.pre_order(id).into_iter();
                    let names = below.filter(|&below| self.kind(below) == NodeKind::Identifier);
                    ended.extend(names.map(|name| (number_of(Key::Name(self.name(name))), text)));
                }
            }
        }
        // Identifiers whose text is not their name (`super`) end the definitions of the name, but are not taken for it.
        for &id in self.all.iter().filter(|&&id| self.kind(id) == NodeKind::Identifier) {
            let (name, text) = (self.name(id), self.text(id));
            if name != text {
                let (name, text) = (number_of(Key::Name(name)), number_of(Key::Name(text)));
                ended.extend([(name, text), (text, name)]);
            }
        }
        let mut access = |at: u32, variable: u32, kind: AccessKind, node: ItemId| {
            accesses.push(Access { at, variable, kind });
            nodes.push(node);
        };
        let is_parameter = |id: &ItemId| self.kind(*id) == NodeKind::MethodParameterIn;
        for id in self.all.iter().copied().filter(is_parameter) {
            let variable = number_of(self.key(id));
            access(0, variable, AccessKind::Define, id);
            defined.push(variable);
        }
        let mut used_at_exit = None;
        let reached: HashSet<ItemId> = self.reached.iter().copied().collect();
        for (&id, at) in self.all.iter().zip(0..) {
            let value_of = self.block_ending_with(id);
            let uses = self.uses(id).into_iter().chain(value_of.map(|_| id));
            for used in uses.filter(|_| reached.contains(&id)) {
                let mut variables = vec![
                    number_of(Key::Name(self.text(used))),
                    number_of(Key::Text(self.text(used))),
                ];
                variables.extend(parts.get(self.text(used)).into_iter().flatten());
                if let Some(base) = self.base(used) {
                    variables.push(number_of(Key::Name(self.text(base))));
                }
                variables.sort_unstable();
                variables.dedup();
                for variable in variables {
                    access(at, variable, AccessKind::Use, value_of.unwrap_or(used));
                }
            }
            // Names before texts: a new value of a name ends the accesses of its fields that were defined before.
            let mut definitions = self.defines(id, &alone);
            definitions.sort_by_key(|&id| self.kind(id) == NodeKind::Call);
            let mut here: Vec<u32> = Vec::new();
            for definition in definitions {
                let variable = number_of(self.key(definition));
                // Two arguments of the same name do not end each other.
                let kind = if here.contains(&variable) {
                    AccessKind::Update
                } else {
                    AccessKind::Define
                };
                here.push(variable);
                access(at, variable, kind, definition);
            }
            defined.append(&mut here);
            if self.is_exit(id) {
                used_at_exit = Some((at, id));
            }
        }
        if let Some((at, exit)) = used_at_exit {
            defined.sort_unstable();
            defined.dedup();
            for &variable in &defined {
                access(at, variable, AccessKind::Use, exit);
            }
        }
        let mut order: Vec<usize> = (0..accesses.len()).collect();
        order.sort_by_key(|&index| accesses[index].at);
        let accesses: Vec<Access> = order.iter().map(|&index| accesses[index]).collect();
        let nodes: Vec<ItemId> = order.iter().map(|&index| nodes[index]).collect();
        let ended = Rows::new(keys.len(), ended.iter().copied());
        let pairs = reaching_definitions(&self.graph, &accesses, &ended, MAX_PAIRS)?;

        let mut found: Vec<(ItemId, ItemId)> = pairs
            .into_iter()
            .map(|(definition, used)| (nodes[definition as usize], nodes[used as usize]))
            .collect();
        self.add_local(&alone, &mut found);
        found.retain(|&(source, target)| source != target && self.is_valid(source, target));
        found.sort_unstable();
        found.dedup();
        self.raw = found;
        Ok(())
    }

    /// The edges that do not depend on what reaches a node.
    fn add_local(&self, alone: &HashSet<ItemId>, found: &mut Vec<(ItemId, ItemId)>) {
        let exit = self.all.iter().copied().find(|&id| self.is_exit(id));
        let with_value: HashSet<ItemId> = found.iter().map(|&(_, target)| target).collect();
        for &id in &self.reached {
            let uses = self.uses(id);
            match self.kind(id) {
                NodeKind::Call => {
                    for &used in &uses {
                        let defined = self.defines(id, alone).into_iter();
                        found.extend(
                            defined
                                .filter(|&defined| defined != used)
                                .map(|defined| (used, defined)),
                        );
                    }
                }
                NodeKind::Return => {
                    found.extend(uses.iter().map(|&used| (used, id)));
                    found.extend(exit.map(|exit| (id, exit)));
                    if uses.iter().any(|used| !with_value.contains(used)) {
                        found.push((self.method, id));
                    }
                }
                _ => {}
            }
            for &block in uses.iter().filter(|&&used| self.kind(used) == NodeKind::Block) {
                let last = self.tree.item(block).children.last().copied();
                if let Some(last) = last.filter(|&last| self.kind(last) == NodeKind::Call) {
                    found.extend([(last, block), (block, id)]);
                } else if with_value.contains(&block) {
                    found.push((block, id));
                }
            }
            let is_passive = matches!(
                self.kind(id),
                NodeKind::Method
                    | NodeKind::MethodReturn
                    | NodeKind::ControlStructure
                    | NodeKind::FieldIdentifier
                    | NodeKind::JumpTarget
            );
            if !is_passive && uses.is_empty() {
                found.push((self.method, id));
            }
        }
        let parameters = self
            .all
            .iter()
            .copied()
            .filter(|&id| self.kind(id) == NodeKind::MethodParameterIn);
        found.extend(parameters.map(|parameter| (self.method, parameter)));
        if let Some(exit) = exit {
            found.extend(alone.iter().map(|&identifier| (identifier, exit)));
        }
    }

    /// The block whose value is an identifier: an argument that ends with it.
    fn block_ending_with(&self, id: ItemId) -> Option<ItemId> {
        let block = self
            .tree
            .item(id)
            .parent
            .filter(|_| self.kind(id) == NodeKind::Identifier)?;
        let item = self.tree.item(block);
        let is_value = item.kind == NodeKind::Block && item.argument.is_some() && item.children.last() == Some(&id);
        is_value.then_some(block)
    }

    fn is_expression(&self, id: ItemId) -> bool {
        !matches!(
            self.kind(id),
            NodeKind::Method | NodeKind::MethodParameterIn | NodeKind::MethodReturn | NodeKind::JumpTarget
        )
    }

    /// The call that a node is an argument of, and its place there.
    fn place(&self, id: ItemId) -> Option<(&'a str, u32)> {
        let call = self.tree.call_of(id)?;
        Some((self.name(call), self.tree.item(id).argument.unwrap_or_default()))
    }

    fn is_used(&self, id: ItemId) -> bool {
        self.place(id)
            .is_none_or(|(call, argument)| semantics::is_used(call, argument))
    }

    fn is_defined(&self, id: ItemId) -> bool {
        self.place(id)
            .is_none_or(|(call, argument)| semantics::is_defined(call, argument))
    }

    fn returns_nothing(&self, id: ItemId) -> bool {
        self.kind(id) == NodeKind::Call && semantics::returns_nothing(self.name(id))
    }

    /// Whether the semantics of the calls allow an edge.
    fn is_valid(&self, source: ItemId, target: ItemId) -> bool {
        if self.kind(source) == NodeKind::Unknown || self.kind(target) == NodeKind::Unknown {
            return false;
        }
        if !self.is_expression(target) {
            return !self.returns_nothing(source);
        }
        if self.returns_nothing(source) {
            return false;
        }
        if !self.is_expression(source) {
            return self.is_used(target);
        }
        let (source_call, target_call) = (self.tree.call_of(source), self.tree.call_of(target));
        if source_call == target_call {
            let flows = match (self.place(source), self.place(target)) {
                (Some((call, from)), Some((_, to))) => semantics::has_flow(call, from, to),
                _ => true,
            };
            return self.is_used(source) && self.is_defined(target) && flows;
        }
        let is_of_target = source_call == Some(target);
        self.is_used(target) && !(self.returns_nothing(target) && is_of_target)
    }

    /// What Joern prints of it.
    fn printed(&self) -> Vec<Flow> {
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
