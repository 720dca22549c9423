//! A prompt that says what the graph knows: which parameters there are, and where the method uses them.

use serde::{Deserialize, Serialize};
use transducer_task::cpg::{self, EdgeKind, Graph, NodeKind};
use transducer_task::{Answer, Decoding, Error, Prepared, Prompt, Task, TaskInfo, log};

struct ExplainParameters;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    code: String,
}

#[derive(Serialize)]
struct Data {
    parameters: Vec<Explained>,
}

#[derive(Serialize)]
struct Explained {
    name: String,
    /// Nothing where the LLM did not come to it.
    explanation: Option<String>,
}

/// The parameters in order, each with the lines of its uses.
fn uses(graph: &Graph) -> Vec<(String, Vec<u32>)> {
    let parameters = graph.nodes(NodeKind::MethodParameterIn).into_iter();
    let lines = |parameter: u32| {
        // An identifier refers to its declaration: the uses are where these edges come from.
        let uses = graph.predecessors(parameter, EdgeKind::Ref);
        let mut lines: Vec<u32> = uses.into_iter().filter_map(|id| Some(graph.node(id)?.line)).collect();
        lines.dedup();
        lines
    };
    parameters
        .map(|parameter| (parameter.name, lines(parameter.id)))
        .collect()
}

impl Task for ExplainParameters {
    type Request = Request;
    /// The parameters' names.
    type State = Vec<String>;
    type Data = Data;

    fn describe() -> TaskInfo {
        let summary = "Says what each parameter of a Java method is for";
        TaskInfo::new("explain-parameters", summary, ["java"])
            .request_schema(include_str!("request.schema.json"))
            .answer_schema(include_str!("answer.schema.json"))
            .example(
                "One that is used and one that is not",
                r#"{"code": "int first(int[] from, int unused) {\n    return from[0];\n}"}"#,
                "from: the array to take from\nunused: nothing",
            )
    }

    fn prepare(Request { code }: Request) -> Result<Prepared<Vec<String>>, Error> {
        let graph = cpg::parse("java", &code)?;
        let Some(method) = graph.method_signature() else {
            return Err(Error::invalid_request("there is no method in `code`"));
        };
        let uses = uses(&graph);
        if uses.is_empty() {
            let message = format!("`{}` has no parameters to explain", method.name);
            return Err(Error::invalid_request(message));
        }
        // Half-typed code has a graph too. That something is missing is good to know, the user's code is not.
        let remarks = graph.diagnostics().len();
        if remarks > 0 {
            log::debug(&format!("the front end has {remarks} remarks"));
        }
        let facts: String = uses.iter().map(|(name, lines)| fact(name, lines)).collect();
        let prompt = Prompt::new().code(graph).text(format!(
            "\n\n{facts}\nFor each parameter of `{}`, write a line `name: what it is for`.",
            method.name
        ));
        let names: Vec<String> = uses.into_iter().map(|(name, _)| name).collect();
        let start = format!("{}:", names[0]);
        Ok(Prepared::new(prompt, names)
            .reply_start(start)
            .decoding(Decoding::greedy(128).stop("\n\n")))
    }

    fn finish(names: Vec<String>, generated: &str) -> Result<Answer<Data>, Error> {
        // The reply's start is not part of what was generated.
        let whole = format!("{}:{generated}", names[0]);
        let find = |name: &str| {
            let mut lines = whole.lines().filter_map(|line| line.split_once(':'));
            let (_, text) = lines.find(|(begin, _)| begin.trim_matches([' ', '-', '*', '`']) == name)?;
            Some(text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        let explained = |name: String| Explained {
            explanation: find(&name),
            name,
        };
        let parameters: Vec<Explained> = names.into_iter().map(explained).collect();
        let line = |Explained { name, explanation }: &Explained| Some(format!("{name}: {}", explanation.as_deref()?));
        let text: Vec<String> = parameters.iter().filter_map(line).collect();
        let missing = parameters.len() - text.len();
        let answer = Answer::new(text.join("\n"), Data { parameters });
        Ok(match missing {
            0 => answer,
            missing => answer.warning("unexplained", format!("{missing} parameters have no explanation")),
        })
    }
}

fn fact(name: &str, lines: &[u32]) -> String {
    let lines: Vec<String> = lines.iter().map(u32::to_string).collect();
    match lines.as_slice() {
        [] => format!("`{name}` is never used.\n"),
        [line] => format!("`{name}` is used in line {line}.\n"),
        lines => format!("`{name}` is used in lines {}.\n", lines.join(", ")),
    }
}

transducer_task::export!(ExplainParameters);
