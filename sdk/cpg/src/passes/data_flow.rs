//! REACHING_DEF: where the values come from that are used.
//!
//! A variable is a declaration, or a path of fields from one (`a.b`, `this.x`; a bare name that nothing declares is taken for
//! `this.name`). An array counts as one variable: to set an element is to change a part of it. Defining `a` ends what was
//! known of `a.b`. What a called method does to fields is not followed.
//!
//! The source of an edge is the node that names what is defined (the left side of an assignment, the operand of `++`, a
//! parameter, a local bound by a pattern, a loop or a handler, a part of what a value is taken apart into), its target the identifier or field access that reads it.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

use super::captures::Captures;
use super::references::{NONE, References};
use super::shape::Shape;
use crate::analysis::{self, Access, AccessKind, Graph, Rows, TooLarge};
use crate::{CpgBuilder, NameId, NodeId, NodeKind};

/// Fields after one another that are told apart, as in `a.b.c`. Real code rarely has more than three; a longer path is not
/// followed, lest broken code with a chain of thousands makes the work quadratic.
const DEEPEST_PATH: u32 = 8;

/// How a call treats its first argument.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// It is only read.
    None,
    /// It gets a new value.
    Write,
    /// It is read, then gets a new value.
    ReadWrite,
}

/// The effect of an operator, named without its prefix.
fn effect_of(operator: &str) -> Effect {
    match operator {
        "assignment" => Effect::Write,
        "preIncrement" | "preDecrement" | "postIncrement" | "postDecrement" | "delete" => Effect::ReadWrite,
        operator if operator.starts_with("assignment") => Effect::ReadWrite,
        _ => Effect::None,
    }
}

/// A variable of one method.
#[derive(Clone, Copy)]
struct Variable {
    /// The variable that it is a field of.
    base: Option<u32>,
    name: NameId,
    depth: u32,
}

/// What tells variables apart: a declaration, or a field of another variable.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    This,
    Declared(NodeId),
    Field(u32, NameId),
}

/// What a node stands for that names a variable; [`Place::NONE`] for others.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    variable: u32,
    /// Whether it is only a part of the variable: an element of the array.
    is_part: bool,
}

impl Place {
    const NONE: Self = Self {
        variable: u32::MAX,
        is_part: false,
    };
}

/// What the data flow of a whole graph is found with.
pub(super) struct DataFlow<'a> {
    shape: &'a Shape,
    references: &'a References,
    captures: Captures,
    /// For each node, what it stands for: filled as the methods are gone through.
    places: Vec<Place>,
}

/// The data flow of one method.
pub(super) struct Found {
    /// Definition, use, and an index into the labels.
    pub(super) edges: Vec<(NodeId, NodeId, u32)>,
    /// Names of the variables; empty for those without edges.
    pub(super) labels: Vec<String>,
}

impl<'a> DataFlow<'a> {
    pub(super) fn new(cpg: &CpgBuilder, shape: &'a Shape, references: &'a References) -> Self {
        let captures = Captures::new(cpg, shape, references);
        Self {
            shape,
            references,
            captures,
            places: vec![Place::NONE; cpg.nodes().len()],
        }
    }

    /// The edges of a method, given the nodes of its control flow in order of evaluation, and the types declared in it with
    /// the number of the node evaluated next.
    pub(super) fn of_method(
        &mut self,
        cpg: &CpgBuilder,
        members: &[NodeId],
        declared: &[(u32, NodeId)],
        graph: &Graph,
        limit: usize,
    ) -> Result<Found, TooLarge> {
        let mut method = Method {
            cpg,
            flow: self,
            variables: Vec::new(),
            keys: HashMap::default(),
            accesses: Vec::new(),
            nodes: Vec::new(),
            at: 0,
        };
        let mut declared = declared.iter().peekable();
        for (&member, number) in members.iter().zip(0..) {
            method.at = number;
            while let Some(&(_, class)) = declared.next_if(|(next, _)| *next == number) {
                method.captured(class);
            }
            method.visit(member);
        }
        let Method {
            variables,
            accesses,
            nodes,
            ..
        } = method;
        let pairs = analysis::reaching_definitions(graph, &accesses, &also_killed(&variables), limit)?;
        let mut labels = vec![String::new(); variables.len()];
        let edges = pairs.iter().map(|&(definition, used)| {
            let variable = accesses[used as usize].variable;
            if labels[variable as usize].is_empty() {
                labels[variable as usize] = label(cpg, &variables, variable);
            }
            (nodes[definition as usize], nodes[used as usize], variable)
        });
        Ok(Found {
            edges: edges.collect(),
            labels,
        })
    }
}

/// The accesses of one method, as they are found.
struct Method<'a, 'b> {
    cpg: &'a CpgBuilder,
    flow: &'a mut DataFlow<'b>,
    variables: Vec<Variable>,
    keys: HashMap<Key, u32, FxBuildHasher>,
    accesses: Vec<Access>,
    /// The node of each access.
    nodes: Vec<NodeId>,
    /// Number of the present node.
    at: u32,
}

impl Method<'_, '_> {
    fn visit(&mut self, node: NodeId) {
        let nodes = self.cpg.nodes();
        match nodes[node as usize].kind {
            NodeKind::Method => self.define_children(node, NodeKind::MethodParameterIn),
            NodeKind::Identifier => {
                let place = self.place_of_identifier(node);
                self.read(node, place);
            }
            NodeKind::Call => self.visit_call(node),
            NodeKind::MethodRef => self.captured(node),
            NodeKind::ControlStructure | NodeKind::JumpTarget => self.define_children(node, NodeKind::Local),
            _ => {}
        }
    }

    fn visit_call(&mut self, call: NodeId) {
        self.define_children(call, NodeKind::Local);
        let nodes = self.cpg.nodes();
        let Some(operator) = self.cpg.text(nodes[call as usize].name).strip_prefix("<operator>.") else {
            return self.captured(call);
        };
        let role = |order: u32| {
            self.flow
                .shape
                .children(call)
                .find(|&child| nodes[child as usize].order == order)
        };
        let Some(first) = role(1) else { return };
        let base = self.flow.places[first as usize];
        match operator {
            "fieldAccess" if base != Place::NONE => {
                let field = role(2).map_or(NameId::EMPTY, |field| nodes[field as usize].name);
                if self.variables[base.variable as usize].depth < DEEPEST_PATH && field != NameId::EMPTY {
                    let place = Place {
                        variable: self.field(base.variable, field),
                        ..base
                    };
                    self.flow.places[call as usize] = place;
                    self.read(call, place);
                }
            }
            "indexAccess" if base != Place::NONE => {
                let place = Place { is_part: true, ..base };
                self.flow.places[call as usize] = place;
                if self.is_target(call) {
                    self.define(call, place);
                }
            }
            operator => {
                if effect_of(operator) != Effect::None && base != Place::NONE {
                    // `a ||= b` may leave `a` as it is, as an assignment to a part of it would.
                    let is_part = base.is_part
                        || matches!(
                            operator,
                            "assignmentLogicalAnd" | "assignmentLogicalOr" | "assignmentElvis"
                        );
                    self.define(first, Place { is_part, ..base });
                }
            }
        }
    }

    /// A node that names a variable is a use of it, unless it stands where it is only written.
    fn read(&mut self, node: NodeId, place: Place) {
        let nodes = self.cpg.nodes();
        let parent = &nodes[self.cpg.parents()[node as usize] as usize];
        let operator = self.cpg.text(parent.name).strip_prefix("<operator>.");
        let is_target = nodes[node as usize].order == 1
            && parent.kind == NodeKind::Call
            && operator.is_some_and(|operator| effect_of(operator) == Effect::Write);
        if place == Place::NONE || is_target {
            return;
        }
        if self.is_target(node) {
            self.define(node, place);
        } else {
            self.access(place.variable, AccessKind::Use, node);
        }
    }

    /// Whether a node is given a value when it is reached: a part of what a value is taken apart into, the variable of a loop,
    /// the name of an import.
    fn is_target(&self, node: NodeId) -> bool {
        let nodes = self.cpg.nodes();
        let parent = &nodes[self.cpg.parents()[node as usize] as usize];
        match parent.kind {
            NodeKind::Call => match self.cpg.text(parent.name) {
                "<operator>.unpack" => true,
                "<operator>.pattern" => nodes[node as usize].kind == NodeKind::Identifier,
                _ => false,
            },
            NodeKind::ControlStructure => nodes[node as usize].order == 1 && self.cpg.text(parent.name) == "FOREACH",
            NodeKind::Import => true,
            _ => false,
        }
    }

    /// The place that a node names gets a value.
    fn define(&mut self, node: NodeId, place: Place) {
        let kind = if place.is_part {
            AccessKind::Update
        } else {
            AccessKind::Define
        };
        self.access(place.variable, kind, node);
    }

    /// What a function takes from the method around it is read, or written, where the function is made and where it is called:
    /// maybe, so that what was known before still holds.
    fn captured(&mut self, node: NodeId) {
        let captured = self.flow.captures.at(node);
        let captured: Vec<(NodeId, NodeId)> = captured.map(|taken| (taken, self.element(taken))).collect();
        for &(identifier, element) in &captured {
            // To set an element reads the variable.
            if element != identifier || self.effect_on(identifier) != Effect::Write {
                let variable = self.declared(self.flow.references[identifier as usize]);
                self.access(variable, AccessKind::Use, identifier);
            }
        }
        for &(identifier, element) in &captured {
            if self.effect_on(element) != Effect::None {
                let variable = self.declared(self.flow.references[identifier as usize]);
                self.access(variable, AccessKind::Update, element);
            }
        }
    }

    /// The whole of an access to an element, as `a[i][j]` for its `a`; the identifier itself where there is none.
    fn element(&self, identifier: NodeId) -> NodeId {
        let nodes = self.cpg.nodes();
        let mut element = identifier;
        loop {
            let parent = self.cpg.parents()[element as usize];
            let around = &nodes[parent as usize];
            let is_element = nodes[element as usize].order == 1
                && around.kind == NodeKind::Call
                && self.cpg.text(around.name) == "<operator>.indexAccess";
            if !is_element {
                return element;
            }
            element = parent;
        }
    }

    /// What becomes of an identifier or an element where it stands.
    fn effect_on(&self, node: NodeId) -> Effect {
        let nodes = self.cpg.nodes();
        let parent = &nodes[self.cpg.parents()[node as usize] as usize];
        let operator = self.cpg.text(parent.name).strip_prefix("<operator>.");
        let is_operand = nodes[node as usize].order == 1 && parent.kind == NodeKind::Call;
        match operator {
            Some(operator) if is_operand && effect_of(operator) != Effect::None => effect_of(operator),
            _ if self.is_target(node) => Effect::Write,
            _ => Effect::None,
        }
    }

    /// The children of a kind get a value here.
    fn define_children(&mut self, node: NodeId, kind: NodeKind) {
        let shape = self.flow.shape;
        for child in shape
            .children(node)
            .filter(|&child| self.cpg.nodes()[child as usize].kind == kind)
        {
            let variable = self.declared(child);
            self.access(variable, AccessKind::Define, child);
        }
    }

    fn access(&mut self, variable: u32, kind: AccessKind, node: NodeId) {
        self.accesses.push(Access {
            at: self.at,
            variable,
            kind,
        });
        self.nodes.push(node);
    }

    fn place_of_identifier(&mut self, node: NodeId) -> Place {
        let name = self.cpg.nodes()[node as usize].name;
        let declaration = self.flow.references[node as usize];
        let is_own = declaration != NONE && !self.is_field(declaration);
        let variable = if is_own {
            self.declared(declaration)
        } else {
            let this = self.variable(
                Key::This,
                Variable {
                    base: None,
                    name: NameId::EMPTY,
                    depth: 0,
                },
            );
            match self.cpg.text(name) {
                "" => return Place::NONE,
                "this" | "super" => this,
                _ => self.field(this, name),
            }
        };
        let place = Place {
            variable,
            is_part: false,
        };
        self.flow.places[node as usize] = place;
        place
    }

    /// Whether it is a field of objects: a member of a type, and not of the block that makes one.
    fn is_field(&self, declaration: NodeId) -> bool {
        let nodes = self.cpg.nodes();
        let parent = self.cpg.parents()[declaration as usize];
        nodes[declaration as usize].kind == NodeKind::Member && nodes[parent as usize].kind != NodeKind::Block
    }

    fn declared(&mut self, declaration: NodeId) -> u32 {
        let name = self.cpg.nodes()[declaration as usize].name;
        self.variable(
            Key::Declared(declaration),
            Variable {
                base: None,
                name,
                depth: 0,
            },
        )
    }

    fn field(&mut self, base: u32, name: NameId) -> u32 {
        let depth = self.variables[base as usize].depth + 1;
        self.variable(
            Key::Field(base, name),
            Variable {
                base: Some(base),
                name,
                depth,
            },
        )
    }

    fn variable(&mut self, key: Key, variable: Variable) -> u32 {
        let variables = &mut self.variables;
        *self.keys.entry(key).or_insert_with(|| {
            variables.push(variable);
            variables.len() as u32 - 1
        })
    }
}

/// For each variable, the paths that begin with it.
fn also_killed(variables: &[Variable]) -> Rows {
    let paths = (0..variables.len() as u32).flat_map(|path| {
        let base = move |&variable: &u32| variables[variable as usize].base;
        std::iter::successors(base(&path), base).map(move |base| (base, path))
    });
    Rows::new(variables.len(), paths)
}

/// A variable as the source writes it.
fn label(cpg: &CpgBuilder, variables: &[Variable], variable: u32) -> String {
    let mut names = Vec::new();
    let mut next = Some(variable);
    while let Some(Variable { base, name, .. }) = next.map(|variable| variables[variable as usize]) {
        names.push(cpg.text(name));
        next = base;
    }
    names.reverse();
    // Fields of `this` go by their own name, with or without `this` in the source.
    names.retain(|name| !name.is_empty());
    names.join(".")
}
