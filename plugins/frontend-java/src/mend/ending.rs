//! What is done at the end of the text, which may come anywhere.

use super::mender::{Holds, Mender};

impl Mender<'_, '_> {
    /// Closes what the end of the text leaves open.
    pub(super) fn finish(&mut self) {
        let count = self.tokens.list.len();
        let Some(holds) = self.innermost_brace().map(|open| open.holds) else {
            self.finish_member(count);
            self.close_parentheses("");
            if !self.tokens.is(self.statement.start, "@") {
                self.end_statement(count, "");
            }
            self.answer(count);
            return;
        };
        if matches!(holds, Holds::Members | Holds::Constants) {
            self.finish_member(count);
        }
        while self.innermost_brace().is_some() {
            self.close_brace(count);
        }
        self.answer(count);
    }

    /// Ends the head of a member at the end of the text, so that it is one.
    pub(super) fn finish_member(&mut self, count: usize) {
        let start = self.statement.start;
        if start >= count || !self.is_unfinished(count) {
            return;
        }
        if let Some(holds) = self.statement.declares {
            self.close_parentheses("");
            self.drop_operators("");
            debug_assert!(matches!(holds, Holds::Members | Holds::Constants));
            self.put_in(" {}");
            return self.begin_statement(count);
        }
        let head = self.tokens.head(start);
        match head.parameters {
            Some(_) if head.end < count => return,
            Some(parameters) => {
                let is_open = self.open.last().is_some_and(|top| top.token == parameters);
                if is_open {
                    self.drop_operators(")");
                    if self.lacks_name(parameters) {
                        self.put_in(" _");
                    }
                }
                self.close_parentheses("");
                self.drop_operators("");
                self.put_in(" {}");
            }
            None if !head.has_modifier || head.end < count => return,
            None if head.has_name => self.put_in("() {}"),
            None if head.has_type => self.put_in(" _() {}"),
            None => self.put_in(" void _() {}"),
        }
        self.begin_statement(count);
    }

    /// Whether the last parameter has a type only.
    pub(super) fn lacks_name(&self, parameters: usize) -> bool {
        let Some(&last) = self.kept.last() else { return false };
        if last == parameters {
            return false;
        }
        let before = self.kept.len().checked_sub(2).map_or(parameters, |at| self.kept[at]);
        !self.tokens.is_name(last) || before == parameters || matches!(self.text(before), "," | "final" | "." | "@")
    }
}
