//! From Lua's concrete syntax to the nodes of the CPG and the edges that follow from syntax alone.
//!
//! The shapes are those that [`transducer_frontend::cpg::passes`] documents. What a task makes below a node it pushes as further
//! tasks: nothing here calls itself, and source may nest as deep as it likes.

use transducer_frontend::cpg::passes::Budget;
use transducer_frontend::cpg::{CpgBuilder, NameId, NodeId, NodeKind, Severity, Span};
use transducer_treesitter::{Lowering, Role, SyntaxId};

use crate::{Field, Kind, Syntax};

type Task = transducer_treesitter::Task<What>;

/// Adds the nodes of a source to `cpg`.
pub(crate) fn lower(source: &str, syntax: &Syntax, cpg: &mut CpgBuilder, budget: &Budget) {
    let mut lua = Lua {
        base: Lowering::new(source, syntax, cpg, budget),
        not_lowered: 0,
    };
    lua.base.push(0, What::Method(0), 1, Role::Plain);
    while let Some(task) = lua.base.next_task() {
        lua.run(task);
    }
    if lua.not_lowered > 0 {
        let message = format!("{} constructs are not lowered: see UNKNOWN", lua.not_lowered);
        lua.base.cpg.diagnostic(Severity::Note, Span::default(), 1, message);
    }
}

/// What to make of a piece of syntax.
#[derive(Clone, Copy, Debug)]
enum What {
    /// Whatever its kind says.
    Node(SyntaxId),
    /// One node of that kind, named by its text.
    Leaf(NodeKind, SyntaxId),
    /// A function as a value.
    Reference(SyntaxId),
    /// The `METHOD` of a function, or of the whole chunk.
    Method(SyntaxId),
    /// The block of such a method.
    Block(SyntaxId),
    /// The end of a method.
    End(SyntaxId),
    /// What stands behind `local`: names, or an assignment.
    Local(SyntaxId),
    /// What is assigned to, and whether it is declared by that: one name, or all of a list.
    Targets(SyntaxId, bool),
    /// What is assigned: one value, or all of a list.
    Values(SyntaxId),
    /// The alternatives of an `if`, from one of them on.
    Else(SyntaxId, SyntaxId),
}

struct Lua<'a> {
    base: Lowering<'a, Kind, Field, What>,
    /// Constructs that became an `UNKNOWN`.
    not_lowered: usize,
}

impl Lua<'_> {
    fn run(&mut self, task: Task) {
        match task.what {
            What::Node(id) => self.node(id, task),
            What::Leaf(kind, id) => self.leaf(kind, id, task),
            What::Reference(id) => {
                let name = self.method_name(id);
                let reference = self.base.add(task, NodeKind::MethodRef, id, name);
                self.base.push(reference, What::Method(id), 1, Role::Plain);
            }
            What::Method(id) => self.method(id, task),
            What::Block(id) => self.block(id, task),
            What::End(id) => {
                let end = self.base.syntax.node(id).end;
                let line = self.base.line_of(end);
                self.base.add_span(
                    task,
                    NodeKind::MethodReturn,
                    Span { start: end, end },
                    line,
                    NameId::EMPTY,
                );
            }
            What::Local(id) => match self.base.syntax.kind(id) {
                Kind::Variables => self.locals(id, task),
                Kind::Assignment => self.assign(id, true, task),
                _ => self.node(id, task),
            },
            What::Targets(list, is_local) => self.list(list, "<operator>.unpack", is_local, task),
            What::Values(list) => self.list(list, "<operator>.tupleLiteral", false, task),
            What::Else(all, one) if self.base.syntax.kind(one) == Kind::Elseif => self.branch(all, one, task),
            What::Else(_, one) => self.hand_on(one, task),
        }
    }

    /// Lowers a piece of syntax by its kind.
    fn node(&mut self, id: SyntaxId, task: Task) {
        let syntax = self.base.syntax;
        if syntax.node(id).missing {
            return;
        }
        match syntax.kind(id) {
            Kind::Token | Kind::Empty => {}
            Kind::Comment => {
                let beside = Task {
                    role: Role::Plain,
                    ..task
                };
                self.base.add(beside, NodeKind::Comment, id, NameId::EMPTY);
            }
            Kind::Identifier | Kind::Vararg => self.leaf(NodeKind::Identifier, id, task),
            Kind::False | Kind::Nil | Kind::Number | Kind::String | Kind::True => {
                self.leaf(NodeKind::Literal, id, task);
            }
            Kind::Do | Kind::Parenthesized | Kind::Expressions | Kind::Variables => self.hand_on(id, task),
            Kind::Block => self.block(id, task),
            Kind::Break => _ = self.base.control(task, "BREAK", id),
            Kind::While => {
                let control = self.base.control(task, "WHILE", id);
                self.push_fields(
                    control,
                    id,
                    &[(Field::Condition, Role::Condition), (Field::Body, Role::Plain)],
                );
            }
            Kind::If => self.branch(id, id, task),
            Kind::Return => {
                let returns = self.base.add(task, NodeKind::Return, id, NameId::EMPTY);
                for values in syntax.children(id) {
                    self.push_arguments(returns, values);
                }
            }
            Kind::Function => {
                let Some(name) = syntax.field(id, Field::Name) else {
                    return self.unknown(id, task);
                };
                // `local function f` is `local f; f = function`: the function is in its own sight.
                if syntax.node(id).field == Field::Local {
                    let beside = Task {
                        role: Role::Plain,
                        ..task
                    };
                    self.leaf(NodeKind::Local, name, beside);
                }
                self.assignment(id, (What::Node(name), 1), (What::Reference(id), 2), task);
            }
            Kind::FunctionValue => self.base.instead(task, What::Reference(id)),
            Kind::VariableDeclaration if syntax.node(id).field == Field::Local => {
                for child in syntax.children(id) {
                    self.base.instead(task, What::Local(child));
                }
            }
            Kind::VariableDeclaration => self.hand_on(id, task),
            Kind::Assignment => self.assign(id, false, task),
            Kind::Call => self.call(id, task),
            Kind::Binary | Kind::Unary => match self.operator_name(id) {
                Some(name) => {
                    let call = self.base.operator(task, name, id);
                    let operand = if syntax.kind(id) == Kind::Unary {
                        Field::Operand
                    } else {
                        Field::Left
                    };
                    self.push_fields(call, id, &[(operand, Role::Argument), (Field::Right, Role::Argument)]);
                }
                None => self.unknown(id, task),
            },
            _ => self.unknown(id, task),
        }
    }

    /// What has no case here, over its parts: nothing of the source is lost.
    fn unknown(&mut self, id: SyntaxId, task: Task) {
        // What could not be parsed is reported as such.
        self.not_lowered += usize::from(self.base.syntax.kind(id) != Kind::Error);
        let unknown = self.base.add(task, NodeKind::Unknown, id, NameId::EMPTY);
        self.push_all(unknown, id);
    }

    fn block(&mut self, id: SyntaxId, task: Task) {
        let block = self.base.add(task, NodeKind::Block, id, NameId::EMPTY);
        self.push_all(block, id);
    }

    /// `METHOD`: its parameters, a `BLOCK`, and its end. The chunk is a function without a name or parameters.
    fn method(&mut self, id: SyntaxId, task: Task) {
        let name = self.method_name(id);
        let method = self.base.add(task, NodeKind::Method, id, name);
        let syntax = self.base.syntax;
        let lists = syntax.field(id, Field::Parameters).into_iter();
        for parameter in lists.flat_map(|list| syntax.children(list)) {
            let is_name = matches!(syntax.kind(parameter), Kind::Identifier | Kind::Vararg);
            let leaf = What::Leaf(NodeKind::MethodParameterIn, parameter);
            self.base.push(
                method,
                if is_name { leaf } else { What::Node(parameter) },
                1,
                Role::Plain,
            );
        }
        // An empty function has no block of its own; the chunk is its own block.
        let body = if id == 0 {
            Some(id)
        } else {
            syntax.field(id, Field::Body)
        };
        if let Some(body) = body {
            self.base.push(method, What::Block(body), 1, Role::Plain);
        }
        self.base.push(method, What::End(id), 1, Role::Plain);
    }

    fn method_name(&mut self, id: SyntaxId) -> NameId {
        match self.base.syntax.field(id, Field::Name) {
            Some(name) => self.base.text_name(name),
            None => self.base.cpg.intern(if id == 0 { "<module>" } else { "<lambda>" }),
        }
    }

    /// `IF` of an `if` or of one of its `elseif`s; the alternatives after it are its third child.
    fn branch(&mut self, all: SyntaxId, id: SyntaxId, task: Task) {
        let control = self.base.control(task, "IF", id);
        let syntax = self.base.syntax;
        for child in syntax.children(id) {
            let (what, order, role) = match syntax.node(child).field {
                Field::Condition => (What::Node(child), 1, Role::Condition),
                Field::Consequence => (What::Node(child), 2, Role::Plain),
                Field::Alternative => continue,
                _ => (What::Node(child), 0, Role::Plain),
            };
            self.base.push(control, what, order, role);
        }
        let end = syntax.node(all).next;
        let mut after = if id == all { id + 1 } else { syntax.node(id).next };
        while after < end && syntax.node(after).field != Field::Alternative {
            after = syntax.node(after).next;
        }
        if after < end {
            self.base.push(control, What::Else(all, after), 3, Role::Plain);
        }
    }

    /// A declaration without a value.
    fn locals(&mut self, list: SyntaxId, task: Task) {
        let syntax = self.base.syntax;
        for name in syntax
            .children(list)
            .filter(|&name| syntax.node(name).field == Field::Name)
        {
            self.base.instead(task, What::Leaf(NodeKind::Local, name));
        }
    }

    /// `a, b = x, y`. Values come first: `local a = a` reads an outer `a`.
    fn assign(&mut self, id: SyntaxId, is_local: bool, task: Task) {
        let targets = self.base.syntax.child(id, Kind::Variables);
        let values = self.base.syntax.child(id, Kind::Expressions);
        match targets.zip(values) {
            Some((targets, values)) => {
                self.assignment(
                    id,
                    (What::Values(values), 2),
                    (What::Targets(targets, is_local), 1),
                    task,
                );
            }
            None => self.unknown(id, task),
        }
    }

    /// The call of `=`, its two arguments in the order in which they are evaluated.
    fn assignment(&mut self, id: SyntaxId, first: (What, u32), second: (What, u32), task: Task) {
        let call = self.base.operator(task, "<operator>.assignment", id);
        for (what, order) in [first, second] {
            self.base.push(call, what, order, Role::Argument);
        }
    }

    /// The one operand of a list, or a call of `operator` over all of them.
    fn list(&mut self, list: SyntaxId, operator: &str, is_local: bool, task: Task) {
        let syntax = self.base.syntax;
        let what = |id| {
            if is_local && syntax.kind(id) == Kind::Identifier {
                What::Leaf(NodeKind::Local, id)
            } else {
                What::Node(id)
            }
        };
        let operands = syntax.children(list).filter(|&child| is_operand(syntax.kind(child)));
        if operands.clone().count() == 1 {
            return syntax
                .children(list)
                .for_each(|child| self.base.instead(task, what(child)));
        }
        let call = self.base.operator(task, operator, list);
        for (operand, order) in operands.zip(1..) {
            self.base.push(call, what(operand), order, Role::Argument);
        }
    }

    /// `f(x)`: the function called, then its arguments.
    fn call(&mut self, id: SyntaxId, task: Task) {
        let syntax = self.base.syntax;
        let name = syntax
            .field(id, Field::Name)
            .map_or(NameId::EMPTY, |name| self.base.text_name(name));
        let call = self.base.add(task, NodeKind::Call, id, name);
        for child in syntax.children(id) {
            match syntax.node(child).field {
                Field::Name => self.base.push(call, What::Node(child), 0, Role::Callee),
                Field::Arguments => self.push_arguments(call, child),
                _ => self.base.push(call, What::Node(child), 0, Role::Plain),
            }
        }
    }

    fn operator_name(&self, id: SyntaxId) -> Option<&'static str> {
        let operator = self.base.syntax.field(id, Field::Operator)?;
        Some(match (self.base.syntax.kind(id), self.base.text(operator)) {
            (Kind::Unary, "-") => "<operator>.minus",
            (Kind::Unary, "not") => "<operator>.logicalNot",
            (Kind::Unary, "#") => "<operator>.lengthOf",
            (Kind::Binary, "and") => "<operator>.logicalAnd",
            (Kind::Binary, "or") => "<operator>.logicalOr",
            (Kind::Binary, "+") => "<operator>.addition",
            (Kind::Binary, "-") => "<operator>.subtraction",
            (Kind::Binary, "*") => "<operator>.multiplication",
            (Kind::Binary, "/") => "<operator>.division",
            (Kind::Binary, "==") => "<operator>.equals",
            (Kind::Binary, "~=") => "<operator>.notEquals",
            (Kind::Binary, "<") => "<operator>.lessThan",
            (Kind::Binary, "<=") => "<operator>.lessEqualsThan",
            (Kind::Binary, ">") => "<operator>.greaterThan",
            (Kind::Binary, ">=") => "<operator>.greaterEqualsThan",
            _ => return None,
        })
    }

    // What the constructs share.

    fn leaf(&mut self, kind: NodeKind, id: SyntaxId, task: Task) {
        let name = self.base.text_name(id);
        self.base.add(task, kind, id, name);
    }

    /// Every child in the place of the parent, which has no node of its own.
    fn hand_on(&mut self, id: SyntaxId, task: Task) {
        for child in self.base.syntax.children(id) {
            self.base.instead(task, What::Node(child));
        }
    }

    fn push_all(&mut self, parent: NodeId, id: SyntaxId) {
        for (child, order) in self.base.syntax.children(id).zip(1..) {
            self.base.push(parent, What::Node(child), order, Role::Plain);
        }
    }

    /// The children in some fields, numbered from 1 in the order of `known`; others keep their place without a role.
    fn push_fields(&mut self, parent: NodeId, id: SyntaxId, known: &[(Field, Role)]) {
        for child in self.base.syntax.children(id) {
            let field = self.base.syntax.node(child).field;
            let place = known.iter().zip(1..).find(|((name, _), _)| *name == field);
            let (order, role) = place.map_or((0, Role::Plain), |(&(_, role), order)| (order, role));
            self.base.push(parent, What::Node(child), order, role);
        }
    }

    /// Every operand as an argument, counted from 1.
    fn push_arguments(&mut self, parent: NodeId, id: SyntaxId) {
        let mut count = 0;
        for child in self.base.syntax.children(id) {
            let is_argument = is_operand(self.base.syntax.kind(child));
            count += u32::from(is_argument);
            let (order, role) = if is_argument {
                (count, Role::Argument)
            } else {
                (0, Role::Plain)
            };
            self.base.push(parent, What::Node(child), order, role);
        }
    }
}

/// Neither a comment nor a token nor broken.
fn is_operand(kind: Kind) -> bool {
    !matches!(kind, Kind::Comment | Kind::Token | Kind::Error)
}
