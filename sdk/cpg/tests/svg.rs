//! The picture, read by a second reader.

use quick_xml::Reader;
use quick_xml::events::Event;
use transducer_cpg::export::{self, MAX_BOXES, SvgError};
use transducer_cpg::{Cpg, CpgBuilder, EdgeKind, NodeId, NodeKind, NodeSpec, Span, passes};

/// `f`, a method of so many statements `a`, in a row.
fn graph(source: &str, statements: usize) -> Cpg {
    let mut builder = CpgBuilder::new("java", source.len()).unwrap();
    let add = |builder: &mut CpgBuilder, parent: NodeId, kind, name: &str, (start, end)| {
        let name = builder.intern(name);
        let span = Span { start, end };
        builder.add(
            parent,
            NodeSpec {
                kind,
                span,
                line: 1,
                order: 1,
                name,
            },
        )
    };
    let method = add(&mut builder, 0, NodeKind::Method, "f", (0, 1));
    add(&mut builder, method, NodeKind::MethodParameterIn, "a", (0, 1));
    let block = add(&mut builder, method, NodeKind::Block, "", (0, 1));
    for _ in 0..statements {
        add(&mut builder, block, NodeKind::Identifier, "a", (0, source.len() as u32));
    }
    add(&mut builder, method, NodeKind::MethodReturn, "", (1, 1));
    passes::run(&mut builder, &passes::Budget::UNLIMITED);
    builder.finish().unwrap()
}

/// Names of elements, and all text between them.
fn read(svg: &str) -> (Vec<String>, Vec<String>) {
    let (mut elements, mut texts) = (Vec::new(), Vec::new());
    let mut reader = Reader::from_str(svg);
    let mut text = String::new();
    loop {
        match reader.read_event().expect("well-formed XML") {
            Event::Start(start) | Event::Empty(start) => {
                elements.push(start.name().as_ref().to_owned());
            }
            Event::Text(part) => text.push_str(part.as_ref()),
            Event::GeneralRef(reference) => {
                let name: &str = reference.as_ref();
                text.push_str(quick_xml::escape::resolve_predefined_entity(name).unwrap_or(name));
            }
            Event::End(_) => texts.push(std::mem::take(&mut text).trim().to_owned()),
            Event::Eof => return (elements, texts),
            _ => {}
        }
    }
}

#[test]
fn statements_are_boxes_and_flows_are_arrows() {
    let source = "a<\"&\u{1}ü";
    let svg = export::svg(&graph(source, 2), source, &[EdgeKind::Cfg, EdgeKind::ReachingDef]).unwrap();
    let (elements, texts) = read(&svg);
    let count = |name: &str| elements.iter().filter(|element| *element == name).count();
    // The page, the method, two statements, the exit.
    assert_eq!(count("rect"), 5, "{svg}");
    // Three steps, two uses of the parameter; two arrow heads and two lines in the legend.
    assert_eq!(count("path"), 3 + 2 + 2 + 2, "{svg}");
    let has = |wanted: &str| texts.iter().any(|text| text == wanted);
    assert!(has("f(a)") && has("exit of f") && has("1: a<\"&\u{fffd}ü"), "{texts:?}");
    assert!(texts.iter().any(|text| text.starts_with("REACHING_DEF: ")), "{texts:?}");
}

#[test]
fn only_the_kinds_asked_for_are_drawn() {
    let svg = export::svg(&graph("a", 2), "a", &[EdgeKind::ReachingDef]).unwrap();
    assert!(
        svg.contains("url(#REACHING_DEF)") && !svg.contains("url(#CFG)"),
        "{svg}"
    );
}

#[test]
fn the_same_graph_gives_the_same_picture() {
    let draw = || export::svg(&graph("a", 9), "a", EdgeKind::ALL).unwrap();
    assert_eq!(draw(), draw());
}

#[test]
fn what_cannot_be_drawn_is_said() {
    let nothing = CpgBuilder::new("java", 0).and_then(CpgBuilder::finish).unwrap();
    assert_eq!(export::svg(&nothing, "", EdgeKind::ALL), Err(SvgError::NoFlow));
    let boxes = MAX_BOXES + 1;
    let limit = MAX_BOXES;
    assert_eq!(
        export::svg(&graph("a", boxes - 2), "a", EdgeKind::ALL),
        Err(SvgError::TooManyBoxes { boxes, limit })
    );
    assert!(export::svg(&graph("a", MAX_BOXES - 2), "a", EdgeKind::ALL).is_ok());
}
