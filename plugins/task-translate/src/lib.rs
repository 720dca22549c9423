//! The same method in another language: Java to C#.

use serde::{Deserialize, Serialize};
use transducer_task::text::{Balance, balance, strip_fence};
use transducer_task::{Answer, Decoding, Error, Prepared, Prompt, Task, TaskInfo, cpg};

/// Shortest and longest reply that is asked for, in tokens. A translation is about as long as its source; a token of
/// code is 3 to 4 bytes, so that half the bytes of the source is one and a half times what is needed.
const MIN_NEW_TOKENS: u32 = 64;
/// See [`MIN_NEW_TOKENS`].
const MAX_NEW_TOKENS: u32 = 1024;

struct Translate;

/// What the user gives.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    code: String,
    #[serde(default)]
    #[expect(dead_code, reason = "there is one source language: to read the field is to check it")]
    from: Source,
    #[serde(default)]
    to: Target,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Source {
    #[default]
    Java,
}

#[derive(Default, Deserialize)]
enum Target {
    #[default]
    #[serde(rename = "csharp", alias = "c#", alias = "cs")]
    CSharp,
}

/// What `finish` has to know.
#[derive(Deserialize, Serialize)]
struct State {
    /// How many methods or other declarations the source has: so many are taken from the reply.
    units: usize,
}

/// What a program gets.
#[derive(Serialize)]
struct Data {
    code: String,
    language: &'static str,
}

impl Target {
    fn name(&self) -> &'static str {
        match self {
            Target::CSharp => "csharp",
        }
    }

    fn title(&self) -> &'static str {
        match self {
            Target::CSharp => "C#",
        }
    }
}

impl Task for Translate {
    type Request = Request;
    type State = State;
    type Data = Data;

    fn describe() -> TaskInfo {
        TaskInfo::new("translate", "Translates a Java method to C#", ["java"])
            .request_schema(include_str!("request.schema.json"))
            .answer_schema(include_str!("answer.schema.json"))
            .example(
                "A Java method",
                r#"{"code": "public boolean isEmpty() {\n    return size() == 0;\n}"}"#,
                "public virtual bool IsEmpty()\n{\n    return Size() == 0;\n}",
            )
    }

    fn prepare(Request { code, to, .. }: Request) -> Result<Prepared<State>, Error> {
        if code.trim().is_empty() {
            return Err(Error::invalid_request(
                "`code` is empty; give the source of a Java method",
            ));
        }
        let graph = cpg::parse("java", &code)?;
        let subject = match graph.method_signature() {
            Some(signature) => format!("the Java method `{}`", signature.name),
            None => "this Java code".to_owned(),
        };
        let state = State {
            units: balance(&code, usize::MAX).units.max(1),
        };
        let new_tokens = u32::try_from(code.len() / 2).unwrap_or(MAX_NEW_TOKENS);
        // The instruction comes first: a small model that reads it last writes a file of its own, `using` and all.
        let prompt = Prompt::new()
            .text(format!("Translate {subject} to {}.\n\n```java\n", to.title()))
            .code(graph)
            .text("\n```");
        Ok(Prepared::new(prompt, state)
            .reply_start(format!("```{}\n", to.name()))
            .decoding(Decoding::greedy(new_tokens.clamp(MIN_NEW_TOKENS, MAX_NEW_TOKENS)).stop("\n```")))
    }

    fn finish(State { units }: State, generated: &str) -> Result<Answer<Data>, Error> {
        let reply = strip_fence(generated);
        let Balance {
            complete,
            units: found,
            missing,
        } = balance(reply, units);
        let language = Target::CSharp.name();
        let answer = |code: String| Answer::new(code.clone(), Data { code, language });
        if reply.is_empty() {
            return Ok(answer(String::new()).error("no-code", "the model wrote no code"));
        }
        let (kept, rest) = reply.split_at(complete);
        if found == units {
            let answer = answer(kept.to_owned());
            return Ok(if rest.trim().is_empty() {
                answer
            } else {
                answer.note(
                    "more-text",
                    "the model wrote more than was asked for; the rest was left out",
                )
            });
        }
        if missing.is_empty() {
            let code = if found == 0 { reply } else { kept };
            return Ok(answer(code.to_owned()).warning(
                "incomplete",
                format!("the source has {units} declarations, the translation {found}"),
            ));
        }
        let code = format!("{reply}{missing}");
        Ok(answer(code).warning("unbalanced", "the translation had no end; its brackets were closed"))
    }
}

transducer_task::export!(Translate);

#[cfg(test)]
mod tests {
    use transducer_task::Error;
    use transducer_task::testing::{self, FakeGraph};

    use super::Translate;

    #[test]
    fn describes_itself() {
        assert_eq!(testing::check_description::<Translate>(), Ok(()));
    }

    #[test]
    fn the_prompt_holds_the_code_and_its_name() {
        testing::graphs(|_, _| Ok(FakeGraph::new().signature("isEmpty", &[], Some("boolean"))));
        let request = r#"{"code": "boolean isEmpty() { return n == 0; }", "to": "C#"}"#;
        let prompt = testing::prepare::<Translate>(&request.replace("C#", "c#")).expect("a prompt");
        assert_eq!(prompt.code, ["boolean isEmpty() { return n == 0; }"]);
        assert!(
            prompt.user.contains("Translate the Java method `isEmpty` to C#."),
            "{}",
            prompt.user
        );
        assert_eq!(prompt.reply_start.as_deref(), Some("```csharp\n"));
        assert_eq!(prompt.max_new_tokens, 64);
    }

    #[test]
    fn bad_requests_say_what_to_change() {
        for (request, expected) in [
            ("{}", "missing field `code`"),
            (r#"{"code": "\n"}"#, "`code` is empty"),
            (
                r#"{"code": "x", "from": "perl"}"#,
                "unknown variant `perl`, expected `java`",
            ),
            (r#"{"code": "x", "to": "perl"}"#, "unknown variant `perl`"),
        ] {
            let error = testing::prepare::<Translate>(request).expect_err(request);
            assert!(matches!(error, Error::InvalidRequest(_)), "{error}");
            assert!(error.to_string().contains(expected), "{request}: {error}");
        }
    }

    #[test]
    fn as_many_declarations_as_the_source_has_are_taken() {
        let one = r#"{"code": "int f() { return 1; }"}"#;
        let two = r#"{"code": "int f() { return 1; } int g();"}"#;
        let none: &[&str] = &[];
        for (request, generated, expected, codes) in [
            (one, "int F() { return 1; }", "int F() { return 1; }", none),
            (
                one,
                "```csharp\nint F() { return 1; }\n```\nDone.",
                "int F() { return 1; }",
                none,
            ),
            (
                one,
                "int F() { return 1; }\nint G() { }",
                "int F() { return 1; }",
                &["more-text"],
            ),
            (
                two,
                "int F() { return 1; } int G();",
                "int F() { return 1; } int G();",
                none,
            ),
            (
                two,
                "int F() { return 1; } I am done",
                "int F() { return 1; }",
                &["incomplete"],
            ),
            (one, "int F() { return G(1", "int F() { return G(1)}", &["unbalanced"]),
            (one, "I cannot.", "I cannot.", &["incomplete"]),
            (one, "int F() { } }", "int F() { }", &["more-text"]),
            (one, " ", "", &["no-code"]),
        ] {
            let answer = testing::answer::<Translate>(request, generated).expect(generated);
            assert_eq!(answer.text, expected, "{generated:?}");
            assert_eq!(answer.codes(), codes, "{generated:?}");
        }
    }
}
