//! A task: a request becomes a prompt, and what the LLM wrote becomes an answer.

use serde::{Deserialize, Serialize};
use transducer_task::{Answer, Decoding, Error, Prepared, Prompt, Task, TaskInfo, cpg};

struct MyTask;

/// What is asked for: the fields of `request.schema.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    code: String,
}

/// What a program gets: the fields of `answer.schema.json`.
#[derive(Serialize)]
struct Data {
    comment: String,
}

impl Task for MyTask {
    type Request = Request;
    /// What `finish` has to know of the request: nothing here.
    type State = ();
    type Data = Data;

    fn describe() -> TaskInfo {
        TaskInfo::new("my-task", "Says in one sentence what a Java method does", ["java"])
            .request_schema(include_str!("request.schema.json"))
            .answer_schema(include_str!("answer.schema.json"))
            .example(
                "A Java method",
                r#"{"code": "int twice(int x) { return 2 * x; }"}"#,
                "Doubles a number.",
            )
    }

    fn prepare(Request { code }: Request) -> Result<Prepared<()>, Error> {
        if code.trim().is_empty() {
            return Err(Error::invalid_request(
                "`code` is empty; give the source of a Java method",
            ));
        }
        // The graph stays in the host. What stands in the prompt as code is what the transducer rewrites.
        let graph = cpg::parse("java", &code)?;
        let prompt = Prompt::new()
            .text("```java\n")
            .code(graph)
            .text("\n```\n\nSay in one short sentence what this does.");
        Ok(Prepared::new(prompt, ()).decoding(Decoding::greedy(48).stop("\n")))
    }

    fn finish((): (), generated: &str) -> Result<Answer<Data>, Error> {
        let comment = generated.trim().to_owned();
        Ok(Answer::new(comment.clone(), Data { comment }))
    }
}

transducer_task::export!(MyTask);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_method_is_refused() {
        let code = " \n".to_owned();
        assert!(MyTask::prepare(Request { code }).is_err());
    }

    #[test]
    fn the_answer_is_what_the_model_wrote_without_blanks_around_it() {
        let answer = MyTask::finish((), " Doubles a number. ").expect("an answer");
        assert_eq!(answer.data.comment, "Doubles a number.");
    }
}
