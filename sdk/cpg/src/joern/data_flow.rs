//! The data flow as Joern finds and prints it.
//!
//! First its REACHING_DEF: variables are names, and the texts of calls; a call defines itself and all its arguments, ends
//! the definitions of the same names and texts, and passes its arguments on to each other, as far as [`super::semantics`]
//! allows. What comes from nowhere comes from the method, what is left at the end goes to its return.
//! Then what is printed of it.

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
    data_flow.find()?;
    Ok(data_flow.printed())
}

/// A variable: a name, or the text of a call.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Key<'a> {
    Name(&'a str),
    Text(&'a str),
}

/// The accesses of a method to its variables, as they are found.
#[derive(Default)]
struct Table<'a> {
    keys: HashMap<Key<'a>, u32>,
    accesses: Vec<Access>,
    /// The node of each access.
    nodes: Vec<ItemId>,
    /// For each text, the texts that name a part of it.
    parts: HashMap<&'a str, Vec<u32>>,
    /// Variables, and those whose definitions end with theirs.
    ended: Vec<(u32, u32)>,
}

impl<'a> Table<'a> {
    fn number(&mut self, key: Key<'a>) -> u32 {
        let next = self.keys.len() as u32;
        *self.keys.entry(key).or_insert(next)
    }

    fn access(&mut self, at: u32, key: Key<'a>, kind: AccessKind, node: ItemId) {
        let variable = self.number(key);
        self.access_number(at, variable, kind, node);
    }

    fn access_number(&mut self, at: u32, variable: u32, kind: AccessKind, node: ItemId) {
        self.accesses.push(Access { at, variable, kind });
        self.nodes.push(node);
    }

    /// The accesses in the order of the nodes at which they happen.
    fn in_order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.accesses.len()).collect();
        order.sort_by_key(|&index| self.accesses[index].at);
        order
    }
}

/// What a definition reaches.
#[derive(Default)]
struct Valued {
    /// Arguments.
    uses: HashSet<ItemId>,
    /// Blocks that end with an identifier.
    blocks: HashSet<ItemId>,
}

pub(super) struct DataFlow<'a> {
    pub(super) tree: &'a Tree,
    method: ItemId,
    /// All nodes of the method in pre-order.
    all: Vec<ItemId>,
    /// What the flow reaches, the method first.
    reached: Vec<ItemId>,
    graph: Graph,
    /// REACHING_DEF.
    pub(super) raw: Vec<(ItemId, ItemId)>,
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

    pub(super) fn kind(&self, id: ItemId) -> NodeKind {
        self.tree.item(id).kind
    }

    pub(super) fn name(&self, id: ItemId) -> &'a str {
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
    fn find(&mut self) -> Result<(), TooLarge> {
        let alone = self.alone();
        let mut table = Table::default();
        self.number_parts(&mut table);
        let parameters = self
            .all
            .iter()
            .filter(|&&id| self.kind(id) == NodeKind::MethodParameterIn);
        for &id in parameters {
            table.access(0, self.key(id), AccessKind::Define, id);
        }
        let reached: HashSet<ItemId> = self.reached.iter().copied().collect();
        let mut exit = None;
        for (&id, at) in self.all.iter().zip(0..) {
            if reached.contains(&id) {
                self.add_uses(&mut table, id, at);
            }
            self.add_definitions(&mut table, id, at, &alone);
            if self.is_exit(id) {
                exit = Some((id, at));
            }
        }
        if let Some((exit, at)) = exit {
            for variable in 0..table.keys.len() as u32 {
                table.access_number(at, variable, AccessKind::Use, exit);
            }
        }
        let order = table.in_order();
        let accesses: Vec<Access> = order.iter().map(|&index| table.accesses[index]).collect();
        let node = |access: u32| table.nodes[order[access as usize]];
        let ended = Rows::new(table.keys.len(), table.ended.iter().copied());
        let pairs = reaching_definitions(&self.graph, &accesses, &ended, MAX_PAIRS)?;

        let mut found: Vec<(ItemId, ItemId)> = Vec::with_capacity(pairs.len());
        let mut valued = Valued::default();
        for (definition, used) in pairs {
            let (definition, target) = (node(definition), node(used));
            let at = self.all[accesses[used as usize].at as usize];
            let is_block = self.kind(at) == NodeKind::Identifier;
            let kinds = if is_block { &mut valued.blocks } else { &mut valued.uses };
            kinds.insert(target);
            found.push((definition, target));
        }
        self.add_local(&alone, &valued, &mut found);
        found.retain(|&(source, target)| source != target && self.is_valid(source, target));
        found.sort_unstable();
        found.dedup();
        self.raw = found;
        Ok(())
    }

    /// The texts that name a part of a variable, and what a new value of a name ends besides its own definitions.
    fn number_parts(&self, table: &mut Table<'a>) {
        for &id in &self.all {
            if let Some(base) = self.base(id) {
                let text = table.number(Key::Text(&self.tree.item(id).code));
                table.parts.entry(self.text(base)).or_default().push(text);
                if self.name(id) == "<operator>.fieldAccess" {
                    let below = self.tree.pre_order(id).into_iter();
                    for name in below.filter(|&below| self.kind(below) == NodeKind::Identifier) {
                        let name = table.number(Key::Name(self.name(name)));
                        table.ended.push((name, text));
                    }
                }
            }
            // Identifiers whose text is not their name (`super`) end the definitions of the name, but are not taken for it.
            let (name, text) = (self.name(id), self.text(id));
            if self.kind(id) == NodeKind::Identifier && name != text {
                let (name, text) = (table.number(Key::Name(name)), table.number(Key::Name(text)));
                table.ended.extend([(name, text), (text, name)]);
            }
        }
    }

    fn add_uses(&self, table: &mut Table<'a>, id: ItemId, at: u32) {
        let block = self.block_ending_with(id);
        for used in self.uses(id).into_iter().chain(block.map(|_| id)) {
            let text = self.text(used);
            let mut variables = vec![table.number(Key::Name(text)), table.number(Key::Text(text))];
            variables.extend(table.parts.get(text).into_iter().flatten());
            if let Some(base) = self.base(used) {
                variables.push(table.number(Key::Name(self.text(base))));
            }
            variables.sort_unstable();
            variables.dedup();
            for variable in variables {
                table.access_number(at, variable, AccessKind::Use, block.unwrap_or(used));
            }
        }
    }

    fn add_definitions(&self, table: &mut Table<'a>, id: ItemId, at: u32, alone: &HashSet<ItemId>) {
        // Names before texts: a new value of a name ends the accesses of its fields that were defined before.
        let mut definitions = self.defines(id, alone);
        definitions.sort_by_key(|&id| self.kind(id) == NodeKind::Call);
        let mut here: Vec<u32> = Vec::new();
        for definition in definitions {
            let variable = table.number(self.key(definition));
            // Two arguments of the same name do not end each other.
            let kind = if here.contains(&variable) {
                AccessKind::Update
            } else {
                AccessKind::Define
            };
            here.push(variable);
            table.access_number(at, variable, kind, definition);
        }
    }

    /// The edges that do not depend on what reaches a node.
    fn add_local(&self, alone: &HashSet<ItemId>, valued: &Valued, found: &mut Vec<(ItemId, ItemId)>) {
        let exit = self.all.iter().copied().find(|&id| self.is_exit(id));
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
                    if uses.iter().any(|used| !valued.uses.contains(used)) {
                        found.push((self.method, id));
                    }
                }
                _ => {}
            }
            for &block in uses.iter().filter(|&&used| self.kind(used) == NodeKind::Block) {
                let last = self.last_of(block);
                if let Some(last) = last.filter(|&last| self.kind(last) == NodeKind::Call) {
                    found.extend([(last, block), (block, id)]);
                } else if valued.blocks.contains(&block) {
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

    /// What a block ends with.
    fn last_of(&self, block: ItemId) -> Option<ItemId> {
        let children = self.tree.item(block).children.iter().copied();
        children.rev().find(|&child| self.kind(child) != NodeKind::Local)
    }

    /// The block whose value is an identifier: an argument that ends with it.
    fn block_ending_with(&self, id: ItemId) -> Option<ItemId> {
        let block = self
            .tree
            .item(id)
            .parent
            .filter(|_| self.kind(id) == NodeKind::Identifier)?;
        let item = self.tree.item(block);
        let is_value = item.kind == NodeKind::Block && item.argument.is_some() && self.last_of(block) == Some(id);
        is_value.then_some(block)
    }

    pub(super) fn is_expression(&self, id: ItemId) -> bool {
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

    pub(super) fn is_defined(&self, id: ItemId) -> bool {
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
}
