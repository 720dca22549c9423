//! Which names each scope binds. In Python a name that is bound anywhere in a function is local to all of it, so that this must
//! be known before the function's first statement is lowered.

use transducer_frontend::cpg::NameId;
use transducer_treesitter::SyntaxId;

use super::Base;
use crate::syntax::{Field, Kind};

/// A name, and where it is bound first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Bound {
    /// Index of the scope, in the order in which they open.
    scope: u32,
    name: NameId,
    at: SyntaxId,
}

/// The scopes of a source: the module, its functions, lambdas and classes. The variables of comprehensions are their own.
#[derive(Debug)]
pub(super) struct Scopes {
    /// The syntax of each scope, ascending: the module is the first.
    owners: Vec<SyntaxId>,
    /// Sorted by scope, then by place.
    bound: Vec<Bound>,
}

impl Scopes {
    /// Where the names of a scope are bound first, in order.
    pub(super) fn names(&self, owner: SyntaxId) -> impl Iterator<Item = SyntaxId> + use<'_> {
        let scope = self.owners.binary_search(&owner).map_or(u32::MAX, |scope| scope as u32);
        let start = self.bound.partition_point(|bound| bound.scope < scope);
        let len = self.bound[start..].partition_point(|bound| bound.scope == scope);
        self.bound[start..start + len].iter().map(|bound| bound.at)
    }

    /// Finds what every scope binds.
    pub(super) fn find(base: &mut Base<'_>) -> Self {
        let mut finder = Finder {
            base,
            open: vec![(SyntaxId::MAX, 0)],
            owners: vec![0],
            bound: Vec::new(),
            elsewhere: Vec::new(),
            handler_name: None,
        };
        for syntax in 0..finder.base.syntax.nodes.len() {
            finder.visit(syntax);
        }
        let Finder {
            owners,
            mut bound,
            mut elsewhere,
            ..
        } = finder;
        bound.sort_unstable();
        bound.dedup_by_key(|bound| (bound.scope, bound.name));
        elsewhere.sort_unstable();
        bound.retain(|bound| elsewhere.binary_search(&(bound.scope, bound.name)).is_err());
        bound.sort_unstable_by_key(|bound| (bound.scope, bound.at));
        Self { owners, bound }
    }
}

struct Finder<'a, 'b> {
    base: &'a mut Base<'b>,
    /// The scopes around the present node, innermost last: where they end, and their index.
    open: Vec<(SyntaxId, u32)>,
    owners: Vec<SyntaxId>,
    bound: Vec<Bound>,
    /// Names that a scope has from elsewhere: its parameters, `global` and `nonlocal` names.
    elsewhere: Vec<(u32, NameId)>,
    /// The name that a handler gives to its exception: it ends with the handler.
    handler_name: Option<SyntaxId>,
}

impl Finder<'_, '_> {
    fn visit(&mut self, id: SyntaxId) {
        while self.open.last().is_some_and(|&(end, _)| end <= id) {
            self.open.pop();
        }
        let syntax = self.base.syntax;
        match syntax.kind(id) {
            Kind::FunctionDefinition | Kind::ClassDefinition => {
                self.bind_all(syntax.field(id, Field::Name));
                self.enter(id);
            }
            Kind::Lambda => self.enter(id),
            Kind::Assignment | Kind::AugmentedAssignment | Kind::For => {
                if let Some(targets) = syntax.field(id, Field::Left) {
                    self.bind_targets(targets);
                }
            }
            Kind::Named => self.bind_all(syntax.field(id, Field::Name)),
            Kind::Except => {
                let value = syntax.child(id, Kind::AsPattern);
                self.handler_name = value.and_then(|value| syntax.field(value, Field::Alias));
            }
            Kind::AsPatternTarget if self.handler_name != Some(id) => self.bind_targets(id),
            Kind::Delete => self.bind_targets(id),
            Kind::Import | Kind::ImportFrom | Kind::FutureImport => self.bind_imports(id),
            Kind::TypeAlias => self.bind_all(syntax.field(id, Field::Left)),
            Kind::CasePattern | Kind::KeywordPattern => {
                let captures = syntax
                    .children(id)
                    .filter(|&child| syntax.kind(child) == Kind::DottedName)
                    .filter(|&path| syntax.children(path).count() == 1);
                self.bind_all(captures);
            }
            Kind::SplatPattern => self.bind_all(syntax.child(id, Kind::Identifier)),
            Kind::AsPattern if syntax.child(id, Kind::CasePattern).is_some() => {
                self.bind_all(syntax.child(id, Kind::Identifier));
            }
            Kind::Global => {
                for name in syntax.children(id) {
                    let name_id = self.base.text_name(name);
                    self.bound.push(Bound {
                        scope: 0,
                        name: name_id,
                        at: name,
                    });
                    // At the top of a module it says nothing.
                    if self.scope() != 0 {
                        self.elsewhere.push((self.scope(), name_id));
                    }
                }
            }
            Kind::Nonlocal => {
                for name in syntax.children(id) {
                    self.has_from_elsewhere(name);
                }
            }
            _ => {}
        }
    }

    fn scope(&self) -> u32 {
        self.open.last().map_or(0, |&(_, scope)| scope)
    }

    fn enter(&mut self, id: SyntaxId) {
        let syntax = self.base.syntax;
        self.open.push((syntax.node(id).next, self.owners.len() as u32));
        self.owners.push(id);
        let Some(parameters) = syntax.field(id, Field::Parameters) else {
            return;
        };
        for parameter in syntax.children(parameters) {
            let mut part = parameter;
            while part < syntax.node(parameter).next {
                // The name comes first; what a default or a type mentions is no parameter.
                let is_other = matches!(syntax.node(part).field, Field::Type | Field::Value);
                if syntax.kind(part) == Kind::Identifier {
                    self.has_from_elsewhere(part);
                }
                part = if is_other { syntax.node(part).next } else { part + 1 };
            }
        }
    }

    fn has_from_elsewhere(&mut self, name: SyntaxId) {
        let name = self.base.text_name(name);
        self.elsewhere.push((self.scope(), name));
    }

    fn bind_all(&mut self, names: impl IntoIterator<Item = SyntaxId>) {
        for at in names {
            let name = self.base.text_name(at);
            if name != NameId::EMPTY {
                let scope = self.scope();
                self.bound.push(Bound { scope, name, at });
            }
        }
    }

    /// The names in what is assigned to; `a.b` and `a[i]` bind none.
    fn bind_targets(&mut self, targets: SyntaxId) {
        let syntax = self.base.syntax;
        let mut part = targets;
        while part < syntax.node(targets).next {
            part = match syntax.kind(part) {
                Kind::Identifier => {
                    self.bind_all([part]);
                    part + 1
                }
                Kind::Attribute | Kind::Subscript | Kind::Call => syntax.node(part).next,
                _ => part + 1,
            };
        }
    }

    /// `import a.b` binds `a`, `import a.b as c` and `from a import b as c` bind `c`.
    fn bind_imports(&mut self, statement: SyntaxId) {
        let syntax = self.base.syntax;
        let items = syntax
            .children(statement)
            .filter(|&item| syntax.node(item).field == Field::Name);
        for item in items {
            self.bind_all(imported_name(self.base, item));
        }
    }
}

/// The identifier that an item of an import binds.
pub(super) fn imported_name(base: &Base<'_>, item: SyntaxId) -> Option<SyntaxId> {
    match base.syntax.kind(item) {
        Kind::AliasedImport => base.syntax.field(item, Field::Alias),
        _ => base.syntax.child(item, Kind::Identifier),
    }
}
