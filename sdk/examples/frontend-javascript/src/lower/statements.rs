//! Statements.

use transducer_frontend::cpg::{NameId, NodeId, NodeKind, Span};
use transducer_treesitter::{Role, SyntaxId};

use super::{JavaScriptLowering, Task, What, beneath, scopes};
use crate::syntax::{Field, Kind};

impl JavaScriptLowering<'_> {
    /// Lowers a statement; `false` where the syntax is none.
    pub(super) fn statement(&mut self, id: SyntaxId, task: Task) -> bool {
        const CONDITION: (Field, Role) = (Field::Condition, Role::Condition);
        const BODY: (Field, Role) = (Field::Body, Role::Plain);
        match self.syntax.kind(id) {
            Kind::StatementBlock => {
                let block = self.add(task, NodeKind::Block, id, NameId::EMPTY);
                let statements: Vec<SyntaxId> = self.syntax.children(id).collect();
                let names = scopes::lexical_names(self.syntax, statements.iter().copied());
                self.add_locals(block, names, &[]);
                self.push_statements(block, &statements);
            }
            Kind::ExpressionStatement | Kind::Else | Kind::Lexical | Kind::Variable | Kind::Using => {
                self.hand_on(id, task);
            }
            Kind::VariableDeclarator => {
                let (name, value) = (self.syntax.field(id, Field::Name), self.syntax.field(id, Field::Value));
                if let (Some(name), Some(value)) = (name, value) {
                    self.assignment(id, name, What::Value(value, Some(name)), task);
                }
            }
            Kind::Empty => {}
            Kind::If => {
                let branches = [(Field::Consequence, Role::Plain), (Field::Alternative, Role::Plain)];
                self.structure("IF", id, &[CONDITION, branches[0], branches[1]], task);
            }
            Kind::While => self.structure("WHILE", id, &[CONDITION, BODY], task),
            Kind::Do => self.structure("DO", id, &[BODY, CONDITION], task),
            Kind::For => {
                let control = self.control(task, "FOR", id);
                let names = scopes::lexical_names(self.syntax, self.syntax.field(id, Field::Initializer).into_iter());
                self.add_locals(control, names, &[]);
                let head = [
                    (Field::Initializer, Role::Plain),
                    CONDITION,
                    (Field::Increment, Role::Plain),
                ];
                self.push_roles(control, id, &[head[0], head[1], head[2], BODY]);
            }
            Kind::ForIn => self.for_in(id, task),
            Kind::With => self.structure("WITH", id, &[(Field::Object, Role::Plain), BODY], task),
            Kind::Labeled => {
                let block = self.add(task, NodeKind::Block, id, NameId::EMPTY);
                self.push_labelled(block, id);
            }
            Kind::SwitchStatement => {
                self.structure("SWITCH", id, &[(Field::Value, Role::Condition), BODY], task);
            }
            Kind::SwitchBody => self.switch_body(id, task),
            Kind::Break => {
                let control = self.control(task, "BREAK", id);
                self.push_labelled(control, id);
            }
            Kind::Continue => {
                let control = self.control(task, "CONTINUE", id);
                self.push_labelled(control, id);
            }
            Kind::Throw => {
                let control = self.control(task, "THROW", id);
                self.push_arguments(control, id);
            }
            Kind::Return => {
                let returns = self.add(task, NodeKind::Return, id, NameId::EMPTY);
                self.push_arguments(returns, id);
            }
            Kind::Try => {
                let control = self.control(task, "TRY", id);
                self.push_all(control, id);
            }
            Kind::Catch => {
                let control = self.control(task, "CATCH", id);
                for child in self.syntax.children(id) {
                    if self.syntax.node(child).field == Field::Parameter {
                        self.add_locals(control, scopes::bound_names(self.syntax, child), &[]);
                    } else {
                        self.push(control, What::Node(child), 1, Role::Plain);
                    }
                }
            }
            Kind::Finally => {
                let control = self.control(task, "FINALLY", id);
                self.push_all(control, id);
            }
            Kind::ImportStatement => {
                let source = self.syntax.field(id, Field::Source).map(|source| self.text(source));
                let name = self.cpg.intern(source.unwrap_or_default().trim_matches(['"', '\'']));
                let import = self.add(task, NodeKind::Import, id, name);
                for name in scopes::imported_names(self.syntax, id) {
                    self.push(import, What::Leaf(NodeKind::Identifier, name), 1, Role::Plain);
                }
            }
            Kind::Export => {
                let is_code = |child| matches!(self.syntax.node(child).field, Field::Declaration | Field::Value);
                if self.syntax.children(id).any(is_code) {
                    self.hand_on(id, task);
                } else {
                    // A list of names: nothing runs.
                    self.add(task, NodeKind::Unknown, id, NameId::EMPTY);
                }
            }
            _ => return false,
        }
        true
    }

    /// Imports and functions are there before the first statement runs.
    pub(super) fn push_statements(&mut self, block: NodeId, statements: &[SyntaxId]) {
        let is_hoisted = |statement: &&SyntaxId| {
            let kind = self.syntax.kind(scopes::exported(self.syntax, **statement));
            kind.is_function_declaration() || kind == Kind::ImportStatement
        };
        let (first, then): (Vec<&SyntaxId>, Vec<&SyntaxId>) = statements.iter().partition(is_hoisted);
        for &statement in first.into_iter().chain(then) {
            self.push(block, What::Node(statement), 1, Role::Plain);
        }
    }

    fn structure(&mut self, name: &str, id: SyntaxId, roles: &[(Field, Role)], task: Task) {
        let control = self.control(task, name, id);
        self.push_roles(control, id, roles);
    }

    /// The children, of which one is a label.
    fn push_labelled(&mut self, parent: NodeId, id: SyntaxId) {
        for child in self.syntax.children(id) {
            let what = match self.syntax.node(child).field {
                Field::Label => What::Leaf(NodeKind::JumpTarget, child),
                _ => What::Node(child),
            };
            self.push(parent, what, 1, Role::Plain);
        }
    }

    /// `for (… in …)`, `for (… of …)`: a variable of its own is given its value by the loop itself; a pattern or a variable
    /// from outside is assigned to.
    fn for_in(&mut self, id: SyntaxId, task: Task) {
        let left = self.syntax.field(id, Field::Left);
        let is_lexical = !matches!(self.keyword_of(id), "" | "var");
        let is_own = |left: &SyntaxId| is_lexical && self.syntax.kind(*left) == Kind::Identifier;
        let own = left.filter(is_own);
        let names = left.filter(|_| is_lexical && own.is_none());
        let names = names.map_or(Vec::new(), |pattern| scopes::bound_names(self.syntax, pattern));
        let mut place = task;
        if !names.is_empty() {
            let block = self.add(task, NodeKind::Block, id, NameId::EMPTY);
            for name in names {
                self.leaf(NodeKind::Local, name, beneath(task, block));
            }
            place = beneath(task, block);
        }
        let control = self.control(place, "FOREACH", id);
        for child in self.syntax.children(id) {
            match self.syntax.node(child).field {
                Field::Left if own.is_some() => self.push(control, What::Leaf(NodeKind::Local, child), 1, Role::Plain),
                Field::Left => self.push(control, What::Target(child), 1, Role::Plain),
                Field::Right => self.push(control, What::Node(child), 2, Role::Plain),
                Field::Body => self.push(control, What::Node(child), 3, Role::Plain),
                _ => self.push(control, What::Node(child), 0, Role::Plain),
            }
        }
    }

    /// The cases share one block.
    fn switch_body(&mut self, id: SyntaxId, task: Task) {
        let body = self.add(task, NodeKind::Block, id, NameId::EMPTY);
        let statements = self.syntax.children(id).flat_map(|case| self.syntax.children(case));
        let names = scopes::lexical_names(self.syntax, statements);
        self.add_locals(body, names, &[]);
        for case in self.syntax.children(id) {
            if !matches!(self.syntax.kind(case), Kind::SwitchCase | Kind::SwitchDefault) {
                self.push(body, What::Node(case), 1, Role::Plain);
                continue;
            }
            self.push(body, What::Case(case), 1, Role::Plain);
            for part in self.syntax.children(case) {
                if self.syntax.node(part).field != Field::Value {
                    self.push(body, What::Node(part), 1, Role::Plain);
                }
            }
        }
    }

    /// `case value` or `default`, without the statements behind it.
    pub(super) fn case(&mut self, case: SyntaxId, task: Task) {
        let is_default = self.syntax.kind(case) == Kind::SwitchDefault;
        let value = self.syntax.field(case, Field::Value);
        // The first child is the keyword.
        let last = value.or(self.syntax.children(case).next()).unwrap_or(case);
        let (start, line) = (self.syntax.node(case).start, self.syntax.node(case).line);
        let span = Span {
            start,
            end: self.syntax.node(last).end,
        };
        let name = self.cpg.intern(if is_default { "default" } else { "case" });
        let target = self.add_span(task, NodeKind::JumpTarget, span, line, name);
        if let Some(value) = value {
            self.push(target, What::Node(value), 1, Role::Plain);
        }
    }
}
