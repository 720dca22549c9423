//! Expressions.

use transducer_frontend::cpg::{EdgeKind, NameId, NodeId, NodeKind, Span};
use transducer_treesitter::{Role, SyntaxId};

use super::{PythonLowering, Task, What, operators};
use crate::syntax::{Field, Kind};

impl PythonLowering<'_> {
    /// Lowers an expression; `false` where the syntax is none.
    pub(super) fn expression(&mut self, id: SyntaxId, task: Task) -> bool {
        let kind = self.syntax.kind(id);
        match kind {
            // What has no node of its own.
            Kind::Parenthesized
            | Kind::Interpolation
            | Kind::FormatSpecifier
            | Kind::FormatExpression
            | Kind::Chevron => {
                for part in self.syntax.children(id) {
                    self.instead(task, What::Node(part));
                }
            }
            Kind::WithItem => self.with_item(id, task),
            Kind::Identifier => {
                let name = self.text_name(id);
                self.add(task, NodeKind::Identifier, id, name);
            }
            Kind::Integer
            | Kind::Float
            | Kind::Ellipsis
            | Kind::StringContent
            | Kind::True
            | Kind::False
            | Kind::None => self.literal(id, task),
            Kind::String | Kind::ConcatenatedString => self.string(id, task),
            Kind::Binary | Kind::Boolean => {
                let operator = self.syntax.field(id, Field::Operator);
                let Some(operator) = operator.and_then(|operator| operators::binary(self.text(operator))) else {
                    return false;
                };
                let call = self.operator(task, operator, id);
                self.push_roles(
                    call,
                    id,
                    &[(Field::Left, Role::Argument), (Field::Right, Role::Argument)],
                );
            }
            Kind::Not => {
                let call = self.operator(task, operators::LOGICAL_NOT, id);
                self.push_roles(call, id, &[(Field::Argument, Role::Argument)]);
            }
            Kind::Unary => {
                let operator = self.syntax.field(id, Field::Operator);
                let operator = operators::unary(operator.map_or("", |operator| self.text(operator)));
                let call = self.operator(task, operator, id);
                self.push_roles(call, id, &[(Field::Argument, Role::Argument)]);
            }
            Kind::Comparison => self.comparison_chain(id, task),
            Kind::Conditional => self.conditional(id, task),
            Kind::Lambda => self.lambda(id, task),
            Kind::Named => {
                let call = self.operator(task, operators::ASSIGNMENT, id);
                self.push_roles(
                    call,
                    id,
                    &[(Field::Name, Role::Argument), (Field::Value, Role::Argument)],
                );
            }
            Kind::Call => self.call(id, task),
            Kind::Attribute => {
                let call = self.operator(task, operators::FIELD_ACCESS, id);
                for part in self.syntax.children(id) {
                    match self.syntax.node(part).field {
                        Field::Object => self.push(call, What::Node(part), 1, Role::Argument),
                        Field::Attribute => {
                            self.push(call, What::Leaf(NodeKind::FieldIdentifier, part), 2, Role::Argument);
                        }
                        _ => self.push(call, What::Node(part), 0, Role::Plain),
                    }
                }
            }
            Kind::KeywordArgument => {
                for part in self.syntax.children(id) {
                    match self.syntax.node(part).field {
                        Field::Name => self.keyword(part, task),
                        _ => self.instead(task, What::Node(part)),
                    }
                }
            }
            Kind::Pair => {
                for part in self.syntax.children(id) {
                    self.instead(task, What::Node(part));
                }
            }
            Kind::DottedName => {
                let names = self.list(self.syntax.children(id));
                if names.is_empty() {
                    return false;
                }
                self.instead(task, What::Path(names.start, names.end - 1));
            }
            _ if kind.is_comprehension() => self.comprehension(id, task),
            _ => {
                let Some(operator) = self.operator_of(id) else {
                    return false;
                };
                let call = self.operator(task, operator, id);
                self.push_arguments(call, id);
            }
        }
        true
    }

    /// The operators whose operands are their children, whatever these are.
    fn operator_of(&self, id: SyntaxId) -> Option<&'static str> {
        Some(match self.syntax.kind(id) {
            Kind::Await => operators::AWAIT,
            Kind::Yield => {
                let after = self.text(id).strip_prefix("yield").unwrap_or_default().trim_start();
                let continues_name = |rest: &str| rest.starts_with(|next: char| next.is_alphanumeric() || next == '_');
                let is_delegated = after.strip_prefix("from").is_some_and(|rest| !continues_name(rest));
                if is_delegated {
                    operators::YIELD_FROM
                } else {
                    operators::YIELD
                }
            }
            Kind::Subscript => operators::INDEX_ACCESS,
            Kind::Slice => operators::SLICE,
            Kind::List | Kind::ListPattern => operators::LIST,
            Kind::Tuple | Kind::TuplePattern | Kind::ExpressionList | Kind::PatternList => operators::TUPLE,
            Kind::Set => operators::SET,
            Kind::Dictionary => operators::DICTIONARY,
            Kind::ListSplat | Kind::ListSplatPattern | Kind::ParenthesizedSplat => operators::SPLAT,
            Kind::DictionarySplat | Kind::DictionarySplatPattern => operators::DICTIONARY_SPLAT,
            _ => return None,
        })
    }

    fn literal(&mut self, id: SyntaxId, task: Task) {
        // Named, so that an endless `while True`, also written `while 1`, can be told.
        let is_named = matches!(self.text(id), "True" | "False" | "None" | "1");
        let name = if is_named { self.text_name(id) } else { NameId::EMPTY };
        self.add(task, NodeKind::Literal, id, name);
    }

    /// A string, or several after one another: a literal, unless something is put into it.
    fn string(&mut self, id: SyntaxId, task: Task) {
        let syntax = self.syntax;
        let is_format = match syntax.kind(id) {
            Kind::String => syntax.child(id, Kind::Interpolation).is_some(),
            _ => syntax
                .children(id)
                .any(|part| syntax.child(part, Kind::Interpolation).is_some()),
        };
        if is_format {
            let call = self.operator(task, operators::FORMAT, id);
            self.push_arguments(call, id);
        } else {
            self.add(task, NodeKind::Literal, id, NameId::EMPTY);
        }
    }

    /// The name of the argument after it; it is not evaluated.
    fn keyword(&mut self, name: SyntaxId, task: Task) {
        let keyword = Task {
            order: 0,
            role: Role::Plain,
            ..task
        };
        self.instead(keyword, What::Leaf(NodeKind::FieldIdentifier, name));
    }

    /// `value if condition else other`: the condition comes first.
    fn conditional(&mut self, id: SyntaxId, task: Task) {
        let call = self.operator(task, operators::CONDITIONAL, id);
        let mut orders = [2, 1, 3].into_iter();
        for part in self.syntax.children(id) {
            let order = if self.is_operand(part) { orders.next() } else { None };
            match order {
                Some(order) => self.push(call, What::Node(part), order, Role::Argument),
                None => self.push(call, What::Node(part), 0, Role::Plain),
            }
        }
    }

    /// `f(…)` evaluates `f`, `a.f(…)` evaluates `a`, then the arguments.
    fn call(&mut self, id: SyntaxId, task: Task) {
        let function = self.syntax.field(id, Field::Function);
        let name = function.and_then(|function| match self.syntax.kind(function) {
            Kind::Identifier => Some(function),
            Kind::Attribute => self.syntax.field(function, Field::Attribute),
            _ => None,
        });
        let name = name.map_or(NameId::EMPTY, |name| self.text_name(name));
        let call = self.add(task, NodeKind::Call, id, name);
        for part in self.syntax.children(id) {
            match self.syntax.node(part).field {
                Field::Function if self.syntax.kind(part) == Kind::Attribute => {
                    for inner in self.syntax.children(part) {
                        match self.syntax.node(inner).field {
                            Field::Object => self.push(call, What::Node(inner), 0, Role::Receiver),
                            Field::Attribute => {}
                            _ => self.push(call, What::Node(inner), 0, Role::Plain),
                        }
                    }
                }
                Field::Function => self.push(call, What::Node(part), 0, Role::Callee),
                Field::Arguments if self.syntax.kind(part) == Kind::ArgumentList => self.push_arguments(call, part),
                // A generator needs no parentheses of its own.
                Field::Arguments => self.push(call, What::Node(part), 1, Role::Argument),
                _ => self.push(call, What::Node(part), 0, Role::Plain),
            }
        }
    }

    // Chains.

    /// `a < b < c` is `a < b and b < c`, where `b` is evaluated once.
    fn comparison_chain(&mut self, id: SyntaxId, task: Task) {
        let syntax = self.syntax;
        let is_part = |part: &SyntaxId| syntax.node(*part).field == Field::Operators || self.is_operand(*part);
        let parts: Vec<SyntaxId> = syntax.children(id).filter(is_part).collect();
        if parts.len() < 3 || parts.len().is_multiple_of(2) {
            // Broken: no operand stands on one side.
            let call = self.operator(task, operators::PATTERN, id);
            return self.push_arguments(call, id);
        }
        let parts = self.list(parts);
        self.instead(task, What::Comparisons(parts.start, parts.end - 1));
    }

    /// All comparisons up to the operand at `last`; operators stand between operands in the list.
    pub(super) fn comparisons(&mut self, first: usize, last: usize, task: Task) {
        let line = self.syntax.node(self.lists[first]).line;
        let span = Span {
            start: self.syntax.node(self.lists[first]).start,
            end: self.syntax.node(self.lists[last]).end,
        };
        if last == first + 2 {
            let operator = operators::comparison(self.text(self.lists[first + 1]));
            let name = self.cpg.intern(operator);
            let call = self.add_span(task, NodeKind::Call, span, line, name);
            self.push(call, What::Operand(first), 1, Role::Argument);
            self.push(call, What::Operand(last), 2, Role::Argument);
        } else {
            let name = self.cpg.intern(operators::LOGICAL_AND);
            let call = self.add_span(task, NodeKind::Call, span, line, name);
            self.push(call, What::Comparisons(first, last - 2), 1, Role::Argument);
            self.push(call, What::Comparison(last), 2, Role::Argument);
        }
    }

    /// The comparison with the operand at `last`. The operand before was evaluated for the comparison before: it is an argument
    /// of both, and a child of that one.
    pub(super) fn comparison(&mut self, last: usize, task: Task) {
        let (before, operator) = (self.lists[last - 2], self.lists[last - 1]);
        let span = Span {
            start: self.syntax.node(before).start,
            end: self.syntax.node(self.lists[last]).end,
        };
        let operator = operators::comparison(self.text(operator));
        let (name, line) = (self.cpg.intern(operator), self.syntax.node(before).line);
        let call = self.add_span(task, NodeKind::Call, span, line, name);
        let shared = self.operands[last - 2];
        self.cpg.edge(EdgeKind::Argument, call, shared);
        self.push(call, What::Operand(last), 2, Role::Argument);
    }

    /// `a.b.c` where the grammar has names only.
    pub(super) fn path(&mut self, first: usize, last: usize, task: Task) {
        let name = self.lists[last];
        if first == last {
            return self.instead(task, What::Leaf(NodeKind::Identifier, name));
        }
        let from = self.lists[first];
        let (span, line) = (
            Span {
                start: self.syntax.node(from).start,
                end: self.syntax.node(name).end,
            },
            self.syntax.node(from).line,
        );
        let operator = self.cpg.intern(operators::FIELD_ACCESS);
        let call: NodeId = self.add_span(task, NodeKind::Call, span, line, operator);
        self.push(call, What::Path(first, last - 1), 1, Role::Argument);
        self.push(call, What::Leaf(NodeKind::FieldIdentifier, name), 2, Role::Argument);
    }
}
