//! What is assigned to: variables, fields, and the patterns that take a value apart.
//!
//! A pattern is an `<operator>.unpack` that stands behind the value, as it is taken apart once that is there. A default stands
//! before its target: `{ a = 1 }` is `a ?? 1`, then `a`.

use transducer_frontend::cpg::{NodeId, NodeKind};
use transducer_treesitter::{Role, SyntaxId};

use super::{JavaScriptLowering, Task, What, below, operators};
use crate::syntax::{Field, Kind};

pub(super) fn is_pattern(kind: Kind) -> bool {
    matches!(kind, Kind::ArrayPattern | Kind::ObjectPattern)
}

impl JavaScriptLowering<'_> {
    /// What is assigned to. What comes with a target (its key, its default) goes before it.
    pub(super) fn target(&mut self, target: SyntaxId, task: Task) {
        let beside = Task {
            order: 0,
            role: Role::Plain,
            ..task
        };
        match self.syntax.kind(target) {
            kind if is_pattern(kind) => {
                let unpack = self.operator(task, operators::UNPACK, target);
                self.push_targets(unpack, target);
            }
            Kind::Identifier | Kind::ShorthandPropertyIdentifierPattern | Kind::Undefined => {
                self.leaf(NodeKind::Identifier, target, task);
            }
            Kind::RestPattern | Kind::Parenthesized => {
                for child in self.syntax.children(target) {
                    self.instead(task, What::Target(child));
                }
            }
            Kind::AssignmentPattern | Kind::ObjectAssignmentPattern => {
                self.instead(beside, What::Default(target));
                if let Some(left) = self.syntax.field(target, Field::Left) {
                    self.instead(task, What::Target(left));
                }
            }
            Kind::PairPattern => {
                if let Some(key) = self.syntax.field(target, Field::Key) {
                    self.instead(beside, What::Node(key));
                }
                if let Some(value) = self.syntax.field(target, Field::Value) {
                    self.instead(task, What::Target(value));
                }
            }
            _ => self.node(target, task),
        }
    }

    fn push_targets(&mut self, unpack: NodeId, pattern: SyntaxId) {
        let mut count = 0;
        for child in self.syntax.children(pattern) {
            if self.syntax.kind(child).is_operand() {
                count += 1;
                self.push(unpack, What::Target(child), count, Role::Argument);
            } else {
                self.push(unpack, What::Node(child), 0, Role::Plain);
            }
        }
    }

    /// `name ?? value` of `name = value`: the value is evaluated only where the pattern finds none.
    pub(super) fn default(&mut self, pattern: SyntaxId, task: Task) {
        let call = self.operator(task, operators::ELVIS, pattern);
        let left = self.syntax.field(pattern, Field::Left);
        if let Some(left) = left {
            self.push(call, What::Leaf(NodeKind::FieldIdentifier, left), 1, Role::Argument);
        }
        if let Some(right) = self.syntax.field(pattern, Field::Right) {
            self.push(call, What::Value(right, left), 2, Role::Argument);
        }
        self.push_strays(call, pattern);
    }

    /// `target = value` over a piece of syntax. The reference that a field or element is comes before the value.
    pub(super) fn assignment(&mut self, id: SyntaxId, target: SyntaxId, value: What, task: Task) {
        let call = self.operator(task, operators::ASSIGNMENT, id);
        let mut parts = [(What::Target(target), 1), (value, 2)];
        if is_pattern(self.syntax.kind(target)) {
            parts.reverse();
        }
        for (what, order) in parts {
            self.push(call, what, order, Role::Argument);
        }
        self.push_strays(call, id);
    }

    /// `target = value` where the value is a piece of syntax.
    pub(super) fn assign(&mut self, id: SyntaxId, task: Task) {
        let left = self.syntax.field(id, Field::Left);
        let right = self.syntax.field(id, Field::Right);
        if let (Some(left), Some(right)) = (left, right) {
            self.assignment(id, left, What::Value(right, Some(left)), task);
        }
    }

    /// The name or pattern of a parameter, and its default.
    pub(super) fn parameter_parts(&self, parameter: SyntaxId) -> (SyntaxId, Option<SyntaxId>) {
        match self.syntax.kind(parameter) {
            Kind::AssignmentPattern => {
                let left = self.syntax.field(parameter, Field::Left).unwrap_or(parameter);
                (left, self.syntax.field(parameter, Field::Right))
            }
            Kind::RestPattern => (self.operand(parameter).unwrap_or(parameter), None),
            _ => (parameter, None),
        }
    }

    /// What happens to a parameter before the body runs: `a = a ?? default`, or `pattern = parameter`.
    pub(super) fn prologue(&mut self, parameter: SyntaxId, task: Task) {
        let (target, _) = self.parameter_parts(parameter);
        self.assignment(parameter, target, What::Taken(parameter), task);
    }

    /// The value of a parameter, which goes by the text of its name or pattern, or its default.
    pub(super) fn taken(&mut self, parameter: SyntaxId, task: Task) {
        let (target, default) = self.parameter_parts(parameter);
        let Some(default) = default else {
            self.leaf(NodeKind::Identifier, target, task);
            return;
        };
        let value = self.operator(task, operators::ELVIS, parameter);
        self.leaf(NodeKind::Identifier, target, below(task, value, 1));
        self.push(value, What::Value(default, Some(target)), 2, Role::Argument);
    }
}
