//! GraphML (<http://graphml.graphdrawing.org>).

use std::fmt::Write as _;

use super::{code, escaped_xml as escaped, shown};
use crate::{Cpg, EdgeKind, NodeId};

const HEADER: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
  <key id="kind" for="all" attr.name="kind" attr.type="string"/>
  <key id="name" for="node" attr.name="name" attr.type="string"/>
  <key id="code" for="node" attr.name="code" attr.type="string"/>
  <key id="start" for="node" attr.name="start" attr.type="long"/>
  <key id="end" for="node" attr.name="end" attr.type="long"/>
  <key id="line" for="node" attr.name="line" attr.type="long"/>
  <key id="order" for="node" attr.name="order" attr.type="long"/>
  <key id="label" for="edge" attr.name="label" attr.type="string"/>
"#;

/// The graph as GraphML: keys `kind`, `name`, `code`, `start`, `end`, `line`, `order` on nodes, `kind` and `label` on edges.
///
/// Characters that XML 1.0 cannot carry in any form (most control characters) appear as U+FFFD.
pub fn graphml(cpg: &Cpg, source: &str, kinds: &[EdgeKind]) -> String {
    let mut out = String::from(HEADER);
    let language = escaped(cpg.language());
    let _ = writeln!(out, "  <graph id=\"{language}\" edgedefault=\"directed\">");
    for (node, id) in cpg.nodes().iter().zip(0 as NodeId..) {
        let (kind, name) = (node.kind.name(), escaped(cpg.name(id)));
        let code = escaped(code(cpg, source, id));
        let _ = writeln!(
            out,
            "    <node id=\"n{id}\"><data key=\"kind\">{kind}</data><data key=\"name\">{name}</data>\
             <data key=\"code\">{code}</data><data key=\"start\">{start}</data><data key=\"end\">{end}</data>\
             <data key=\"line\">{line}</data><data key=\"order\">{order}</data></node>",
            start = node.span.start,
            end = node.span.end,
            line = node.line,
            order = node.order,
        );
    }
    for (index, edge) in shown(cpg, kinds).enumerate() {
        let (source_id, target_id, kind) = (edge.source, edge.target, edge.kind.name());
        let label = escaped(cpg.label(edge));
        let _ = writeln!(
            out,
            "    <edge id=\"e{index}\" source=\"n{source_id}\" target=\"n{target_id}\"><data key=\"kind\">{kind}</data>\
             <data key=\"label\">{label}</data></edge>"
        );
    }
    out.push_str("  </graph>\n</graphml>\n");
    out
}
