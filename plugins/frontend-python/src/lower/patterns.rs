//! `match`, and the patterns of its cases.

use transducer_frontend::cpg::{NameId, NodeKind, Span};
use transducer_treesitter::{Role, SyntaxId};

use super::{PythonLowering, Task, What, operators};
use crate::syntax::{Field, Kind};

impl PythonLowering<'_> {
    pub(super) fn match_statement(&mut self, id: SyntaxId, task: Task) {
        let control = self.control(task, "MATCH", id);
        let syntax = self.syntax;
        let subjects = syntax
            .children(id)
            .filter(|&part| syntax.node(part).field == Field::Subject);
        let subjects: Vec<SyntaxId> = subjects.collect();
        match subjects[..] {
            [first, .., last] => {
                let span = Span {
                    start: syntax.node(first).start,
                    end: syntax.node(last).end,
                };
                let (name, line) = (self.cpg.intern(operators::TUPLE), syntax.node(first).line);
                let tuple = Task {
                    parent: control,
                    order: 1,
                    role: Role::Condition,
                    ..task
                };
                let tuple = self.add_span(tuple, NodeKind::Call, span, line, name);
                for (subject, order) in subjects.into_iter().zip(1..) {
                    self.push(tuple, What::Node(subject), order, Role::Argument);
                }
            }
            [subject] => self.push(control, What::Node(subject), 1, Role::Condition),
            [] => {}
        }
        for part in syntax.children(id) {
            match syntax.node(part).field {
                Field::Subject => {}
                Field::Body => self.push(control, What::Cases(part), 2, Role::Plain),
                _ => self.push(control, What::Node(part), 0, Role::Plain),
            }
        }
    }

    pub(super) fn cases(&mut self, block: SyntaxId, task: Task) {
        let body = self.add(task, NodeKind::Block, block, NameId::EMPTY);
        for part in self.syntax.children(block) {
            if self.syntax.kind(part) == Kind::CaseClause {
                self.push(body, What::Case(part), 1, Role::Plain);
                for inner in self.syntax.children(part) {
                    if self.syntax.kind(inner) != Kind::CasePattern && self.syntax.node(inner).field != Field::Guard {
                        self.push(body, What::Node(inner), 1, Role::Plain);
                    }
                }
            } else {
                self.push(body, What::Node(part), 1, Role::Plain);
            }
        }
    }

    /// `case pattern if guard`: a jump target over the pattern and the guard, which is its condition; `default` where it takes
    /// whatever comes.
    pub(super) fn case(&mut self, clause: SyntaxId, task: Task) {
        let syntax = self.syntax;
        let patterns: Vec<SyntaxId> = syntax
            .children(clause)
            .filter(|&part| syntax.kind(part) == Kind::CasePattern)
            .collect();
        let guard = syntax.field(clause, Field::Guard);
        let last = guard.or(patterns.last().copied()).unwrap_or(clause);
        let takes_all = guard.is_none() && matches!(patterns[..], [only] if self.takes_all(only));
        let name = self.cpg.intern(if takes_all { "default" } else { "case" });
        let span = Span {
            start: syntax.node(clause).start,
            end: syntax.node(last).end,
        };
        let target = self.add_span(task, NodeKind::JumpTarget, span, syntax.node(clause).line, name);
        match patterns[..] {
            // A name below a jump target would be read.
            [only] if self.captured_name(only).is_none() => self.push(target, What::Pattern(only), 1, Role::Plain),
            [] => {}
            _ => {
                let parts = self.list(patterns);
                self.push(target, What::Parts(parts.start, parts.end), 1, Role::Plain);
            }
        }
        if let Some(guard) = guard {
            for part in syntax.children(guard) {
                let role = if self.is_operand(part) {
                    Role::Condition
                } else {
                    Role::Plain
                };
                self.push(target, What::Node(part), 2, role);
            }
        }
    }

    /// Several patterns side by side.
    pub(super) fn parts(&mut self, first: usize, end: usize, task: Task) {
        let span = Span {
            start: self.syntax.node(self.lists[first]).start,
            end: self.syntax.node(self.lists[end - 1]).end,
        };
        let line = self.syntax.node(self.lists[first]).line;
        let name = self.cpg.intern(operators::PATTERN);
        let call = self.add_span(task, NodeKind::Call, span, line, name);
        for (place, order) in (first..end).zip(1..) {
            self.base
                .push(call, What::Pattern(self.lists[place]), order, Role::Argument);
        }
    }

    /// What is inside the parentheses, and inside the nodes that only say that it is a pattern.
    fn bare_pattern(&self, mut id: SyntaxId) -> SyntaxId {
        loop {
            let is_wrapped = match self.syntax.kind(id) {
                Kind::CasePattern => true,
                Kind::TuplePattern => !self.ends_in_comma(id),
                _ => false,
            };
            let mut parts = self.operands_of(id);
            match (is_wrapped, parts.next(), parts.next()) {
                (true, Some(inner), None) => id = inner,
                _ => return id,
            }
        }
    }

    /// The name that a pattern is, if it is no more than that.
    fn captured_name(&self, pattern: SyntaxId) -> Option<SyntaxId> {
        let bare = self.bare_pattern(pattern);
        let mut names = self.syntax.children(bare);
        match (self.syntax.kind(bare), names.next(), names.next()) {
            (Kind::DottedName, Some(name), None) => Some(name),
            _ => None,
        }
    }

    fn takes_all(&self, pattern: SyntaxId) -> bool {
        self.captured_name(pattern).is_some() || self.text(self.bare_pattern(pattern)) == "_"
    }

    pub(super) fn pattern(&mut self, id: SyntaxId, task: Task) {
        let id = self.bare_pattern(id);
        let syntax = self.syntax;
        match syntax.kind(id) {
            // `_` names nothing; a number may have a sign.
            Kind::CasePattern if self.text(id) == "_" => {
                self.add(task, NodeKind::Identifier, id, NameId::EMPTY);
            }
            Kind::CasePattern | Kind::ComplexPattern => {
                self.add(task, NodeKind::Literal, id, NameId::EMPTY);
            }
            Kind::UnionPattern => {
                let alternatives: Vec<SyntaxId> = self.operands_of(id).collect();
                if alternatives.is_empty() {
                    return;
                }
                let parts = self.list(alternatives);
                self.instead(task, What::Alternatives(parts.start, parts.end - 1));
            }
            Kind::ClassPattern => {
                let call = self.operator(task, operators::PATTERN, id);
                for (part, order) in syntax.children(id).zip(1..) {
                    let what = if syntax.kind(part) == Kind::DottedName {
                        What::Leaf(NodeKind::TypeRef, part)
                    } else {
                        What::Pattern(part)
                    };
                    self.push(call, what, order, Role::Argument);
                }
            }
            Kind::KeywordPattern => {
                let mut parts = syntax.children(id);
                if let Some(name) = parts.next() {
                    let keyword = Task {
                        order: 0,
                        role: Role::Plain,
                        ..task
                    };
                    self.instead(keyword, What::Leaf(NodeKind::FieldIdentifier, name));
                }
                for value in parts {
                    self.instead(task, What::Pattern(value));
                }
            }
            Kind::ListPattern | Kind::TuplePattern | Kind::SplatPattern | Kind::AsPattern => {
                let call = self.operator(task, operators::PATTERN, id);
                self.push_operands(call, id, What::Pattern);
            }
            Kind::DictPattern => {
                let call = self.operator(task, operators::PATTERN, id);
                for (part, order) in syntax.children(id).zip(1..) {
                    let what = if syntax.node(part).field == Field::Key {
                        What::Node(part)
                    } else {
                        What::Pattern(part)
                    };
                    self.push(call, what, order, Role::Argument);
                }
            }
            Kind::Integer | Kind::Float => {
                let mut span = self.span(id);
                // A sign stands beside the number.
                let sign = id.checked_sub(1).filter(|&before| self.text(before) == "-");
                if let Some(sign) = sign {
                    span.start = self.syntax.node(sign).start;
                }
                let line = self.syntax.node(id).line;
                self.add_span(task, NodeKind::Literal, span, line, NameId::EMPTY);
            }
            _ => self.node(id, task),
        }
    }

    /// One alternative after the other, until one fits.
    pub(super) fn alternatives(&mut self, first: usize, last: usize, task: Task) {
        if first == last {
            return self.base.instead(task, What::Pattern(self.lists[first]));
        }
        let span = Span {
            start: self.syntax.node(self.lists[first]).start,
            end: self.syntax.node(self.lists[last]).end,
        };
        let line = self.syntax.node(self.lists[first]).line;
        let name = self.cpg.intern(operators::LOGICAL_OR);
        let call = self.add_span(task, NodeKind::Call, span, line, name);
        self.push(call, What::Alternatives(first, last - 1), 1, Role::Argument);
        self.base.push(call, What::Pattern(self.lists[last]), 2, Role::Argument);
    }
}
