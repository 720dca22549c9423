//! Statements.

use transducer_frontend::cpg::{NameId, NodeKind, Span};
use transducer_treesitter::{Role, SyntaxId};

use super::scopes::imported_name;
use super::{PythonLowering, Task, What, operators};
use crate::syntax::{Field, Kind};

const CONDITION: (Field, Role) = (Field::Condition, Role::Condition);

impl PythonLowering<'_> {
    /// Lowers a statement; `false` where the syntax is none.
    pub(super) fn statement(&mut self, id: SyntaxId, task: Task) -> bool {
        if self.parameter(id, task) {
            return true;
        }
        match self.syntax.kind(id) {
            Kind::Block => {
                let block = self.add(task, NodeKind::Block, id, NameId::EMPTY);
                self.push_all(block, id);
            }
            Kind::ExpressionStatement => self.expression_statement(id, task),
            Kind::Assignment => self.assignment(id, task),
            Kind::AugmentedAssignment => self.augmented_assignment(id, task),
            Kind::FunctionDefinition | Kind::ClassDefinition => self.instead(task, What::Definition(id, id)),
            Kind::Decorated => match self.syntax.field(id, Field::Definition) {
                Some(definition) => self.instead(task, What::Definition(definition, id)),
                None => return false,
            },
            Kind::Decorator => self.decorator(id, task),
            Kind::TypeParameters => {
                for part in self.operands_of(id).collect::<Vec<_>>() {
                    self.instead(task, What::Leaf(NodeKind::TypeParameter, part));
                }
            }
            Kind::If => self.if_statement(id, task),
            // A lone clause: what belongs to it is missing.
            Kind::Elif => self.alternative_if(id, id, task),
            Kind::Else => {
                for part in self.syntax.children(id) {
                    self.instead(task, What::Node(part));
                }
            }
            Kind::While => {
                let control = self.control(task, "WHILE", id);
                let roles = [CONDITION, (Field::Body, Role::Plain), (Field::Alternative, Role::Plain)];
                self.push_roles(control, id, &roles);
            }
            Kind::For => self.for_statement(id, task),
            Kind::Try => {
                let control = self.control(task, "TRY", id);
                for part in self.syntax.children(id) {
                    let is_else = self.syntax.kind(part) == Kind::Else;
                    let what = if is_else { What::TryElse(part) } else { What::Node(part) };
                    self.push(control, what, 1, Role::Plain);
                }
            }
            Kind::Except => self.except(id, task),
            Kind::Finally => {
                let control = self.control(task, "FINALLY", id);
                self.push_all(control, id);
            }
            Kind::With => self.with_statement(id, task),
            Kind::Match => self.match_statement(id, task),
            Kind::Break => _ = self.control(task, "BREAK", id),
            Kind::Continue => _ = self.control(task, "CONTINUE", id),
            Kind::Pass => _ = self.operator(task, operators::PASS, id),
            Kind::Raise => {
                let control = self.control(task, "THROW", id);
                self.push_arguments(control, id);
            }
            Kind::Assert => {
                let control = self.control(task, operators::ASSERT, id);
                for (part, order) in self.operands_of(id).zip(1..).collect::<Vec<_>>() {
                    let role = if order == 1 { Role::Condition } else { Role::Plain };
                    self.push(control, What::Node(part), order, role);
                }
            }
            Kind::Return => {
                let returns = self.add(task, NodeKind::Return, id, NameId::EMPTY);
                self.push_arguments(returns, id);
            }
            Kind::Delete => self.delete(id, task),
            Kind::Global | Kind::Nonlocal => {
                let keyword = if self.syntax.kind(id) == Kind::Global {
                    "global"
                } else {
                    "nonlocal"
                };
                let name = self.cpg.intern(keyword);
                self.add(task, NodeKind::Unknown, id, name);
            }
            Kind::Import | Kind::ImportFrom | Kind::FutureImport => self.import(id, task),
            Kind::Print | Kind::Exec => {
                let is_print = self.syntax.kind(id) == Kind::Print;
                let name = self.cpg.intern(if is_print { "print" } else { "exec" });
                let call = self.add(task, NodeKind::Call, id, name);
                self.push_arguments(call, id);
            }
            Kind::TypeAlias => {
                let call = self.operator(task, operators::ASSIGNMENT, id);
                for part in self.syntax.children(id) {
                    match self.syntax.node(part).field {
                        Field::Left => self.push(call, What::Leaf(NodeKind::Identifier, part), 1, Role::Argument),
                        Field::Right => self.push(call, What::Node(part), 2, Role::Argument),
                        _ => self.push(call, What::Node(part), 0, Role::Plain),
                    }
                }
            }
            _ => return false,
        }
        true
    }

    /// `a, b` and `a,` are tuples; anything else stands for itself.
    fn expression_statement(&mut self, id: SyntaxId, task: Task) {
        if self.operands_of(id).count() > 1 || self.ends_in_comma(id) {
            let call = self.operator(task, operators::TUPLE, id);
            self.push_arguments(call, id);
        } else {
            for part in self.syntax.children(id) {
                self.instead(task, What::Node(part));
            }
        }
    }

    // Assignments.

    fn assignment(&mut self, id: SyntaxId, task: Task) {
        let syntax = self.syntax;
        let mut targets = vec![id];
        let mut value = syntax.field(id, Field::Right);
        while let Some(next) = value.filter(|&next| syntax.kind(next) == Kind::Assignment) {
            targets.push(next);
            value = syntax.field(next, Field::Right);
        }
        let Some(value) = value else {
            return self.bare_annotation(id, task);
        };
        let list = self.list(std::iter::once(value).chain(targets));
        self.instead(task, What::Assignments(list.start, list.end - 1));
    }

    /// `a = b = value` assigns to `a` first: the assignment to the last target is outermost.
    pub(super) fn assignments(&mut self, first: usize, last: usize, task: Task) {
        let (value, whole, assignment) = (self.lists[first], self.lists[first + 1], self.lists[last]);
        let call = self.operator(task, operators::ASSIGNMENT, whole);
        let value = if last == first + 1 {
            What::Node(value)
        } else {
            What::Assignments(first, last - 1)
        };
        for part in self.syntax.children(assignment) {
            match self.syntax.node(part).field {
                Field::Left => self.push_assigned(call, part, value),
                // The type of a name stands with its declaration.
                Field::Right | Field::Type => {}
                _ => self.push(call, What::Node(part), 0, Role::Plain),
            }
        }
    }

    /// The target and the value of an assignment. A target that is more than a name is evaluated after the value.
    fn push_assigned(&mut self, call: u32, target: SyntaxId, value: What) {
        let is_name = self.syntax.kind(target) == Kind::Identifier;
        if is_name {
            self.push(call, What::Target(target), 1, Role::Argument);
        }
        self.push(call, value, 2, Role::Argument);
        if !is_name {
            self.push(call, What::Target(target), 1, Role::Argument);
        }
    }

    /// `name: type` gives no value, and evaluates `a` in `a.b: type`; its type stands with the declaration of the name.
    fn bare_annotation(&mut self, id: SyntaxId, task: Task) {
        for part in self.syntax.children(id) {
            let is_name = self.syntax.kind(part) == Kind::Identifier;
            if !(is_name || self.syntax.node(part).field == Field::Type) {
                self.instead(task, What::Node(part));
            }
        }
    }

    fn augmented_assignment(&mut self, id: SyntaxId, task: Task) {
        let operator = self.syntax.field(id, Field::Operator);
        let operator = operators::augmented(operator.map_or("", |operator| self.text(operator)));
        let call = self.operator(task, operator, id);
        self.push_roles(
            call,
            id,
            &[(Field::Left, Role::Argument), (Field::Right, Role::Argument)],
        );
    }

    /// What is given a value: a name, a part of something, or several of these.
    pub(super) fn target(&mut self, id: SyntaxId, task: Task) {
        match self.syntax.kind(id) {
            Kind::PatternList
            | Kind::TuplePattern
            | Kind::ListPattern
            | Kind::ListSplatPattern
            | Kind::Tuple
            | Kind::List
            | Kind::ExpressionList => {
                let call = self.operator(task, operators::UNPACK, id);
                self.push_operands(call, id, What::Target);
            }
            Kind::Parenthesized | Kind::AsPatternTarget => {
                for part in self.syntax.children(id) {
                    self.instead(task, What::Target(part));
                }
            }
            _ => self.node(id, task),
        }
    }

    /// Each target by itself: `del a, b`.
    fn delete(&mut self, id: SyntaxId, task: Task) {
        let whole = id;
        let mut targets: Vec<SyntaxId> = Vec::new();
        let mut open: Vec<SyntaxId> = vec![id];
        while let Some(part) = open.pop() {
            let is_list = part == id
                || matches!(
                    self.syntax.kind(part),
                    Kind::ExpressionList | Kind::Tuple | Kind::List | Kind::Parenthesized
                );
            if is_list {
                let first_new = open.len();
                open.extend(self.operands_of(part));
                open[first_new..].reverse();
            } else {
                targets.push(part);
            }
        }
        let is_single = targets.len() == 1;
        for target in targets {
            self.instead(task, What::Deleted(target, if is_single { whole } else { target }));
        }
    }

    pub(super) fn deleted(&mut self, target: SyntaxId, whole: SyntaxId, task: Task) {
        let call = self.operator(task, operators::DELETE, whole);
        self.push(call, What::Node(target), 1, Role::Argument);
    }

    // Control.

    fn if_statement(&mut self, id: SyntaxId, task: Task) {
        let control = self.control(task, "IF", id);
        let mut has_alternative = false;
        for part in self.syntax.children(id) {
            match self.syntax.node(part).field {
                Field::Condition => self.push(control, What::Node(part), 1, Role::Condition),
                Field::Consequence => self.push(control, What::Node(part), 2, Role::Plain),
                Field::Alternative if has_alternative => {}
                Field::Alternative => {
                    has_alternative = true;
                    let alternative = self.alternative(id, part);
                    self.push(control, alternative, 3, Role::Plain);
                }
                _ => self.push(control, What::Node(part), 0, Role::Plain),
            }
        }
    }

    fn alternative(&self, whole: SyntaxId, clause: SyntaxId) -> What {
        match self.syntax.kind(clause) {
            Kind::Elif => What::Elif(whole, clause),
            _ => What::Node(clause),
        }
    }

    /// `elif` is an `if` in the `else` of the one before.
    pub(super) fn alternative_if(&mut self, whole: SyntaxId, clause: SyntaxId, task: Task) {
        let name = self.cpg.intern("IF");
        let line = self.syntax.node(clause).line;
        let span = Span {
            start: self.syntax.node(clause).start,
            end: self.syntax.node(whole).end,
        };
        let control = self.add_span(task, NodeKind::ControlStructure, span, line, name);
        self.push_roles(control, clause, &[CONDITION, (Field::Consequence, Role::Plain)]);
        let end = self.syntax.node(whole).next;
        let mut next = self.syntax.node(clause).next;
        while next < end && self.syntax.node(next).field != Field::Alternative {
            next = self.syntax.node(next).next;
        }
        if next < end {
            let alternative = self.alternative(whole, next);
            self.push(control, alternative, 3, Role::Plain);
        }
    }

    fn for_statement(&mut self, id: SyntaxId, task: Task) {
        let control = self.control(task, "FOREACH", id);
        for part in self.syntax.children(id) {
            match self.syntax.node(part).field {
                Field::Left => self.push(control, What::Target(part), 1, Role::Plain),
                Field::Right => self.push(control, What::Node(part), 2, Role::Plain),
                Field::Body => self.push(control, What::Node(part), 3, Role::Plain),
                Field::Alternative => self.push(control, What::Node(part), 4, Role::Plain),
                _ => self.push(control, What::Node(part), 0, Role::Plain),
            }
        }
    }

    /// `except (A, B) as name`: the name is a local of the handler, after which it is gone.
    fn except(&mut self, id: SyntaxId, task: Task) {
        let control = self.control(task, "CATCH", id);
        let values: Vec<SyntaxId> = self
            .syntax
            .children(id)
            .filter(|&part| self.syntax.node(part).field == Field::Value)
            .collect();
        let (types, name) = match values[..] {
            [value] if self.syntax.kind(value) == Kind::AsPattern => {
                (self.operands_of(value).next(), self.syntax.field(value, Field::Alias))
            }
            // `except A, name` is how Python 2 wrote it.
            [types, name, ..] => (Some(types), Some(name)),
            [types] => (Some(types), None),
            [] => (None, None),
        };
        let owner = match name {
            Some(name) => {
                let span = Span {
                    start: types.map_or(self.syntax.node(name).start, |types| self.syntax.node(types).start),
                    end: self.syntax.node(name).end,
                };
                let (text, line) = (self.text_name(name), self.syntax.node(id).line);
                let local = Task {
                    parent: control,
                    order: 1,
                    role: Role::Plain,
                    ..task
                };
                self.add_span(local, NodeKind::Local, span, line, text)
            }
            None => control,
        };
        let types: Vec<SyntaxId> = match types {
            Some(types) if self.syntax.kind(types) == Kind::Tuple => self.operands_of(types).collect(),
            types => types.into_iter().collect(),
        };
        for typed in types {
            self.push(owner, What::Leaf(NodeKind::TypeRef, typed), 1, Role::Plain);
        }
        for part in self.syntax.children(id) {
            let is_star = self.syntax.kind(part) == Kind::Token && self.text(part) == "*";
            if is_star {
                self.push(control, What::Leaf(NodeKind::Modifier, part), 1, Role::Plain);
            } else if self.syntax.node(part).field != Field::Value {
                self.push(control, What::Node(part), 1, Role::Plain);
            }
        }
    }

    fn with_statement(&mut self, id: SyntaxId, task: Task) {
        let control = self.control(task, "WITH", id);
        for part in self.syntax.children(id) {
            if self.syntax.kind(part) == Kind::WithClause {
                for item in self.syntax.children(part) {
                    self.push(control, What::Node(item), 1, Role::Plain);
                }
            } else {
                self.push(control, What::Node(part), 1, Role::Plain);
            }
        }
    }

    /// `value as target` gives the target what the value's `__enter__` gives.
    pub(super) fn with_item(&mut self, id: SyntaxId, task: Task) {
        let value = self.syntax.field(id, Field::Value);
        let named = value.filter(|&value| self.syntax.kind(value) == Kind::AsPattern);
        let target = named.and_then(|named| self.syntax.field(named, Field::Alias));
        let (Some(named), Some(target)) = (named, target) else {
            for part in self.syntax.children(id) {
                self.instead(task, What::Node(part));
            }
            return;
        };
        let call = self.operator(task, operators::ASSIGNMENT, named);
        let inner = self.operands_of(target).next().unwrap_or(target);
        let value = self.operands_of(named).find(|&part| part != target);
        if let Some(value) = value {
            self.push(call, What::Node(value), 2, Role::Argument);
        }
        self.push(call, What::Target(inner), 1, Role::Argument);
    }

    fn decorator(&mut self, id: SyntaxId, task: Task) {
        let expression = self.operands_of(id).next();
        let named = expression.map(|expression| match self.syntax.kind(expression) {
            Kind::Call => self.syntax.field(expression, Field::Function).unwrap_or(expression),
            _ => expression,
        });
        let name = named.map_or(NameId::EMPTY, |named| self.text_name(named));
        let annotation = self.add(task, NodeKind::Annotation, id, name);
        self.push_all(annotation, id);
    }

    // Imports.

    fn import(&mut self, id: SyntaxId, task: Task) {
        let syntax = self.syntax;
        let items: Vec<SyntaxId> = syntax
            .children(id)
            .filter(|&item| syntax.node(item).field == Field::Name || syntax.kind(item) == Kind::WildcardImport)
            .collect();
        for item in items {
            self.instead(task, What::Imported(id, item));
        }
    }

    /// `from a import b as c` is named `a.b`, and gives `c` a value.
    pub(super) fn imported(&mut self, statement: SyntaxId, item: SyntaxId, task: Task) {
        let module = self.syntax.field(statement, Field::ModuleName);
        let path = self.syntax.field(item, Field::Name).unwrap_or(item);
        let name = match module.map(|module| self.text(module)) {
            None if self.syntax.kind(statement) == Kind::FutureImport => format!("__future__.{}", self.text(path)),
            Some(module) if module.ends_with('.') => format!("{module}{}", self.text(path)),
            Some(module) => format!("{module}.{}", self.text(path)),
            None => self.text(path).to_owned(),
        };
        let name = self.cpg.intern(&name);
        let import = self.add(task, NodeKind::Import, item, name);
        if let Some(bound) = imported_name(&self.base, item) {
            self.push(import, What::Leaf(NodeKind::Identifier, bound), 1, Role::Plain);
        }
    }
}
