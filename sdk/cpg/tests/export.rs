//! The exports, each read by a second reader.

use std::collections::HashMap;

use quick_xml::Reader;
use quick_xml::events::Event;
use transducer_cpg::{Cpg, CpgBuilder, EdgeKind, NodeKind, NodeSpec, SCHEMA_VERSION, Severity, Span, export};

/// What breaks careless quoting, in one line of "source".
const SOURCE: &str = "f(\"<a&b>\\n\", 'ü') ]]> -- \u{1}\r\n\t\\";

fn sample() -> Cpg {
    let mut builder = CpgBuilder::new("java", SOURCE.len()).unwrap();
    let whole = Span {
        start: 0,
        end: SOURCE.len() as u32,
    };
    let name = builder.intern("f \"quoted\" \\ <&>\n");
    let method = builder.add(
        0,
        NodeSpec {
            kind: NodeKind::Method,
            span: whole,
            line: 1,
            order: 1,
            name,
        },
    );
    let literal = Span { start: 2, end: 11 };
    let name = builder.intern("");
    builder.add(
        method,
        NodeSpec {
            kind: NodeKind::Literal,
            span: literal,
            line: 1,
            order: 1,
            name,
        },
    );
    let label = builder.intern("a\"b\\<");
    builder.labelled_edge(EdgeKind::ReachingDef, 1, 2, label);
    builder.edge(EdgeKind::Cfg, 1, 2);
    builder.diagnostic(Severity::Warning, literal, 1, "a \"strange\" <literal>");
    builder.finish().unwrap()
}

#[test]
fn json_has_exactly_the_documented_shape() {
    let text = export::json(&sample(), SOURCE, &[EdgeKind::Ast, EdgeKind::ReachingDef]).unwrap();
    let found: serde_json::Value = serde_json::from_str(&text).unwrap();
    let expected = serde_json::json!({
        "schema": SCHEMA_VERSION,
        "language": "java",
        "nodes": [
            {"id": 0, "kind": "FILE", "name": "", "code": SOURCE, "start": 0, "end": SOURCE.len(), "line": 1, "order": 1},
            {"id": 1, "kind": "METHOD", "name": "f \"quoted\" \\ <&>\n", "code": SOURCE, "start": 0, "end": SOURCE.len(),
             "line": 1, "order": 1},
            {"id": 2, "kind": "LITERAL", "name": "", "code": "\"<a&b>\\n\"", "start": 2, "end": 11, "line": 1, "order": 1},
        ],
        "edges": [
            {"source": 0, "target": 1, "kind": "AST"},
            {"source": 1, "target": 2, "kind": "AST"},
            {"source": 1, "target": 2, "kind": "REACHING_DEF", "label": "a\"b\\<"},
        ],
        "diagnostics": [
            {"severity": "warning", "start": 2, "end": 11, "line": 1, "message": "a \"strange\" <literal>"},
        ],
    });
    assert_eq!(found, expected);
}

#[test]
fn graphml_is_well_formed_and_carries_every_text() {
    let text = export::graphml(&sample(), SOURCE, EdgeKind::ALL);
    let mut reader = Reader::from_str(&text);
    reader.config_mut().check_end_names = true;
    let (mut nodes, mut edges, mut key) = (0, 0, None);
    let mut texts: HashMap<String, Vec<String>> = HashMap::new();
    let mut present = String::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Start(tag) => {
                match tag.name().as_ref() {
                    "node" => nodes += 1,
                    "edge" => edges += 1,
                    "data" => {
                        let attribute = tag.try_get_attribute("key").unwrap().unwrap();
                        key = Some(attribute.value.into_owned());
                    }
                    _ => {}
                }
                present.clear();
            }
            Event::Text(part) => present.push_str(&part),
            Event::GeneralRef(part) => {
                let name: &str = &part;
                let resolved = part.resolve_char_ref().unwrap().map(String::from);
                let predefined = || quick_xml::escape::resolve_predefined_entity(name).map(str::to_owned);
                present.push_str(&resolved.or_else(predefined).expect("a known entity"));
            }
            Event::End(tag) if tag.name().as_ref() == "data" => {
                texts
                    .entry(key.take().unwrap())
                    .or_default()
                    .push(std::mem::take(&mut present));
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!((nodes, edges), (3, 4));
    assert_eq!(texts["name"], ["", "f \"quoted\" \\ <&>\n", ""]);
    assert_eq!(texts["code"][0], SOURCE.replace('\u{1}', "\u{fffd}"));
    assert_eq!(texts["label"].last().unwrap(), "a\"b\\<");
}

/// Reads the statements of a DOT graph as the language's grammar has them: identifiers, quoted strings with `\"` and `\\`,
/// punctuation. Returns nodes and edges with their labels.
fn read_dot(text: &str) -> (Vec<[String; 2]>, Vec<[String; 3]>) {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.trim_start().chars().next() {
        rest = rest.trim_start();
        let length = match first {
            '"' => {
                let mut escaped = false;
                let end = rest[1..].char_indices().find(|&(_, character)| {
                    let ends = character == '"' && !escaped;
                    escaped = character == '\\' && !escaped;
                    assert!(character != '\n', "a raw line break in a quoted string");
                    ends
                });
                end.expect("a quote that closes").0 + 2
            }
            '-' => 2,
            '{' | '}' | '[' | ']' | '=' | ',' | ';' => 1,
            _ => rest
                .find(|character: char| !character.is_alphanumeric() && character != '_')
                .unwrap_or(rest.len()),
        };
        assert!(length > 0, "no token at {rest:.20}");
        tokens.push(&rest[..length]);
        rest = &rest[length..];
    }
    assert_eq!(&tokens[..3], ["digraph", "cpg", "{"]);
    assert_eq!(tokens.last(), Some(&"}"));
    let (mut nodes, mut edges) = (Vec::new(), Vec::new());
    for statement in tokens[3..tokens.len() - 1].split(|token| *token == ";") {
        let label = |attributes: &[&str]| {
            let place = attributes.iter().position(|token| *token == "label").expect("a label");
            assert_eq!(
                (attributes[0], attributes[place + 1], attributes.last()),
                ("[", "=", Some(&"]"))
            );
            attributes[place + 2].to_owned()
        };
        match statement {
            [] | ["node", ..] => {}
            [source, "->", target, attributes @ ..] => {
                edges.push([source.to_string(), target.to_string(), label(attributes)]);
            }
            [node, attributes @ ..] => nodes.push([node.to_string(), label(attributes)]),
        }
    }
    (nodes, edges)
}

#[test]
fn dot_quotes_what_it_must() {
    let (nodes, edges) = read_dot(&export::dot(&sample(), SOURCE, &[EdgeKind::Cfg, EdgeKind::ReachingDef]));
    assert_eq!(nodes.len(), 3);
    assert_eq!(nodes[2][1], r#""LITERAL \n\"<a&b>\\n\"\nline 1""#);
    assert_eq!(
        edges,
        [
            ["n1", "n2", "\"CFG\""].map(str::to_owned),
            ["n1", "n2", r#""REACHING_DEF: a\"b\\<""#].map(str::to_owned),
        ]
    );
}

#[test]
fn the_table_is_for_people() {
    let table = export::table(&sample(), SOURCE, &[EdgeKind::ReachingDef]);
    assert!(table.contains("METHOD f \\\"quoted\\\""), "{table}");
    assert!(table.contains("[a\"b\\<]"), "{table}");
    assert!(table.contains("warning: line 1: a \"strange\" <literal>"), "{table}");
    assert!(!table.contains("CFG"), "only the kinds asked for\n{table}");
}

#[test]
fn long_code_is_cut_and_its_span_is_not() {
    let source = "x".repeat(10_000);
    let graph = CpgBuilder::new("java", source.len()).unwrap().finish().unwrap();
    let json: serde_json::Value = serde_json::from_str(&export::json(&graph, &source, &[]).unwrap()).unwrap();
    assert_eq!(json["nodes"][0]["end"], 10_000);
    assert_eq!(json["nodes"][0]["code"].as_str().unwrap().len(), 2000);
    assert!(export::table(&graph, &source, &[]).contains('…'));
}
