//! From Java's concrete syntax to the nodes of the CPG and the edges that follow from syntax alone.
//!
//! The shapes are those that [`transducer_frontend::cpg::passes`] documents.

mod declarations;
mod expressions;
mod operators;
mod statements;

use std::ops::{Deref, DerefMut};

use transducer_frontend::cpg::passes::Budget;
use transducer_frontend::cpg::{CpgBuilder, NameId, NodeId, NodeKind};
use transducer_treesitter::{Lowering, Role, SyntaxId};

use crate::syntax::{Field, Kind, Syntax};

/// What of lowering is not Java's own.
type Base<'a> = Lowering<'a, Kind, Field, What>;
type Task = transducer_treesitter::Task<What>;

/// What to make of a piece of syntax.
#[derive(Clone, Copy, Debug)]
enum What {
    /// Whatever its kind says.
    Node(SyntaxId),
    /// One node of that kind, named by the text of the syntax.
    Leaf(NodeKind, SyntaxId),
    /// A method that the source does not write: the statements from the first up to the last, `<global>`.
    Global(SyntaxId, SyntaxId),
    /// A block in a class body: an initialiser.
    Initialiser(SyntaxId),
    /// The declaration of a variable.
    Variable(Variable),
    /// `name = value` of a declarator.
    Assignment(SyntaxId),
    /// A method around `name = value` of a field: initialisers run when the object, or the class, is made.
    FieldInitialiser(SyntaxId, bool),
    /// The block of a field's initialiser.
    FieldInitialiserBlock(SyntaxId),
    /// The constant of an enum with its arguments and body: a method that makes it.
    EnumConstantInitialiser(SyntaxId),
    /// The call that makes the constant of an enum.
    EnumConstantCall(SyntaxId),
    /// The type of a class body without a name.
    AnonymousClass(SyntaxId),
    /// The type of a parameter that takes any number of arguments, and its declarator.
    SpreadType(SyntaxId, SyntaxId),
    /// The method of a lambda.
    LambdaMethod(SyntaxId),
    /// A block that returns an expression: the body of `x -> x + 1`.
    ReturningBlock(SyntaxId),
    /// The return of that block.
    ImplicitReturn(SyntaxId),
    /// The block of a switch.
    SwitchBody(SyntaxId),
    /// The return value of a method: its type if it names one, else an empty place at the end of the method.
    MethodReturn(Option<SyntaxId>, SyntaxId),
}

/// A declared variable: a local, a parameter, or a field.
#[derive(Clone, Copy, Debug)]
struct Variable {
    kind: NodeKind,
    /// Name, and dimensions behind it.
    declarator: SyntaxId,
    /// The type as written, where this is the first of the names that share it.
    typed: Option<SyntaxId>,
    /// Where the modifiers stand, on the same condition.
    modifiers: Option<SyntaxId>,
}

struct JavaLowering<'a> {
    base: Base<'a>,
}

impl<'a> Deref for JavaLowering<'a> {
    type Target = Base<'a>;

    fn deref(&self) -> &Base<'a> {
        &self.base
    }
}

impl DerefMut for JavaLowering<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.base
    }
}

/// Adds the nodes of a source to `cpg`: `tops` are the syntax nodes at its top.
pub(crate) fn lower(source: &str, syntax: &Syntax, tops: &[SyntaxId], cpg: &mut CpgBuilder, budget: &Budget) {
    let mut lowering = JavaLowering {
        base: Base::new(source, syntax, cpg, budget),
    };
    lowering.top(tops);
    while let Some(task) = lowering.next_task() {
        lowering.run(task);
    }
}

impl JavaLowering<'_> {
    fn run(&mut self, task: Task) {
        match task.what {
            What::Node(syntax) => self.node(syntax, task),
            What::Leaf(kind, syntax) => {
                let name = self.text_name(syntax);
                self.add(task, kind, syntax, name);
            }
            What::Global(first, last) => self.global(first, last, task),
            What::Initialiser(block) => self.initialiser(block, task),
            What::Variable(variable) => {
                self.variable(variable, task);
            }
            What::Assignment(declarator) => self.declarator_assignment(declarator, task),
            What::FieldInitialiser(declarator, is_static) => self.field_initialiser(declarator, is_static, task),
            What::FieldInitialiserBlock(declarator) => self.field_initialiser_block(declarator, task),
            What::EnumConstantInitialiser(constant) => self.enum_constant_initialiser(constant, task),
            What::EnumConstantCall(constant) => self.enum_constant_call(constant, task),
            What::AnonymousClass(body) => self.anonymous_class(body, task),
            What::SpreadType(typed, declarator) => self.spread_type(typed, declarator, task),
            What::LambdaMethod(lambda) => self.lambda_method(lambda, task),
            What::ReturningBlock(body) => {
                let block = self.add(task, NodeKind::Block, body, NameId::EMPTY);
                self.push(block, What::ImplicitReturn(body), 1, Role::Plain);
            }
            What::ImplicitReturn(body) => {
                let returns = self.add(task, NodeKind::Return, body, NameId::EMPTY);
                self.push(returns, What::Node(body), 1, Role::Argument);
            }
            What::SwitchBody(block) => self.switch_body(block, task),
            What::MethodReturn(typed, method) => self.method_return(typed, method, task),
        }
    }

    /// The top of a file, class body or snippet: declarations, and runs of statements as a method each.
    fn top(&mut self, tops: &[SyntaxId]) {
        let syntax = self.syntax;
        let is_own = |&top: &SyntaxId| syntax.kind(top).is_declaration() || syntax.kind(top).is_comment();
        let runs: Vec<&[SyntaxId]> = tops.chunk_by(|a, b| is_own(a) == is_own(b)).collect();
        for run in runs {
            match run {
                // Only comments and declarations are ever `is_own`; a run is all of it or nothing.
                [first, ..] if is_own(first) => {
                    for &declaration in run {
                        self.push(0, What::Node(declaration), 1, Role::Plain);
                    }
                }
                [first, .., last] | [first @ last] => {
                    self.push(0, What::Global(*first, *last), 1, Role::Plain);
                }
                [] => {}
            }
        }
    }

    fn node(&mut self, syntax: SyntaxId, task: Task) {
        let node = *self.syntax.node(syntax);
        if node.missing {
            return;
        }
        match node.kind {
            Kind::LineComment | Kind::BlockComment => {
                self.add(task, NodeKind::Comment, syntax, NameId::EMPTY);
            }
            Kind::Error => {
                let unknown = self.add(task, NodeKind::Unknown, syntax, NameId::EMPTY);
                self.push_all(unknown, syntax);
            }
            Kind::Token => {}
            kind if kind.is_type() => {
                let name = self.text_name(syntax);
                self.add(task, NodeKind::TypeRef, syntax, name);
            }
            _ => {
                let known =
                    self.declaration(syntax, task) || self.statement(syntax, task) || self.expression(syntax, task);
                if !known {
                    let unknown = self.add(task, NodeKind::Unknown, syntax, NameId::EMPTY);
                    self.push_all(unknown, syntax);
                }
            }
        }
    }

    // What the parts of lowering share.

    /// The text of the child in the role of the name, as a name.
    fn field_name(&mut self, syntax: SyntaxId) -> NameId {
        self.syntax
            .field(syntax, Field::Name)
            .map_or(NameId::EMPTY, |name| self.text_name(name))
    }

    /// Every child, whatever it is.
    fn push_all(&mut self, parent: NodeId, syntax: SyntaxId) {
        for (child, order) in self.syntax.children(syntax).zip(1..) {
            self.push(parent, What::Node(child), order, Role::Plain);
        }
    }

    /// Every child as an argument, counted from 1; comments between them are kept.
    fn push_arguments(&mut self, parent: NodeId, list: SyntaxId) {
        let mut order = 0;
        for child in self.syntax.children(list) {
            let is_argument =
                !matches!(self.syntax.kind(child), Kind::Token | Kind::Error) && !self.syntax.kind(child).is_comment();
            order += u32::from(is_argument);
            let (order, role) = if is_argument {
                (order, Role::Argument)
            } else {
                (0, Role::Plain)
            };
            self.push(parent, What::Node(child), order, role);
        }
    }

    /// Comments and broken parts among the direct children: what construct-by-construct lowering would drop.
    fn push_strays(&mut self, parent: NodeId, syntax: SyntaxId) {
        for child in self.syntax.children(syntax) {
            if self.syntax.kind(child).is_comment() || self.syntax.kind(child) == Kind::Error {
                self.push(parent, What::Node(child), 0, Role::Plain);
            }
        }
    }
}
