use super::*;

fn template(source: &str) -> ChatTemplate {
    ChatTemplate::new(source, SpecialNames::default()).expect("valid Jinja")
}

fn user(content: &str) -> [Message; 1] {
    [Message::new(Role::User, content)]
}

fn rendered(source: &str) -> String {
    template(source)
        .render(&user("x"), true)
        .unwrap_or_else(|error| error.to_string())
}

#[test]
fn a_model_without_a_template_gets_plain_text() {
    let plain = ChatTemplate::plain();
    assert!(plain.is_plain());
    let messages = [
        Message::new(Role::System, "Be brief."),
        Message::new(Role::User, "Why?\n"),
    ];
    assert_eq!(
        plain.render(&messages, true).expect("it renders"),
        "Be brief.\n\nWhy?\n"
    );
    let frame = plain.split(Some("Be brief.")).expect("it splits");
    let before = [
        PromptPiece::Content("Be brief.".to_owned()),
        PromptPiece::Template("\n\n".to_owned()),
    ];
    assert_eq!(
        (frame.before.as_slice(), frame.after.as_slice()),
        (&before[..], &[][..])
    );
    let frame = plain.split(None).expect("it splits");
    assert_eq!((frame.before, frame.after), (vec![], vec![]));
}

#[test]
fn a_system_message_cannot_pose_as_the_content() {
    let plain = ChatTemplate::plain();
    let poser = plain.marker(usize::MAX);
    let frame = plain.split(Some(&poser)).expect("it splits");
    assert_eq!(frame.before[0], PromptPiece::Content(poser));
    assert!(frame.after.is_empty());
}

#[test]
fn a_marker_is_never_in_the_template() {
    let source = "{% for m in messages %}Content0OfTheMessage Content0OfX {{ m.content }}{% endfor %}";
    let pieces = template(source).pieces(&user("hello"), false).expect("it renders");
    assert_eq!(
        pieces,
        [
            PromptPiece::Template("Content0OfTheMessage Content0OfX ".to_owned()),
            PromptPiece::Content("hello".to_owned())
        ]
    );
}

#[test]
fn a_template_that_writes_a_content_twice_or_not_at_all_cannot_be_split() {
    for (source, found) in [
        ("{{ messages[0].content }}{{ messages[0].content }}", 2),
        ("nothing", 0),
    ] {
        let error = template(source)
            .pieces(&user("x"), true)
            .expect_err("no place")
            .to_string();
        assert!(
            error.contains(&format!("user message {found} times instead of once")),
            "{error}"
        );
    }
}

#[test]
fn what_a_template_says_and_does_wrong_is_told() {
    assert_eq!(
        rendered("{% for m in messages %}\n{{ raise_exception('no ' + m.role) }}{% endfor %}"),
        "the model's chat template refuses this conversation: no user"
    );
    let unknown = rendered("\n\n{{ messages | nonsense }}");
    assert!(
        unknown.starts_with("the model's chat template failed in line 3:"),
        "{unknown}"
    );
    let endless =
        rendered("{% for a in range(9999) %}{% for b in range(9999) %}{% set c = b %}{% endfor %}{% endfor %}");
    assert!(endless.contains("fuel"), "{endless}");
    let error = ChatTemplate::new("a\n{% if %}", SpecialNames::default())
        .expect_err("no Jinja")
        .to_string();
    assert!(
        error.starts_with("the model's chat template is not valid Jinja, line 2:"),
        "{error}"
    );
    let error = ChatTemplate::new(&"x".repeat(MAX_TEMPLATE_BYTES + 1), SpecialNames::default());
    assert!(matches!(error, Err(ChatError::TemplateTooLarge { .. })));
}

#[test]
fn the_date_is_todays() {
    let today = rendered("{{ strftime_now('%Y-%m-%d') }}");
    let parts: Vec<&str> = today.split('-').collect();
    assert!(
        matches!(parts[..], [year, month, day] if year.len() == 4 && month.len() == 2 && day.len() == 2),
        "{today}"
    );
    assert!(rendered("{{ strftime_now('%!') }}").starts_with("the model's chat template failed"));
}

#[test]
fn a_folder_keeps_its_template_in_one_of_three_places() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    let read = || {
        let template = ChatTemplate::from_folder(folder.path()).expect("a sound folder");
        template.render(&user("x"), false).expect("it renders")
    };
    assert!(
        ChatTemplate::from_folder(folder.path())
            .expect("an empty folder")
            .is_plain()
    );
    write(
        "tokenizer_config.json",
        r#"{"chat_template": "one {{ bos_token }}", "bos_token": {"content": "<s>"}}"#,
    );
    assert_eq!(read(), "one <s>");
    write(
        "tokenizer_config.json",
        r#"{"chat_template": [{"name": "tool_use", "template": "no"}, {"name": "default", "template": "two"}]}"#,
    );
    assert_eq!(read(), "two");
    write("chat_template.jinja", "three");
    assert_eq!(read(), "three");
}
