//! The door of requests: OpenAI's forms, and the tasks in their sandbox with the front ends that they ask.

use std::sync::{Arc, LazyLock};

use transducer_frontend::{FrontEnd as _, ParseLimits};
use transducer_frontend_java::JavaFrontEnd;
use transducer_tasks::{Blame, CodeParser, ParseFailure, ParsedCode, Task, TaskEngine, TaskLimits};

#[path = "../../../host/server/src/routes/openai/form.rs"]
mod form;

/// The tasks that the repository ships.
static TASKS: LazyLock<Vec<Task>> = LazyLock::new(|| {
    let engine = TaskEngine::new(TaskLimits::default()).expect("a sandbox");
    let task = |name| {
        let wasm = std::fs::read(crate::doors::adapters().join(name).join("task.wasm"));
        engine
            .compile(&wasm.expect("a task"))
            .expect("a task that a host takes")
    };
    ["summarize-java", "assert-java", "translate-java-csharp"]
        .map(task)
        .into()
});

/// A text as a request: to a task, or to one of OpenAI's routes and from there to a task.
pub fn request(input: &[u8]) {
    let Some((&mode, rest)) = input.split_first() else {
        return;
    };
    let Ok(body) = std::str::from_utf8(rest) else { return };
    let task = &TASKS[usize::from(mode % 3)];
    match mode / 3 % 3 {
        0 => ask(task, body),
        1 => form::Asked::completion(body).map_or((), |asked| ask_for(task, &asked)),
        _ => form::Asked::chat(body).map_or((), |asked| ask_for(task, &asked)),
    }
}

fn ask_for(task: &Task, asked: &form::Asked) {
    ask(task, &serde_json::json!({"code": asked.code}).to_string());
}

/// What a task makes of a request is a prompt that is validated, or the request's fault.
fn ask(task: &Task, body: &str) {
    match task.prepare(body, Arc::new(Parser)) {
        Ok(prepared) => {
            assert!(!prepared.user_text().is_empty());
            assert!(prepared.decoding.max_new_tokens > 0);
            let answer = task.finish(&prepared.state, "a reply").expect("its own state");
            assert!(answer.data.is_object());
        }
        Err(error) => assert_eq!(error.blame(), Blame::Request, "{error}"),
    }
}

struct Parser;

impl CodeParser for Parser {
    fn parse(&self, language: &str, source: &str) -> Result<Arc<ParsedCode>, ParseFailure> {
        // Two front ends cannot be linked into one program. Java's takes Python too, as code with mistakes in it.
        let cpg = JavaFrontEnd::parse(source, &ParseLimits::DEFAULT);
        Ok(Arc::new(ParsedCode {
            language: language.to_owned(),
            source: source.to_owned(),
            cpg: Arc::new(cpg.expect("a front end takes any code")),
        }))
    }
}
