//! Functions, classes, and the module around them.

use transducer_frontend::cpg::{NameId, NodeId, NodeKind, Span};
use transducer_treesitter::{Role, SyntaxId};

use super::{JavaScriptLowering, Task, What, below, beneath, operators, patterns, scopes};
use crate::syntax::{Field, Kind};

impl JavaScriptLowering<'_> {
    /// Lowers what makes a function or class, or stands in a class; `false` where the syntax is none.
    pub(super) fn definition(&mut self, id: SyntaxId, task: Task) -> bool {
        match self.syntax.kind(id) {
            Kind::Function | Kind::GeneratorFunctionDeclaration | Kind::ClassDeclaration => {
                let name = self.syntax.field(id, Field::Name);
                match name {
                    Some(name) => self.assignment(id, name, What::Value(id, Some(name)), task),
                    None => self.value(id, None, task),
                }
            }
            Kind::ArrowFunction | Kind::FunctionExpression | Kind::GeneratorFunction | Kind::Class => {
                self.value(id, None, task);
            }
            Kind::MethodDefinition => {
                let name = self.field_name(id, Field::Name);
                self.function_value(id, name, task);
            }
            Kind::FieldDefinition => self.field(id, task),
            Kind::ClassStaticBlock => {
                let name = self.cpg.intern("<clinit>");
                self.method(id, name, task);
            }
            Kind::Decorator => {
                let name = self.operand(id).map_or(NameId::EMPTY, |named| self.text_name(named));
                let annotation = self.add(task, NodeKind::Annotation, id, name);
                self.push_all(annotation, id);
            }
            _ => return false,
        }
        true
    }

    /// A value. Functions and classes without a name of their own take that of what they are assigned to, as they do when they
    /// run.
    pub(super) fn value(&mut self, id: SyntaxId, name: Option<SyntaxId>, task: Task) {
        let kind = self.syntax.kind(id);
        let is_class = matches!(kind, Kind::Class | Kind::ClassDeclaration);
        if !kind.is_function() && !is_class || kind == Kind::MethodDefinition {
            return self.node(id, task);
        }
        let is_name = |&name: &SyntaxId| {
            matches!(
                self.syntax.kind(name),
                Kind::Identifier | Kind::PropertyIdentifier | Kind::PrivatePropertyIdentifier
            )
        };
        let own = self.syntax.field(id, Field::Name).or(name.filter(is_name));
        let anonymous = if is_class { "<anonymous>" } else { "<lambda>" };
        let name = match own {
            Some(own) => self.text_name(own),
            None => self.cpg.intern(anonymous),
        };
        if is_class {
            self.type_decl(id, name, task);
        } else {
            self.function_value(id, name, task);
        }
    }

    fn function_value(&mut self, function: SyntaxId, name: NameId, task: Task) {
        let reference = self.add(task, NodeKind::MethodRef, function, name);
        self.push(reference, What::Method(function, name), 1, Role::Plain);
    }

    /// The statements outside any function, with the names that they bind.
    pub(super) fn module(&mut self, task: Task) {
        let name = self.cpg.intern("<module>");
        let method = self.add(task, NodeKind::Method, 0, name);
        self.push(method, What::Body(0), 1, Role::Plain);
        self.push(method, What::Return(0), 2, Role::Plain);
    }

    /// The method of a function, of a static block, or of a member's function.
    pub(super) fn method(&mut self, function: SyntaxId, name: NameId, task: Task) {
        let method = self.add(task, NodeKind::Method, function, name);
        for part in self.syntax.children(function) {
            let (field, kind) = (self.syntax.node(part).field, self.syntax.kind(part));
            match field {
                Field::Name => {}
                Field::Parameter => self.push(method, What::Leaf(NodeKind::MethodParameterIn, part), 1, Role::Plain),
                Field::Parameters => self.parameters(method, part),
                Field::Body => self.push(method, What::Body(function), 1, Role::Plain),
                _ if kind == Kind::Token && self.is_modifier(part) => {
                    self.push(method, What::Leaf(NodeKind::Modifier, part), 1, Role::Plain);
                }
                _ => self.push(method, What::Node(part), 1, Role::Plain),
            }
        }
        self.push(method, What::Return(function), 1, Role::Plain);
    }

    fn is_modifier(&self, token: SyntaxId) -> bool {
        matches!(
            self.text(token),
            "async" | "static" | "get" | "set" | "static get" | "*"
        )
    }

    fn parameters(&mut self, method: NodeId, list: SyntaxId) {
        for parameter in self.syntax.children(list) {
            if self.syntax.kind(parameter).is_operand() {
                self.push(method, What::Parameter(parameter), 1, Role::Plain);
            } else {
                self.push(method, What::Node(parameter), 1, Role::Plain);
            }
        }
    }

    /// A parameter goes by the text of its name or pattern; its default is no part of it.
    pub(super) fn parameter(&mut self, parameter: SyntaxId, task: Task) {
        let (target, _) = self.parameter_parts(parameter);
        let name = self.text_name(target);
        self.add(task, NodeKind::MethodParameterIn, parameter, name);
    }

    /// The body of a function: the names that it binds, what becomes of its parameters, then its statements.
    pub(super) fn body(&mut self, function: SyntaxId, task: Task) {
        // The module is its own body.
        let body = self.syntax.field(function, Field::Body).unwrap_or(function);
        let block = self.add(task, NodeKind::Block, body, NameId::EMPTY);
        let list = self.syntax.field(function, Field::Parameters);
        let listed = list.into_iter().flat_map(|list| self.syntax.children(list));
        let parameters: Vec<SyntaxId> = listed.filter(|&child| self.syntax.kind(child).is_operand()).collect();
        let is_pattern = |parameter| patterns::is_pattern(self.syntax.kind(self.parameter_parts(parameter).0));
        let mut taken = Vec::new();
        let mut names = Vec::new();
        for &parameter in &parameters {
            let (target, _) = self.parameter_parts(parameter);
            let place = if is_pattern(parameter) { &mut names } else { &mut taken };
            place.extend(scopes::bound_names(self.syntax, target));
        }
        names.extend(self.var_names(body));
        let is_expression = body != function && self.syntax.kind(body) != Kind::StatementBlock;
        let statements: Vec<SyntaxId> = match is_expression {
            true => Vec::new(),
            false => self.syntax.children(body).collect(),
        };
        names.extend(scopes::lexical_names(self.syntax, statements.iter().copied()));
        let prologues: Vec<SyntaxId> = parameters
            .into_iter()
            .filter(|&parameter| is_pattern(parameter) || self.parameter_parts(parameter).1.is_some())
            .collect();
        self.add_locals(block, names, &taken);
        for parameter in prologues {
            self.push(block, What::Prologue(parameter), 1, Role::Plain);
        }
        if is_expression {
            self.push(block, What::Returned(body), 1, Role::Plain);
        }
        self.push_statements(block, &statements);
    }

    pub(super) fn method_return(&mut self, method: SyntaxId, task: Task) {
        let end = self.syntax.node(method).end;
        let line = self.line_of(end);
        self.add_span(
            task,
            NodeKind::MethodReturn,
            Span { start: end, end },
            line,
            NameId::EMPTY,
        );
    }

    /// A class: what it extends, then a block of its members and of what makes them.
    pub(super) fn type_decl(&mut self, class: SyntaxId, name: NameId, task: Task) {
        let class_node = self.add(task, NodeKind::TypeDecl, class, name);
        for part in self.syntax.children(class) {
            match self.syntax.kind(part) {
                _ if self.syntax.node(part).field == Field::Name => {}
                Kind::ClassHeritage => {
                    for base in self.syntax.children(part) {
                        self.push(class_node, What::Node(base), 1, Role::Plain);
                    }
                }
                Kind::ClassBody => self.push(class_node, What::ClassBody(part), 1, Role::Plain),
                _ => self.push(class_node, What::Node(part), 1, Role::Plain),
            }
        }
    }

    pub(super) fn class_body(&mut self, body: SyntaxId, task: Task) {
        let block = self.add(task, NodeKind::Block, body, NameId::EMPTY);
        for member in self.syntax.children(body) {
            self.push(block, What::Node(member), 1, Role::Plain);
        }
    }

    /// A field, and a method of its own for its value: it runs when an object, or the class, is made.
    fn field(&mut self, field: SyntaxId, task: Task) {
        let property = self.syntax.field(field, Field::Property);
        let name = property.map_or(NameId::EMPTY, |property| self.text_name(property));
        let member = self.add(task, NodeKind::Member, property.unwrap_or(field), name);
        for part in self.syntax.children(field) {
            match self.syntax.kind(part) {
                Kind::Token if self.is_modifier(part) => {
                    self.push(member, What::Leaf(NodeKind::Modifier, part), 1, Role::Plain);
                }
                Kind::Decorator | Kind::Error => self.push(member, What::Node(part), 1, Role::Plain),
                kind if kind.is_comment() => self.push(member, What::Node(part), 1, Role::Plain),
                _ => {}
            }
        }
        if self.syntax.field(field, Field::Value).is_some() {
            self.instead(task, What::FieldInitialiser(field));
        }
    }

    /// `<init>` or `<clinit>`, a method of `this.name = value`.
    pub(super) fn field_initialiser(&mut self, field: SyntaxId, task: Task) {
        let is_static = self
            .syntax
            .children(field)
            .any(|part| self.syntax.kind(part) == Kind::Token && self.text(part) == "static");
        let name = self.cpg.intern(if is_static { "<clinit>" } else { "<init>" });
        let method = self.add(task, NodeKind::Method, field, name);
        self.push(method, What::FieldBlock(field), 1, Role::Plain);
        self.push(method, What::Return(field), 1, Role::Plain);
    }

    pub(super) fn field_block(&mut self, field: SyntaxId, task: Task) {
        let block = self.add(task, NodeKind::Block, field, NameId::EMPTY);
        let call = self.operator(beneath(task, block), operators::ASSIGNMENT, field);
        if let Some(property) = self.syntax.field(field, Field::Property) {
            let access = self.operator(below(task, call, 1), operators::FIELD_ACCESS, property);
            let this = self.cpg.intern("this");
            self.add(below(task, access, 1), NodeKind::Identifier, property, this);
            self.leaf(NodeKind::FieldIdentifier, property, below(task, access, 2));
            if let Some(value) = self.syntax.field(field, Field::Value) {
                self.push(call, What::Value(value, Some(property)), 2, Role::Argument);
            }
        }
    }
}
