//! From Java's concrete syntax to the nodes of the CPG and the edges that follow from syntax alone.
//!
//! Lowering is a stack of tasks, not a recursion: a task adds one node and pushes a task for each child, so that nodes come
//! in pre-order and nesting is bounded by memory alone. The shapes are those that [`transducer_frontend::cpg::passes`]
//! documents.

mod declarations;
mod expressions;
mod operators;
mod statements;

use transducer_frontend::cpg::passes::Budget;
use transducer_frontend::cpg::{CpgBuilder, EdgeKind, NameId, NodeId, NodeKind, NodeSpec, Severity, Span};

use crate::syntax::{Field, Kind, Syntax, SyntaxId, SyntaxNode};

/// What a child is to its parent, besides its child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Plain,
    Argument,
    Receiver,
    Condition,
}

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

#[derive(Clone, Copy, Debug)]
struct Task {
    what: What,
    parent: NodeId,
    order: u32,
    role: Role,
}

/// Bytes of a name that is taken over as such. Longer ones come from broken code only, and would be kept twice.
const LONGEST_NAME: usize = 4096;

pub(crate) struct Lowering<'a> {
    source: &'a str,
    syntax: &'a Syntax,
    cpg: &'a mut CpgBuilder,
    stack: Vec<Task>,
    /// Where each line but the first starts.
    line_starts: Vec<u32>,
}

/// Adds the nodes of a source to `cpg`: `tops` are the syntax nodes at its top.
pub(crate) fn lower(source: &str, syntax: &Syntax, tops: &[SyntaxId], cpg: &mut CpgBuilder, budget: &Budget) {
    let line_starts = source
        .bytes()
        .zip(1..)
        .filter(|&(byte, _)| byte == b'\n')
        .map(|(_, next)| next)
        .collect();
    let mut lowering = Lowering {
        source,
        syntax,
        cpg,
        stack: Vec::new(),
        line_starts,
    };
    lowering.top(tops);
    lowering.stack.reverse();
    let mut steps = 0_u32;
    while let Some(task) = lowering.stack.pop() {
        // Looking at the clock costs as much as lowering a node.
        steps = steps.wrapping_add(1);
        let late = steps.is_multiple_of(1024) && budget.is_late();
        if lowering.cpg.nodes().len() >= budget.max_nodes || late {
            let at = lowering
                .cpg
                .nodes()
                .last()
                .map_or((Span::default(), 1), |node| (node.span, node.line));
            let limit = if late {
                "time limit".to_owned()
            } else {
                format!("limit of {} nodes", budget.max_nodes)
            };
            let message = format!("the {limit} was reached: the source after this is left out");
            lowering.cpg.diagnostic(Severity::Error, at.0, at.1, message);
            break;
        }
        let first_new = lowering.stack.len();
        lowering.run(task);
        lowering.stack[first_new..].reverse();
    }
    number_siblings(lowering.cpg);
}

/// Numbers the children of nodes whose children have no role of their own.
fn number_siblings(cpg: &mut CpgBuilder) {
    let mut counts = vec![0_u32; cpg.nodes().len()];
    for node in 1..cpg.nodes().len() as NodeId {
        let parent = cpg.parents()[node as usize] as usize;
        let has_roles = matches!(
            cpg.nodes()[parent].kind,
            NodeKind::Call | NodeKind::ControlStructure | NodeKind::Return | NodeKind::MethodRef
        );
        if !has_roles {
            counts[parent] += 1;
            cpg.node_mut(node).order = counts[parent];
        }
    }
}

impl<'a> Lowering<'a> {
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
        let is_own = |&top: &SyntaxId| self.syntax.kind(top).is_declaration() || self.syntax.kind(top).is_comment();
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

    fn text(&self, syntax: SyntaxId) -> &'a str {
        let SyntaxNode { start, end, .. } = *self.syntax.node(syntax);
        Span { start, end }.text(self.source).unwrap_or_default()
    }

    /// The line of a byte, from 1.
    fn line_of(&self, byte: u32) -> u32 {
        self.line_starts.partition_point(|&start| start <= byte) as u32 + 1
    }

    /// The text of a syntax node as a name.
    fn text_name(&mut self, syntax: SyntaxId) -> NameId {
        let text = self.text(syntax);
        self.cpg.intern(&text[..text.floor_char_boundary(LONGEST_NAME)])
    }

    /// The text of the child in the role of the name, as a name.
    fn field_name(&mut self, syntax: SyntaxId) -> NameId {
        self.syntax
            .field(syntax, Field::Name)
            .map_or(NameId::EMPTY, |name| self.text_name(name))
    }

    /// Adds the node of a task over a syntax node, and the edge of its role.
    fn add(&mut self, task: Task, kind: NodeKind, syntax: SyntaxId, name: NameId) -> NodeId {
        let SyntaxNode { start, end, line, .. } = *self.syntax.node(syntax);
        self.add_span(task, kind, Span { start, end }, line, name)
    }

    fn add_span(&mut self, task: Task, kind: NodeKind, span: Span, line: u32, name: NameId) -> NodeId {
        let Task {
            parent, order, role, ..
        } = task;
        let id = self.cpg.add(
            parent,
            NodeSpec {
                kind,
                span,
                line,
                order,
                name,
            },
        );
        match role {
            Role::Plain => {}
            Role::Argument => self.cpg.edge(EdgeKind::Argument, parent, id),
            Role::Receiver => {
                self.cpg.edge(EdgeKind::Argument, parent, id);
                self.cpg.edge(EdgeKind::Receiver, parent, id);
            }
            Role::Condition => self.cpg.edge(EdgeKind::Condition, parent, id),
        }
        id
    }

    fn push(&mut self, parent: NodeId, what: What, order: u32, role: Role) {
        self.stack.push(Task {
            what,
            parent,
            order,
            role,
        });
    }

    /// The same task for another piece of syntax: what has no node of its own hands its place on.
    fn instead(&mut self, task: Task, what: What) {
        self.stack.push(Task { what, ..task });
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
