//! The smallest task: one field in, one word out.

use serde::Deserialize;
use transducer_task::{Answer, Decoding, Error, Prepared, Prompt, Task, TaskInfo, cpg};

struct Hello;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    code: String,
}

impl Task for Hello {
    type Request = Request;
    type State = ();
    type Data = String;

    fn describe() -> TaskInfo {
        TaskInfo::new("hello", "Says in one word what a Java method returns", ["java"])
            .request_schema(r#"{"properties": {"code": {"type": "string"}}, "required": ["code"], "type": "object"}"#)
            .answer_schema(r#"{"type": "string"}"#)
            .example("A getter", r#"{"code": "int size() { return size; }"}"#, "size")
    }

    fn prepare(Request { code }: Request) -> Result<Prepared<()>, Error> {
        let graph = cpg::parse("java", &code)?;
        let prompt = Prompt::new()
            .code(graph)
            .text("\n\nIn one word: what does this method return?");
        Ok(Prepared::new(prompt, ()).decoding(Decoding::greedy(8)))
    }

    fn finish((): (), generated: &str) -> Result<Answer<String>, Error> {
        let word = generated.split_whitespace().next().unwrap_or_default();
        Ok(Answer::new(word, word.to_owned()))
    }
}

transducer_task::export!(Hello);
