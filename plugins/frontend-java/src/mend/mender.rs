//! The one pass over the tokens.

use super::Edit;
use super::headers::{Tokens, begins_statement, is_primitive};
use super::tokens::{Sort, Token};

/// Open brackets that are looked through for the one that fits. Real code nests a few dozen deep; without a limit, brackets
/// that never fit would make the work quadratic.
pub(super) const DEEPEST: usize = 64;

/// What an open bracket holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// Statements.
    Code,
    /// Members.
    Members,
    /// Constants, then members.
    Constants,
    /// The elements of an array.
    Elements,
    /// The condition of a control structure other than a `for`, or what a `catch` catches.
    Condition,
    /// The three parts of a `for`.
    ForParts,
    /// The resources of a `try`.
    Resources,
    /// The values of an annotation.
    Values,
    /// The arguments of `new`.
    Creation,
    /// Arguments, parameters, part of an expression.
    Other,
}

/// What is open, and where a statement stood when it was opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    pub(super) mark: &'static str,
    pub(super) holds: Holds,
    pub(super) token: usize,
    /// Columns of blanks before the statement that it belongs to, and before its own line: what closes it stands below one.
    pub(super) indents: [usize; 2],
    /// Columns of blanks before what it holds.
    pub(super) body_indent: Option<usize>,
    /// Whether the statement goes on behind it.
    pub(super) goes_on: bool,
    pub(super) outer: Statement,
    /// Semicolons that it holds itself.
    pub(super) semicolons: usize,
    /// The word that it belongs to, if it is one that asks for another behind the block: `try`, `do`.
    pub(super) asks: Option<usize>,
}

/// The statement or member that is being gone through.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Statement {
    /// Its first token.
    pub(super) start: usize,
    /// Whether a type is declared, and whether that is an enum.
    pub(super) declares: Option<Holds>,
    /// Whether a value was given or a call begun.
    pub(super) has_value: bool,
}

pub(super) struct Mender<'a, 'b> {
    pub(super) tokens: Tokens<'a>,
    pub(super) edits: &'b mut Vec<Edit>,
    pub(super) open: Vec<Open>,
    pub(super) statement: Statement,
    /// Tokens so far that were not left out.
    pub(super) kept: Vec<usize>,
    /// What the parenthesis held that closed last, if that was the last token.
    pub(super) closed: Option<(Holds, usize)>,
    /// Whether the tokens since `new` are a type.
    pub(super) in_creation: bool,
    /// Opening braces without a closing one, less closing ones without an opening one: in the whole text, less those mended.
    pub(super) missing: isize,
    /// A brace to be opened before a token.
    pub(super) to_open: Option<usize>,
    /// The closing brace after which nothing was open, last.
    pub(super) last_close: Option<usize>,
    /// A `try` or `do` whose block closed with the last token.
    pub(super) asks: Option<usize>,
}

/// Adds the edits that mend a text of these tokens.
pub(super) fn mend(source: &str, list: Vec<Token>, edits: &mut Vec<Edit>) {
    let mut tokens = Tokens { source, list };
    join_placeholders(&mut tokens, edits);
    let count = tokens.list.len();
    let braces = (0..count).map(|index| match tokens.text(index) {
        "{" => 1,
        "}" => -1,
        _ => 0,
    });
    let mut mender = Mender {
        missing: braces.sum(),
        tokens,
        edits,
        open: Vec::new(),
        statement: Statement::default(),
        kept: Vec::new(),
        closed: None,
        in_creation: false,
        to_open: None,
        last_close: None,
        asks: None,
    };
    for index in 0..count {
        if mender.before(index) {
            mender.take(index);
        }
    }
    mender.finish();
}

/// Makes one literal of `<Name>` where no type can stand.
fn join_placeholders(tokens: &mut Tokens, edits: &mut Vec<Edit>) {
    let mut joined: Vec<Token> = Vec::with_capacity(tokens.list.len());
    let mut index = 0;
    // The place behind the last condition: where a body begins.
    let mut body = None;
    while let Some(&token) = tokens.get(index) {
        if matches!(tokens.text(index), "if" | "for" | "while") && tokens.is(index + 1, "(") {
            body = tokens.behind_condition(index + 1);
        }
        let begins_body = body == Some(index) || index > 0 && tokens.is(index - 1, "else");
        index += 1;
        let before = index
            .checked_sub(2)
            .map(|before| (tokens.text(before), tokens.is_word(before)));
        let may_stand = match before {
            None => true,
            _ if begins_body => true,
            Some((text, true)) => text == "return" || text == "throw",
            Some((text, false)) => matches!(
                text,
                "=" | "(" | "," | ";" | "{" | "}" | "+" | "-" | "*" | "/" | "!" | "&" | "|" | "?" | ":" | "->" | "["
            ),
        };
        let is_placeholder =
            may_stand && token.is_single(tokens.source, "<") && tokens.is_name(index) && tokens.is(index + 1, ">");
        if !is_placeholder || tokens.behind_method_head(index - 1).is_some() {
            joined.push(token);
            continue;
        }
        let end = tokens.list[index + 1].end;
        // Before a statement it is one of its own, as it is for a body before another line.
        let before_line = tokens.get(index + 2).is_some_and(|next| next.indent.is_some());
        let is_statement = begins_statement(tokens.text(index + 2)) || begins_body && before_line;
        edits.push(Edit::put(token.start, b'_'));
        edits.push(Edit::put(end - 1, if is_statement { b';' } else { b'_' }));
        joined.push(Token {
            sort: Sort::Literal,
            end,
            ..token
        });
        index += 2;
    }
    tokens.list = joined;
}

impl<'a> Mender<'a, '_> {
    pub(super) fn text(&self, index: usize) -> &'a str {
        self.tokens.text(index)
    }

    pub(super) fn last(&self) -> &'a str {
        self.kept.last().map_or("", |&last| self.tokens.text(last))
    }

    pub(super) fn top(&self) -> Option<&Open> {
        self.open.last()
    }

    pub(super) fn innermost_brace(&self) -> Option<&Open> {
        self.open.iter().rev().find(|open| open.mark == "{")
    }

    pub(super) fn in_parentheses(&self) -> bool {
        self.top().is_some_and(|top| top.mark != "{")
    }

    /// Whether members stand here: in a type, or at the top of the text.
    pub(super) fn among_members(&self) -> bool {
        self.top()
            .is_none_or(|top| matches!(top.holds, Holds::Members | Holds::Constants))
    }

    pub(super) fn among_statements(&self) -> bool {
        self.top().is_none_or(|top| top.holds == Holds::Code)
    }

    /// Puts text in behind the last token.
    pub(super) fn put_in(&mut self, text: &'static str) {
        let at = self.kept.last().map_or(0, |&last| self.tokens.list[last].end);
        self.edits.push(Edit::insert(at, text));
    }

    pub(super) fn leave_out(&mut self, index: usize) {
        let Token { start, end, .. } = self.tokens.list[index];
        self.edits.push(Edit::blank(start..end));
    }

    pub(super) fn begin_statement(&mut self, start: usize) {
        self.statement = Statement {
            start,
            ..Statement::default()
        };
    }

    pub(super) fn is_unfinished(&self, index: usize) -> bool {
        let start = self.statement.start;
        start < index && self.kept.last().is_some_and(|&last| last >= start)
    }

    /// Leaves out operators at the end that wait for an operand which does not come.
    pub(super) fn drop_operators(&mut self, before: &str) {
        while let Some(&last) = self.kept.last() {
            let behind = self
                .kept
                .len()
                .checked_sub(2)
                .map_or("", |at| self.tokens.text(self.kept[at]));
            match self.text(last) {
                "->" => return self.put_in(" {}"),
                "*" if behind == "." => return,
                "," if before == "}" => return,
                ":" if before == "}" || before.is_empty() => return,
                "." | "=" | "+" | "-" | "*" | "/" | "%" | "&" | "|" | "^" | "<" | "!" | "~" | "," | "?" | "::"
                | "new" | "case" | "instanceof" | "throws" | "extends" | "implements" | ":" => {
                    self.leave_out(last);
                    self.kept.pop();
                }
                text if before == ";" && is_primitive(text) && self.statement.start == last => {
                    self.leave_out(last);
                    self.kept.pop();
                }
                _ => return,
            }
        }
    }

    /// Closes what is open inside of the innermost brace.
    pub(super) fn close_parentheses(&mut self, before: &str) {
        if !self.in_parentheses() {
            return;
        }
        self.drop_operators(before);
        while let Some(top) = self.open.pop_if(|top| top.mark != "{") {
            // The parts of a `for` are three.
            if top.holds == Holds::ForParts && top.semicolons < 2 {
                self.put_in(if top.semicolons == 0 { ";;" } else { ";" });
            }
            self.put_in(if top.mark == "(" { ")" } else { "]" });
            self.closed = Some((top.holds, top.token));
        }
    }

    /// Ends the statement that the last token is in.
    pub(super) fn end_statement(&mut self, index: usize, before: &str) {
        if !self.is_unfinished(index) {
            return;
        }
        self.drop_operators(before);
        if self.is_unfinished(index) {
            let is_label = matches!(self.text(self.statement.start), "case" | "default");
            self.put_in(if is_label { ":" } else { ";" });
        }
        self.begin_statement(index);
    }

    /// Closes the innermost brace.
    pub(super) fn close_brace(&mut self, index: usize) {
        if self.asks.is_some() {
            self.answer(index);
        }
        self.close_parentheses("}");
        if self.top().is_some_and(|top| top.holds == Holds::Code) {
            self.end_statement(index, "}");
        }
        if let Some(top) = self.open.pop() {
            self.put_in("}");
            self.missing -= 1;
            self.behind_brace(top, index);
        }
    }

    pub(super) fn behind_brace(&mut self, top: Open, next: usize) {
        if top.goes_on {
            self.statement = top.outer;
        } else {
            self.begin_statement(next);
        }
        self.closed = None;
        self.asks = top.asks;
    }

    pub(super) fn open_brace(&mut self, index: usize, holds: Holds, goes_on: bool) {
        self.push("{", holds, index, goes_on);
    }

    pub(super) fn push(&mut self, mark: &'static str, holds: Holds, index: usize, goes_on: bool) {
        let line_indent = |at: usize| self.tokens.get(at).map_or(0, |token| token.line_indent);
        let first = self.statement.start;
        let asks = (mark == "{" && matches!(self.text(first), "try" | "do" | "catch")).then_some(first);
        self.open.push(Open {
            mark,
            holds,
            token: index,
            indents: [line_indent(self.statement.start), line_indent(index)],
            body_indent: None,
            goes_on,
            outer: self.statement,
            semicolons: 0,
            asks,
        });
    }

    /// Goes past a token.
    pub(super) fn take(&mut self, index: usize) {
        let closed = self.closed.take();
        let was_creation = std::mem::take(&mut self.in_creation);
        match self.tokens.text(index) {
            "(" => self.take_parenthesis(index, was_creation),
            "[" => self.push("[", Holds::Other, index, true),
            "{" => self.take_brace(index, closed),
            ")" | "]" => {
                if let Some(top) = self.open.pop() {
                    self.closed = Some((top.holds, top.token));
                }
            }
            "}" => {
                if let Some(top) = self.open.pop() {
                    self.behind_brace(top, index + 1);
                }
                if self.open.is_empty() {
                    self.last_close = Some(index);
                }
            }
            ";" => self.take_semicolon(index),
            ":" => self.take_colon(index),
            "=" => self.statement.has_value = true,
            "new" => self.in_creation = true,
            "if" | "while" | "switch" if !self.tokens.is(index + 1, "(") => {
                self.edits.push(Edit::insert(self.tokens.list[index].end, " ("));
                self.kept.push(index);
                return self.push("(", Holds::Condition, index + 1, true);
            }
            "enum" if self.last() != "." => self.statement.declares = Some(Holds::Constants),
            "class" | "interface" if self.last() != "." => self.statement.declares = Some(Holds::Members),
            "record" if self.tokens.is_name(index + 1) && self.tokens.is(index + 2, "(") => {
                self.statement.declares = Some(Holds::Members);
            }
            "." | "<" | ">" | "," | "?" => self.in_creation = was_creation,
            _ => self.in_creation = was_creation && self.tokens.is_word(index),
        }
        self.kept.push(index);
    }

    pub(super) fn take_parenthesis(&mut self, index: usize, is_creation: bool) {
        let before = self.kept.last().copied();
        let holds = match self.last() {
            _ if is_creation => Holds::Creation,
            "if" | "while" | "switch" | "synchronized" | "catch" => Holds::Condition,
            "for" => Holds::ForParts,
            "try" => Holds::Resources,
            _ if self.is_annotation(before) => Holds::Values,
            _ => Holds::Other,
        };
        if holds == Holds::Other && before.is_some_and(|before| self.tokens.is_name(before)) {
            self.statement.has_value = true;
        }
        self.push("(", holds, index, true);
    }

    pub(super) fn is_annotation(&self, name: Option<usize>) -> bool {
        let Some(mut at) = name else { return false };
        while at >= 2 && self.tokens.is(at - 1, ".") {
            at -= 2;
        }
        at >= 1 && self.tokens.is(at - 1, "@")
    }

    pub(super) fn take_brace(&mut self, index: usize, closed: Option<(Holds, usize)>) {
        let first = self.text(self.statement.start);
        let is_case = matches!(first, "case" | "default");
        let in_constants = self.top().is_some_and(|top| top.holds == Holds::Constants);
        let in_elements = self.top().is_some_and(|top| top.holds == Holds::Elements);
        let last = self.last();
        let is_creation = closed.is_some_and(|(holds, _)| holds == Holds::Creation);
        let is_switch = closed.is_some_and(|(_, token)| token > 0 && self.tokens.is(token - 1, "switch"));
        let has_value = self.statement.has_value || matches!(first, "return" | "yield" | "throw");
        let (holds, goes_on) = if let Some(holds) = self.statement.declares {
            (holds, false)
        } else if in_elements || matches!(last, "]" | "=" | "," | "(") && !in_constants {
            (Holds::Elements, true)
        } else if is_creation || in_constants && self.tokens.is_name(self.statement.start) {
            (Holds::Members, true)
        } else if last == "->" {
            (Holds::Code, !is_case || self.in_parentheses())
        } else {
            (Holds::Code, self.in_parentheses() || is_switch && has_value)
        };
        self.open_brace(index, holds, goes_on);
        self.begin_statement(index + 1);
    }

    pub(super) fn take_semicolon(&mut self, index: usize) {
        if let Some(top) = self.open.last_mut() {
            top.semicolons += 1;
            if top.holds == Holds::Constants {
                top.holds = Holds::Members;
            }
        }
        if !self.in_parentheses() {
            self.begin_statement(index + 1);
        }
    }

    /// Behind a label a statement begins.
    pub(super) fn take_colon(&mut self, index: usize) {
        let start = self.statement.start;
        let is_case = matches!(self.text(start), "case" | "default");
        if !self.in_parentheses() && (is_case || start + 1 == index && self.tokens.is_name(start)) {
            self.begin_statement(index + 1);
        }
    }
}
