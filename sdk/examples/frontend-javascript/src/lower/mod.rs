//! From JavaScript's concrete syntax to the nodes of the CPG and the edges that follow from syntax alone.
//!
//! The shapes are those that [`transducer_frontend::cpg::passes`] documents. Children stand in the order in which they are
//! evaluated, which is not always that of the source: a function declaration is there before the first statement runs.
//!
//! A source of nothing but functions, or of members of a class, is those; any other has a method around it all, `<module>`, in
//! which they are made.

mod definitions;
mod expressions;
mod operators;
mod patterns;
mod scopes;
mod statements;

use std::ops::{Deref, DerefMut};

use transducer_frontend::cpg::passes::Budget;
use transducer_frontend::cpg::{CpgBuilder, EdgeKind, NameId, NodeId, NodeKind};
use transducer_treesitter::{Lowering, Role, SyntaxId};

use crate::reading::Reading;
use crate::syntax::{Field, Kind};

/// What of lowering is not JavaScript's own.
type Base<'a> = Lowering<'a, Kind, Field, What>;
type Task = transducer_treesitter::Task<What>;

/// What to make of a piece of syntax.
#[derive(Clone, Copy, Debug)]
enum What {
    /// Whatever its kind says.
    Node(SyntaxId),
    /// One node of that kind, named by the text of the syntax.
    Leaf(NodeKind, SyntaxId),
    /// The method around everything: `<module>`.
    Module,
    /// A value that goes by a name if it is a function or class without one of its own.
    Value(SyntaxId, Option<SyntaxId>),
    /// The `METHOD` of a function.
    Method(SyntaxId, NameId),
    /// A parameter.
    Parameter(SyntaxId),
    /// The return of an arrow function's expression.
    Returned(SyntaxId),
    /// The block of a field's initialiser.
    FieldBlock(SyntaxId),
    /// The block that makes a class.
    ClassBody(SyntaxId),
    /// `name = value` of a class, a method of its own: it runs when an object, or the class, is made.
    FieldInitialiser(SyntaxId),
    /// The body of a function: a block, or an expression that is returned.
    Body(SyntaxId),
    /// What a parameter does before the body runs: it takes its default, and is taken apart.
    Prologue(SyntaxId),
    /// The value of a parameter that is taken apart.
    Taken(SyntaxId),
    /// The end of a method.
    Return(SyntaxId),
    /// What is assigned to.
    Target(SyntaxId),
    /// What a pattern takes where it finds no value.
    Default(SyntaxId),
    /// `case` or `default`, without the statements behind it.
    Case(SyntaxId),
    /// A link of a chain `a.b[c](d)`: its piece of syntax, the optional chain that it is part of, and whether the rest of that
    /// is left out where this link is null.
    Link(SyntaxId, Option<NodeId>, bool),
}

struct JavaScriptLowering<'a>(Base<'a>);

impl<'a> Deref for JavaScriptLowering<'a> {
    type Target = Base<'a>;

    fn deref(&self) -> &Base<'a> {
        &self.0
    }
}

impl DerefMut for JavaScriptLowering<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

/// Adds the nodes of a source to `cpg`.
pub(crate) fn lower(source: &str, reading: &Reading, cpg: &mut CpgBuilder, budget: &Budget) {
    let mut lowering = JavaScriptLowering(Base::new(source, &reading.syntax, cpg, budget));
    lowering.top(reading);
    while let Some(task) = lowering.next_task() {
        lowering.run(task);
    }
}

impl JavaScriptLowering<'_> {
    fn run(&mut self, task: Task) {
        match task.what {
            What::Node(id) => self.node(id, task),
            What::Leaf(kind, id) => _ = self.leaf(kind, id, task),
            What::Module => self.module(task),
            What::Value(id, name) => self.value(id, name, task),
            What::Method(function, name) => self.method(function, name, task),
            What::Parameter(parameter) => self.parameter(parameter, task),
            What::Returned(value) => {
                let returns = self.add(task, NodeKind::Return, value, NameId::EMPTY);
                self.push(returns, What::Node(value), 1, Role::Argument);
            }
            What::FieldBlock(field) => self.field_block(field, task),
            What::ClassBody(body) => self.class_body(body, task),
            What::FieldInitialiser(field) => self.field_initialiser(field, task),
            What::Body(function) => self.body(function, task),
            What::Prologue(parameter) => self.prologue(parameter, task),
            What::Taken(parameter) => self.taken(parameter, task),
            What::Return(method) => self.method_return(method, task),
            What::Target(target) => self.target(target, task),
            What::Default(pattern) => self.default(pattern, task),
            What::Case(case) => self.case(case, task),
            What::Link(id, chain, is_tested) => self.link(id, chain, is_tested, task),
        }
    }

    /// Functions alone, members of a class that the source does not show, or anything else: a module.
    fn top(&mut self, reading: &Reading) {
        let is_function = |&top: &SyntaxId| {
            let kind = self.syntax.kind(scopes::exported(self.syntax, top));
            kind.is_function_declaration() || kind.is_comment()
        };
        if !reading.are_members && !reading.tops.iter().all(is_function) {
            self.push(0, What::Module, 1, Role::Plain);
            return;
        }
        for &top in &reading.tops {
            let declaration = scopes::exported(self.syntax, top);
            let name = self.field_name(declaration, Field::Name);
            let what = match self.syntax.kind(declaration) {
                kind if kind.is_function_declaration() || kind == Kind::MethodDefinition => {
                    What::Method(declaration, name)
                }
                _ => What::Node(declaration),
            };
            self.push(0, what, 1, Role::Plain);
        }
    }

    fn node(&mut self, id: SyntaxId, task: Task) {
        let kind = self.syntax.kind(id);
        if self.syntax.node(id).missing || kind == Kind::Token {
            return;
        }
        if kind.is_comment() {
            let beside = Task {
                role: Role::Plain,
                ..task
            };
            self.add(beside, NodeKind::Comment, id, NameId::EMPTY);
            return;
        }
        if kind == Kind::Error || !(self.definition(id, task) || self.statement(id, task) || self.expression(id, task))
        {
            let unknown = self.add(task, NodeKind::Unknown, id, NameId::EMPTY);
            self.push_all(unknown, id);
        }
    }

    // What the parts of lowering share.

    /// Adds a node named by its own text.
    fn leaf(&mut self, kind: NodeKind, id: SyntaxId, task: Task) -> NodeId {
        let name = self.text_name(id);
        self.add(task, kind, id, name)
    }

    /// The text of a child as a name.
    fn field_name(&mut self, id: SyntaxId, field: Field) -> NameId {
        let name = self.syntax.field(id, field);
        name.map_or(NameId::EMPTY, |name| self.text_name(name))
    }

    fn operand(&self, id: SyntaxId) -> Option<SyntaxId> {
        let mut children = self.syntax.children(id);
        children.find(|&child| self.syntax.kind(child).is_operand())
    }

    /// Every child, whatever it is.
    fn push_all(&mut self, parent: NodeId, id: SyntaxId) {
        for (child, order) in self.syntax.children(id).zip(1..) {
            self.push(parent, What::Node(child), order, Role::Plain);
        }
    }

    /// Every operand as an argument, counted from 1; comments and broken parts between them are kept.
    fn push_arguments(&mut self, parent: NodeId, id: SyntaxId) {
        let mut count = 0;
        for child in self.syntax.children(id) {
            if self.syntax.kind(child).is_operand() {
                count += 1;
                self.push(parent, What::Node(child), count, Role::Argument);
            } else {
                self.push(parent, What::Node(child), 0, Role::Plain);
            }
        }
    }

    /// The children in some roles, numbered from 1 in the order of `roles`; others keep their place without a role.
    fn push_roles(&mut self, parent: NodeId, id: SyntaxId, roles: &[(Field, Role)]) {
        for child in self.syntax.children(id) {
            let field = self.syntax.node(child).field;
            let known = roles.iter().zip(1..).find(|((known, _), _)| *known == field);
            let (order, role) = known.map_or((0, Role::Plain), |(&(_, role), order)| (order, role));
            self.push(parent, What::Node(child), order, role);
        }
    }

    /// Comments and broken parts among the children: what construct-by-construct lowering would drop.
    fn push_strays(&mut self, parent: NodeId, id: SyntaxId) {
        for child in self.syntax.children(id) {
            let kind = self.syntax.kind(child);
            if kind.is_comment() || kind == Kind::Error {
                self.push(parent, What::Node(child), 0, Role::Plain);
            }
        }
    }

    /// Every child in the place of the parent, which has no node of its own.
    fn hand_on(&mut self, id: SyntaxId, task: Task) {
        for child in self.syntax.children(id) {
            self.instead(task, What::Node(child));
        }
    }

    fn condition(&mut self, of: NodeId, node: NodeId) {
        self.cpg.edge(EdgeKind::Condition, of, node);
    }
}

/// The task of an argument of a node that was just added.
fn below(task: Task, parent: NodeId, order: u32) -> Task {
    Task {
        parent,
        order,
        role: Role::Argument,
        ..task
    }
}

/// The task of another child of such a node.
fn beneath(task: Task, parent: NodeId) -> Task {
    Task {
        parent,
        order: 1,
        role: Role::Plain,
        ..task
    }
}
