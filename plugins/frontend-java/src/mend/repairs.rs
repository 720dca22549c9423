//! What is done before a token, where it shows that something before it is missing or too much.

use super::headers::{begins_statement, is_access, is_keyword, is_primitive, is_value};
use super::mender::{DEEPEST, Holds, Mender, Open};
use super::tokens::Sort;
use super::{Edit, OPENING};

/// Tokens between the head of a block and its closing brace: the longest methods have some ten thousand.
const FARTHEST: usize = 20_000;

impl Mender<'_, '_> {
    /// What has to be done before a token; `false` where it is left out.
    pub(super) fn before(&mut self, index: usize) -> bool {
        if self.to_open == Some(index) {
            self.to_open = None;
            self.open_brace(index, Holds::Code, false);
            self.begin_statement(index);
        }
        let token = self.tokens.list[index];
        let is_first = token.indent.is_some();
        self.resume(index, is_first);
        self.answer(index);
        if let (Some(indent), Some(top)) = (token.indent, self.open.last_mut()) {
            top.body_indent.get_or_insert(indent);
        }
        match self.text(index) {
            ";" => self.before_semicolon(),
            "{" => self.before_brace(),
            "}" => return self.before_closing_brace(index),
            ")" | "]" => return self.before_closing(index),
            "..." => return self.before_ellipsis(index),
            "else" if self.statement.start == index && matches!(self.last(), "{" | "") => {
                self.leave_out(index);
                self.begin_statement(index + 1);
                return false;
            }
            // No statement begins with one of these; a difference of versions does.
            "+" | "-" if self.statement.start == index && is_first => {
                self.leave_out(index);
                self.begin_statement(index + 1);
                return false;
            }
            // The number of a line.
            _ if token.sort == Sort::Literal
                && self.statement.start == index
                && is_first
                && self.text(index).bytes().all(|byte| byte.is_ascii_digit())
                && self.tokens.get(index + 1).is_some_and(|next| next.indent.is_none())
                && (self.tokens.is_word(index + 1) || matches!(self.text(index + 1), "}" | "@")) =>
            {
                self.leave_out(index);
                self.tokens.list[index + 1].indent = token.indent;
                self.begin_statement(index + 1);
                return false;
            }
            _ => {}
        }
        true
    }

    /// A `try` without handlers and a `do` without condition are blocks; handlers without a `try` get one.
    pub(super) fn answer(&mut self, index: usize) {
        let next = self.text(index);
        let asked = self.asks.take();
        match (asked, asked.map_or("", |word| self.text(word)), next) {
            (Some(_), "do", "while") | (Some(_), "try" | "catch", "catch" | "finally") => {}
            // A `try` with resources needs no handlers.
            (Some(word), "do" | "try", _) if !self.tokens.is(word + 1, "(") => self.leave_out(word),
            (None, _, "catch" | "finally") if self.statement.start == index => self.put_in(" try {}"),
            _ => {}
        }
    }

    /// Ends what was left open before a token that begins something new.
    pub(super) fn resume(&mut self, index: usize, is_first: bool) {
        let word = self.text(index);
        let begins = self.statement.start == index;
        if is_first && self.in_parentheses() && (begins_statement(word) || is_access(word)) {
            self.close_parentheses(";");
        }
        if is_first && self.among_statements() && self.lacks_semicolon(index, word) {
            self.end_statement(index, ";");
        }
        let begins = begins || self.statement.start == index;
        if !self.among_members() && (begins || is_first) && self.begins_member(index, word) {
            while !self.among_members() {
                self.close_brace(index);
            }
        }
        if is_first && begins && word != "}" && word != "case" && word != "default" {
            self.close_to_the_left(index);
        }
        let in_try = self
            .top()
            .is_some_and(|top| top.asks.is_some_and(|word| self.tokens.is(word, "try")));
        if matches!(word, "catch" | "finally") && begins && in_try && self.asks.is_none() && self.missing > 0 {
            self.close_brace(index);
        }
        if self.among_members()
            && self.statement.start == index
            && self.missing < 0
            && let Some(behind) = self.tokens.behind_method_head(index)
            && !matches!(self.text(behind), "{" | ";" | "default" | "=")
        {
            self.open_later(behind - 1);
        }
    }

    /// Whether a member begins at a token among statements: nothing of the kind is a statement.
    pub(super) fn begins_member(&self, index: usize, word: &str) -> bool {
        let may_begin = is_access(word) || word == "@" || word == "static" || self.tokens.is_word(index);
        let is_head = || {
            let behind = self.tokens.behind_method_head(index);
            behind.is_some_and(|behind| self.tokens.is(behind, "{"))
        };
        may_begin && (is_access(word) || is_head())
    }

    /// Whether the statement before a token that begins a line has no semicolon.
    pub(super) fn lacks_semicolon(&self, index: usize, word: &str) -> bool {
        let Some(&last) = self.kept.last() else { return false };
        if !self.is_unfinished(index) {
            return false;
        }
        let last_token = self.tokens.list[last];
        let is_call = self.closed.is_some_and(|(holds, token)| {
            let name = token.checked_sub(1);
            matches!(holds, Holds::Other | Holds::Creation) && name.is_some_and(|name| self.tokens.is_word(name))
        });
        let ends_value = match self.text(last) {
            ")" => is_call && self.closed.is_some(),
            "]" | "++" | "--" => true,
            // Nothing can come of it any more.
            "." | "=" | "+" | "-" | "&" | "|" | "?" | "," => return begins_statement(word),
            text if is_primitive(text) => return begins_statement(word),
            text if last_token.sort == Sort::Word => !is_keyword(text) || is_value(text),
            _ => last_token.sort == Sort::Literal,
        };
        let is_head = || self.tokens.behind_method_head(self.statement.start) == Some(index);
        if !ends_value || is_head() {
            return false;
        }
        let is_whole = self.statement.has_value || self.tokens.list[self.statement.start].sort == Sort::Literal;
        let next_is_name = self.tokens.is_word(index) && (!is_keyword(word) || is_value(word));
        begins_statement(word)
            || is_primitive(word)
            || matches!(word, "final" | "switch")
            || next_is_name && is_whole
            || word == "<" && is_whole
    }

    /// Closes blocks that a line to their left shows to be over, where closing braces are missing.
    pub(super) fn close_to_the_left(&mut self, index: usize) {
        let Some(indent) = self.tokens.list[index].indent else {
            return;
        };
        while let Some(top) = self.top() {
            let is_left = top.holds == Holds::Code
                && top
                    .body_indent
                    .is_some_and(|body| body > top.indents[0] && body > indent)
                && indent <= top.indents[0];
            if self.missing <= 0 || !is_left {
                return;
            }
            self.close_brace(index);
        }
    }

    pub(super) fn before_semicolon(&mut self) {
        let allowed = self.top().is_some_and(|top| match top.holds {
            Holds::ForParts => top.semicolons < 2,
            Holds::Resources => true,
            _ => false,
        });
        if self.in_parentheses() && !allowed {
            self.close_parentheses(";");
        } else {
            self.drop_operators(";");
        }
    }

    /// A block does not begin within parentheses, but for those of lambdas, classes, arrays and switches.
    pub(super) fn before_brace(&mut self) {
        if !self.in_parentheses() {
            return;
        }
        let may_begin = match self.last() {
            ")" => self.closed.is_some_and(|(holds, token)| {
                holds == Holds::Creation || token > 0 && self.text(token - 1) == "switch"
            }),
            "->" | "]" | "=" | "," | "(" => true,
            _ => false,
        };
        if !may_begin {
            self.close_parentheses(";");
        }
    }

    pub(super) fn before_closing(&mut self, index: usize) -> bool {
        let closing = self.text(index).to_owned();
        let opening = if closing == ")" { "(" } else { "[" };
        let depth = self
            .open
            .iter()
            .rev()
            .take(DEEPEST)
            .take_while(|open| open.mark != "{")
            .position(|open| open.mark == opening);
        let Some(depth) = depth else {
            self.leave_out(index);
            return false;
        };
        self.drop_operators(&closing);
        for _ in 0..depth {
            if let Some(inner) = self.open.pop() {
                self.put_in(if inner.mark == "(" { ")" } else { "]" });
            }
        }
        true
    }

    /// `...` stands for a statement, or for what belongs in parentheses; behind a type it means any number of arguments.
    pub(super) fn before_ellipsis(&mut self, index: usize) -> bool {
        let is_spread = self.tokens.is_word(index + 1) && self.in_parentheses() && !matches!(self.last(), "(" | ",");
        if is_spread {
            return true;
        }
        let token = self.tokens.list[index];
        if !self.in_parentheses() && self.statement.start == index {
            self.edits.push(Edit::put(token.start, b';'));
            self.edits.push(Edit::blank(token.start + 1..token.end));
            self.begin_statement(index + 1);
        } else {
            self.leave_out(index);
        }
        false
    }

    pub(super) fn before_closing_brace(&mut self, index: usize) -> bool {
        if let Some(indent) = self.tokens.list[index].indent {
            let fits = |open: &Open| open.indents.contains(&indent);
            if self.missing > 0
                && self
                    .open
                    .iter()
                    .rev()
                    .take(DEEPEST)
                    .any(|open| open.mark == "{" && fits(open))
            {
                while self.missing > 0
                    && let Some(top) = self.innermost_brace()
                    && !fits(top)
                    && top.indents.iter().all(|&left| left > indent)
                {
                    self.close_brace(index);
                }
            }
            let is_left = |top: &Open| top.indents.iter().all(|&left| left < indent);
            let is_extra = self.missing < 0 && self.innermost_brace().is_none_or(is_left);
            if is_extra && let Some(head) = self.head_of_closing(index, indent) {
                self.close_parentheses("}");
                self.end_statement(index, "}");
                self.open_behind(head);
                self.begin_statement(index + 1);
                return self.keep_closing(index);
            }
        }
        if self.innermost_brace().is_some() {
            let is_array = self.top().is_some_and(|top| top.holds == Holds::Elements);
            if !is_array {
                self.close_parentheses("}");
            }
            if self.top().is_some_and(|top| top.holds == Holds::Code) {
                self.end_statement(index, "}");
            }
            return true;
        }
        // One too many: either this one, or the one before it that left statements outside.
        self.close_parentheses("}");
        self.missing += 1;
        match self.last_close {
            Some(close) if close + 1 < index && !self.begins_declaration(close + 1) => {
                self.end_statement(index, "}");
                self.leave_out(close);
                self.last_close = Some(index);
                self.begin_statement(index + 1);
                self.keep_closing(index)
            }
            _ => {
                self.leave_out(index);
                self.begin_statement(index + 1);
                false
            }
        }
    }

    /// Keeps a closing brace that closes nothing on the stack.
    pub(super) fn keep_closing(&mut self, index: usize) -> bool {
        self.kept.push(index);
        if self.open.is_empty() {
            self.last_close = Some(index);
        }
        self.closed = None;
        false
    }

    pub(super) fn begins_declaration(&self, index: usize) -> bool {
        let head = self.tokens.head(index);
        let word = self.text(index);
        let declares = matches!(
            word,
            "class" | "interface" | "enum" | "record" | "import" | "package" | "@" | "static"
        );
        declares || head.has_modifier || head.parameters.is_some()
    }

    /// The last token of the head whose block a closing brace closes: the line above it that is indented alike.
    pub(super) fn head_of_closing(&self, index: usize, indent: usize) -> Option<usize> {
        let from = match self.innermost_brace() {
            Some(top) => top.token + 1,
            None => self.last_close.map_or(0, |close| close + 1),
        };
        let first = (from..index)
            .rev()
            .take(FARTHEST)
            .find(|&at| self.tokens.list[at].indent == Some(indent))?;
        let mut at = if self.tokens.is(first, "}") { first + 1 } else { first };
        if self.tokens.is(at, "else") && self.tokens.is(at + 1, "if") {
            at += 1;
        }
        let has_parentheses = matches!(
            self.text(at),
            "if" | "for" | "while" | "switch" | "synchronized" | "catch" | "try"
        ) && self.tokens.is(at + 1, "(");
        if has_parentheses && let Some(behind) = self.tokens.behind_condition(at + 1) {
            return Some(behind - 1);
        }
        if matches!(self.text(at), "else" | "try" | "finally" | "do") {
            return Some(at);
        }
        if let Some(behind) = self.tokens.behind_method_head(at).filter(|&behind| behind <= index) {
            return Some(behind - 1);
        }
        let line = (first + 1..index).take_while(|&at| self.tokens.list[at].indent.is_none());
        Some(line.last().unwrap_or(first))
    }

    /// Puts a brace in behind a token that was gone past; what closes it is dealt with.
    pub(super) fn open_behind(&mut self, head: usize) {
        self.edits.push(Edit::insert(self.tokens.list[head].end, OPENING));
        self.missing += 1;
    }

    /// Puts a brace in behind a token that is still to come.
    pub(super) fn open_later(&mut self, head: usize) {
        self.edits.push(Edit::insert(self.tokens.list[head].end, OPENING));
        self.missing += 1;
        self.to_open = Some(head + 1);
    }
}
