//! Damage to a source, and what of its graph survives.
//!
//! The graph of the damaged source is held against that of the whole one, edge by edge, outside of the damaged statement:
//!
//! - A *statement* is a child of a `BLOCK`, or what stands in the place of a body without braces, with the blanks and the
//!   semicolon behind it; siblings whose spans overlap (`int a` and `a = 1`) are one. A node belongs to the innermost statement
//!   around it. The *damaged* statements are the innermost ones at the first and at the last byte of the edit (for a cut, at the
//!   first): of an `if` whose brace is missing, the condition is damaged and the statements inside are not.
//! - Not looked at are the nodes of damaged statements, nodes of the damaged graph without a counterpart that overlap one of
//!   those, and what overlaps the edit itself, but for files, types, methods and blocks that reach beyond it.
//! - Nodes correspond that have the same kind and the same span, which the edit moves (and are the same in order among several).
//!   Where the edit takes the first or the last byte of a node, the other end says which it is.
//! - Edges correspond that have the same kind and label, and ends that correspond. Compared are AST, CFG, CDG, REACHING_DEF and
//!   REF edges between nodes that are looked at.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use transducer_frontend::cpg::{Cpg, EdgeKind, NodeId, NodeKind, Span};

/// The edge kinds compared.
pub const COMPARED: [EdgeKind; 5] = [
    EdgeKind::Ast,
    EdgeKind::Cfg,
    EdgeKind::Cdg,
    EdgeKind::ReachingDef,
    EdgeKind::Ref,
];

/// A change to a source: some of its bytes are replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The bytes replaced, between characters.
    pub range: Range<usize>,
    /// What stands there instead.
    pub text: &'static str,
}

/// Ways to damage a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// It ends anywhere.
    Cut,
    /// One of these characters is missing: the brackets that the language's statements depend on.
    Missing(&'static [char]),
    /// Seven bytes are missing anywhere.
    SevenBytes,
    /// A line is `...` instead; not the only one.
    Line,
}

impl Damage {
    /// What it is called in a table.
    pub fn name(self) -> &'static str {
        match self {
            Damage::Cut => "cut",
            Damage::Missing(_) => "bracket missing",
            Damage::SevenBytes => "seven bytes missing",
            Damage::Line => "line is `...`",
        }
    }

    /// Such damage to a source, at a place that `below` chooses: it gives a number below its argument, which is not 0. `None`
    /// where the source has nothing to damage in this way.
    pub fn edit(self, source: &str, below: &mut dyn FnMut(usize) -> usize) -> Option<Edit> {
        match self {
            Damage::Cut => {
                let at = source.floor_char_boundary(below(source.len() + 1));
                Some(Edit {
                    range: at..source.len(),
                    text: "",
                })
            }
            Damage::Missing(brackets) => {
                let places: Vec<usize> = source.match_indices(brackets).map(|(at, _)| at).collect();
                let at = *places.get(below(places.len().max(1)))?;
                let width = source[at..].chars().next().map_or(0, char::len_utf8);
                Some(Edit {
                    range: at..at + width,
                    text: "",
                })
            }
            Damage::SevenBytes => {
                let start = source.floor_char_boundary(below(source.len() + 1));
                let end = source.floor_char_boundary((start + 7).min(source.len()));
                Some(Edit {
                    range: start..end,
                    text: "",
                })
            }
            Damage::Line => {
                let mut lines = Vec::new();
                let mut start = 0;
                for line in source.split_inclusive('\n') {
                    lines.push(start..start + line.trim_end_matches(['\n', '\r']).len());
                    start += line.len();
                }
                (lines.len() > 1).then(|| Edit {
                    range: lines.swap_remove(below(lines.len())),
                    text: "...",
                })
            }
        }
    }
}

impl Edit {
    /// The source with the change made.
    pub fn apply(&self, source: &str) -> String {
        format!(
            "{}{}{}",
            &source[..self.range.start],
            self.text,
            &source[self.range.end..]
        )
    }

    /// Where a byte of the whole source is in the damaged one.
    fn moved(&self, at: usize) -> usize {
        if at <= self.range.start {
            at
        } else if at >= self.range.end {
            at - self.range.len() + self.text.len()
        } else {
            self.range.start + self.text.len()
        }
    }

    fn moved_span(&self, span: &Range<usize>) -> Range<usize> {
        self.moved(span.start)..self.moved(span.end)
    }

    /// The ends of a span in the damaged source, [`UNKNOWN`] for one that is damaged.
    fn known_ends(&self, span: &Range<usize>) -> Range<usize> {
        let moved = self.moved_span(span);
        if self.range.is_empty() || span.is_empty() {
            return moved;
        }
        match (self.range.contains(&span.start), self.range.contains(&(span.end - 1))) {
            (false, true) => moved.start..UNKNOWN,
            (true, false) => UNKNOWN..moved.end,
            _ => moved,
        }
    }

    /// The bytes at which statements are damaged.
    fn places(&self, source: &str) -> Vec<usize> {
        let mut places = vec![self.range.start];
        if self.range.end < source.len() && !self.range.is_empty() {
            places.push(self.range.end - 1);
        }
        places
    }
}

/// How many edges two graphs have, and how many of them are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// In both.
    pub same: usize,
    /// In the graph of the whole source.
    pub whole: usize,
    /// In the graph of the damaged source.
    pub damaged: usize,
}

impl Counts {
    /// Adds those of another pair of graphs.
    pub fn add(&mut self, other: Counts) {
        self.same += other.same;
        self.whole += other.whole;
        self.damaged += other.damaged;
    }

    /// The harmonic mean of precision and recall; `None` where neither graph has an edge.
    pub fn f1(self) -> Option<f64> {
        let all = self.whole + self.damaged;
        (all > 0).then(|| 2.0 * self.same as f64 / all as f64)
    }
}

/// An end of a span that cannot be known.
const UNKNOWN: usize = usize::MAX;

/// What tells nodes of the same source apart.
type Key = (NodeKind, usize, usize, u32);

/// The edges of each kind in [`COMPARED`] outside of the damaged statement.
pub fn survivors(whole: &Cpg, source: &str, damaged: &Cpg, edit: &Edit) -> [Counts; COMPARED.len()] {
    let statements = Statements::of(whole, source);
    let broken: Vec<u32> = edit
        .places(source)
        .into_iter()
        .filter_map(|at| statements.at(at))
        .collect();
    let mut keys_of_whole = keys(whole, |_, span| edit.known_ends(&span));
    let mut hidden: HashSet<Key> = HashSet::new();
    for (key, id) in keys_of_whole.iter_mut().zip(0 as NodeId..) {
        let is_broken = broken.contains(&statements.of_node[id as usize]);
        if (is_broken || is_hit(whole, id, &edit.range))
            && let Some(key) = key.take()
        {
            hidden.insert(key);
        }
    }
    let known: HashSet<Key> = keys_of_whole.iter().copied().flatten().collect();
    let mut regions: Vec<Range<usize>> = broken
        .iter()
        .map(|&index| edit.moved_span(&statements.spans[index as usize]))
        .collect();
    regions.push(edit.range.start..edit.range.start + edit.text.len());
    let overlaps = |key: &Key| {
        regions
            .iter()
            .any(|region| key.1 <= region.end && region.start <= key.2)
    };
    // Those of the whole graph that are known by one end are found by it.
    let one_ended: HashSet<(NodeKind, usize, usize)> = known
        .iter()
        .filter(|key| key.1 == UNKNOWN || key.2 == UNKNOWN)
        .map(|key| (key.0, key.1, key.2))
        .collect();
    let both_ends: HashSet<(NodeKind, usize, usize)> = known.iter().map(|key| (key.0, key.1, key.2)).collect();
    let mut keys_of_damaged = keys(damaged, |kind, span| {
        let by_start = (kind, span.start, UNKNOWN);
        let by_end = (kind, UNKNOWN, span.end);
        if both_ends.contains(&(kind, span.start, span.end)) {
            span
        } else if one_ended.contains(&by_start) {
            span.start..UNKNOWN
        } else if one_ended.contains(&by_end) {
            UNKNOWN..span.end
        } else {
            span
        }
    });
    for slot in &mut keys_of_damaged {
        if slot.is_some_and(|key| !known.contains(&key) && (hidden.contains(&key) || overlaps(&key))) {
            *slot = None;
        }
    }
    COMPARED.map(|kind| {
        let whole = edges(whole, &keys_of_whole, kind);
        let damaged = edges(damaged, &keys_of_damaged, kind);
        Counts {
            same: whole.intersection(&damaged).count(),
            whole: whole.len(),
            damaged: damaged.len(),
        }
    })
}

fn range(span: Span) -> Range<usize> {
    span.start as usize..span.end as usize
}

/// What tells each node from the others.
fn keys(graph: &Cpg, place: impl Fn(NodeKind, Range<usize>) -> Range<usize>) -> Vec<Option<Key>> {
    let mut seen: HashMap<(NodeKind, usize, usize), u32> = HashMap::new();
    let key = |node: &transducer_frontend::cpg::Node| {
        let span = place(node.kind, range(node.span));
        let count = seen.entry((node.kind, span.start, span.end)).or_default();
        *count += 1;
        Some((node.kind, span.start, span.end, *count))
    };
    graph.nodes().iter().map(key).collect()
}

/// Whether the edit takes a node, or a part of it; what holds statements keeps its place while it reaches beyond.
fn is_hit(graph: &Cpg, id: NodeId, edit: &Range<usize>) -> bool {
    let node = &graph.nodes()[id as usize];
    let span = range(node.span);
    let is_inside = edit.start <= span.start && span.end <= edit.end && !edit.is_empty();
    let holds_statements = matches!(
        node.kind,
        NodeKind::File | NodeKind::TypeDecl | NodeKind::Method | NodeKind::MethodReturn | NodeKind::Block
    );
    let overlaps = span.start < edit.end && edit.start < span.end;
    if holds_statements {
        is_inside && !span.is_empty()
    } else {
        is_inside || overlaps
    }
}

type EdgeKey<'a> = (Key, Key, &'a str);

fn edges<'a>(graph: &'a Cpg, keys: &[Option<Key>], kind: EdgeKind) -> HashSet<EdgeKey<'a>> {
    let edges = graph.edges_of(kind).iter();
    edges
        .filter_map(|edge| {
            let source = keys[edge.source as usize]?;
            let target = keys[edge.target as usize]?;
            Some((source, target, graph.label(edge)))
        })
        .collect()
}

/// The statements of a graph.
struct Statements {
    /// For each node, the innermost statement that it belongs to; [`NONE`] outside of any.
    of_node: Vec<u32>,
    spans: Vec<Range<usize>>,
}

const NONE: u32 = u32::MAX;

impl Statements {
    fn of(graph: &Cpg, source: &str) -> Self {
        let mut of_node = vec![NONE; graph.nodes().len()];
        let mut spans: Vec<Range<usize>> = Vec::new();
        // The last statement below each node, for siblings that are one.
        let mut last_below = vec![NONE; graph.nodes().len()];
        for id in 1..graph.nodes().len() as NodeId {
            let parent = graph.parent(id).unwrap_or(0);
            if !is_statement(graph, parent, id) {
                of_node[id as usize] = of_node[parent as usize];
                continue;
            }
            let span = range(graph.nodes()[id as usize].span);
            let span = span.start..with_semicolon(source, span.end);
            let before = last_below[parent as usize];
            let joins = spans.get(before as usize).is_some_and(|before| span.start < before.end);
            if joins {
                spans[before as usize].end = spans[before as usize].end.max(span.end);
                of_node[id as usize] = before;
            } else {
                of_node[id as usize] = spans.len() as u32;
                last_below[parent as usize] = spans.len() as u32;
                spans.push(span);
            }
        }
        Self { of_node, spans }
    }

    /// The innermost statement over a byte.
    fn at(&self, byte: usize) -> Option<u32> {
        let over = self.spans.iter().zip(0..).filter(|(span, _)| span.contains(&byte));
        over.min_by_key(|(span, _)| span.len()).map(|(_, index)| index)
    }
}

fn is_statement(graph: &Cpg, parent: NodeId, id: NodeId) -> bool {
    match graph.nodes()[parent as usize].kind {
        NodeKind::Block => true,
        NodeKind::ControlStructure => {
            let order = graph.nodes()[id as usize].order;
            let is_body = match graph.name(parent) {
                "IF" => matches!(order, 2 | 3),
                "WHILE" => order == 2,
                "DO" => order == 1,
                "FOR" => order == 4,
                "FOREACH" => order == 3,
                _ => false,
            };
            is_body && graph.nodes()[id as usize].kind != NodeKind::Block
        }
        _ => false,
    }
}

/// The end of a statement with the blanks behind it up to the end of its line, or up to its semicolon.
fn with_semicolon(source: &str, end: usize) -> usize {
    let rest = source.get(end..).unwrap_or_default();
    for (at, character) in rest.char_indices() {
        match character {
            ';' => return end + at + 1,
            '\n' => return end + at,
            _ if character.is_whitespace() => {}
            _ => return end,
        }
    }
    end
}
