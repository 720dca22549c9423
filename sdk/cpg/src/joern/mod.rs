//! A method as Joern draws it, for comparison with it and with what was made with it.
//!
//! Our own graph ([`crate::passes`]) follows the language; this one follows Joern 2.0.25, its quirks included: `new` is an
//! allocation and a call of `<init>`, an enhanced `for` is a loop over an iterator, what is thrown goes on behind the
//! `throw`, and so on. The source is lowered to Joern's tree, then control flow, control dependence and data flow are
//! found by Joern's rules. METHOD_PARAMETER_OUT, MODIFIER and types are left out.

mod control_flow;
mod data_flow;
mod java;
mod printed;
mod python;
mod semantics;
mod text;
mod tree;

use std::collections::HashMap;

use crate::analysis::TooLarge;
use crate::{Cpg, EdgeKind, NodeKind};
use tree::ItemId;

/// One node of Joern's graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoernNode {
    /// What it is.
    pub kind: NodeKind,
    /// Its name; of a control structure its type, such as `IF`.
    pub name: String,
    /// Its text, as Joern prints it.
    pub code: String,
    /// Line and column, from 1; 0 where Joern gives none.
    pub line: u32,
    /// See `line`.
    pub column: u32,
}

/// One edge of Joern's graph.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JoernEdge {
    /// AST, ARGUMENT, REF, CFG, CDG, or REACHING_DEF for the data dependence between whole calls that Joern prints.
    pub kind: EdgeKind,
    /// Index of the node where it starts.
    pub source: usize,
    /// Index of the node where it ends.
    pub target: usize,
    /// What flows along a REACHING_DEF; empty for other kinds.
    pub variable: String,
}

/// Joern's graph of a source: its methods one after another, each in pre-order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JoernGraph {
    /// The nodes.
    pub nodes: Vec<JoernNode>,
    /// The edges, ordered by kind, source, target and variable.
    pub edges: Vec<JoernEdge>,
    /// The indices of the METHODs.
    pub methods: Vec<usize>,
}

impl JoernGraph {
    /// A name for each node, unique within its method: its kind and text, and its number from the second of a text on.
    /// The METHOD is `ENTRY`, its METHOD_RETURN `EXIT`, a parameter `PARAM:` and its name.
    pub fn names(&self) -> Vec<String> {
        let mut seen: HashMap<String, usize> = HashMap::new();
        let named = self.nodes.iter().map(|node| {
            let code = node.code.split_whitespace().collect::<Vec<_>>().join(" ");
            let name = match node.kind {
                NodeKind::Method => {
                    seen.clear();
                    "ENTRY".to_owned()
                }
                NodeKind::MethodReturn => "EXIT".to_owned(),
                NodeKind::MethodParameterIn => format!("PARAM:{}", node.name),
                kind => format!("{kind}:{code}"),
            };
            let count = seen.entry(name.clone()).or_default();
            *count += 1;
            if *count == 1 { name } else { format!("{name}#{count}") }
        });
        named.collect()
    }
}

/// Why there is no such graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoView {
    /// Joern's way is known for some languages only.
    #[error("there is no Joern view of `{language}`, only of java and python")]
    Language {
        /// The language of the graph.
        language: String,
    },
    /// The text or the data flow of a method grows beyond all bounds.
    #[error("the code in line {line} has {error}")]
    TooLarge {
        /// Where it stands.
        line: u32,
        /// What there is too much of.
        error: TooLarge,
    },
}

/// Bytes of the texts of all nodes together. Real files have some hundred times their own size, since a node's text holds
/// those below it; broken code that nests by the thousand would take gigabytes.
const MAX_TEXT: usize = 64 << 20;

/// The source of a graph as Joern draws it.
///
/// # Errors
/// [`NoView`]: another language, or a method with too much data flow.
pub fn view(cpg: &Cpg, source: &str) -> Result<JoernGraph, NoView> {
    let text: usize = cpg
        .nodes()
        .iter()
        .map(|node| (node.span.end - node.span.start) as usize)
        .sum();
    if text > MAX_TEXT {
        let error = TooLarge {
            what: "bytes of text in its nodes",
            limit: MAX_TEXT,
        };
        return Err(NoView::TooLarge { line: 1, error });
    }
    let tree = match cpg.language() {
        "java" => java::lower(cpg, source),
        "python" => python::lower(cpg, source),
        language => {
            return Err(NoView::Language {
                language: language.to_owned(),
            });
        }
    };
    let mut graph = JoernGraph::default();
    let mut places: HashMap<ItemId, usize> = HashMap::new();
    for &method in &tree.methods {
        graph.methods.push(graph.nodes.len());
        for id in tree.pre_order(method) {
            let item = tree.item(id);
            places.insert(id, graph.nodes.len());
            graph.nodes.push(JoernNode {
                kind: item.kind,
                name: item.name.clone(),
                code: item.code.clone(),
                line: item.line,
                column: item.column,
            });
        }
    }
    let mut add = |kind, source: ItemId, target: ItemId, variable: String| {
        if let (Some(&source), Some(&target)) = (places.get(&source), places.get(&target)) {
            graph.edges.push(JoernEdge {
                kind,
                source,
                target,
                variable,
            });
        }
    };
    for (item, id) in tree.items.iter().zip(0..) {
        if let Some(parent) = item.parent {
            add(EdgeKind::Ast, parent, id, String::new());
            if item.argument.is_some() {
                add(EdgeKind::Argument, parent, id, String::new());
            }
        }
        if let Some(declaration) = item.declaration {
            add(EdgeKind::Ref, id, declaration, String::new());
        }
    }
    for &method in &tree.methods {
        let cfg = control_flow::of_method(&tree, method);
        for (source, target) in control_flow::dependences(&tree, method, &cfg.edges) {
            add(EdgeKind::Cdg, source, target, String::new());
        }
        let line = tree.item(method).line;
        let flows = data_flow::edges(&tree, method, &cfg).map_err(|error| NoView::TooLarge { line, error })?;
        for (source, target, variable) in flows {
            add(EdgeKind::ReachingDef, source, target, variable);
        }
        for (source, target) in cfg.edges {
            add(EdgeKind::Cfg, source, target, String::new());
        }
    }
    graph.edges.sort_unstable();
    graph.edges.dedup();
    Ok(graph)
}
