//! An answer that programs can use: data of a type, remarks, and something of the request that `finish` has to know.

use serde::{Deserialize, Serialize};
use transducer_task::{Answer, Decoding, Error, Prepared, Prompt, Task, TaskInfo, cpg};

struct ProposeName;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    code: String,
    /// Names that are in use.
    #[serde(default)]
    taken: Vec<String>,
}

#[derive(Serialize)]
struct Data {
    /// Nothing where the LLM wrote no name.
    name: Option<String>,
}

impl Task for ProposeName {
    type Request = Request;
    /// The names that are in use.
    type State = Vec<String>;
    type Data = Data;

    fn describe() -> TaskInfo {
        TaskInfo::new("propose-name", "Proposes a name for a Java method", ["java"])
            .request_schema(include_str!("request.schema.json"))
            .answer_schema(include_str!("answer.schema.json"))
            .example(
                "A getter without a name",
                r#"{"code": "int f() { return size; }", "taken": ["getSize"]}"#,
                "size",
            )
    }

    fn prepare(Request { code, taken }: Request) -> Result<Prepared<Vec<String>>, Error> {
        if code.trim().is_empty() {
            return Err(Error::invalid_request(
                "`code` is empty; give the source of a Java method",
            ));
        }
        let graph = cpg::parse("java", &code)?;
        let prompt = Prompt::new()
            .text("```java\n")
            .code(graph)
            .text("\n```\n\nWhat is a good name for this method?");
        // The reply goes on where this ends, and ends where the name does.
        Ok(Prepared::new(prompt, taken)
            .system("You name Java methods.")
            .reply_start("A good name is `")
            .decoding(Decoding::greedy(16).stop("`").stop("\n")))
    }

    fn finish(taken: Vec<String>, generated: &str) -> Result<Answer<Data>, Error> {
        let name = generated.trim().trim_end_matches("()");
        if !is_name(name) {
            let answer = Answer::new("", Data { name: None });
            return Ok(answer.error("no-name", "the model wrote no name of a method"));
        }
        let answer = Answer::new(
            name,
            Data {
                name: Some(name.to_owned()),
            },
        );
        Ok(match taken.iter().any(|other| other == name) {
            true => answer.warning("taken", format!("`{name}` is in use")),
            false => answer,
        })
    }
}

fn is_name(text: &str) -> bool {
    let begins = text.starts_with(|first: char| first.is_ascii_lowercase());
    begins && text.chars().all(|next| next.is_ascii_alphanumeric() || next == '_')
}

transducer_task::export!(ProposeName);
