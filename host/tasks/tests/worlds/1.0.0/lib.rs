//! A task that uses all of `transducer:task@1.0.0`, and says what it got. `task.wasm` was built from it.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use transducer_task::cpg::{self, EdgeKind, Graph, NodeKind};
use transducer_task::{Answer, Decoding, Error, Prepared, Prompt, Task, TaskInfo, log};

struct Everything;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    code: String,
    #[serde(default)]
    wish: Wish,
}

/// Which way a call goes.
#[derive(Clone, Copy, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Wish {
    #[default]
    Greedy,
    Beams,
    Sampled,
    Refuse,
    Fail,
    FailLater,
    Trap,
}

#[derive(Serialize)]
struct Data {
    words: Vec<String>,
}

const NODES: [NodeKind; 24] = [
    NodeKind::File,
    NodeKind::NamespaceBlock,
    NodeKind::Import,
    NodeKind::TypeDecl,
    NodeKind::Member,
    NodeKind::Method,
    NodeKind::MethodParameterIn,
    NodeKind::MethodReturn,
    NodeKind::Block,
    NodeKind::Local,
    NodeKind::Call,
    NodeKind::Identifier,
    NodeKind::FieldIdentifier,
    NodeKind::Literal,
    NodeKind::ControlStructure,
    NodeKind::Return,
    NodeKind::JumpTarget,
    NodeKind::TypeRef,
    NodeKind::MethodRef,
    NodeKind::TypeParameter,
    NodeKind::Modifier,
    NodeKind::Annotation,
    NodeKind::Comment,
    NodeKind::Unknown,
];

const EDGES: [EdgeKind; 12] = [
    EdgeKind::Ast,
    EdgeKind::Cfg,
    EdgeKind::Cdg,
    EdgeKind::ReachingDef,
    EdgeKind::Ref,
    EdgeKind::Argument,
    EdgeKind::Receiver,
    EdgeKind::Condition,
    EdgeKind::Call,
    EdgeKind::Dominate,
    EdgeKind::PostDominate,
    EdgeKind::NextToken,
];

/// All that can be asked of a graph.
fn told(graph: &Graph) -> String {
    let mut text = format!("{} nodes, {:?}\n", graph.node_count(), graph.node(u32::MAX).map(|node| node.id));
    for kind in NODES {
        for node in graph.nodes(kind) {
            let _ = writeln!(
                text,
                "{} {:?} {}..{} line {} name {:?} text {:?}",
                node.id, node.kind, node.start, node.end, node.line, node.name, node.text
            );
        }
    }
    for kind in EDGES {
        let successors: Vec<_> = (0..graph.node_count())
            .map(|node| (node, graph.successors(node, kind)))
            .filter(|(_, ends)| !ends.is_empty())
            .collect();
        let _ = writeln!(text, "{kind:?} {successors:?}, into 1 from {:?}", graph.predecessors(1, kind));
    }
    if let Some(head) = graph.method_signature() {
        let _ = writeln!(text, "{} {:?} {:?}", head.name, head.return_type, head.modifiers);
        for parameter in head.parameters {
            let _ = writeln!(text, "parameter {} {:?}", parameter.name, parameter.type_name);
        }
    }
    let _ = writeln!(text, "calls {:?}", graph.calls());
    for remark in graph.diagnostics() {
        let _ = writeln!(text, "line {}: {}", remark.line, remark.message);
    }
    text
}

impl Task for Everything {
    type Request = Request;
    type State = (Wish, String);
    type Data = Data;

    fn describe() -> TaskInfo {
        TaskInfo::new("everything", "Uses all of the world", ["java", "python"])
            .request_schema(r#"{"required": ["code"], "type": "object"}"#)
            .answer_schema(r#"{"required": ["words"], "type": "object"}"#)
            .example("A method", r#"{"code": "int f(int x) { return x; }"}"#, "one two")
            .example("A wish", r#"{"code": "x", "wish": "beams"}"#, "three")
    }

    fn prepare(Request { code, wish }: Request) -> Result<Prepared<(Wish, String)>, Error> {
        log::debug("debug");
        log::info("info");
        log::warn("warn");
        log::error("error");
        let decoding = match wish {
            Wish::Greedy | Wish::FailLater => Decoding::greedy(7).stop("\n").stop("END"),
            Wish::Beams => Decoding::beams(8, 3),
            Wish::Sampled => Decoding::sampled(9, 0.5, 0.25),
            Wish::Refuse => return Err(Error::invalid_request("refused as wished")),
            Wish::Fail => return Err(Error::internal("failed as wished")),
            Wish::Trap => panic!("trapped as wished"),
        };
        let unknown = match cpg::parse("klingon", &code) {
            Ok(_) => "it is known".to_owned(),
            Err(error) => format!("{error:?}"),
        };
        let graph = cpg::parse("java", &code)?;
        let dropped = cpg::parse("java", "second")?;
        let text = format!("{}{}\n{unknown}\n", told(&graph), dropped.node_count());
        drop(dropped);
        let prompt = Prompt::new().text(text).code(graph).text("\nend");
        Ok(Prepared::new(prompt, (wish, code))
            .system("be brief")
            .reply_start("Sure: ")
            .decoding(decoding))
    }

    fn finish((wish, code): (Wish, String), generated: &str) -> Result<Answer<Data>, Error> {
        if let Wish::FailLater = wish {
            return Err(Error::internal("failed later as wished"));
        }
        let parsed = cpg::parse("java", &code);
        let words = generated.split_whitespace().map(str::to_owned).collect();
        Ok(Answer::new(format!("{code}: {generated}"), Data { words })
            .note("a-note", format!("parsing in finish: {}", parsed.is_ok()))
            .warning("a-warning", "careful")
            .error("an-error", "wrong"))
    }
}

transducer_task::export!(Everything);
