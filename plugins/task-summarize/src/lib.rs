//! One sentence that says what a method or function does: the first sentence of its documentation comment.

use serde::{Deserialize, Serialize};
use transducer_task::text::{first_sentence, strip_fence};
use transducer_task::{Answer, Decoding, Error, Prepared, Prompt, Task, TaskInfo, cpg, log};

/// Longest reply, in tokens. A first sentence has 20; a long one 60.
const MAX_NEW_TOKENS: u32 = 64;

struct Summarize;

/// What the user gives.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    code: String,
    /// Guessed where it is left out: one component serves a bundle for Java and one for Python.
    language: Option<Language>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Language {
    Java,
    Python,
}

/// What a program gets.
#[derive(Serialize)]
struct Data {
    summary: String,
}

impl Language {
    /// A Python function begins with `def`, after its decorators; nothing in Java does.
    fn guess(code: &str) -> Self {
        let begins = |line: &str| line.starts_with("def ") || line.starts_with("async def ");
        match code.lines().map(str::trim_start).any(begins) {
            true => Language::Python,
            false => Language::Java,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Language::Java => "java",
            Language::Python => "python",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Language::Java => "Java",
            Language::Python => "Python",
        }
    }

    /// What the language calls its methods.
    fn unit(self) -> &'static str {
        match self {
            Language::Java => "method",
            Language::Python => "function",
        }
    }
}

impl Task for Summarize {
    type Request = Request;
    type State = ();
    type Data = Data;

    fn describe() -> TaskInfo {
        TaskInfo::new(
            "summarize",
            "Says in one sentence what a method or function does",
            ["java", "python"],
        )
        .request_schema(include_str!("request.schema.json"))
        .answer_schema(include_str!("answer.schema.json"))
        .example(
            "A Java method",
            r#"{"code": "public int size() {\n    return elements.length;\n}"}"#,
            "Returns the number of elements.",
        )
        .example(
            "A Python function",
            r#"{"language": "python", "code": "def mean(values):\n    return sum(values) / len(values)"}"#,
            "Compute the arithmetic mean of the values.",
        )
    }

    fn prepare(Request { code, language }: Request) -> Result<Prepared<()>, Error> {
        if code.trim().is_empty() {
            return Err(Error::invalid_request(
                "`code` is empty; give the source of one method or function",
            ));
        }
        let language = language.unwrap_or_else(|| Language::guess(&code));
        let graph = cpg::parse(language.name(), &code)?;
        let broken = graph.diagnostics().len();
        if broken > 0 {
            log::debug(&format!("the parser has {broken} remarks on the code"));
        }
        let subject = match graph.method_signature() {
            Some(signature) => format!("the {} {} `{}`", language.title(), language.unit(), signature.name),
            None => format!("this {} code", language.title()),
        };
        let prompt = Prompt::new()
            .text(format!("```{}\n", language.name()))
            .code(graph)
            .text(format!("\n```\n\nDescribe in one short sentence what {subject} does."));
        Ok(Prepared::new(prompt, ()).decoding(Decoding::greedy(MAX_NEW_TOKENS).stop("\n")))
    }

    fn finish(_: (), generated: &str) -> Result<Answer<Data>, Error> {
        let summary = clean(generated);
        let answer = Answer::new(summary.clone(), Data { summary });
        Ok(if answer.text.is_empty() {
            answer.error("no-summary", "the model wrote no sentence")
        } else {
            answer
        })
    }
}

/// The first sentence, without the fences, quotes and comment marks that models put around it, and as a documentation
/// comment has it: `Returns…` for `This method returns…`.
fn clean(generated: &str) -> String {
    let marks: &[char] = &['"', '`', '*', '/', '#', '\'', ' ', '\t', '\n'];
    let text = strip_fence(generated).trim_start_matches(marks);
    let words: Vec<&str> = first_sentence(text).split_whitespace().collect();
    let sentence = capitalized(&without_subject(&words).join(" "));
    // A quote at the end may belong to the sentence: it goes only if its partner is not there.
    let closing = ['"', '\'', '`'].into_iter().find(|&mark| sentence.ends_with(mark));
    match closing {
        Some(mark) if sentence.matches(mark).count() % 2 == 1 => sentence.trim_end_matches(mark).to_owned(),
        _ => sentence.trim_end_matches("*/").trim_end().to_owned(),
    }
}

/// Takes off `This Java method` and the like, and the `is used to` after it.
fn without_subject<'a, 'b>(words: &'b [&'a str]) -> &'b [&'a str] {
    const SUBJECT: [&str; 6] = ["Java", "Python", "method", "function", "code", "constructor"];
    let [first, rest @ ..] = words else {
        return words;
    };
    if !matches!(*first, "This" | "The") {
        return words;
    }
    let named = |word: &&&str| word.starts_with('`') && word.ends_with('`');
    let subject = rest
        .iter()
        .take_while(|word| SUBJECT.contains(word) || named(word))
        .count();
    let predicate = &rest[subject..];
    match predicate {
        _ if subject == 0 => words,
        ["is", "used" | "designed", "to", predicate @ ..] if !predicate.is_empty() => predicate,
        [] => words,
        predicate => predicate,
    }
}

fn capitalized(sentence: &str) -> String {
    let mut chars = sentence.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

transducer_task::export!(Summarize);

#[cfg(test)]
mod tests {
    use transducer_task::testing::{self, FakeGraph};
    use transducer_task::{Error, cpg};

    use super::{Summarize, clean};

    #[test]
    fn describes_itself() {
        assert_eq!(testing::check_description::<Summarize>(), Ok(()));
    }

    #[test]
    fn the_prompt_holds_the_code_and_its_name() {
        testing::graphs(|_, _| Ok(FakeGraph::new().signature("size", &[], Some("int"))));
        let prompt = testing::prepare::<Summarize>(r#"{"code": "int size() { return n; }"}"#).expect("a prompt");
        assert_eq!(prompt.code, ["int size() { return n; }"]);
        assert!(prompt.user.starts_with("```java\nint size()"), "{}", prompt.user);
        assert!(prompt.user.contains("the Java method `size`"), "{}", prompt.user);
    }

    #[test]
    fn code_without_a_method_is_fine() {
        let prompt = testing::prepare::<Summarize>(r#"{"code": "x = 1", "language": "python"}"#).expect("a prompt");
        assert!(prompt.user.contains("this Python code"), "{}", prompt.user);
    }

    #[test]
    fn a_language_that_is_left_out_is_guessed() {
        for (code, expected) in [
            (
                r"@property\n  async def size(self):\n    return self.n",
                "Python function",
            ),
            (r"def f(x):\n    return x", "Python function"),
            ("int def(int x) { return x; }", "Java method"),
            (r"@Override\npublic int size() { return n; }", "Java method"),
        ] {
            testing::graphs(|_, _| Ok(FakeGraph::new().signature("size", &[], None)));
            let request = format!(r#"{{"code": "{code}"}}"#);
            let prompt = testing::prepare::<Summarize>(&request).expect(code);
            assert!(prompt.user.contains(expected), "{}", prompt.user);
        }
    }

    #[test]
    fn bad_requests_say_what_to_change() {
        for (request, expected) in [
            ("{}", "missing field `code`"),
            ("{", "EOF"),
            (r#"{"code": " \n"}"#, "`code` is empty"),
            (
                r#"{"code": "x", "language": "cobol"}"#,
                "unknown variant `cobol`, expected `java` or `python`",
            ),
            (r#"{"code": "x", "langauge": "java"}"#, "unknown field `langauge`"),
        ] {
            let error = testing::prepare::<Summarize>(request).expect_err(request);
            assert!(matches!(error, Error::InvalidRequest(_)), "{error}");
            assert!(error.to_string().contains(expected), "{request}: {error}");
        }
    }

    #[test]
    fn a_language_without_a_front_end_is_the_users_business() {
        testing::graphs(|language, _| Err(cpg::ParseError::UnknownLanguage(format!("no front end for {language}"))));
        let error = testing::prepare::<Summarize>(r#"{"code": "x"}"#).expect_err("no front end");
        assert_eq!(error, Error::invalid_request("no front end for java"));
    }

    #[test]
    fn replies_become_one_sentence() {
        for (generated, expected) in [
            ("Returns the size. It is fast.", "Returns the size."),
            ("\"Returns the size.\"", "Returns the size."),
            ("```\nReturns the size.\n```", "Returns the size."),
            ("/** Returns the\n   size. */", "Returns the size."),
            ("Returns the size */", "Returns the size"),
            ("Calls `size`", "Calls `size`"),
            ("This Java method returns the size.", "Returns the size."),
            ("The `size` method is used to count elements.", "Count elements."),
            ("The size of the list.", "The size of the list."),
            ("This method", "This method"),
            ("  ", ""),
        ] {
            assert_eq!(clean(generated), expected, "{generated:?}");
        }
        let empty = testing::answer::<Summarize>(r#"{"code": "x"}"#, "\n").expect("an answer");
        assert_eq!(empty.codes(), ["no-summary"]);
    }
}
