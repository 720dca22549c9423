//! A task with metrics of its own: `eval` shows them beside BLEU and the like.

use serde::{Deserialize, Serialize};
use transducer_task::cpg::{self, NodeKind};
use transducer_task::text::first_sentence;
use transducer_task::{Answer, Decoding, Error, Judged, Metric, Prepared, Prompt, Task, TaskInfo};

struct Summarize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    code: String,
}

/// What `finish` and `score` have to know.
#[derive(Deserialize, Serialize)]
struct State {
    code: String,
}

#[derive(Deserialize, Serialize)]
struct Data {
    summary: String,
}

impl Task for Summarize {
    type Request = Request;
    type State = State;
    type Data = Data;

    fn describe() -> TaskInfo {
        let summary = "Says in one sentence what a Java method does, and measures it";
        TaskInfo::new("summarize-measured", summary, ["java"])
            .request_schema(r#"{"properties": {"code": {"type": "string"}}, "required": ["code"], "type": "object"}"#)
            .answer_schema(include_str!("answer.schema.json"))
            .example(
                "A Java method",
                r#"{"code": "int twice(int number) { return 2 * number; }"}"#,
                "Doubles a number.",
            )
    }

    fn prepare(Request { code }: Request) -> Result<Prepared<State>, Error> {
        let graph = cpg::parse("java", &code)?;
        let prompt = Prompt::new()
            .text("```java\n")
            .code(graph)
            .text("\n```\n\nDescribe in one short sentence what this does.");
        Ok(Prepared::new(prompt, State { code }).decoding(Decoding::greedy(64).stop("\n")))
    }

    fn finish(_: State, generated: &str) -> Result<Answer<Data>, Error> {
        let summary = first_sentence(generated.trim()).trim().to_owned();
        Ok(Answer::new(summary.clone(), Data { summary }))
    }

    fn metrics() -> Vec<Metric> {
        vec![
            Metric::new(
                "same_verb",
                "Whether the answer begins with the word that the reference begins with",
            ),
            Metric::new(
                "no_invention",
                "The share of the answer's code-like words that are in the code",
            ),
        ]
    }

    fn score(State { code }: State, judged: &Judged) -> Result<Vec<f64>, Error> {
        let Data { summary } = judged.data()?;
        let verb = |text: &str| text.split_whitespace().next().map(str::to_lowercase);
        let same_verb = verb(&summary).is_some_and(|word| Some(word) == verb(&judged.reference));
        // Whether a name is known is a question to the graph of the request's code.
        let graph = cpg::parse("java", &code)?;
        let kinds = [
            NodeKind::Method,
            NodeKind::MethodParameterIn,
            NodeKind::Identifier,
            NodeKind::Call,
        ];
        let names: Vec<String> = kinds
            .into_iter()
            .flat_map(|kind| graph.nodes(kind))
            .map(|node| node.name)
            .collect();
        let code_like: Vec<&str> = summary
            .split(|next: char| !next.is_alphanumeric())
            .filter(|word| is_code(word))
            .collect();
        let known = code_like
            .iter()
            .filter(|word| names.iter().any(|name| name == *word))
            .count();
        let no_invention = match code_like.len() {
            0 => 1.0,
            all => known as f64 / all as f64,
        };
        Ok(vec![f64::from(u8::from(same_verb)), no_invention])
    }
}

/// `camelCase`: a word that only code has.
fn is_code(word: &str) -> bool {
    let mut letters = word.chars();
    letters.next().is_some_and(char::is_lowercase) && letters.any(char::is_uppercase)
}

transducer_task::export!(Summarize);

#[cfg(test)]
mod tests {
    use transducer_task::cpg::{Node, NodeKind};
    use transducer_task::testing::{self, FakeGraph};

    use super::Summarize;

    #[test]
    fn what_is_not_in_the_code_is_invented() {
        let parameter = Node {
            id: 0,
            kind: NodeKind::MethodParameterIn,
            start: 0,
            end: 0,
            line: 1,
            name: "userName".to_owned(),
            text: String::new(),
        };
        testing::graphs(move |_, _| Ok(FakeGraph::new().node(parameter.clone())));
        let request = r#"{"code": "void greet(String userName) {}"}"#;
        let scores = testing::score::<Summarize>(request, "Greets userName by fullName.", "Greets a user.");
        let expected = [("same_verb".to_owned(), 1.0), ("no_invention".to_owned(), 0.5)];
        assert_eq!(scores, Ok(expected.to_vec()));
    }
}
