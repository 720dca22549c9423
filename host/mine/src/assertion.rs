//! Tests with exactly one assertion.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use transducer_cpg::{NodeId, NodeKind};
use transducer_frontends::FrontEnds;

use crate::language::Language;
use crate::report::Dropped;
use crate::unit::{Unit, parses_alone};
use crate::{near, text};

/// What stands where the assertion was.
const PLACEHOLDER: &str = "<AssertPlaceHolder>";

/// Annotations of JUnit and TestNG that make a method a test.
const TEST_ANNOTATIONS: &[&str] = &["Test", "ParameterizedTest", "RepeatedTest"];

/// What is added to a class's name to name its test, the longer before the shorter.
const TEST_WORDS: &[&str] = &["TestCase", "Tests", "Test"];

/// A call that may be that of the method under test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Called {
    pub name: String,
    pub arguments: usize,
    /// Whether it can be no method of a class: a Python call of a bare name.
    pub of_a_module: bool,
}

/// A test whose method under test is still to be found.
#[derive(Clone, Debug)]
pub(crate) struct Test {
    /// With the placeholder.
    pub source: String,
    /// The assertion on one line.
    pub target: String,
    pub line: u32,
    pub name: String,
    pub framework: &'static str,
    /// Calls up to the end of the assertion, the last to be made first.
    pub calls: Vec<Called>,
    /// What classes or modules this should be the test of, by its own names.
    pub subjects: Vec<String>,
    /// The words of its file.
    pub words: Arc<HashSet<String>>,
}

/// Every test of a file, or why it gives no row.
pub(crate) fn tests(front_ends: &FrontEnds, unit: &Unit<'_>) -> Vec<(u32, Result<Test, Dropped>)> {
    let methods: Vec<NodeId> = unit
        .methods()
        .into_iter()
        .filter(|&method| is_test(unit, method))
        .collect();
    let words = if methods.is_empty() {
        Vec::new()
    } else {
        near::tokens(&unit.text)
    };
    let words = Arc::new(words.into_iter().map(str::to_owned).collect());
    let test = |&method: &NodeId| (unit.line(method), test(front_ends, unit, method, &words));
    methods.iter().map(test).collect()
}

/// In Java what is annotated as a test or, as JUnit 3 has it, a `void test…()`; in Python `test_…` and `testSomething`.
pub(crate) fn is_test(unit: &Unit<'_>, method: NodeId) -> bool {
    let name = unit.cpg.name(method);
    let children = |kind| {
        unit.cpg
            .children(method)
            .filter(move |&child| unit.kind(child) == Some(kind))
    };
    match unit.file.language {
        Language::Java => {
            let annotated = children(NodeKind::Annotation).any(|annotation| {
                let name = unit.cpg.name(annotation);
                TEST_ANNOTATIONS.contains(&name.rsplit('.').next().unwrap_or(name))
            });
            let is_void = children(NodeKind::MethodReturn).any(|returned| unit.cpg.name(returned) == "void");
            let no_parameters = children(NodeKind::MethodParameterIn).next().is_none();
            annotated || (name.starts_with("test") && is_void && no_parameters)
        }
        Language::Python => name
            .strip_prefix("test")
            .is_some_and(|rest| rest.starts_with(|next: char| next == '_' || next.is_uppercase())),
    }
}

fn test(
    front_ends: &FrontEnds,
    unit: &Unit<'_>,
    method: NodeId,
    words: &Arc<HashSet<String>>,
) -> Result<Test, Dropped> {
    if unit.is_broken(method) {
        return Err(Dropped::SyntaxError);
    }
    if unit.body(method).is_none() {
        return Err(Dropped::NoBody);
    }
    let mut assertions = assertions(unit, method);
    let assertion = assertions.pop().ok_or(Dropped::NoAssert)?;
    if !assertions.is_empty() {
        return Err(Dropped::ManyAsserts);
    }
    let statement = statement(unit, assertion).ok_or(Dropped::AssertInside)?;
    let target = text::one_line(unit.file.language, &unit.text[statement.clone()]).ok_or(Dropped::AssertLines)?;
    if !parses_alone(front_ends, unit.file.language, &unit.cut(method, None)) {
        return Err(Dropped::NotAlone);
    }
    Ok(Test {
        calls: calls(unit, method, assertion, statement.end),
        source: unit.cut(method, Some((statement, PLACEHOLDER))),
        target,
        line: unit.line(method),
        name: unit.full_name(method),
        framework: framework(unit, assertion),
        subjects: subjects(unit, method),
        words: Arc::clone(words),
    })
}

/// Calls of something named `assert…`, and statements of that name.
fn assertions(unit: &Unit<'_>, method: NodeId) -> Vec<NodeId> {
    let is_assertion = |&node: &NodeId| match unit.kind(node) {
        Some(NodeKind::Call) => is_assert_name(unit.cpg.name(node)),
        Some(NodeKind::ControlStructure) => unit.cpg.name(node) == "ASSERT",
        _ => false,
    };
    (method..unit.cpg.subtree_end(method)).filter(is_assertion).collect()
}

fn is_assert_name(name: &str) -> bool {
    name.strip_prefix("assert")
        .is_some_and(|rest| !rest.starts_with(|next: char| next.is_lowercase()))
}

/// Where the assertion stands, if it is a statement by itself. `assertThat(x).isEqualTo(y)` is one with all its calls.
fn statement(unit: &Unit<'_>, assertion: NodeId) -> Option<Range<usize>> {
    let mut top = assertion;
    let mut parent = unit.cpg.parent(top)?;
    let is_receiver = |node: NodeId| unit.cpg.node(node).is_some_and(|node| node.order == 0);
    while unit.kind(parent) == Some(NodeKind::Call) && is_receiver(top) && !is_operator(unit, parent) {
        top = parent;
        parent = unit.cpg.parent(top)?;
    }
    if !matches!(unit.kind(parent)?, NodeKind::Block | NodeKind::ControlStructure) {
        return None;
    }
    let span = unit.span(top);
    match (unit.file.language, unit.kind(top)?) {
        // Java's assert says nothing to JUnit unless the machine runs with it.
        (Language::Java, NodeKind::ControlStructure) => None,
        // A call that ends without a semicolon is the body of a lambda or the condition of a loop.
        (Language::Java, _) => {
            let after = &unit.text[span.end..];
            let semicolon = after.len() - after.trim_start().len();
            after[semicolon..]
                .starts_with(';')
                .then_some(span.start..span.end + semicolon + 1)
        }
        // `with self.assertRaises(…):` is no statement by itself.
        (Language::Python, NodeKind::Call) if unit.kind(parent) != Some(NodeKind::Block) => None,
        (Language::Python, _) => Some(span),
    }
}

fn is_operator(unit: &Unit<'_>, call: NodeId) -> bool {
    unit.cpg.name(call).starts_with('<')
}

/// The calls before `end` without the assertion's own, the last to be made first: a call is made after those that it
/// contains.
fn calls(unit: &Unit<'_>, method: NodeId, assertion: NodeId, end: usize) -> Vec<Called> {
    let is_call = |&node: &NodeId| {
        let holds_assertion = (node..unit.cpg.subtree_end(node)).contains(&assertion);
        unit.kind(node) == Some(NodeKind::Call)
            && !is_operator(unit, node)
            && !unit.cpg.name(node).is_empty()
            && unit.span(node).end <= end
            && !holds_assertion
    };
    let body = unit.body(method).unwrap_or(method);
    let mut calls: Vec<NodeId> = (body..unit.cpg.subtree_end(body)).filter(is_call).collect();
    calls.sort_by_key(|&call| {
        let span = unit.span(call);
        (Reverse(span.end), span.start)
    });
    let arguments = |call| {
        unit.cpg
            .children(call)
            .filter(|&child| unit.cpg.node(child).is_some_and(|node| node.order > 0))
    };
    let is_bare = |call| {
        let first = unit.cpg.children(call).next();
        first.is_some_and(|first| {
            unit.cpg.name(first) == unit.cpg.name(call) && unit.span(first).start == unit.span(call).start
        })
    };
    let called = |&call: &NodeId| Called {
        name: unit.cpg.name(call).to_owned(),
        arguments: arguments(call).count(),
        of_a_module: unit.file.language == Language::Python && is_bare(call),
    };
    calls.iter().map(called).collect()
}

/// The names of the test's class and file without what makes them tests' names.
fn subjects(unit: &Unit<'_>, method: NodeId) -> Vec<String> {
    let class = unit.class_of(method).and_then(untested);
    let module = match unit.file.language {
        Language::Java => untested(unit.module()),
        Language::Python => {
            let module = unit.module();
            module.strip_prefix("test_").or(module.strip_suffix("_test"))
        }
    };
    let mut subjects: Vec<String> = class.into_iter().chain(module).map(str::to_owned).collect();
    subjects.dedup();
    subjects
}

/// `FooTest`, `FooTests`, `FooTestCase` and `TestFoo` without the word; `None` for other names.
fn untested(name: &str) -> Option<&str> {
    let before = TEST_WORDS.iter().find_map(|word| name.strip_suffix(word));
    before.or(name.strip_prefix("Test")).filter(|rest| !rest.is_empty())
}

/// Who runs the test, by what its file imports or how it asserts.
fn framework(unit: &Unit<'_>, assertion: NodeId) -> &'static str {
    let has = |text: &str| unit.text.contains(text);
    match unit.file.language {
        Language::Java if has("org.junit.jupiter") => "junit5",
        Language::Java if has("org.testng") => "testng",
        Language::Java if has("junit.framework") => "junit3",
        Language::Java if has("org.junit") => "junit4",
        Language::Java => "unknown",
        Language::Python if unit.text_of(assertion).starts_with("self.") => "unittest",
        Language::Python => "pytest",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_assertions() {
        for (name, expected) in [
            ("assertEquals", true),
            ("assert_called_once", true),
            ("assert", true),
            ("asserting", false),
            ("reassert", false),
            ("verify", false),
        ] {
            assert_eq!(is_assert_name(name), expected, "{name}");
        }
    }

    #[test]
    fn what_a_class_tests() {
        for (name, expected) in [
            ("FooTest", Some("Foo")),
            ("FooTests", Some("Foo")),
            ("FooTestCase", Some("Foo")),
            ("TestFoo", Some("Foo")),
            ("Test", None),
            ("Foo", None),
        ] {
            assert_eq!(untested(name), expected, "{name}");
        }
    }
}
