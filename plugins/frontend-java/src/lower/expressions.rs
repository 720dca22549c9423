//! Expressions, patterns, and the labels of a switch, which hold both.

use transducer_frontend::cpg::{NameId, NodeId, NodeKind};
use transducer_treesitter::{Role, SyntaxId};

use super::{JavaLowering, Task, Variable, What, operators};
use crate::syntax::{Field, Kind};

impl JavaLowering<'_> {
    /// Lowers an expression; `false` where the syntax is none.
    pub(super) fn expression(&mut self, syntax: SyntaxId, task: Task) -> bool {
        match self.syntax.kind(syntax) {
            Kind::Parenthesized => {
                for child in self.syntax.children(syntax) {
                    self.instead(task, What::Node(child));
                }
            }
            Kind::Identifier | Kind::This | Kind::Super | Kind::ScopedIdentifier => {
                let name = self.text_name(syntax);
                self.add(task, NodeKind::Identifier, syntax, name);
            }
            Kind::BinaryInteger
            | Kind::Character
            | Kind::DecimalFloat
            | Kind::DecimalInteger
            | Kind::HexFloat
            | Kind::HexInteger
            | Kind::Null
            | Kind::OctalInteger
            | Kind::String => {
                self.add(task, NodeKind::Literal, syntax, NameId::EMPTY);
            }
            // Named, so that an endless `while (true)` can be told.
            Kind::True | Kind::False => {
                let name = self.text_name(syntax);
                self.add(task, NodeKind::Literal, syntax, name);
            }
            Kind::Assignment => {
                let operator = self
                    .written_operator(syntax)
                    .and_then(operators::assignment)
                    .unwrap_or(operators::ASSIGNMENT);
                self.operator_call(operator, syntax, &[Field::Left, Field::Right], task);
            }
            Kind::Binary => match self.written_operator(syntax).and_then(operators::binary) {
                Some(operator) => self.operator_call(operator, syntax, &[Field::Left, Field::Right], task),
                None => return false,
            },
            Kind::Unary => match self.written_operator(syntax).and_then(operators::unary) {
                Some(operator) => self.operator_call(operator, syntax, &[Field::Operand], task),
                None => return false,
            },
            Kind::Update => self.update(syntax, task),
            Kind::Ternary => {
                let fields = [Field::Condition, Field::Consequence, Field::Alternative];
                self.operator_call(operators::CONDITIONAL, syntax, &fields, task);
            }
            Kind::Cast => self.cast(syntax, task),
            Kind::Instanceof => self.instance_of(syntax, task),
            Kind::ArrayAccess => {
                self.operator_call(operators::INDEX_ACCESS, syntax, &[Field::Array, Field::Index], task);
            }
            Kind::FieldAccess => self.field_access(syntax, task),
            Kind::ClassLiteral => self.class_literal(syntax, task),
            Kind::MethodInvocation => self.method_invocation(syntax, task),
            Kind::ExplicitConstructorCall => self.constructor_call(syntax, task),
            Kind::ObjectCreation => self.object_creation(syntax, task),
            Kind::ArrayCreation => self.array_creation(syntax, task),
            Kind::ArrayInitializer | Kind::ElementArray => {
                let call = self.operator(task, operators::ARRAY_INITIALIZER, syntax);
                self.push_arguments(call, syntax);
            }
            Kind::DimensionsExpression | Kind::ArgumentList => {
                for child in self.syntax.children(syntax) {
                    self.instead(task, What::Node(child));
                }
            }
            Kind::MethodReference => self.method_reference(syntax, task),
            Kind::Lambda => {
                let name = self.cpg.intern("<lambda>");
                let reference = self.add(task, NodeKind::MethodRef, syntax, name);
                self.push(reference, What::LambdaMethod(syntax), 1, Role::Plain);
            }
            Kind::Template => {
                let call = self.operator(task, operators::TEMPLATE, syntax);
                self.push_arguments(call, syntax);
            }
            Kind::SwitchLabel => self.switch_label(syntax, task),
            Kind::Pattern | Kind::RecordPatternBody => {
                for child in self.syntax.children(syntax) {
                    self.instead(task, What::Node(child));
                }
            }
            Kind::TypePattern | Kind::RecordPatternComponent => self.type_pattern(syntax, task),
            Kind::RecordPattern => self.record_pattern(syntax, task),
            Kind::UnderscorePattern => {
                self.add(task, NodeKind::Local, syntax, NameId::EMPTY);
            }
            _ => return false,
        }
        true
    }

    fn written_operator(&self, syntax: SyntaxId) -> Option<&str> {
        self.syntax
            .field(syntax, Field::Operator)
            .map(|operator| self.text(operator))
    }

    /// A call of an operator, its arguments the children in the fields given.
    fn operator_call(&mut self, operator: &str, syntax: SyntaxId, fields: &[Field], task: Task) {
        let call = self.operator(task, operator, syntax);
        for child in self.syntax.children(syntax) {
            let field = self.syntax.node(child).field;
            match fields.iter().zip(1..).find(|(known, _)| **known == field) {
                Some((_, order)) => self.push(call, What::Node(child), order, Role::Argument),
                None => self.push(call, What::Node(child), 0, Role::Plain),
            }
        }
    }

    fn update(&mut self, syntax: SyntaxId, task: Task) {
        let token = self.syntax.child(syntax, Kind::Token);
        let operand = self
            .syntax
            .children(syntax)
            .find(|&child| self.syntax.kind(child) != Kind::Token);
        let is_increment = token.is_none_or(|token| self.text(token) == "++");
        let operator = operators::update(is_increment, token < operand);
        let call = self.operator(task, operator, syntax);
        self.push_arguments(call, syntax);
    }

    fn cast(&mut self, syntax: SyntaxId, task: Task) {
        let call = self.operator(task, operators::CAST, syntax);
        for child in self.syntax.children(syntax) {
            match self.syntax.node(child).field {
                Field::Type => self.push(call, What::Node(child), 1, Role::Argument),
                Field::Value => self.push(call, What::Node(child), 2, Role::Argument),
                _ => self.push(call, What::Node(child), 0, Role::Plain),
            }
        }
    }

    /// `left instanceof Type name`: the name is a local below the call, which defines it.
    fn instance_of(&mut self, syntax: SyntaxId, task: Task) {
        let call = self.operator(task, operators::INSTANCE_OF, syntax);
        let bound = self.syntax.field(syntax, Field::Name);
        for child in self.syntax.children(syntax) {
            match self.syntax.node(child).field {
                Field::Left => self.push(call, What::Node(child), 1, Role::Argument),
                Field::Right => match bound {
                    Some(_) => {
                        let variable = Variable {
                            kind: NodeKind::Local,
                            declarator: syntax,
                            typed: Some(child),
                            modifiers: None,
                        };
                        self.push(call, What::Variable(variable), 2, Role::Plain);
                    }
                    None => self.push(call, What::Node(child), 2, Role::Argument),
                },
                Field::Name => {}
                _ => self.push(call, What::Node(child), 2, Role::Plain),
            }
        }
    }

    fn field_access(&mut self, syntax: SyntaxId, task: Task) {
        let call = self.operator(task, operators::FIELD_ACCESS, syntax);
        for child in self.syntax.children(syntax) {
            match self.syntax.node(child).field {
                Field::Object => self.push(call, What::Node(child), 1, Role::Argument),
                Field::Member => self.push(call, What::Leaf(NodeKind::FieldIdentifier, child), 2, Role::Argument),
                _ => self.push(call, What::Node(child), 0, Role::Plain),
            }
        }
    }

    /// `Type.class`, a field access of a type.
    fn class_literal(&mut self, syntax: SyntaxId, task: Task) {
        let call = self.operator(task, operators::FIELD_ACCESS, syntax);
        for child in self.syntax.children(syntax) {
            match self.syntax.kind(child) {
                Kind::Token => self.push(call, What::Leaf(NodeKind::FieldIdentifier, child), 2, Role::Argument),
                _ => self.push(call, What::Node(child), 1, Role::Argument),
            }
        }
    }

    fn method_invocation(&mut self, syntax: SyntaxId, task: Task) {
        let name = self.field_name(syntax);
        let call = self.add(task, NodeKind::Call, syntax, name);
        self.receiver_and_arguments(call, syntax);
    }

    /// `this(...)`, `super(...)`, `outer.super(...)`.
    fn constructor_call(&mut self, syntax: SyntaxId, task: Task) {
        let constructor = self.syntax.field(syntax, Field::Constructor);
        let name = constructor.map_or(NameId::EMPTY, |constructor| self.text_name(constructor));
        let call = self.add(task, NodeKind::Call, syntax, name);
        self.receiver_and_arguments(call, syntax);
    }

    fn receiver_and_arguments(&mut self, call: NodeId, syntax: SyntaxId) {
        for child in self.syntax.children(syntax) {
            match self.syntax.node(child).field {
                Field::Object => self.push(call, What::Node(child), 0, Role::Receiver),
                Field::Arguments => self.push_arguments(call, child),
                Field::TypeArguments => self.type_arguments(call, child),
                Field::Name | Field::Constructor => {}
                _ if self.syntax.kind(child) == Kind::Super => {}
                _ => self.push(call, What::Node(child), 0, Role::Plain),
            }
        }
    }

    /// The types in `this.<A, B>call()`: they are no arguments, and nothing is evaluated.
    fn type_arguments(&mut self, parent: NodeId, types: SyntaxId) {
        for typed in self.syntax.children(types) {
            self.push(parent, What::Node(typed), 0, Role::Plain);
        }
    }

    /// `new Type(...)`: a call named by the type.
    fn object_creation(&mut self, syntax: SyntaxId, task: Task) {
        let typed = self.syntax.field(syntax, Field::Type);
        let text = typed.map(|typed| self.text(typed)).unwrap_or_default();
        // Without type arguments, so that `new Box<>(…)` and `new Box(…)` call the same.
        let bare = text.split('<').next().unwrap_or_default().trim_end();
        let name = self.name(bare);
        let call = self.add(task, NodeKind::Call, syntax, name);
        let mut is_outer = true;
        for child in self.syntax.children(syntax) {
            let kind = self.syntax.kind(child);
            match self.syntax.node(child).field {
                Field::Type => self.push(call, What::Node(child), 0, Role::Plain),
                Field::Arguments => self.push_arguments(call, child),
                Field::TypeArguments => self.type_arguments(call, child),
                _ if kind == Kind::ClassBody => self.push(call, What::AnonymousClass(child), 0, Role::Plain),
                // What stands before `new` is the object that the new one belongs to.
                _ if is_outer && kind != Kind::Token && !kind.is_comment() && kind != Kind::Error => {
                    self.push(call, What::Node(child), 0, Role::Receiver);
                }
                _ => self.push(call, What::Node(child), 0, Role::Plain),
            }
            is_outer &= kind != Kind::Token;
        }
    }

    fn array_creation(&mut self, syntax: SyntaxId, task: Task) {
        let call = self.operator(task, operators::ALLOC, syntax);
        let mut order = 0;
        for child in self.syntax.children(syntax) {
            match self.syntax.kind(child) {
                Kind::DimensionsExpression | Kind::ArrayInitializer => {
                    order += 1;
                    self.push(call, What::Node(child), order, Role::Argument);
                }
                Kind::Dimensions => {}
                _ => self.push(call, What::Node(child), 0, Role::Plain),
            }
        }
    }

    /// `List::size`, `Box::new`: named by the method.
    fn method_reference(&mut self, syntax: SyntaxId, task: Task) {
        let mut parts = self
            .syntax
            .children(syntax)
            .filter(|&part| !self.syntax.kind(part).is_comment());
        let receiver = parts.next();
        let name = parts
            .last()
            .filter(|&last| matches!(self.syntax.kind(last), Kind::Identifier | Kind::Token));
        let text = name.map_or(NameId::EMPTY, |name| self.text_name(name));
        let reference = self.add(task, NodeKind::MethodRef, syntax, text);
        for part in self.syntax.children(syntax) {
            if Some(part) == receiver {
                self.push(reference, What::Node(part), 0, Role::Receiver);
            } else if self.syntax.kind(part) == Kind::TypeArguments {
                self.type_arguments(reference, part);
            } else if Some(part) != name {
                self.push(reference, What::Node(part), 0, Role::Plain);
            }
        }
    }

    pub(super) fn lambda_method(&mut self, lambda: SyntaxId, task: Task) {
        let name = self.cpg.intern("<lambda>");
        let method = self.add(task, NodeKind::Method, lambda, name);
        for part in self.syntax.children(lambda) {
            match (self.syntax.node(part).field, self.syntax.kind(part)) {
                (Field::Parameters, Kind::Identifier) => {
                    self.push(method, What::Leaf(NodeKind::MethodParameterIn, part), 1, Role::Plain);
                }
                (Field::Parameters, Kind::InferredParameters) => {
                    for name in self.syntax.children(part) {
                        let is_name = self.syntax.kind(name) == Kind::Identifier;
                        let what = if is_name {
                            What::Leaf(NodeKind::MethodParameterIn, name)
                        } else {
                            What::Node(name)
                        };
                        self.push(method, what, 1, Role::Plain);
                    }
                }
                (Field::Body, kind) if kind != Kind::Block => {
                    self.push(method, What::ReturningBlock(part), 1, Role::Plain);
                }
                _ => self.push(method, What::Node(part), 1, Role::Plain),
            }
        }
        self.push(method, What::MethodReturn(None, lambda), 1, Role::Plain);
    }

    /// `case 1, 2`, `case Circle c when c.radius() > 1`, `default`, `case null, default`: a jump target over what is compared;
    /// a guard is its condition.
    fn switch_label(&mut self, syntax: SyntaxId, task: Task) {
        let is_default = |part: SyntaxId| self.text(part) == "default";
        let has_default = self.syntax.children(syntax).any(is_default);
        let name = self.cpg.intern(if has_default { "default" } else { "case" });
        let target = self.add(task, NodeKind::JumpTarget, syntax, name);
        for (child, order) in self.syntax.children(syntax).zip(1..) {
            if self.syntax.kind(child) == Kind::Guard {
                for guard in self.syntax.children(child) {
                    let role = if self.syntax.kind(guard) == Kind::Token {
                        Role::Plain
                    } else {
                        Role::Condition
                    };
                    self.push(target, What::Node(guard), order, role);
                }
            } else if self.text(child) != "default" {
                self.push(target, What::Node(child), order, Role::Plain);
            }
        }
    }

    /// `Type name` as a pattern: a local that the node above it defines.
    fn type_pattern(&mut self, syntax: SyntaxId, task: Task) {
        let mut typed = None;
        let mut name = None;
        for part in self.syntax.children(syntax) {
            if self.syntax.kind(part).is_type() {
                typed = Some(part);
            } else if self.syntax.kind(part) == Kind::Identifier {
                name = Some(part);
            } else {
                self.instead(task, What::Node(part));
            }
        }
        if let Some(name) = name {
            let variable = Variable {
                kind: NodeKind::Local,
                declarator: name,
                typed,
                modifiers: None,
            };
            self.instead(task, What::Variable(variable));
        }
    }

    /// `Point(int x, int y)`: the type, then the patterns of its components.
    fn record_pattern(&mut self, syntax: SyntaxId, task: Task) {
        let task = Task {
            role: Role::Plain,
            ..task
        };
        for part in self.syntax.children(syntax) {
            let is_type_name = self.syntax.kind(part) == Kind::Identifier;
            let what = if is_type_name {
                What::Leaf(NodeKind::TypeRef, part)
            } else {
                What::Node(part)
            };
            self.instead(task, what);
        }
    }
}
