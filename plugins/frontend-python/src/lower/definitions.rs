//! Modules, functions, lambdas, classes, and the names that they bind.

use transducer_frontend::cpg::{NameId, NodeId, NodeKind, Span};
use transducer_treesitter::{Role, SyntaxId};

use super::{PythonLowering, Task, What, operators};
use crate::syntax::{Field, Kind};

impl PythonLowering<'_> {
    /// Pushes what stands at the top of the source.
    pub(super) fn top(&mut self) {
        let syntax = self.syntax;
        let is_comment = |id: &SyntaxId| syntax.kind(*id) == Kind::Comment;
        let is_plain = |id: &SyntaxId| is_comment(id) || self.is_plain_function(*id);
        let tops = syntax.children(0);
        if syntax.kind(0) != Kind::Module || !tops.clone().all(|id| is_plain(&id)) {
            return self.push(0, What::Module, 1, Role::Plain);
        }
        for top in tops {
            let what = if is_comment(&top) {
                What::Node(top)
            } else {
                What::FunctionMethod(top, top)
            };
            self.push(0, what, 1, Role::Plain);
        }
    }

    /// A function whose definition evaluates nothing: without decorators, its defaults plain literals.
    fn is_plain_function(&self, id: SyntaxId) -> bool {
        let syntax = self.syntax;
        let Some(parameters) = syntax.field(id, Field::Parameters) else {
            return false;
        };
        syntax.kind(id) == Kind::FunctionDefinition
            && syntax
                .children(parameters)
                .filter_map(|parameter| syntax.field(parameter, Field::Value))
                .all(|default| self.is_constant(default))
    }

    /// A literal, maybe with a sign.
    fn is_constant(&self, id: SyntaxId) -> bool {
        match self.syntax.kind(id) {
            Kind::Integer | Kind::Float | Kind::True | Kind::False | Kind::None | Kind::Ellipsis => true,
            Kind::String => self.syntax.child(id, Kind::Interpolation).is_none(),
            Kind::Unary => {
                let operand = self.syntax.field(id, Field::Argument);
                operand.is_some_and(|operand| matches!(self.syntax.kind(operand), Kind::Integer | Kind::Float))
            }
            _ => false,
        }
    }

    pub(super) fn module(&mut self, task: Task) {
        let name = self.cpg.intern("<module>");
        let span = self.module_span();
        let line = self.line_of(span.start);
        let method = self.add_span(task, NodeKind::Method, span, line, name);
        self.push(method, What::ScopeBody(0, NodeKind::Local), 1, Role::Plain);
        self.push(method, What::MethodReturn(None, 0), 2, Role::Plain);
    }

    /// From the first to the last thing in the source.
    fn module_span(&self) -> Span {
        let tops = self.syntax.children(0);
        let last = tops.clone().last();
        let ends = tops.clone().next().zip(last);
        ends.map_or(self.span(0), |(first, last)| Span {
            start: self.syntax.node(first).start,
            end: self.syntax.node(last).end,
        })
    }

    /// A block: the names that the scope binds, then its statements.
    pub(super) fn scope_body(&mut self, owner: SyntaxId, kind: NodeKind, task: Task) {
        let block = if owner == 0 {
            let span = self.module_span();
            let line = self.line_of(span.start);
            self.add_span(task, NodeKind::Block, span, line, NameId::EMPTY)
        } else {
            let body = self.syntax.field(owner, Field::Body).unwrap_or(owner);
            self.add(task, NodeKind::Block, body, NameId::EMPTY)
        };
        for name in self.scopes.names(owner) {
            self.base.push(block, What::Declaration(kind, name), 1, Role::Plain);
        }
        if owner == 0 && self.syntax.kind(0) != Kind::Module {
            // All of it is one broken part.
            return self.push(block, What::Node(0), 1, Role::Plain);
        }
        // What could not be understood in the head was probably meant for the body.
        for part in self.syntax.children(owner) {
            if owner != 0 && self.syntax.kind(part) == Kind::Error {
                self.push(block, What::Node(part), 1, Role::Plain);
            }
        }
        let body = if owner == 0 {
            Some(0)
        } else {
            self.syntax.field(owner, Field::Body)
        };
        if let Some(body) = body {
            self.push_all(block, body);
        }
    }

    /// A name where it is bound first, with the type that is written there.
    pub(super) fn declaration(&mut self, kind: NodeKind, id: SyntaxId, task: Task) {
        let name = self.text_name(id);
        let mut span = self.span(id);
        let typed = self.annotation_of(id);
        if let Some(typed) = typed {
            span.end = self.syntax.node(typed).end;
        }
        let line = self.syntax.node(id).line;
        let declaration = self.add_span(task, kind, span, line, name);
        if let Some(typed) = typed {
            self.push(declaration, What::Node(typed), 1, Role::Plain);
        }
    }

    /// The type that stands right behind a name: in `name: type`.
    fn annotation_of(&self, name: SyntaxId) -> Option<SyntaxId> {
        let next = self.syntax.node(name).next;
        let is_type = |node: &&_| {
            let node: &transducer_treesitter::SyntaxNode<Kind, Field> = node;
            node.kind == Kind::Type && node.field == Field::Type
        };
        self.syntax.nodes.get(next).filter(is_type).map(|_| next)
    }

    /// `def f` and `class C` assign a function or a class to a name.
    pub(super) fn definition(&mut self, definition: SyntaxId, whole: SyntaxId, task: Task) {
        let call = self.operator(task, operators::ASSIGNMENT, whole);
        if let Some(name) = self.syntax.field(definition, Field::Name) {
            self.push(call, What::Leaf(NodeKind::Identifier, name), 1, Role::Argument);
        }
        self.push(call, What::DefinedValue(definition, whole), 2, Role::Argument);
    }

    /// Decorators and defaults are evaluated, then the function is made.
    pub(super) fn function_value(&mut self, function: SyntaxId, whole: SyntaxId, task: Task) {
        let name = self.name_of(function);
        let reference = self.add(task, NodeKind::MethodRef, whole, name);
        self.push_decorators(reference, whole);
        self.push_defaults(reference, function);
        self.push(reference, What::FunctionMethod(function, whole), 1, Role::Plain);
    }

    fn name_of(&mut self, definition: SyntaxId) -> NameId {
        let name = self.syntax.field(definition, Field::Name);
        name.map_or(NameId::EMPTY, |name| self.text_name(name))
    }

    fn push_decorators(&mut self, parent: NodeId, whole: SyntaxId) {
        if self.syntax.kind(whole) != Kind::Decorated {
            return;
        }
        for part in self.syntax.children(whole) {
            if self.syntax.node(part).field != Field::Definition {
                self.push(parent, What::Node(part), 0, Role::Plain);
            }
        }
    }

    /// Defaults that are more than literals: those stay with their parameter.
    fn push_defaults(&mut self, parent: NodeId, function: SyntaxId) {
        let syntax = self.syntax;
        let parameters = syntax.field(function, Field::Parameters).into_iter();
        let defaults = parameters
            .flat_map(|parameters| syntax.children(parameters))
            .filter_map(|parameter| syntax.field(parameter, Field::Value));
        for default in defaults {
            if !self.is_constant(default) {
                self.push(parent, What::Node(default), 1, Role::Plain);
            }
        }
    }

    pub(super) fn function_method(&mut self, function: SyntaxId, whole: SyntaxId, task: Task) {
        let name = self.name_of(function);
        let method = self.add(task, NodeKind::Method, whole, name);
        if self.text(function).starts_with("async") {
            let start = self.syntax.node(function).start;
            let span = Span {
                start,
                end: start + "async".len() as u32,
            };
            let (name, line) = (self.cpg.intern("async"), self.syntax.node(function).line);
            let modifier = Task {
                parent: method,
                role: Role::Plain,
                ..task
            };
            self.add_span(modifier, NodeKind::Modifier, span, line, name);
        }
        for part in self.syntax.children(function) {
            match self.syntax.node(part).field {
                Field::Name | Field::ReturnType => {}
                Field::Parameters => self.push_parameters(method, part),
                Field::Body => self.push(method, What::ScopeBody(function, NodeKind::Local), 1, Role::Plain),
                _ if self.syntax.kind(part) == Kind::Error => {}
                _ => self.push(method, What::Node(part), 1, Role::Plain),
            }
        }
        if self.syntax.field(function, Field::Body).is_none() {
            self.push(method, What::ScopeBody(function, NodeKind::Local), 1, Role::Plain);
        }
        let typed = self.syntax.field(function, Field::ReturnType);
        self.push(method, What::MethodReturn(typed, whole), 1, Role::Plain);
    }

    pub(super) fn lambda(&mut self, lambda: SyntaxId, task: Task) {
        let name = self.cpg.intern("<lambda>");
        let reference = self.add(task, NodeKind::MethodRef, lambda, name);
        self.push_defaults(reference, lambda);
        self.push(reference, What::LambdaMethod(lambda), 1, Role::Plain);
    }

    pub(super) fn lambda_method(&mut self, lambda: SyntaxId, task: Task) {
        let name = self.cpg.intern("<lambda>");
        let method = self.add(task, NodeKind::Method, lambda, name);
        for part in self.syntax.children(lambda) {
            match self.syntax.node(part).field {
                Field::Parameters => self.push_parameters(method, part),
                Field::Body => self.push(method, What::ReturningBlock(part), 1, Role::Plain),
                _ => self.push(method, What::Node(part), 1, Role::Plain),
            }
        }
        self.push(method, What::MethodReturn(None, lambda), 1, Role::Plain);
    }

    fn push_parameters(&mut self, method: NodeId, parameters: SyntaxId) {
        for part in self.syntax.children(parameters) {
            self.push(method, What::Node(part), 1, Role::Plain);
        }
    }

    pub(super) fn method_return(&mut self, typed: Option<SyntaxId>, method: SyntaxId, task: Task) {
        if let Some(typed) = typed {
            let name = self.text_name(typed);
            self.add(task, NodeKind::MethodReturn, typed, name);
            return;
        }
        let end = self.span(method).end;
        let line = self.line_of(end);
        let span = Span { start: end, end };
        self.add_span(task, NodeKind::MethodReturn, span, line, NameId::EMPTY);
    }

    /// A parameter, whatever is written around its name; `false` where the syntax is none.
    pub(super) fn parameter(&mut self, id: SyntaxId, task: Task) -> bool {
        let is_in_method = self.cpg.nodes()[task.parent as usize].kind == NodeKind::Method;
        match self.syntax.kind(id) {
            Kind::Identifier if is_in_method => {
                let name = self.text_name(id);
                self.add(task, NodeKind::MethodParameterIn, id, name);
            }
            Kind::DefaultParameter
            | Kind::TypedParameter
            | Kind::TypedDefaultParameter
            | Kind::ListSplatPattern
            | Kind::DictionarySplatPattern
                if is_in_method =>
            {
                self.written_parameter(id, task);
            }
            // Python 2 took tuples apart in place.
            Kind::TuplePattern if is_in_method => {
                for part in self.syntax.children(id) {
                    self.instead(task, What::Node(part));
                }
            }
            _ => return false,
        }
        true
    }

    fn written_parameter(&mut self, id: SyntaxId, task: Task) {
        let inside = self
            .syntax
            .field(id, Field::Name)
            .or_else(|| self.operands_of(id).next())
            .unwrap_or(id);
        let splat = [id, inside].into_iter().find(|&part| {
            matches!(
                self.syntax.kind(part),
                Kind::ListSplatPattern | Kind::DictionarySplatPattern
            )
        });
        let name = match splat {
            Some(splat) => self.syntax.child(splat, Kind::Identifier),
            None => Some(inside),
        };
        let name = name.map_or(NameId::EMPTY, |name| self.text_name(name));
        let parameter = self.add(task, NodeKind::MethodParameterIn, id, name);
        if let Some(stars) = splat.and_then(|splat| self.syntax.child(splat, Kind::Token)) {
            self.push(parameter, What::Leaf(NodeKind::Modifier, stars), 1, Role::Plain);
        }
        for part in self.syntax.children(id) {
            match self.syntax.node(part).field {
                Field::Type => self.push(parameter, What::Node(part), 1, Role::Plain),
                Field::Value if self.is_constant(part) => self.push(parameter, What::Node(part), 1, Role::Plain),
                _ => {}
            }
        }
    }

    /// Decorators and bases are evaluated, then the body runs, then the class is made.
    pub(super) fn class(&mut self, class: SyntaxId, whole: SyntaxId, task: Task) {
        let name = self.name_of(class);
        let type_decl = self.add(task, NodeKind::TypeDecl, whole, name);
        self.push_decorators(type_decl, whole);
        for part in self.syntax.children(class) {
            match self.syntax.node(part).field {
                Field::Name | Field::Body => {}
                Field::Superclasses => {
                    for base in self.syntax.children(part) {
                        if self.syntax.kind(base) != Kind::KeywordArgument {
                            self.push(type_decl, What::Node(base), 1, Role::Plain);
                            continue;
                        }
                        for inner in self.syntax.children(base) {
                            let is_name = self.syntax.node(inner).field == Field::Name;
                            let what = if is_name {
                                What::Leaf(NodeKind::Modifier, inner)
                            } else {
                                What::Node(inner)
                            };
                            self.push(type_decl, what, 1, Role::Plain);
                        }
                    }
                }
                _ if self.syntax.kind(part) == Kind::Error => {}
                _ => self.push(type_decl, What::Node(part), 1, Role::Plain),
            }
        }
        self.push(type_decl, What::ScopeBody(class, NodeKind::Member), 1, Role::Plain);
    }
}
