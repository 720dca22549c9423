//! From Python's concrete syntax to the nodes of the CPG and the edges that follow from syntax alone.
//!
//! The shapes are those that [`transducer_frontend::cpg::passes`] documents. Children stand in the order in which they are
//! evaluated, which is not always that of the source: `a[i] = f()` calls `f` first.
//!
//! A source of nothing but functions whose definition evaluates nothing is those functions; any other has a method around it
//! all, `<module>`, in which they are defined.

mod comprehensions;
mod definitions;
mod expressions;
mod operators;
mod patterns;
mod scopes;
mod statements;

use std::ops::{Deref, DerefMut, Range};

use transducer_frontend::cpg::passes::Budget;
use transducer_frontend::cpg::{CpgBuilder, NameId, NodeId, NodeKind};
use transducer_treesitter::{Lowering, Role, SyntaxId};

use crate::syntax::{Field, Kind, Syntax};
use scopes::Scopes;

/// What of lowering is not Python's own.
type Base<'a> = Lowering<'a, Kind, Field, What>;
type Task = transducer_treesitter::Task<What>;

/// What to make of a piece of syntax. Where two ids stand, the second is a part of the first.
#[derive(Clone, Copy, Debug)]
enum What {
    /// Whatever its kind says.
    Node(SyntaxId),
    /// One node of that kind, named by the text of the syntax.
    Leaf(NodeKind, SyntaxId),
    /// The method around everything: `<module>`.
    Module,
    /// The declaration of a name, where it is bound first.
    Declaration(NodeKind, SyntaxId),
    /// A function or class that is defined, and the syntax with its decorators.
    Definition(SyntaxId, SyntaxId),
    /// The value of that definition.
    DefinedValue(SyntaxId, SyntaxId),
    /// The method of a function, and the syntax with its decorators.
    FunctionMethod(SyntaxId, SyntaxId),
    /// The method of a lambda.
    LambdaMethod(SyntaxId),
    /// The body of a function or class, after the names that it binds.
    ScopeBody(SyntaxId, NodeKind),
    /// A block that returns an expression: the body of a lambda.
    ReturningBlock(SyntaxId),
    /// The return of that block.
    ImplicitReturn(SyntaxId),
    /// The return value of a method: its type if it names one, else an empty place at the end of the method.
    MethodReturn(Option<SyntaxId>, SyntaxId),
    /// What is given a value.
    Target(SyntaxId),
    /// The targets of `a = b = value` up to one: indices into the lists, where the value is the first.
    Assignments(usize, usize),
    /// An `elif` and the rest of the statement after it.
    Elif(SyntaxId, SyntaxId),
    /// The `else` of a `try`.
    TryElse(SyntaxId),
    /// The block of a `match`.
    Cases(SyntaxId),
    /// The pattern and the guard of a case.
    Case(SyntaxId),
    /// A pattern.
    Pattern(SyntaxId),
    /// Patterns side by side: from one to before another of the lists.
    Parts(usize, usize),
    /// The alternatives of a pattern up to one: indices into the lists.
    Alternatives(usize, usize),
    /// `a.b.c` up to a name: indices into the lists.
    Path(usize, usize),
    /// The comparisons `a < b < c` up to an operand: indices into the lists.
    Comparisons(usize, usize),
    /// The last of them, whose first operand is the second of the one before.
    Comparison(usize),
    /// An operand: index into the lists.
    Operand(usize),
    /// The rest of a comprehension from one of its clauses.
    Clause(SyntaxId, SyntaxId),
    /// The deletion of one target, and the syntax that stands for it.
    Deleted(SyntaxId, SyntaxId),
    /// What is imported by an item of the statement.
    Imported(SyntaxId, SyntaxId),
}

struct PythonLowering<'a> {
    base: Base<'a>,
    scopes: Scopes,
    /// The parts of chains (`a < b < c`), so that none is looked for again and again.
    lists: Vec<SyntaxId>,
    /// The nodes of operands, by their place in the lists.
    operands: Vec<NodeId>,
}

impl<'a> Deref for PythonLowering<'a> {
    type Target = Base<'a>;

    fn deref(&self) -> &Base<'a> {
        &self.base
    }
}

impl DerefMut for PythonLowering<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.base
    }
}

/// Adds the nodes of a source to `cpg`.
pub(crate) fn lower(source: &str, syntax: &Syntax, cpg: &mut CpgBuilder, budget: &Budget) {
    let mut base = Base::new(source, syntax, cpg, budget);
    let scopes = Scopes::find(&mut base);
    let mut lowering = PythonLowering {
        base,
        scopes,
        lists: Vec::new(),
        operands: Vec::new(),
    };
    lowering.top();
    while let Some(task) = lowering.next_task() {
        lowering.run(task);
    }
}

impl PythonLowering<'_> {
    fn run(&mut self, task: Task) {
        match task.what {
            What::Node(id) => self.node(id, task),
            What::Leaf(kind, id) => {
                let name = self.text_name(id);
                self.add(task, kind, id, name);
            }
            What::Module => self.module(task),
            What::Declaration(kind, id) => self.declaration(kind, id, task),
            What::Definition(definition, whole) => self.definition(definition, whole, task),
            What::DefinedValue(definition, whole) => match self.syntax.kind(definition) {
                Kind::ClassDefinition => self.class(definition, whole, task),
                _ => self.function_value(definition, whole, task),
            },
            What::FunctionMethod(function, whole) => self.function_method(function, whole, task),
            What::LambdaMethod(lambda) => self.lambda_method(lambda, task),
            What::ScopeBody(owner, kind) => self.scope_body(owner, kind, task),
            What::ReturningBlock(body) => {
                let block = self.add(task, NodeKind::Block, body, NameId::EMPTY);
                self.push(block, What::ImplicitReturn(body), 1, Role::Plain);
            }
            What::ImplicitReturn(body) => {
                let returns = self.add(task, NodeKind::Return, body, NameId::EMPTY);
                self.push(returns, What::Node(body), 1, Role::Argument);
            }
            What::MethodReturn(typed, method) => self.method_return(typed, method, task),
            What::Target(id) => self.target(id, task),
            What::Assignments(first, last) => self.assignments(first, last, task),
            What::Elif(whole, clause) => self.alternative_if(whole, clause, task),
            What::TryElse(clause) => {
                let control = self.control(task, "ELSE", clause);
                self.push_all(control, clause);
            }
            What::Cases(statement) => self.cases(statement, task),
            What::Case(clause) => self.case(clause, task),
            What::Parts(first, end) => self.parts(first, end, task),
            What::Pattern(id) => self.pattern(id, task),
            What::Alternatives(first, last) => self.alternatives(first, last, task),
            What::Path(first, last) => self.path(first, last, task),
            What::Comparisons(first, last) => self.comparisons(first, last, task),
            What::Comparison(last) => self.comparison(last, task),
            What::Operand(place) => {
                self.operands[place] = self.cpg.nodes().len() as NodeId;
                self.node(self.lists[place], task);
            }
            What::Clause(whole, clause) => self.clause(whole, clause, task),
            What::Deleted(target, whole) => self.deleted(target, whole, task),
            What::Imported(statement, item) => self.imported(statement, item, task),
        }
    }

    fn node(&mut self, id: SyntaxId, task: Task) {
        let kind = self.syntax.kind(id);
        if self.syntax.node(id).missing {
            return;
        }
        match kind {
            Kind::Comment => {
                self.add(task, NodeKind::Comment, id, NameId::EMPTY);
            }
            Kind::Type => {
                let name = self.text_name(id);
                self.add(task, NodeKind::TypeRef, id, name);
            }
            kind if kind.is_silent() => {}
            _ => {
                let known = kind != Kind::Error && (self.statement(id, task) || self.expression(id, task));
                if !known {
                    let unknown = self.add(task, NodeKind::Unknown, id, NameId::EMPTY);
                    self.push_all(unknown, id);
                }
            }
        }
    }

    /// Whether it is written at all, and evaluated.
    fn is_operand(&self, id: SyntaxId) -> bool {
        let node = self.syntax.node(id);
        !node.missing && !node.kind.is_silent() && node.kind != Kind::Error
    }

    /// Whether a comma stands behind the last operand: it makes a tuple of one.
    fn ends_in_comma(&self, id: SyntaxId) -> bool {
        let Some(last) = self.operands_of(id).last() else {
            return false;
        };
        let behind = self
            .source
            .get(self.span(last).end as usize..self.span(id).end as usize);
        behind.is_some_and(|behind| behind.trim_start().starts_with(','))
    }

    fn operands_of(&self, id: SyntaxId) -> impl Iterator<Item = SyntaxId> {
        self.syntax.children(id).filter(|&child| self.is_operand(child))
    }

    /// Every child, whatever it is.
    fn push_all(&mut self, parent: NodeId, id: SyntaxId) {
        for (child, order) in self.syntax.children(id).zip(1..) {
            self.push(parent, What::Node(child), order, Role::Plain);
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

    /// Every operand as an argument, counted from 1; comments and broken parts between them are kept.
    fn push_arguments(&mut self, parent: NodeId, id: SyntaxId) {
        self.push_operands(parent, id, What::Node);
    }

    /// The same, each made into something else than what its kind says.
    fn push_operands(&mut self, parent: NodeId, id: SyntaxId, what: fn(SyntaxId) -> What) {
        let mut order = 0;
        for child in self.syntax.children(id) {
            if self.is_operand(child) {
                order += 1;
                self.push(parent, what(child), order, Role::Argument);
            } else {
                self.push(parent, What::Node(child), 0, Role::Plain);
            }
        }
    }

    /// Keeps the parts of a chain, and gives the place of the first and that behind the last.
    fn list(&mut self, parts: impl IntoIterator<Item = SyntaxId>) -> Range<usize> {
        let first = self.lists.len();
        self.lists.extend(parts);
        self.operands.resize(self.lists.len(), 0);
        first..self.lists.len()
    }
}
