//! Comprehensions and generators: loops in the order in which they run, the element innermost.

use transducer_frontend::cpg::NodeKind;
use transducer_treesitter::{Role, SyntaxId};

use super::{PythonLowering, Task, What};
use crate::syntax::{Field, Kind};

impl PythonLowering<'_> {
    pub(super) fn comprehension(&mut self, id: SyntaxId, task: Task) {
        let name = match self.syntax.kind(id) {
            Kind::ListComprehension => "<operator>.listComprehension",
            Kind::SetComprehension => "<operator>.setComprehension",
            Kind::DictionaryComprehension => "<operator>.dictComprehension",
            _ => "<operator>.generator",
        };
        let call = self.operator(task, name, id);
        let body = self.syntax.field(id, Field::Body);
        let first = body.map_or(id + 1, |body| self.syntax.node(body).next);
        self.push_clauses(call, id, first, 1);
    }

    /// What stands from a clause on: comments, then the next loop or condition, or the element where there is none.
    fn push_clauses(&mut self, parent: u32, whole: SyntaxId, from: SyntaxId, order: u32) {
        let end = self.syntax.node(whole).next;
        let mut part = from;
        while part < end {
            if matches!(self.syntax.kind(part), Kind::ForIn | Kind::IfClause) {
                return self.push(parent, What::Clause(whole, part), order, Role::Plain);
            }
            self.push(parent, What::Node(part), 0, Role::Plain);
            part = self.syntax.node(part).next;
        }
        if let Some(body) = self.syntax.field(whole, Field::Body) {
            self.push(parent, What::Node(body), order, Role::Plain);
        }
    }

    /// `for target in iterable` around what comes after it: its variables are its own, and the iterable does not see them.
    pub(super) fn clause(&mut self, whole: SyntaxId, clause: SyntaxId, task: Task) {
        let next = self.syntax.node(clause).next;
        if self.syntax.kind(clause) == Kind::IfClause {
            let control = self.control(task, "IF", clause);
            for part in self.syntax.children(clause) {
                let (order, role) = if self.is_operand(part) {
                    (1, Role::Condition)
                } else {
                    (0, Role::Plain)
                };
                self.push(control, What::Node(part), order, role);
            }
            return self.push_clauses(control, whole, next, 2);
        }
        let control = self.control(task, "FOREACH", clause);
        for part in self.syntax.children(clause) {
            match self.syntax.node(part).field {
                Field::Left => {}
                Field::Right => self.push(control, What::Node(part), 2, Role::Plain),
                _ => self.push(control, What::Node(part), 0, Role::Plain),
            }
        }
        if let Some(targets) = self.syntax.field(clause, Field::Left) {
            self.push_variables(control, targets);
        }
        self.push_clauses(control, whole, next, 3);
    }

    /// The names that a loop gives values to, and whatever else it does.
    fn push_variables(&mut self, control: u32, targets: SyntaxId) {
        let mut part = targets;
        while part < self.syntax.node(targets).next {
            let next = self.syntax.node(part).next;
            part = match self.syntax.kind(part) {
                Kind::Identifier => {
                    self.push(control, What::Leaf(NodeKind::Local, part), 1, Role::Plain);
                    next
                }
                Kind::Attribute | Kind::Subscript => {
                    self.push(control, What::Target(part), 1, Role::Plain);
                    next
                }
                _ => part + 1,
            };
        }
    }
}
