//! The assertion that is missing in a JUnit test (the ATLAS setting): the test has `<AssertPlaceHolder>` in its place.

use serde::{Deserialize, Serialize};
use transducer_task::text::{punctuation, strip_fence};
use transducer_task::{Answer, Decoding, Error, Prepared, Prompt, Task, TaskInfo, cpg};

/// What stands where the assertion belongs.
const PLACEHOLDER: &str = "<AssertPlaceHolder>";

/// What stands between the test and the method under test, in a request that has both in `code`.
const FOCAL_MARK: &str = "// focal method";

/// Longest reply, in tokens. An assertion has 20; one with a long string or lambda 100.
const MAX_NEW_TOKENS: u32 = 128;

struct Assert;

/// What the user gives.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    code: String,
    focal_method: Option<String>,
}

/// What a program gets.
#[derive(Serialize)]
struct Data {
    assertion: Option<String>,
}

impl Task for Assert {
    type Request = Request;
    type State = ();
    type Data = Data;

    fn describe() -> TaskInfo {
        TaskInfo::new(
            "assert",
            "Writes the assertion that is missing in a JUnit test",
            ["java"],
        )
        .request_schema(include_str!("request.schema.json"))
        .answer_schema(include_str!("answer.schema.json"))
        .example(
            "A test and the method under test",
            r#"{"code": "@Test\npublic void testSize() {\n    Stack stack = new Stack();\n    stack.push(1);\n    <AssertPlaceHolder>\n}", "focal_method": "public int size() {\n    return count;\n}"}"#,
            "assertEquals(1, stack.size());",
        )
    }

    fn prepare(request: Request) -> Result<Prepared<()>, Error> {
        let unit = unit(request)?;
        let graph = cpg::parse("java", &unit)?;
        let test = match graph.method_signature() {
            Some(signature) => format!("the JUnit test `{}`", signature.name),
            None => "this JUnit test".to_owned(),
        };
        // The question comes first: a small model that reads it last continues the test instead of answering.
        let prompt = Prompt::new()
            .text(format!(
                "Which assertion belongs at {PLACEHOLDER} in {test}?\n\n```java\n"
            ))
            .code(graph)
            .text("\n```");
        // The reply begins inside a fence: the model goes on with code at once, and closes the fence after it.
        Ok(Prepared::new(prompt, ())
            .reply_start("```java\n")
            .decoding(Decoding::greedy(MAX_NEW_TOKENS).stop("\n```")))
    }

    fn finish(_: (), generated: &str) -> Result<Answer<Data>, Error> {
        let code = strip_fence(generated);
        let Some(Found {
            statement,
            closed,
            alone,
        }) = first_assertion(code)
        else {
            let answer = Answer::new("", Data { assertion: None });
            return Ok(answer.error("no-assertion", "the model wrote no assertion"));
        };
        let data = Data {
            assertion: Some(statement.clone()),
        };
        let mut answer = Answer::new(statement, data);
        if !closed {
            answer = answer.warning(
                "unfinished",
                "the model's assertion had no end; its brackets were closed",
            );
        }
        if !alone {
            answer = answer.note(
                "more-text",
                "the model wrote more than the assertion; the rest was left out",
            );
        }
        Ok(answer)
    }
}

/// The test, and after it the method under test if there is one.
fn unit(Request { code, focal_method }: Request) -> Result<String, Error> {
    if code.trim().is_empty() {
        return Err(Error::invalid_request(
            "`code` is empty; give the source of a JUnit test",
        ));
    }
    let (test, rest) = code.split_once(FOCAL_MARK).unwrap_or((&code, ""));
    match test.matches(PLACEHOLDER).count() {
        1 => {}
        0 => {
            return Err(Error::invalid_request(format!(
                "`code` has no {PLACEHOLDER}; put it where the assertion belongs"
            )));
        }
        found => {
            return Err(Error::invalid_request(format!(
                "`code` has {found} times {PLACEHOLDER}; ask for one assertion at a time"
            )));
        }
    }
    match focal_method {
        Some(_) if !rest.is_empty() => Err(Error::invalid_request(format!(
            "the method under test is given twice: after `{FOCAL_MARK}` in `code`, and as `focal_method`"
        ))),
        Some(focal) => Ok(format!("{}\n{FOCAL_MARK}\n{focal}", code.trim_end())),
        None => Ok(code),
    }
}

/// An assertion in a reply.
struct Found {
    statement: String,
    /// Whether the model ended it.
    closed: bool,
    /// Whether the model wrote nothing else.
    alone: bool,
}

/// The first statement that calls a method named `assert…` or `fail`, with its qualifier and all that is chained to it.
fn first_assertion(code: &str) -> Option<Found> {
    let start = assertion_start(code)?;
    let rest = &code[start..];
    let mut open = Vec::new();
    for (at, c) in punctuation(rest) {
        match c {
            '(' => open.push(')'),
            '[' => open.push(']'),
            '{' => open.push('}'),
            ';' if open.is_empty() => {
                return Some(Found {
                    statement: one_line(&rest[..=at]),
                    closed: true,
                    alone: code[..start].trim().is_empty() && rest[at + 1..].trim().is_empty(),
                });
            }
            ';' => {}
            close if open.last() == Some(&close) => drop(open.pop()),
            // A bracket that nothing opened: the statement ends before it.
            _ => return Some(close_brackets(&rest[..at], &open)),
        }
    }
    Some(close_brackets(rest, &open))
}

fn close_brackets(statement: &str, open: &[char]) -> Found {
    let mut statement = one_line(statement);
    statement.extend(open.iter().rev());
    statement.push(';');
    Found {
        statement,
        closed: false,
        alone: true,
    }
}

/// Where the first call of a method named `assert…` or `fail` starts, with its qualifier.
fn assertion_start(code: &str) -> Option<usize> {
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '.');
    let mut from = 0;
    while let Some(at) = code[from..].find(is_name).map(|at| from + at) {
        let end = code[at..].find(|c| !is_name(c)).map_or(code.len(), |len| at + len);
        let name = code[at..end].rsplit('.').next().unwrap_or_default();
        let called = code[end..].trim_start().starts_with('(');
        if called && (name.starts_with("assert") || name == "fail") {
            return Some(at);
        }
        from = end;
    }
    None
}

/// Line breaks and indentation become one space: an assertion is compared and shown as one line.
fn one_line(code: &str) -> String {
    let lines: Vec<&str> = code.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join(" ")
}

transducer_task::export!(Assert);

#[cfg(test)]
mod tests {
    use transducer_task::Error;
    use transducer_task::testing::{self, FakeGraph};

    use super::Assert;

    const REQUEST: &str = r#"{"code": "void testSize() {\n  <AssertPlaceHolder>\n}"}"#;

    #[test]
    fn describes_itself() {
        assert_eq!(testing::check_description::<Assert>(), Ok(()));
    }

    #[test]
    fn the_prompt_holds_test_and_focal_method_as_one_piece_of_code() {
        testing::graphs(|_, _| Ok(FakeGraph::new().signature("testSize", &[], Some("void"))));
        let together = r#"{"code": "void t() { <AssertPlaceHolder> }\n// focal method\nint size() { return n; }"}"#;
        let apart = r#"{"code": "void t() { <AssertPlaceHolder> }", "focal_method": "int size() { return n; }"}"#;
        let [together, apart] = [together, apart].map(|request| testing::prepare::<Assert>(request).expect(request));
        assert_eq!(
            together.code,
            ["void t() { <AssertPlaceHolder> }\n// focal method\nint size() { return n; }"]
        );
        assert_eq!(together.code, apart.code);
        assert!(apart.user.contains("the JUnit test `testSize`"), "{}", apart.user);
        assert_eq!(apart.reply_start.as_deref(), Some("```java\n"));
    }

    #[test]
    fn bad_requests_say_what_to_change() {
        for (request, expected) in [
            ("{}", "missing field `code`"),
            (r#"{"code": ""}"#, "`code` is empty"),
            (r#"{"code": "void t() { }"}"#, "no <AssertPlaceHolder>"),
            (
                r#"{"code": "<AssertPlaceHolder> <AssertPlaceHolder>"}"#,
                "2 times <AssertPlaceHolder>",
            ),
            (
                r#"{"code": "// focal method\n<AssertPlaceHolder>"}"#,
                "no <AssertPlaceHolder>",
            ),
            (
                r#"{"code": "<AssertPlaceHolder>\n// focal method\nint f();", "focal_method": "int f();"}"#,
                "given twice",
            ),
        ] {
            let error = testing::prepare::<Assert>(request).expect_err(request);
            assert!(matches!(error, Error::InvalidRequest(_)), "{error}");
            assert!(error.to_string().contains(expected), "{request}: {error}");
        }
    }

    #[test]
    fn exactly_one_assertion_is_taken() {
        let none: &[&str] = &[];
        for (generated, expected, codes) in [
            ("assertEquals(1, a.size());", "assertEquals(1, a.size());", none),
            ("Assert.assertTrue(a);\n", "Assert.assertTrue(a);", none),
            ("assertTrue(a); assertTrue(b);", "assertTrue(a);", &["more-text"]),
            (
                "int x = a.size();\nassertEquals(1, x);",
                "assertEquals(1, x);",
                &["more-text"],
            ),
            ("```java\nassertNull(a);\n```\nIt is null.", "assertNull(a);", none),
            (
                "assertEquals(\n    \"a;b)\",\n    c);",
                "assertEquals( \"a;b)\", c);",
                none,
            ),
            ("assertThat(a).isEqualTo(b);", "assertThat(a).isEqualTo(b);", none),
            (
                "assertThrows(E.class, () -> { f(); });",
                "assertThrows(E.class, () -> { f(); });",
                none,
            ),
            ("assertEquals(1, f(x", "assertEquals(1, f(x));", &["unfinished"]),
            ("assertTrue(a)\n}", "assertTrue(a);", &["unfinished"]),
            ("fail(\"no\");", "fail(\"no\");", none),
            ("return x;", "", &["no-assertion"]),
            ("The assertion is assertEquals, I think.", "", &["no-assertion"]),
            ("", "", &["no-assertion"]),
        ] {
            let answer = testing::answer::<Assert>(REQUEST, generated).expect(generated);
            assert_eq!(answer.text, expected, "{generated:?}");
            assert_eq!(answer.codes(), codes, "{generated:?}");
            assert_eq!(answer.data.assertion.is_none(), expected.is_empty());
        }
    }
}
