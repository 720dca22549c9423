//! Which method a test is about.
//!
//! Of the calls up to the end of the assertion, the last one that can be told from the tree alone: first by its class or
//! module being named like the test's ([`FocalHow::Named`]), then by being the only such method in a class or module that the
//! test's file mentions, then by being the only one of its name. A call that could be of several classes is passed over. All
//! this is tried with the methods of the test's project, then with those of the whole tree.
//!
//! Methods of files with tests are helpers, not what is tested, and are no candidates; nor are those that do nothing.

use std::collections::{BTreeSet, HashMap};

use transducer_cpg::{NodeId, NodeKind};

use crate::assertion::{Called, Test};
use crate::language::Language;
use crate::report::Dropped;
use crate::row::FocalHow;
use crate::unit::Unit;

/// A method that tests may be about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Definition {
    pub name: String,
    /// Empty for a function of a module.
    pub class: String,
    pub module: String,
    pub project: String,
    /// Index of its file.
    pub file: usize,
    /// Where it starts in it.
    pub start: usize,
    /// How many arguments it takes; `None` where the language or a `...` leaves that open.
    pub parameters: Option<usize>,
}

/// The methods of a file that has no tests.
pub(crate) fn definitions(unit: &Unit<'_>, file: usize) -> Vec<Definition> {
    let does_something = |&method: &NodeId| unit.check_body(method).is_ok() && !unit.is_broken(method);
    let definition = |method: NodeId| Definition {
        name: unit.cpg.name(method).to_owned(),
        class: unit.class_of(method).unwrap_or_default().to_owned(),
        module: unit.module().to_owned(),
        project: unit.file.project.clone(),
        file,
        start: unit.span(method).start,
        parameters: parameters(unit, method),
    };
    unit.methods()
        .into_iter()
        .filter(does_something)
        .map(definition)
        .collect()
}

fn parameters(unit: &Unit<'_>, method: NodeId) -> Option<usize> {
    if unit.file.language == Language::Python {
        return None;
    }
    let is_parameter = |&child: &NodeId| unit.kind(child) == Some(NodeKind::MethodParameterIn);
    let parameters: Vec<NodeId> = unit.cpg.children(method).filter(is_parameter).collect();
    let is_open = parameters
        .last()
        .is_some_and(|&last| unit.text_of(last).contains("..."));
    (!is_open).then_some(parameters.len())
}

/// The methods of a tree by language and name.
#[derive(Debug, Default)]
pub(crate) struct Index {
    by_name: HashMap<(Language, String), Vec<Definition>>,
}

impl Index {
    pub(crate) fn add(&mut self, language: Language, definitions: Vec<Definition>) {
        for definition in definitions {
            self.by_name
                .entry((language, definition.name.clone()))
                .or_default()
                .push(definition);
        }
    }

    /// The method that the test is about.
    ///
    /// # Errors
    /// [`Dropped::NoFocal`] where the tree defines nothing that is called, [`Dropped::ManyFocals`] where it defines it several
    /// times.
    pub(crate) fn find(
        &self,
        language: Language,
        project: &str,
        test: &Test,
    ) -> Result<(&Definition, FocalHow), Dropped> {
        let named = |one: &Definition| test.subjects.contains(&one.class) || test.subjects.contains(&one.module);
        let mentioned = |one: &Definition| {
            let owner = if one.class.is_empty() { &one.module } else { &one.class };
            test.words.contains(owner)
        };
        let candidates: Vec<Vec<&Definition>> = test.calls.iter().map(|call| self.candidates(language, call)).collect();
        for near in [true, false] {
            for (how, fits) in [
                (FocalHow::Named, &named as &dyn Fn(&Definition) -> bool),
                (FocalHow::Mentioned, &mentioned),
                (FocalHow::Only, &|_| true),
            ] {
                let fits = |one: &&Definition| (!near || one.project == project) && fits(one);
                if let Some(found) = candidates.iter().find_map(|of_call| sole(of_call, fits)) {
                    return Ok((found, how));
                }
            }
        }
        Err(if candidates.iter().all(Vec::is_empty) {
            Dropped::NoFocal
        } else {
            Dropped::ManyFocals
        })
    }

    /// The methods that a call may mean by name and number of arguments.
    fn candidates(&self, language: Language, call: &Called) -> Vec<&Definition> {
        let fits = |one: &&Definition| {
            one.parameters.is_none_or(|parameters| parameters == call.arguments)
                && (!call.of_a_module || one.class.is_empty())
        };
        let of_name = self.by_name.get(&(language, call.name.clone()));
        of_name.into_iter().flatten().filter(fits).collect()
    }
}

/// The first of the candidates that fit, if all are of one class or module: then the others are its overloads.
fn sole<'a>(candidates: &[&'a Definition], fits: impl Fn(&&Definition) -> bool) -> Option<&'a Definition> {
    let candidates: Vec<&Definition> = candidates.iter().copied().filter(fits).collect();
    let owners: BTreeSet<_> = candidates.iter().map(|one| (one.file, &one.class)).collect();
    if owners.len() == 1 {
        candidates.first().copied()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use super::*;

    /// From `Class.name/parameters` in files of their own.
    fn index(definitions: &[&str]) -> Index {
        let mut index = Index::default();
        for (file, text) in definitions.iter().enumerate() {
            let (class, rest) = text.split_once('.').unwrap();
            let (name, parameters) = rest.split_once('/').unwrap();
            let definition = Definition {
                name: name.to_owned(),
                class: class.to_owned(),
                module: class.to_owned(),
                project: if class == "Far" { "far" } else { "near" }.to_owned(),
                file,
                start: 0,
                parameters: parameters.parse().ok(),
            };
            index.add(Language::Java, vec![definition]);
        }
        index
    }

    fn test(subjects: &[&str], words: &[&str], calls: &[(&str, usize)]) -> Test {
        let called = |&(name, arguments): &(&str, usize)| Called {
            name: name.to_owned(),
            arguments,
            of_a_module: false,
        };
        Test {
            source: String::new(),
            target: String::new(),
            line: 1,
            name: String::new(),
            framework: "unknown",
            calls: calls.iter().map(called).collect(),
            subjects: subjects.iter().map(|&subject| subject.to_owned()).collect(),
            words: Arc::new(words.iter().map(|&word| word.to_owned()).collect::<HashSet<_>>()),
        }
    }

    #[test]
    fn finds_the_method_under_test() {
        let index = index(&[
            "Foo.get/0",
            "Bar.get/0",
            "Bar.put/1",
            "Foo.add/1",
            "Baz.open/n",
            "Far.put/1",
            "Far.go/0",
        ]);
        let find = |subjects: &[&str], words: &[&str], calls: &[(&str, usize)]| {
            let test = test(subjects, words, calls);
            index
                .find(Language::Java, "near", &test)
                .map(|(found, how)| (format!("{}.{}", found.class, found.name), how))
        };
        let ok = |name: &str, how| Ok((name.to_owned(), how));
        assert_eq!(find(&["Foo"], &[], &[("get", 0)]), ok("Foo.get", FocalHow::Named));
        // The class under test goes before a later call.
        assert_eq!(
            find(&["Foo"], &["Bar"], &[("put", 1), ("add", 1)]),
            ok("Foo.add", FocalHow::Named)
        );
        assert_eq!(
            find(&[], &["Bar"], &[("get", 0), ("add", 1)]),
            ok("Bar.get", FocalHow::Mentioned)
        );
        assert_eq!(
            find(&[], &["Foo", "Bar"], &[("get", 0), ("add", 1)]),
            ok("Foo.add", FocalHow::Mentioned)
        );
        assert_eq!(find(&[], &[], &[("get", 0), ("add", 1)]), ok("Foo.add", FocalHow::Only));
        assert_eq!(find(&[], &[], &[("open", 3)]), ok("Baz.open", FocalHow::Only));
        assert_eq!(find(&[], &[], &[("put", 1)]), ok("Bar.put", FocalHow::Only));
        assert_eq!(find(&[], &[], &[("go", 0)]), ok("Far.go", FocalHow::Only));
        assert_eq!(find(&[], &[], &[("get", 0)]), Err(Dropped::ManyFocals));
        assert_eq!(
            find(&["Foo"], &["Foo"], &[("get", 1), ("nope", 0)]),
            Err(Dropped::NoFocal)
        );
    }
}
