//! Texts that no one would write: they end, and soon.

use transducer_codebleu::{Language, MAX_BYTES, Scores, scores, statistics};

const LANGUAGES: [Language; 3] = [Language::Java, Language::CSharp, Language::Python];

/// The scores of a text against itself. How long that takes is not measured: a busy machine would fail.
fn same(language: Language, text: &str) -> Scores {
    scores([&statistics(language, text, text)])
}

#[test]
fn deep_trees_need_no_stack() {
    for language in LANGUAGES {
        for (open, close) in [("(", ")"), ("[", "]"), ("{", "}"), ("- ", "")] {
            let text = format!("x = {}1{}", open.repeat(8_000), close.repeat(8_000));
            let found = same(language, &text);
            assert_eq!((found.syntax, found.dataflow), (1.0, 0.0), "{language:?} {open}");
        }
    }
}

#[test]
fn loops_in_loops_are_given_up() {
    let java = format!("void f() {{ {} x = y; {} }}", "while (a) {".repeat(60), "}".repeat(60));
    assert_eq!(same(Language::Java, &java).dataflow, 0.0);
    assert_eq!(same(Language::CSharp, &java).dataflow, 0.0);
    let python: String = (0..60)
        .map(|depth| format!("{}while a:\n", " ".repeat(depth)))
        .collect();
    let python = format!("{python}{}x = y\n", " ".repeat(60));
    assert_eq!(same(Language::Python, &python).dataflow, 0.0);
}

#[test]
fn what_follows_the_limit_is_not_read() {
    let text = "x = y + z;\n".repeat(MAX_BYTES / 11);
    for language in LANGUAGES {
        let found = scores([&statistics(
            language,
            &format!("{text}{}", "ü".repeat(MAX_BYTES)),
            &text,
        )]);
        assert!(found.ngram > 0.99, "{language:?} {found:?}");
    }
}

#[test]
fn garbage_is_read() {
    for language in LANGUAGES {
        same(language, &"'\\\"/*".repeat(1_000));
        same(language, &"\u{1F600}$`".repeat(1_000));
        same(language, &"\0\r\u{feff}\u{0301}\\".repeat(1_000));
    }
}

#[test]
fn nothing_scores_nothing() {
    for language in LANGUAGES {
        let empty = scores([&statistics(language, "", "")]);
        assert_eq!((empty.ngram, empty.syntax, empty.dataflow), (0.0, 1.0, 0.0));
        assert_eq!(empty.codebleu, 0.5);
    }
    assert_eq!(scores([]).syntax, 0.0);
    assert!("cobol".parse::<Language>().is_err());
}
