//! Queries, navigation and the rules of a graph, on graphs made by hand.

use transducer_cpg::{
    BuildError, Cpg, CpgBuilder, EdgeKind, InvalidCpg, NameId, NodeId, NodeKind, NodeSpec, SCHEMA_VERSION, Span, query,
    view,
};

const SOURCE: &str = "public int f(String a, b...) { g(a); h(); return () -> i(); }";

struct Maker(CpgBuilder);

impl Maker {
    fn new() -> Self {
        Self(CpgBuilder::new("java", SOURCE.len()).unwrap())
    }

    /// A node over the first place of `text` in the source.
    fn node(&mut self, parent: NodeId, kind: NodeKind, text: &str, name: &str) -> NodeId {
        let start = SOURCE.find(text).unwrap() as u32;
        let span = Span {
            start,
            end: start + text.len() as u32,
        };
        let name = self.0.intern(name);
        self.0.add(
            parent,
            NodeSpec {
                kind,
                span,
                line: 1,
                order: 1,
                name,
            },
        )
    }
}

fn sample() -> Cpg {
    let mut maker = Maker::new();
    let method = maker.node(0, NodeKind::Method, SOURCE, "f");
    maker.node(method, NodeKind::Modifier, "public", "public");
    let a = maker.node(method, NodeKind::MethodParameterIn, "String a", "a");
    maker.node(a, NodeKind::TypeRef, "String", "String");
    maker.node(method, NodeKind::MethodParameterIn, "b...", "b");
    let block = maker.node(method, NodeKind::Block, "{ g(a); h(); return () -> i(); }", "");
    let g = maker.node(block, NodeKind::Call, "g(a)", "g");
    let used = maker.node(g, NodeKind::Identifier, "a);", "a");
    maker.node(block, NodeKind::Call, "h()", "h");
    let sum = maker.node(block, NodeKind::Call, "return", "<operator>.addition");
    let lambda = maker.node(sum, NodeKind::Method, "() -> i()", "<lambda>");
    maker.node(lambda, NodeKind::Call, "i()", "i");
    maker.node(method, NodeKind::MethodReturn, "int", "int");
    maker.0.edge(EdgeKind::Ref, used, a);
    maker.0.edge(EdgeKind::Ref, used, a);
    maker.0.finish().unwrap()
}

#[test]
fn a_signature_is_as_written() {
    let cpg = sample();
    let signature = query::method_signature(&cpg, SOURCE, None).unwrap();
    let parameters: Vec<_> = signature
        .parameters
        .iter()
        .map(|one| (one.name.as_str(), one.type_.as_deref()))
        .collect();
    assert_eq!(parameters, [("a", Some("String")), ("b", None)]);
    assert_eq!(
        (signature.name.as_str(), signature.return_type.as_deref()),
        ("f", Some("int"))
    );
    assert_eq!(signature.modifiers, ["public"]);
    assert_eq!(query::method_signature(&cpg, SOURCE, Some(0)), None, "a file has none");
    assert_eq!(query::method_signature(&cpg, SOURCE, Some(1000)), None);
}

#[test]
fn calls_are_those_of_the_method_itself() {
    let cpg = sample();
    assert_eq!(query::calls(&cpg, 1), ["g", "h"], "no operators, nothing of the lambda");
    assert_eq!(query::find_methods(&cpg), [1], "lambdas have no name of their own");
    assert_eq!(query::find_methods_named(&cpg, "f"), [1]);
    assert!(query::find_methods_named(&cpg, "nothing").is_empty());
    assert_eq!(query::nodes_of(&cpg, NodeKind::Call).count(), 4);
}

#[test]
fn the_tree_can_be_walked_both_ways() {
    let cpg = sample();
    assert_eq!(cpg.children(1).count(), 5);
    for node in 1..cpg.nodes().len() as NodeId {
        let parent = cpg.parent(node).unwrap();
        assert!(cpg.children(parent).any(|child| child == node));
        assert!(node < cpg.subtree_end(parent) && cpg.subtree_end(node) <= cpg.subtree_end(parent));
    }
    assert_eq!((cpg.parent(0), cpg.parent(1000)), (None, None));
    assert_eq!(cpg.subtree_end(0) as usize, cpg.nodes().len());
    assert_eq!(
        query::successors(&cpg, 8, EdgeKind::Ref).collect::<Vec<_>>(),
        [3],
        "the same edge twice is one"
    );
    let graph = view::petgraph(&cpg, &[EdgeKind::Ast]);
    assert_eq!(graph.edge_count() + 1, graph.node_count(), "the AST is a tree");
    assert!(!petgraph::algo::is_cyclic_directed(&graph));
}

#[test]
fn what_is_no_graph_is_refused() {
    let refused = |make: &dyn Fn(&mut Maker)| {
        let mut maker = Maker::new();
        make(&mut maker);
        match maker.0.finish() {
            Err(BuildError::Invalid(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let node = |start, end| NodeSpec {
        kind: NodeKind::Block,
        span: Span { start, end },
        line: 1,
        order: 1,
        name: NameId::EMPTY,
    };
    let error = refused(&|maker| _ = maker.0.add(0, node(5, 4)));
    assert!(
        matches!(
            error,
            InvalidCpg::Span {
                what: "node",
                index: 1,
                ..
            }
        ),
        "{error}"
    );
    let error = refused(&|maker| _ = maker.0.add(0, node(0, 1000)));
    assert!(matches!(error, InvalidCpg::Span { index: 1, .. }), "{error}");
    let error = refused(&|maker| maker.0.edge(EdgeKind::Cfg, 0, 7));
    assert_eq!(error.to_string(), "edge 0: CFG from 0 to 7, but there are 1 nodes");
    let error = refused(&|maker| {
        let first = maker.0.add(0, node(0, 1));
        maker.0.add(0, node(1, 2));
        maker.0.add(first, node(0, 1));
    });
    assert_eq!(
        error,
        InvalidCpg::NotATree {
            node: 3,
            parent: Some(1)
        },
        "not in pre-order"
    );
}

#[test]
fn a_graph_belongs_to_its_source() {
    let cpg = sample();
    assert_eq!(cpg.check_source(SOURCE), Ok(()));
    assert!(matches!(
        cpg.check_source("shorter"),
        Err(InvalidCpg::SpanCutsCharacter {
            what: "node",
            index: 0,
            ..
        })
    ));
    // The same length, but a character where a span ends.
    let other = SOURCE.replacen("public ", "publié", 1);
    assert_eq!(other.len(), SOURCE.len());
    assert!(matches!(
        cpg.check_source(&other),
        Err(InvalidCpg::SpanCutsCharacter { .. })
    ));
}

#[test]
fn kinds_go_by_number_and_name() {
    for (index, &kind) in NodeKind::ALL.iter().enumerate() {
        assert_eq!(
            (kind as usize, NodeKind::from_u8(index as u8), kind.name().parse().ok()),
            (index, Some(kind), Some(kind))
        );
        assert!(!kind.describe().is_empty());
    }
    for (index, &kind) in EdgeKind::ALL.iter().enumerate() {
        assert_eq!(
            (kind as usize, EdgeKind::from_u8(index as u8), kind.name().parse().ok()),
            (index, Some(kind), Some(kind))
        );
    }
    let error = "DDG".parse::<EdgeKind>().unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("`DDG` is no kind of CPG schema {SCHEMA_VERSION}")
    );
    assert_eq!((NodeKind::from_u8(255), EdgeKind::from_u8(255)), (None, None));
}
