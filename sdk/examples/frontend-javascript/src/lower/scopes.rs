//! Which names a piece of syntax binds, and where.
//!
//! A `LOCAL` stands at the start of the block that its name is in sight in: the whole body of its function for `var`, the
//! innermost block for `let`, `const`, classes, functions and imports. So a name means the same in all of its block, before
//! its declaration as well; that it cannot be read there yet is for the data flow to show.

use std::collections::HashSet;

use transducer_frontend::cpg::{NodeId, NodeKind};
use transducer_treesitter::{Role, SyntaxId};

use super::{JavaScriptLowering, What};
use crate::syntax::{Field, Kind, Syntax};

/// The declaration in `export …`, or the statement itself.
pub(super) fn exported(syntax: &Syntax, statement: SyntaxId) -> SyntaxId {
    let declaration = match syntax.kind(statement) {
        Kind::Export => syntax.field(statement, Field::Declaration),
        _ => None,
    };
    declaration.unwrap_or(statement)
}

/// The identifiers that a pattern binds, in order.
pub(super) fn bound_names(syntax: &Syntax, pattern: SyntaxId) -> Vec<SyntaxId> {
    let mut names = Vec::new();
    let mut at = pattern;
    while at < syntax.node(pattern).next {
        let node = syntax.node(at);
        at = match node.kind {
            // A default, a computed key, the object of a field: code that binds nothing.
            _ if node.field == Field::Right && at != pattern => node.next,
            Kind::ComputedPropertyName | Kind::Member | Kind::Subscript => node.next,
            Kind::Identifier | Kind::ShorthandPropertyIdentifierPattern => {
                names.push(at);
                node.next
            }
            _ => at + 1,
        };
    }
    names
}

/// The names that the declarators of a statement bind.
pub(super) fn declared_names(syntax: &Syntax, statement: SyntaxId) -> Vec<SyntaxId> {
    let patterns = syntax
        .children(statement)
        .filter_map(|declarator| syntax.field(declarator, Field::Name));
    patterns.flat_map(|pattern| bound_names(syntax, pattern)).collect()
}

/// The names that the statements of a block bind in it, other than by `var`.
pub(super) fn lexical_names(syntax: &Syntax, statements: impl Iterator<Item = SyntaxId>) -> Vec<SyntaxId> {
    let mut names = Vec::new();
    for statement in statements {
        let declaration = exported(syntax, statement);
        match syntax.kind(declaration) {
            Kind::Lexical | Kind::Using => names.extend(declared_names(syntax, declaration)),
            Kind::ClassDeclaration | Kind::Function | Kind::GeneratorFunctionDeclaration => {
                names.extend(syntax.field(declaration, Field::Name));
            }
            Kind::ImportStatement => names.extend(imported_names(syntax, declaration)),
            _ => {}
        }
    }
    names
}

/// `import a, { b, c as d } from "m"` binds `a`, `b` and `d`.
pub(super) fn imported_names(syntax: &Syntax, import: SyntaxId) -> impl Iterator<Item = SyntaxId> {
    let all = import..syntax.node(import).next;
    all.filter(|&id| {
        let node = syntax.node(id);
        let after = syntax.nodes.get(node.next).filter(|_| node.field == Field::Name);
        // Of `c as d`, the word `as` is a token between the two.
        let is_renamed = after.is_some_and(|after| after.kind == Kind::Token);
        node.kind == Kind::Identifier && !is_renamed
    })
}

impl<'a> JavaScriptLowering<'a> {
    /// The names that `var` binds in a function, wherever in its body.
    pub(super) fn var_names(&self, body: SyntaxId) -> Vec<SyntaxId> {
        let syntax = self.syntax;
        let mut names = Vec::new();
        let mut at = body;
        while at < syntax.node(body).next {
            match syntax.kind(at) {
                kind if kind.is_function() && at != body => {
                    at = syntax.node(at).next;
                    continue;
                }
                Kind::Variable => names.extend(declared_names(syntax, at)),
                Kind::ForIn if self.keyword_of(at) == "var" => {
                    let left = syntax.field(at, Field::Left);
                    names.extend(left.into_iter().flat_map(|left| bound_names(syntax, left)));
                }
                _ => {}
            }
            at += 1;
        }
        names
    }

    /// The `var`, `let` or `const` of a `for (… of …)`; empty where it declares nothing.
    pub(super) fn keyword_of(&self, each: SyntaxId) -> &'a str {
        let keyword = self.syntax.field(each, Field::Kind);
        keyword.map(|keyword| self.text(keyword)).unwrap_or_default()
    }

    /// Adds the names as locals, each text once and none that is `taken`.
    pub(super) fn add_locals(&mut self, parent: NodeId, names: Vec<SyntaxId>, taken: &[SyntaxId]) {
        let mut seen: HashSet<&str> = taken.iter().map(|&name| self.text(name)).collect();
        for name in names {
            if seen.insert(self.text(name)) {
                self.push(parent, What::Leaf(NodeKind::Local, name), 1, Role::Plain);
            }
        }
    }
}
