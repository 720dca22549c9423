//! Types, members, methods, and what stands at the top of a file.

use transducer_frontend::cpg::{NameId, NodeId, NodeKind, Span};
use transducer_treesitter::{Role, SyntaxId};

use super::{JavaLowering, Task, Variable, What};
use crate::syntax::{Field, Kind};

impl JavaLowering<'_> {
    /// Lowers a declaration; `false` where the syntax is none.
    pub(super) fn declaration(&mut self, syntax: SyntaxId, task: Task) -> bool {
        match self.syntax.kind(syntax) {
            Kind::Package | Kind::Module => self.named_by_path(NodeKind::NamespaceBlock, syntax, task),
            Kind::Import => self.named_by_path(NodeKind::Import, syntax, task),
            Kind::ClassDeclaration
            | Kind::InterfaceDeclaration
            | Kind::EnumDeclaration
            | Kind::RecordDeclaration
            | Kind::AnnotationTypeDeclaration => {
                let name = self.field_name(syntax);
                let type_decl = self.add(task, NodeKind::TypeDecl, syntax, name);
                self.type_parts(type_decl, syntax);
            }
            Kind::ClassBody
            | Kind::InterfaceBody
            | Kind::EnumBody
            | Kind::EnumBodyDeclarations
            | Kind::AnnotationTypeBody => {
                self.members(task.parent, syntax);
            }
            Kind::Field | Kind::Constant => self.fields(syntax, task),
            Kind::EnumConstant => {
                let variable = Variable {
                    kind: NodeKind::Member,
                    declarator: syntax,
                    typed: None,
                    modifiers: None,
                };
                self.instead(task, What::Variable(variable));
                if self.syntax.field(syntax, Field::Arguments).is_some()
                    || self.syntax.field(syntax, Field::Body).is_some()
                {
                    self.instead(task, What::EnumConstantInitialiser(syntax));
                }
            }
            Kind::MethodDeclaration
            | Kind::ConstructorDeclaration
            | Kind::CompactConstructor
            | Kind::AnnotationElement => {
                self.method(syntax, task);
            }
            Kind::StaticInitializer => {
                if let Some(block) = self.syntax.child(syntax, Kind::Block) {
                    self.synthetic_method("<clinit>", syntax, What::Node(block), task);
                }
            }
            Kind::FormalParameter | Kind::SpreadParameter => self.parameter(syntax, task),
            Kind::ReceiverParameter => {}
            Kind::FormalParameters
            | Kind::TypeParameters
            | Kind::TypeList
            | Kind::Superclass
            | Kind::SuperInterfaces
            | Kind::ExtendsInterfaces
            | Kind::Permits
            | Kind::Throws
            | Kind::CatchType => {
                for child in self.syntax.children(syntax) {
                    self.instead(task, What::Node(child));
                }
            }
            Kind::TypeParameter => {
                let name = self.syntax.child(syntax, Kind::TypeIdentifier);
                let text = name.map_or(NameId::EMPTY, |name| self.text_name(name));
                let parameter = self.add(task, NodeKind::TypeParameter, syntax, text);
                if let Some(bound) = self.syntax.child(syntax, Kind::TypeBound) {
                    self.push_all(parameter, bound);
                }
            }
            Kind::Modifiers => self.modifiers(task.parent, syntax),
            Kind::Annotation | Kind::MarkerAnnotation => {
                let name = self.field_name(syntax);
                let annotation = self.add(task, NodeKind::Annotation, syntax, name);
                if let Some(arguments) = self.syntax.field(syntax, Field::Arguments) {
                    self.push_all(annotation, arguments);
                }
            }
            Kind::AnnotationArguments => self.push_all(task.parent, syntax),
            Kind::ElementPair => {
                if let Some(key) = self.syntax.field(syntax, Field::Key) {
                    self.instead(task, What::Leaf(NodeKind::FieldIdentifier, key));
                }
                if let Some(value) = self.syntax.field(syntax, Field::Value) {
                    self.instead(task, What::Node(value));
                }
            }
            _ => return false,
        }
        true
    }

    /// `package a.b;`, `module a.b { … }`, `import static a.b.*;`: named by what stands after the keywords.
    fn named_by_path(&mut self, kind: NodeKind, syntax: SyntaxId, task: Task) {
        let is_path = |id: &SyntaxId| matches!(self.syntax.kind(*id), Kind::Identifier | Kind::ScopedIdentifier);
        let path = self.syntax.children(syntax).find(is_path);
        let end = self.syntax.child(syntax, Kind::Asterisk).or(path);
        let span = path.zip(end).map(|(path, end)| Span {
            start: self.syntax.node(path).start,
            end: self.syntax.node(end).end,
        });
        let text = span.and_then(|span| span.text(self.source)).unwrap_or_default();
        let name = self.cpg.intern(text);
        self.add(task, kind, syntax, name);
    }

    /// What stands in the head and the body of a type.
    fn type_parts(&mut self, type_decl: NodeId, syntax: SyntaxId) {
        for part in self.syntax.children(syntax) {
            match self.syntax.node(part).field {
                Field::Name => {}
                Field::Parameters => {
                    for component in self.syntax.children(part) {
                        self.push(type_decl, What::Node(component), 1, Role::Plain);
                    }
                }
                _ => self.push(type_decl, What::Node(part), 1, Role::Plain),
            }
        }
    }

    fn members(&mut self, type_decl: NodeId, body: SyntaxId) {
        for member in self.syntax.children(body) {
            let is_block = self.syntax.kind(member) == Kind::Block;
            let what = if is_block {
                What::Initialiser(member)
            } else {
                What::Node(member)
            };
            self.push(type_decl, what, 1, Role::Plain);
        }
    }

    fn fields(&mut self, syntax: SyntaxId, task: Task) {
        let modifiers = self.syntax.child(syntax, Kind::Modifiers);
        let is_static = self.syntax.kind(syntax) == Kind::Constant
            || modifiers.is_some_and(|id| self.syntax.children(id).any(|modifier| self.text(modifier) == "static"));
        let mut typed = self.syntax.field(syntax, Field::Type);
        let mut modifiers = modifiers;
        for declarator in self.syntax.children(syntax) {
            if self.syntax.node(declarator).field == Field::Declarator {
                let variable = Variable {
                    kind: NodeKind::Member,
                    declarator,
                    typed: typed.take(),
                    modifiers: modifiers.take(),
                };
                self.instead(task, What::Variable(variable));
                if self.syntax.field(declarator, Field::Value).is_some() {
                    self.instead(task, What::FieldInitialiser(declarator, is_static));
                }
            } else if self.syntax.kind(declarator).is_comment() || self.syntax.kind(declarator) == Kind::Error {
                self.instead(task, What::Node(declarator));
            }
        }
    }

    /// The node of a variable, over its modifiers, its type and its name.
    pub(super) fn variable(&mut self, variable: Variable, task: Task) -> NodeId {
        let Variable {
            kind,
            declarator,
            typed,
            modifiers,
        } = variable;
        let name = self.syntax.field(declarator, Field::Name).unwrap_or(declarator);
        let last = self.syntax.field(declarator, Field::Dimensions).unwrap_or(name);
        let first = *self.syntax.node(modifiers.or(typed).unwrap_or(name));
        let span = Span {
            start: first.start,
            end: self.syntax.node(last).end.max(first.start),
        };
        let name = if self.syntax.node(name).missing {
            NameId::EMPTY
        } else {
            self.text_name(name)
        };
        let node = self.add_span(task, kind, span, first.line, name);
        if let Some(modifiers) = modifiers {
            self.modifiers(node, modifiers);
        }
        if let Some(typed) = typed {
            self.push(node, What::Node(typed), 1, Role::Plain);
        }
        node
    }

    pub(super) fn field_initialiser(&mut self, declarator: SyntaxId, is_static: bool, task: Task) {
        let name = if is_static { "<clinit>" } else { "<init>" };
        self.synthetic_method(name, declarator, What::FieldInitialiserBlock(declarator), task);
    }

    pub(super) fn field_initialiser_block(&mut self, declarator: SyntaxId, task: Task) {
        let block = self.add(task, NodeKind::Block, declarator, NameId::EMPTY);
        self.push(block, What::Assignment(declarator), 1, Role::Plain);
    }

    pub(super) fn enum_constant_initialiser(&mut self, constant: SyntaxId, task: Task) {
        self.synthetic_method("<clinit>", constant, What::EnumConstantCall(constant), task);
    }

    pub(super) fn enum_constant_call(&mut self, constant: SyntaxId, task: Task) {
        let block = self.add(task, NodeKind::Block, constant, NameId::EMPTY);
        let name = self.cpg.intern("<init>");
        let call = Task {
            what: task.what,
            parent: block,
            order: 1,
            role: Role::Plain,
        };
        let call = self.add(call, NodeKind::Call, constant, name);
        if let Some(arguments) = self.syntax.field(constant, Field::Arguments) {
            self.push_arguments(call, arguments);
        }
        if let Some(body) = self.syntax.field(constant, Field::Body) {
            self.push(call, What::AnonymousClass(body), 0, Role::Plain);
        }
    }

    /// The type of a class body without a name of its own.
    pub(super) fn anonymous_class(&mut self, body: SyntaxId, task: Task) {
        let name = self.cpg.intern("<anonymous>");
        let type_decl = self.add(task, NodeKind::TypeDecl, body, name);
        self.members(type_decl, body);
    }

    pub(super) fn initialiser(&mut self, block: SyntaxId, task: Task) {
        self.synthetic_method("<init>", block, What::Node(block), task);
    }

    /// A method that the source does not write as one.
    fn synthetic_method(&mut self, name: &str, syntax: SyntaxId, body: What, task: Task) {
        let name = self.cpg.intern(name);
        let method = self.add(task, NodeKind::Method, syntax, name);
        self.push(method, body, 1, Role::Plain);
        self.push(method, What::MethodReturn(None, syntax), 2, Role::Plain);
    }

    /// Statements outside any method.
    pub(super) fn global(&mut self, first: SyntaxId, last: SyntaxId, task: Task) {
        let name = self.cpg.intern("<global>");
        let from = *self.syntax.node(first);
        let span = Span {
            start: from.start,
            end: self.syntax.node(last).end,
        };
        let method = self.add_span(task, NodeKind::Method, span, from.line, name);
        let block = Task {
            what: task.what,
            parent: method,
            order: 1,
            role: Role::Plain,
        };
        let block = self.add_span(block, NodeKind::Block, span, from.line, NameId::EMPTY);
        let mut statement = first;
        while statement <= last {
            self.push(block, What::Node(statement), 1, Role::Plain);
            statement = self.syntax.node(statement).next;
        }
        self.push(method, What::MethodReturn(None, last), 2, Role::Plain);
    }

    fn method(&mut self, syntax: SyntaxId, task: Task) {
        let name = self.field_name(syntax);
        let method = self.add(task, NodeKind::Method, syntax, name);
        let mut typed = None;
        for part in self.syntax.children(syntax) {
            match self.syntax.node(part).field {
                Field::Name | Field::Dimensions => {}
                Field::Type => typed = Some(part),
                // The default of an annotation's element is no code that runs.
                _ => self.push(method, What::Node(part), 1, Role::Plain),
            }
        }
        self.push(method, What::MethodReturn(typed, syntax), 1, Role::Plain);
    }

    pub(super) fn method_return(&mut self, typed: Option<SyntaxId>, method: SyntaxId, task: Task) {
        match typed {
            Some(typed) if !self.syntax.node(typed).missing => {
                let name = self.text_name(typed);
                self.add(task, NodeKind::MethodReturn, typed, name);
            }
            _ => {
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
        }
    }

    /// A parameter of a method, or a component of a record.
    fn parameter(&mut self, syntax: SyntaxId, task: Task) {
        let in_type = self.cpg.nodes()[task.parent as usize].kind == NodeKind::TypeDecl;
        let kind = if in_type {
            NodeKind::Member
        } else {
            NodeKind::MethodParameterIn
        };
        let is_spread = self.syntax.kind(syntax) == Kind::SpreadParameter;
        let declarator = self.syntax.child(syntax, Kind::VariableDeclarator).unwrap_or(syntax);
        let name = self.field_name(declarator);
        let parameter = self.add(task, kind, syntax, name);
        for part in self.syntax.children(syntax) {
            match self.syntax.kind(part) {
                Kind::Modifiers => self.modifiers(parameter, part),
                part_kind if part_kind.is_type() && is_spread => {
                    self.push(parameter, What::SpreadType(part, declarator), 1, Role::Plain);
                }
                Kind::Identifier | Kind::VariableDeclarator | Kind::Dimensions => {}
                _ => self.push(parameter, What::Node(part), 1, Role::Plain),
            }
        }
    }

    /// The type of `String... names`, which includes the dots that make it an array.
    pub(super) fn spread_type(&mut self, typed: SyntaxId, declarator: SyntaxId, task: Task) {
        let start = self.syntax.node(typed).start;
        let end = self.syntax.node(declarator).start.max(start);
        let text = Span { start, end }.text(self.source).unwrap_or_default().trim_end();
        let (name, line) = (self.cpg.intern(text), self.syntax.node(typed).line);
        let span = Span {
            start,
            end: start + text.len() as u32,
        };
        self.add_span(task, NodeKind::TypeRef, span, line, name);
    }

    /// Each modifier and annotation as a node.
    pub(super) fn modifiers(&mut self, parent: NodeId, modifiers: SyntaxId) {
        for modifier in self.syntax.children(modifiers) {
            let is_keyword = self.syntax.kind(modifier) == Kind::Token;
            let what = if is_keyword {
                What::Leaf(NodeKind::Modifier, modifier)
            } else {
                What::Node(modifier)
            };
            self.push(parent, what, 1, Role::Plain);
        }
    }
}
