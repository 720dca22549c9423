//! What a run of tokens begins: a declaration, as far as its head shows.

use super::tokens::{Sort, Token};

/// Tokens of a head that are looked at. The longest parameter lists have some hundred; without a limit, brackets that are
/// never closed would make the work quadratic.
const LONGEST_HEAD: usize = 1000;

/// The tokens of a text.
pub(super) struct Tokens<'a> {
    pub(super) source: &'a str,
    pub(super) list: Vec<Token>,
}

impl<'a> Tokens<'a> {
    pub(super) fn get(&self, index: usize) -> Option<&Token> {
        self.list.get(index)
    }

    /// The text of a token; empty where there is none.
    pub(super) fn text(&self, index: usize) -> &'a str {
        self.get(index)
            .and_then(|token| self.source.get(token.start..token.end))
            .unwrap_or_default()
    }

    pub(super) fn is(&self, index: usize, text: &str) -> bool {
        self.text(index) == text
    }

    pub(super) fn is_word(&self, index: usize) -> bool {
        self.get(index).is_some_and(|token| token.sort == Sort::Word)
    }

    pub(super) fn is_name(&self, index: usize) -> bool {
        self.is_word(index) && !is_keyword(self.text(index))
    }

    /// The place behind the bracket that closes the one at `index`.
    pub(super) fn behind_brackets(&self, index: usize, open: &str, close: &str) -> Option<usize> {
        let mut depth = 0_usize;
        for at in index..self.list.len().min(index + LONGEST_HEAD) {
            if self.is(at, open) {
                depth += 1;
            } else if self.is(at, close) {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            } else if matches!(self.text(at), ";" | "{" | "}") {
                return None;
            }
        }
        None
    }

    /// The place behind the parentheses of a condition: there may be semicolons in them.
    pub(super) fn behind_condition(&self, index: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for at in index..self.list.len().min(index + LONGEST_HEAD) {
            match self.text(at) {
                "(" => depth += 1,
                ")" => {
                    depth -= 1;
                    if depth == 0 {
                        return Some(at + 1);
                    }
                }
                "{" | "}" => return None,
                _ => {}
            }
        }
        None
    }

    /// The place behind the annotations at `index`.
    fn behind_annotations(&self, mut index: usize) -> usize {
        while self.is(index, "@") && self.is_name(index + 1) {
            index += 2;
            while self.is(index, ".") && self.is_word(index + 1) {
                index += 2;
            }
            if self.is(index, "(") {
                match self.behind_brackets(index, "(", ")") {
                    Some(next) => index = next,
                    None => return index,
                }
            }
        }
        index
    }

    /// The place behind the type at `index`.
    fn behind_type(&self, index: usize) -> Option<usize> {
        let mut at = index;
        loop {
            let is_first = at == index;
            if !(self.is_name(at) || is_first && is_primitive(self.text(at))) {
                return None;
            }
            at += 1;
            if self.is(at, "<") {
                at = self.behind_brackets(at, "<", ">")?;
            }
            if !self.is(at, ".") {
                break;
            }
            at += 1;
        }
        while self.is(at, "[") && self.is(at + 1, "]") {
            at += 2;
        }
        Some(at)
    }

    /// The declaration that begins at `index`, as far as it goes.
    pub(super) fn head(&self, index: usize) -> Head {
        let mut at = self.behind_annotations(index);
        let first_modifier = at;
        while is_modifier(self.text(at)) && !self.is(at + 1, "(") {
            at = self.behind_annotations(at + 1);
        }
        let has_modifier = at > first_modifier;
        let has_access = (first_modifier..at).any(|modifier| is_access(self.text(modifier)));
        let mut head = Head {
            has_modifier,
            has_type: false,
            has_name: false,
            parameters: None,
            end: at,
        };
        if self.is(at, "<") {
            match self.behind_brackets(at, "<", ">") {
                Some(next) => at = next,
                None => return head,
            }
        }
        if has_access && self.is_name(at) && self.is(at + 1, "(") {
            // A constructor.
            head.has_type = true;
            at += 1;
        } else {
            let Some(next) = self.behind_type(at) else { return head };
            head.has_type = true;
            head.end = next;
            at = next;
            if !self.is_name(at) {
                return head;
            }
            at += 1;
        }
        head.has_name = true;
        head.end = at;
        if !self.is(at, "(") {
            return head;
        }
        head.parameters = Some(at);
        let Some(mut behind) = self.behind_brackets(at, "(", ")") else {
            head.end = self.list.len();
            return head;
        };
        while self.is(behind, "[") && self.is(behind + 1, "]") {
            behind += 2;
        }
        if self.is(behind, "throws") {
            behind += 1;
            while let Some(next) = self.behind_type(behind) {
                behind = next;
                if !self.is(behind, ",") {
                    break;
                }
                behind += 1;
            }
        }
        head.end = behind;
        head
    }

    /// The place behind the head of the method that begins at `index`, if one does.
    pub(super) fn behind_method_head(&self, index: usize) -> Option<usize> {
        let head = self.head(index);
        (head.parameters.is_some() && head.end < self.list.len()).then_some(head.end)
    }
}

/// The head of a field or a method, or what there is of one.
pub(super) struct Head {
    pub(super) has_modifier: bool,
    pub(super) has_type: bool,
    pub(super) has_name: bool,
    /// The parenthesis before its parameters.
    pub(super) parameters: Option<usize>,
    /// One past its last token.
    pub(super) end: usize,
}

pub(super) fn is_access(word: &str) -> bool {
    matches!(word, "public" | "private" | "protected")
}

fn is_modifier(word: &str) -> bool {
    is_access(word)
        || matches!(
            word,
            "static"
                | "final"
                | "abstract"
                | "synchronized"
                | "native"
                | "strictfp"
                | "default"
                | "transient"
                | "volatile"
        )
}

pub(super) fn is_primitive(word: &str) -> bool {
    matches!(
        word,
        "void" | "boolean" | "byte" | "char" | "short" | "int" | "long" | "float" | "double"
    )
}

/// A word that a statement begins with and nothing else.
pub(crate) fn begins_statement(word: &str) -> bool {
    matches!(
        word,
        "return" | "if" | "for" | "while" | "do" | "try" | "throw" | "break" | "continue"
    )
}

/// A reserved word; those that are reserved in places only (`record`, `yield`, `var`) are names.
pub(super) fn is_keyword(word: &str) -> bool {
    is_modifier(word)
        || is_primitive(word)
        || begins_statement(word)
        || matches!(
            word,
            "assert"
                | "case"
                | "catch"
                | "class"
                | "else"
                | "enum"
                | "extends"
                | "finally"
                | "implements"
                | "import"
                | "instanceof"
                | "interface"
                | "new"
                | "null"
                | "package"
                | "super"
                | "switch"
                | "this"
                | "throws"
                | "true"
                | "false"
        )
}

/// A reserved word that stands for a value.
pub(super) fn is_value(word: &str) -> bool {
    matches!(word, "this" | "super" | "null" | "true" | "false" | "class")
}
