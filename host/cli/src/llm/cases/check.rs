//! What a task does with a case, beside what the case says.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write};

use regex::Regex;
use serde_json::Value;
use similar::{Algorithm, ChangeTag, capture_diff_slices};
use transducer_pipeline::{Prepared, Rehearsal, Segment, TaskError};

use super::{Answer, Case, Code, Decoding, Finish, Prepare, Problem};

impl Case {
    /// What of `prepare` and `finish` is not as the case has it. A blessed case has what is found instead.
    pub(crate) fn check(&mut self, task: &Rehearsal, bless: bool) -> Vec<Problem> {
        let mut problems = Problems {
            found: Vec::new(),
            bless,
        };
        let prepared = task.prepare(&self.request.to_string());
        if bless && self.prepare.is_none() && self.finish.is_empty() && self.answer.is_none() {
            self.prepare = Some(match &prepared {
                Ok(prepared) => Prepare::of(prepared),
                Err(error) => Prepare {
                    error: Some(error.to_string()),
                    ..Prepare::default()
                },
            });
        }
        if self.says_nothing() {
            problems.add(
                "prepare",
                "it expects nothing that could fail: --bless writes down what is found now",
            );
        }
        match (&mut self.prepare, &prepared) {
            (Some(expected), prepared) => expected.check(prepared, &mut problems),
            (None, Err(error)) => problems.add("prepare", format!("an error: {error}")),
            (None, Ok(_)) => {}
        }
        let Ok(prepared) = prepared else {
            if !self.finish.is_empty() || self.answer.is_some() {
                problems.add("finish", "there is nothing to finish, for there is no prompt");
            }
            return problems.found;
        };
        for (index, finish) in self.finish.iter_mut().enumerate() {
            finish.check(&format!("finish[{index}]"), &prepared.state, task, &mut problems);
        }
        problems.found
    }

    fn says_nothing(&self) -> bool {
        let prepare = self
            .prepare
            .as_ref()
            .is_none_or(|prepare| *prepare == Prepare::default());
        prepare && self.finish.is_empty() && self.answer.is_none()
    }
}

struct Problems {
    found: Vec<Problem>,
    bless: bool,
}

impl Problems {
    fn add(&mut self, at: &str, message: impl Into<String>) {
        self.found.push(Problem {
            at: at.to_owned(),
            message: message.into(),
        });
    }

    /// Where a case says something, it must be what is found.
    fn same<T: PartialEq + Clone>(
        &mut self,
        at: &str,
        expected: &mut Option<T>,
        found: &T,
        told: impl Fn(&T) -> String,
    ) {
        let Some(expected) = expected.as_mut().filter(|expected| *expected != found) else {
            return;
        };
        if self.bless {
            expected.clone_from(found);
        } else {
            self.add(at, difference(&told(expected), &told(found)));
        }
    }

    fn same_text(&mut self, at: &str, expected: &mut Option<String>, found: Option<&str>) {
        self.same(at, expected, &found.unwrap_or_default().to_owned(), String::clone);
    }

    /// An error must have the message that is expected, or a part of it. Whether there is one as expected.
    fn error(&mut self, at: &str, expected: &mut Option<String>, found: Option<&TaskError>) -> bool {
        let found = found.map(ToString::to_string);
        match (expected.as_mut(), found) {
            (None, None) => false,
            (Some(expected), Some(found)) => {
                if !found.contains(expected.as_str()) {
                    if self.bless {
                        *expected = found;
                    } else {
                        self.add(&format!("{at}.error"), difference(expected, &found));
                    }
                }
                true
            }
            (Some(expected), None) => {
                let message = format!("there is no error; expected one that says {expected:?}");
                self.add(&format!("{at}.error"), message);
                true
            }
            (None, Some(found)) => {
                self.add(at, format!("an error: {found}"));
                true
            }
        }
    }

    fn contains(&mut self, at: &str, expected: &[String], found: &str) {
        for part in expected.iter().filter(|part| !found.contains(part.as_str())) {
            self.add(
                &format!("{at}.contains"),
                format!("{part:?} is not in\n{}", indented(found)),
            );
        }
    }
}

impl Prepare {
    /// All of a prompt that a case can tell.
    fn of(prepared: &Prepared) -> Self {
        let decoding = &prepared.decoding;
        Self {
            system: prepared.system.clone(),
            text: Some(prepared.user_text()),
            reply_start: prepared.reply_start.clone(),
            code: Some(codes(prepared)),
            decoding: Some(Decoding {
                max_new_tokens: Some(decoding.max_new_tokens),
                stop: Some(decoding.stop.clone()),
                ..Decoding::default()
            }),
            ..Self::default()
        }
    }

    fn check(&mut self, prepared: &Result<Prepared, TaskError>, problems: &mut Problems) {
        let failed = problems.error("prepare", &mut self.error, prepared.as_ref().err());
        let Ok(prepared) = prepared else { return };
        if failed {
            return;
        }
        let text = prepared.user_text();
        problems.same_text("prepare.system", &mut self.system, prepared.system.as_deref());
        problems.same_text("prepare.text", &mut self.text, Some(&text));
        problems.same_text(
            "prepare.reply-start",
            &mut self.reply_start,
            prepared.reply_start.as_deref(),
        );
        problems.contains("prepare", &self.contains, &text);
        for part in self.lacks.iter().filter(|part| text.contains(part.as_str())) {
            problems.add("prepare.lacks", format!("{part:?} is in\n{}", indented(&text)));
        }
        let told = |codes: &Vec<Code>| {
            let told = |code: &Code| format!("{}\n{}\n", code.language, code.text);
            codes.iter().map(told).collect()
        };
        problems.same("prepare.code", &mut self.code, &codes(prepared), told);
        if let Some(decoding) = &mut self.decoding {
            decoding.check(&prepared.decoding, problems);
        }
    }
}

/// The segments that are code.
fn codes(prepared: &Prepared) -> Vec<Code> {
    let code = |segment: &Segment| match segment {
        Segment::Code(code) => Some(Code {
            language: code.language.clone(),
            text: code.source.clone(),
        }),
        Segment::Text(_) => None,
    };
    prepared.segments.iter().filter_map(code).collect()
}

fn shown<T: Debug>(value: &T) -> String {
    format!("{value:?}")
}

impl Decoding {
    fn check(&mut self, found: &transducer_pipeline::TaskDecoding, problems: &mut Problems) {
        let at = |field: &str| format!("prepare.decoding.{field}");
        problems.same(
            &at("max-new-tokens"),
            &mut self.max_new_tokens,
            &found.max_new_tokens,
            shown,
        );
        problems.same(&at("stop"), &mut self.stop, &found.stop, shown);
        problems.same(&at("temperature"), &mut self.temperature, &found.temperature, shown);
        problems.same(&at("top-k"), &mut self.top_k, &found.top_k, shown);
        problems.same(&at("top-p"), &mut self.top_p, &found.top_p, shown);
        problems.same(&at("beams"), &mut self.beams, &found.beams, shown);
    }
}

impl Finish {
    fn check(&mut self, at: &str, state: &[u8], task: &Rehearsal, problems: &mut Problems) {
        let answer = task.finish(state, &self.generated);
        if problems.bless && self.says_nothing() {
            match &answer {
                Ok(_) => {
                    self.text = Some(String::new());
                    self.data = Some(Value::Null);
                    self.diagnostics = Some(Vec::new());
                }
                Err(error) => self.error = Some(error.to_string()),
            }
        }
        if self.says_nothing() {
            problems.add(
                at,
                "it expects nothing that could fail: --bless writes down what is found now",
            );
        }
        let failed = problems.error(at, &mut self.error, answer.as_ref().err());
        let Ok(answer) = answer else { return };
        if failed {
            return;
        }
        problems.same_text(&format!("{at}.text"), &mut self.text, Some(&answer.text));
        problems.same(&format!("{at}.data"), &mut self.data, &answer.data, |data| {
            serde_json::to_string_pretty(data).unwrap_or_default()
        });
        let codes: Vec<String> = answer
            .diagnostics
            .iter()
            .map(|diagnostic| diagnostic.code.clone())
            .collect();
        problems.same(&format!("{at}.diagnostics"), &mut self.diagnostics, &codes, |codes| {
            codes.join("\n")
        });
        let Some(reference) = &self.reference else { return };
        match task.score(state, &answer, reference) {
            Ok(scores) => {
                let rounded = scores
                    .into_iter()
                    .map(|(name, score)| (name, (score * 1e6).round() / 1e6));
                let scores: BTreeMap<String, f64> = rounded.collect();
                if problems.bless {
                    self.scores.get_or_insert_default();
                }
                problems.same(&format!("{at}.scores"), &mut self.scores, &scores, |scores| {
                    let line = |(name, score): (&String, &f64)| format!("{name} {score}\n");
                    scores.iter().map(line).collect()
                });
            }
            Err(error) => problems.add(&format!("{at}.scores"), format!("an error: {error}")),
        }
    }

    fn says_nothing(&self) -> bool {
        let nothing = self.error.is_none() && self.text.is_none() && self.data.is_none();
        nothing && self.diagnostics.is_none() && self.scores.is_none()
    }
}

impl Answer {
    /// What of the real LLM's answer is not as the case has it.
    pub(crate) fn check(&self, text: &str, codes: &[String]) -> Vec<Problem> {
        let mut problems = Problems {
            found: Vec::new(),
            bless: false,
        };
        problems.contains("answer", &self.contains, text);
        if let Some(pattern) = &self.matches {
            match Regex::new(pattern) {
                Ok(regex) if regex.is_match(text) => {}
                Ok(_) => problems.add(
                    "answer.matches",
                    format!("{pattern:?} is not found in\n{}", indented(text)),
                ),
                Err(error) => problems.add("answer.matches", format!("no regular expression: {error}")),
            }
        }
        let length = text.chars().count();
        if let Some(longest) = self.longest.filter(|&longest| length > longest) {
            let message = format!("{length} characters, expected at most {longest}:\n{}", indented(text));
            problems.add("answer.longest", message);
        }
        if self.not_empty && text.trim().is_empty() {
            problems.add("answer.not-empty", "the answer is blank");
        }
        problems.same(
            "answer.diagnostics",
            &mut self.diagnostics.clone(),
            &codes.to_vec(),
            |codes| codes.join("\n"),
        );
        problems.found
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

/// Line by line, what was expected (`-`) and what was found (`+`). A line break at the end is told, for nobody sees it.
fn difference(expected: &str, found: &str) -> String {
    let [old, new] = [expected, found].map(|text| text.split_inclusive('\n').collect::<Vec<&str>>());
    let mut told = String::from("expected -, found +\n");
    for change in capture_diff_slices(Algorithm::Myers, &old, &new)
        .iter()
        .flat_map(|operation| operation.iter_changes(&old, &new))
    {
        let mark = match change.tag() {
            ChangeTag::Equal => ' ',
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
        };
        let line = change.value();
        // Writing to a string cannot fail.
        let _ = write!(told, "  {mark} {line}");
        if !line.ends_with('\n') {
            let same_end = expected.ends_with('\n') == found.ends_with('\n');
            told.push_str(if same_end { "\n" } else { " (no line break)\n" });
        }
    }
    told
}
