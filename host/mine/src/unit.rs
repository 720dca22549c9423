//! One parsed file, and what can be asked of its methods.

use std::collections::HashMap;
use std::ops::Range;

use transducer_cpg::{Cpg, EdgeKind, NodeId, NodeKind, Span, query};
use transducer_frontends::FrontEnds;

use crate::language::Language;
use crate::report::{Dropped, Skipped};
use crate::tree::{self, SourceFile};
use crate::{docstring, javadoc, text};

/// How statements start that stand where the work is still to be done, or is left to a class derived.
const UNWRITTEN: &[&str] = &["raise NotImplementedError", "throw new UnsupportedOperationException"];

/// A source file and its graph.
pub(crate) struct Unit<'a> {
    pub file: &'a SourceFile,
    pub text: String,
    pub cpg: Cpg,
}

impl<'a> Unit<'a> {
    /// Reads and parses a file.
    pub(crate) fn open(front_ends: &FrontEnds, file: &'a SourceFile) -> Result<Self, Skipped> {
        let text = tree::read(file)?;
        let cpg = front_ends.parse(file.language.name(), &text).map_err(|error| {
            tracing::warn!(path = file.path, %error, "no graph");
            Skipped::NoGraph
        })?;
        Ok(Self { file, text, cpg })
    }

    /// The named methods in source order, without the constructors of Java, of which a comment says little.
    pub(crate) fn methods(&self) -> Vec<NodeId> {
        let mut methods = query::find_methods(&self.cpg);
        if self.file.language == Language::Java {
            methods.retain(|&method| self.class_of(method) != Some(self.cpg.name(method)));
        }
        methods
    }

    /// Where a node stands. Spans of a graph lie within its source: the front ends' door has checked it.
    pub(crate) fn span(&self, node: NodeId) -> Range<usize> {
        let span = self.cpg.node(node).map_or(Span::default(), |node| node.span);
        span.start as usize..span.end as usize
    }

    pub(crate) fn text_of(&self, node: NodeId) -> &str {
        &self.text[self.span(node)]
    }

    pub(crate) fn line(&self, node: NodeId) -> u32 {
        self.cpg.node(node).map_or(1, |node| node.line)
    }

    pub(crate) fn kind(&self, node: NodeId) -> Option<NodeKind> {
        self.cpg.node(node).map(|node| node.kind)
    }

    /// The name of the innermost class around a method; anonymous ones are looked through.
    pub(crate) fn class_of(&self, method: NodeId) -> Option<&str> {
        let ancestors = std::iter::successors(self.cpg.parent(method), |&node| self.cpg.parent(node));
        let mut names = ancestors
            .filter(|&node| self.kind(node) == Some(NodeKind::TypeDecl))
            .map(|node| self.cpg.name(node));
        names.find(|name| !name.is_empty() && !name.starts_with('<'))
    }

    /// The method's name after its class's.
    pub(crate) fn full_name(&self, method: NodeId) -> String {
        let name = self.cpg.name(method);
        self.class_of(method)
            .map_or(name.to_owned(), |class| format!("{class}.{name}"))
    }

    /// The file's name without its ending; for `__init__.py` its folder's.
    pub(crate) fn module(&self) -> &str {
        let mut parts = self.file.path.rsplit('/');
        let name = parts.next().unwrap_or_default();
        match name.split('.').next().unwrap_or_default() {
            "__init__" => parts.next().unwrap_or_default(),
            name => name,
        }
    }

    /// The method's block, if it has one.
    pub(crate) fn body(&self, method: NodeId) -> Option<NodeId> {
        self.cpg
            .children(method)
            .find(|&child| self.kind(child) == Some(NodeKind::Block))
    }

    /// What a body does in order: not its comments, its docstring, and the names that it declares.
    pub(crate) fn statements(&self, method: NodeId) -> Vec<NodeId> {
        let Some(body) = self.body(method) else {
            return Vec::new();
        };
        let docstring = self.docstring(method);
        let silent = |node: NodeId| matches!(self.kind(node), Some(NodeKind::Local | NodeKind::Comment));
        self.cpg
            .children(body)
            .filter(|&node| !silent(node) && Some(node) != docstring)
            .collect()
    }

    /// Refuses bodies that do nothing, or only say that they are not written yet.
    pub(crate) fn check_body(&self, method: NodeId) -> Result<(), Dropped> {
        if self.body(method).is_none() {
            return Err(Dropped::NoBody);
        }
        let idle = |&statement: &NodeId| {
            let text = self.text_of(statement);
            matches!(text, "pass" | "..." | ";") || UNWRITTEN.iter().any(|start| text.starts_with(start))
        };
        if self.statements(method).iter().all(idle) {
            return Err(Dropped::EmptyBody);
        }
        Ok(())
    }

    /// The string that a Python body begins with.
    pub(crate) fn docstring(&self, method: NodeId) -> Option<NodeId> {
        if self.file.language != Language::Python {
            return None;
        }
        let declared = |node: NodeId| matches!(self.kind(node), Some(NodeKind::Local | NodeKind::Comment));
        let first = self.cpg.children(self.body(method)?).find(|&node| !declared(node))?;
        // A computed string (`f"…"`) is a call.
        let is_string = self.kind(first) == Some(NodeKind::Literal) && docstring::is_string(self.text_of(first));
        is_string.then_some(first)
    }

    /// The Javadoc comments right before methods: nothing but other comments stands between.
    pub(crate) fn javadocs(&self) -> HashMap<NodeId, NodeId> {
        let mut found = HashMap::new();
        let mut pending: Option<(NodeId, NodeId)> = None;
        for edge in self.cpg.edges_of(EdgeKind::Ast) {
            let comment = pending.take_if(|(parent, _)| *parent == edge.source);
            match self.kind(edge.target) {
                Some(NodeKind::Comment) if javadoc::is_javadoc(self.text_of(edge.target)) => {
                    pending = Some((edge.source, edge.target));
                }
                Some(NodeKind::Comment) => pending = comment,
                Some(NodeKind::Method) => found.extend(comment.map(|(_, comment)| (edge.target, comment))),
                _ => {}
            }
        }
        found
    }

    /// Whether the parser did not understand a part of the method, or mended it to understand it.
    pub(crate) fn is_broken(&self, method: NodeId) -> bool {
        let span = self.span(method);
        // What is said of the file as a whole has no place.
        let touches = |other: Span| {
            other != Span::default() && other.start as usize <= span.end && other.end as usize >= span.start
        };
        self.cpg.diagnostics().iter().any(|diagnostic| touches(diagnostic.span))
    }

    /// The method without common indentation, a piece of it replaced. Lines inside strings stay as they are, but for
    /// docstrings, which are read without their indentation.
    pub(crate) fn cut(&self, method: NodeId, piece: Option<(Range<usize>, &str)>) -> String {
        let span = self.span(method);
        let is_value = |&node: &NodeId| match self.kind(node) {
            Some(NodeKind::Literal) => {
                self.cpg.parent(node).and_then(|parent| self.kind(parent)) != Some(NodeKind::Block)
            }
            _ => self.cpg.name(node) == "<operator>.formatString",
        };
        let strings: Vec<Range<usize>> = (method..self.cpg.subtree_end(method))
            .filter(is_value)
            .map(|node| self.span(node))
            .filter(|string| self.text[string.clone()].contains('\n'))
            .collect();
        let in_string = |at: usize| strings.iter().any(|string| string.start < at && at < string.end);
        let indent = text::indent_at(&self.text, span.start);
        let indents = text::indentation(&self.text, span.clone(), indent).into_iter();
        let mut edits: Vec<_> = indents
            .filter(|range| !in_string(range.start))
            .map(|range| (range, ""))
            .collect();
        edits.extend(piece);
        text::edited(&self.text, span, edits).trim_end().to_owned()
    }

    /// The lines of the docstring, with the empty ones after it; `None` where code stands on them.
    pub(crate) fn docstring_lines(&self, docstring: NodeId) -> Option<Range<usize>> {
        let span = self.span(docstring);
        let (start, mut end) = (
            text::line_start(&self.text, span.start),
            text::line_end(&self.text, span.end),
        );
        let before = self.text[start..span.start].trim();
        let after = self.text[span.end..end].trim();
        if !before.is_empty() || !(after.is_empty() || after.starts_with('#')) {
            return None;
        }
        while end < self.text.len() && self.text[end..text::line_end(&self.text, end)].trim().is_empty() {
            end = text::line_end(&self.text, end);
        }
        Some(start..end)
    }
}

/// Whether a method that was cut out of its file is one by itself, with nothing to be mended.
pub(crate) fn parses_alone(front_ends: &FrontEnds, language: Language, source: &str) -> bool {
    let parsed = front_ends.parse(language.name(), source);
    parsed.is_ok_and(|cpg| cpg.diagnostics().is_empty() && !query::find_methods(&cpg).is_empty())
}
