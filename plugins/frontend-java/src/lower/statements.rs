//! Statements.

use transducer_frontend::cpg::{NameId, NodeKind};
use transducer_treesitter::{Role, SyntaxId};

use super::{JavaLowering, Task, Variable, What, operators};
use crate::syntax::{Field, Kind};

impl JavaLowering<'_> {
    /// Lowers a statement; `false` where the syntax is none.
    pub(super) fn statement(&mut self, syntax: SyntaxId, task: Task) -> bool {
        match self.syntax.kind(syntax) {
            Kind::Block | Kind::ConstructorBody => {
                let block = self.add(task, NodeKind::Block, syntax, NameId::EMPTY);
                self.push_all(block, syntax);
            }
            Kind::ExpressionStatement => {
                for child in self.syntax.children(syntax) {
                    self.instead(task, What::Node(child));
                }
            }
            Kind::LocalVariable => self.locals(syntax, task),
            Kind::If => {
                let roles = [(Field::Condition, 1), (Field::Consequence, 2), (Field::Alternative, 3)];
                self.control_in_order("IF", syntax, &roles, task);
            }
            Kind::While => {
                self.control_in_order("WHILE", syntax, &[(Field::Condition, 1), (Field::Body, 2)], task);
            }
            Kind::Do => {
                self.control_in_order("DO", syntax, &[(Field::Body, 1), (Field::Condition, 2)], task);
            }
            Kind::For => {
                let roles = [
                    (Field::Init, 1),
                    (Field::Condition, 2),
                    (Field::Update, 3),
                    (Field::Body, 4),
                ];
                self.control_in_order("FOR", syntax, &roles, task);
            }
            Kind::EnhancedFor => {
                let control = self.control(task, "FOREACH", syntax);
                let variable = Variable {
                    kind: NodeKind::Local,
                    declarator: syntax,
                    typed: self.syntax.field(syntax, Field::Type),
                    modifiers: self.syntax.child(syntax, Kind::Modifiers),
                };
                // What is iterated is evaluated first, and does not see the variable.
                if let Some(iterated) = self.syntax.field(syntax, Field::Value) {
                    self.push(control, What::Node(iterated), 2, Role::Plain);
                }
                self.push(control, What::Variable(variable), 1, Role::Plain);
                if let Some(body) = self.syntax.field(syntax, Field::Body) {
                    self.push(control, What::Node(body), 3, Role::Plain);
                }
                self.push_strays(control, syntax);
            }
            Kind::Labeled => self.labeled(syntax, task),
            Kind::Switch => self.switch(syntax, task),
            Kind::Break => self.jump("BREAK", syntax, task),
            Kind::Continue => self.jump("CONTINUE", syntax, task),
            Kind::Yield => self.with_operands("YIELD", syntax, task),
            Kind::Throw => self.with_operands("THROW", syntax, task),
            Kind::Assert => {
                let control = self.control(task, operators::ASSERT, syntax);
                let mut order = 0;
                for child in self.syntax.children(syntax) {
                    let is_operand = self.is_operand(child);
                    order += u32::from(is_operand);
                    let role = if is_operand && order == 1 {
                        Role::Condition
                    } else {
                        Role::Plain
                    };
                    self.push(control, What::Node(child), if is_operand { order } else { 0 }, role);
                }
            }
            Kind::Return => {
                let returns = self.add(task, NodeKind::Return, syntax, NameId::EMPTY);
                self.push_arguments(returns, syntax);
            }
            Kind::Synchronized => {
                let control = self.control(task, "SYNCHRONIZED", syntax);
                self.push_all(control, syntax);
            }
            Kind::Try | Kind::TryWithResources => {
                let control = self.control(task, "TRY", syntax);
                self.push_all(control, syntax);
            }
            Kind::ResourceSpecification => {
                for resource in self.syntax.children(syntax) {
                    self.instead(task, What::Node(resource));
                }
            }
            Kind::Resource => self.resource(syntax, task),
            Kind::CatchClause => {
                let control = self.control(task, "CATCH", syntax);
                self.push_all(control, syntax);
            }
            Kind::CatchParameter => {
                let variable = Variable {
                    kind: NodeKind::Local,
                    declarator: syntax,
                    typed: self.syntax.child(syntax, Kind::CatchType),
                    modifiers: self.syntax.child(syntax, Kind::Modifiers),
                };
                self.instead(task, What::Variable(variable));
            }
            Kind::FinallyClause => {
                let control = self.control(task, "FINALLY", syntax);
                self.push_all(control, syntax);
            }
            _ => return false,
        }
        true
    }

    fn is_operand(&self, syntax: SyntaxId) -> bool {
        let kind = self.syntax.kind(syntax);
        !kind.is_comment() && !matches!(kind, Kind::Token | Kind::Error)
    }

    /// A control structure whose children have the orders given by their fields.
    fn control_in_order(&mut self, name: &str, syntax: SyntaxId, roles: &[(Field, u32)], task: Task) {
        let control = self.control(task, name, syntax);
        for child in self.syntax.children(syntax) {
            let field = self.syntax.node(child).field;
            let order = roles
                .iter()
                .find(|(role, _)| *role == field)
                .map_or(0, |&(_, order)| order);
            let role = if field == Field::Condition {
                Role::Condition
            } else {
                Role::Plain
            };
            self.push(control, What::Node(child), order, role);
        }
    }

    /// `yield` and `throw`.
    fn with_operands(&mut self, name: &str, syntax: SyntaxId, task: Task) {
        let control = self.control(task, name, syntax);
        self.push_arguments(control, syntax);
    }

    /// `break` and `continue`: named; a label is a jump target below them.
    fn jump(&mut self, name: &str, syntax: SyntaxId, task: Task) {
        let control = self.control(task, name, syntax);
        for child in self.syntax.children(syntax) {
            let is_label = self.syntax.kind(child) == Kind::Identifier;
            let what = if is_label {
                What::Leaf(NodeKind::JumpTarget, child)
            } else {
                What::Node(child)
            };
            self.push(control, what, 1, Role::Plain);
        }
    }

    /// `label: statement`: a block of the jump target and the statement.
    fn labeled(&mut self, syntax: SyntaxId, task: Task) {
        let block = self.add(task, NodeKind::Block, syntax, NameId::EMPTY);
        let label = self.syntax.child(syntax, Kind::Identifier);
        for child in self.syntax.children(syntax) {
            let what = if Some(child) == label {
                What::Leaf(NodeKind::JumpTarget, child)
            } else {
                What::Node(child)
            };
            self.push(block, what, 1, Role::Plain);
        }
    }

    fn locals(&mut self, syntax: SyntaxId, task: Task) {
        let mut modifiers = self.syntax.child(syntax, Kind::Modifiers);
        let mut typed = self.syntax.field(syntax, Field::Type);
        for declarator in self.syntax.children(syntax) {
            if self.syntax.node(declarator).field == Field::Declarator {
                let variable = Variable {
                    kind: NodeKind::Local,
                    declarator,
                    typed: typed.take(),
                    modifiers: modifiers.take(),
                };
                self.instead(task, What::Variable(variable));
                if self.syntax.field(declarator, Field::Value).is_some() {
                    self.instead(task, What::Assignment(declarator));
                }
            } else if self.syntax.kind(declarator).is_comment() || self.syntax.kind(declarator) == Kind::Error {
                self.instead(task, What::Node(declarator));
            }
        }
    }

    fn resource(&mut self, syntax: SyntaxId, task: Task) {
        if self.syntax.field(syntax, Field::Value).is_none() {
            // A variable that exists already: its use is all there is.
            for child in self.syntax.children(syntax) {
                self.instead(task, What::Node(child));
            }
            return;
        }
        let variable = Variable {
            kind: NodeKind::Local,
            declarator: syntax,
            typed: self.syntax.field(syntax, Field::Type),
            modifiers: self.syntax.child(syntax, Kind::Modifiers),
        };
        self.instead(task, What::Variable(variable));
        self.instead(task, What::Assignment(syntax));
    }

    /// `name = value`, of which the source may write `int name = value`.
    pub(super) fn declarator_assignment(&mut self, declarator: SyntaxId, task: Task) {
        let name = self.cpg.intern(operators::ASSIGNMENT);
        let target = self.syntax.field(declarator, Field::Name);
        let first = target.unwrap_or(declarator);
        let from = *self.syntax.node(first);
        let span = transducer_frontend::cpg::Span {
            start: from.start,
            end: self.syntax.node(declarator).end,
        };
        let call = self.add_span(task, NodeKind::Call, span, from.line, name);
        if let Some(target) = target {
            self.push(call, What::Leaf(NodeKind::Identifier, target), 1, Role::Argument);
        }
        if let Some(value) = self.syntax.field(declarator, Field::Value) {
            self.push(call, What::Node(value), 2, Role::Argument);
        }
        self.push_strays(call, declarator);
    }

    /// `SWITCH` where cases fall through, `MATCH` where they do not.
    fn switch(&mut self, syntax: SyntaxId, task: Task) {
        let body = self.syntax.field(syntax, Field::Body);
        let has_arrows = body.is_some_and(|body| self.syntax.child(body, Kind::SwitchRule).is_some());
        let control = self.control(task, if has_arrows { "MATCH" } else { "SWITCH" }, syntax);
        for child in self.syntax.children(syntax) {
            match self.syntax.node(child).field {
                Field::Condition => self.push(control, What::Node(child), 1, Role::Condition),
                Field::Body => {
                    let order = if self.takes_every_value(child) { 3 } else { 2 };
                    self.push(control, What::SwitchBody(child), order, Role::Plain);
                }
                _ => self.push(control, What::Node(child), 0, Role::Plain),
            }
        }
    }

    /// Whether a switch must take every value for being one with patterns or `null` (JLS 14.11.2). One that has a value must
    /// as well, which its place says.
    fn takes_every_value(&self, block: SyntaxId) -> bool {
        let labels = self
            .syntax
            .children(block)
            .flat_map(|part| self.syntax.children(part))
            .filter(|&part| self.syntax.kind(part) == Kind::SwitchLabel);
        let mut parts = labels.flat_map(|label| self.syntax.children(label));
        parts.any(|part| {
            matches!(
                self.syntax.kind(part),
                Kind::Pattern | Kind::TypePattern | Kind::RecordPattern | Kind::Null
            )
        })
    }

    pub(super) fn switch_body(&mut self, block: SyntaxId, task: Task) {
        let body = self.add(task, NodeKind::Block, block, NameId::EMPTY);
        for part in self.syntax.children(block) {
            match self.syntax.kind(part) {
                Kind::SwitchGroup | Kind::SwitchRule => self.push_all(body, part),
                _ => self.push(body, What::Node(part), 1, Role::Plain),
            }
        }
    }
}
