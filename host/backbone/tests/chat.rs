//! Chat templates against Hugging Face's `apply_chat_template`: `tests/fixtures/parity/tokenizer.json`, made by
//! `tests/parity/tokenizer_reference.py`.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use transducer_backbone::chat::{ChatTemplate, Message, PromptPiece, Role, SpecialNames};
use transducer_backbone::gguf::Gguf;
use transducer_backbone::tokenizer::{Encoding, Tokenizer};

#[derive(Deserialize)]
struct Reference {
    /// A template of our own that uses what published ones do.
    template: String,
    chats: Vec<Chat>,
}

#[derive(Deserialize)]
struct Chat {
    own: bool,
    messages: Vec<Turn>,
    prompt: bool,
    text: String,
    ids: Option<Vec<u32>>,
}

#[derive(Deserialize)]
struct Turn {
    role: String,
    content: String,
}

impl Chat {
    fn messages(&self) -> Vec<Message> {
        let role = |name: &str| match name {
            "system" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            other => panic!("no such role: {other}"),
        };
        self.messages
            .iter()
            .map(|turn| Message::new(role(&turn.role), turn.content.as_str()))
            .collect()
    }
}

fn reference() -> Reference {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/parity/tokenizer.json");
    serde_json::from_slice(&std::fs::read(path).expect("the fixture is there")).expect("the fixture is JSON")
}

fn model() -> Gguf {
    let path = std::env::var_os("TRANSDUCER_MODEL").expect("`.cargo/config.toml` names the default model");
    Gguf::open(Path::new(&path)).expect("the default model opens; `cargo xtask setup` provides it")
}

#[test]
fn conversations_are_written_as_transformers_does() {
    let reference = reference();
    let of_the_model = ChatTemplate::from_gguf(&model()).expect("the model has a template");
    let special = SpecialNames {
        bos: Some("<|im_start|>".to_owned()),
        eos: Some("<|im_end|>".to_owned()),
        ..SpecialNames::default()
    };
    let own = ChatTemplate::new(&reference.template, special).expect("our template is valid");
    for chat in &reference.chats {
        let template = if chat.own { &own } else { &of_the_model };
        let text = template
            .render(&chat.messages(), chat.prompt)
            .expect("the conversation renders");
        assert_eq!(text, chat.text);
    }
    assert_eq!(reference.chats.len(), 24);
}

/// The pieces put together are the prompt, and so are their ids, except where a user wrote a special token's name:
/// there transformers lets the user write the token.
#[test]
fn pieces_are_the_prompt() {
    let model = model();
    let template = ChatTemplate::from_gguf(&model).expect("the model has a template");
    let tokenizer = Tokenizer::from_gguf(&model).expect("the model has a tokenizer");
    let mut injections = 0;
    for chat in reference().chats.iter().filter(|chat| !chat.own) {
        let pieces = template
            .pieces(&chat.messages(), chat.prompt)
            .expect("the conversation renders");
        let text: String = pieces
            .iter()
            .map(|piece| match piece {
                PromptPiece::Template(text) | PromptPiece::Content(text) => text.as_str(),
            })
            .collect();
        assert_eq!(text, chat.text);
        let Encoding { ids, offsets } = tokenizer.encode_pieces(&pieces).expect("the pieces encode");
        for (&id, (start, end)) in ids.iter().zip(offsets) {
            let name = tokenizer.token_bytes(id).expect("in the vocabulary");
            let part = &text.as_bytes()[start as usize..end as usize];
            // A token that is a part of a character has the range of all of it.
            assert!(
                part.windows(name.len()).any(|bytes| bytes == name),
                "{part:?} is not {name:?}"
            );
        }
        let specials = |ids: &[u32]| ids.iter().filter(|&&id| tokenizer.is_special(id)).count();
        let reference = chat
            .ids
            .as_deref()
            .expect("the fixture has ids for the model's own template");
        if chat.messages.iter().any(|turn| turn.content.contains("<|im_end|>")) {
            assert_eq!(specials(&ids) + 1, specials(reference));
            injections += 1;
        } else {
            assert_eq!(ids, reference, "{text:?}");
        }
    }
    assert_eq!(injections, 2);
}

#[test]
fn the_frame_surrounds_a_user_message() {
    let template = ChatTemplate::from_gguf(&model()).expect("the model has a template");
    let frame = template.split(Some("Be brief.")).expect("the template splits");
    assert_eq!(
        frame.before,
        [
            PromptPiece::Template("<|im_start|>system\n".to_owned()),
            PromptPiece::Content("Be brief.".to_owned()),
            PromptPiece::Template("<|im_end|>\n<|im_start|>user\n".to_owned()),
        ]
    );
    assert_eq!(
        frame.after,
        [PromptPiece::Template("<|im_end|>\n<|im_start|>assistant\n".to_owned())]
    );

    let frame = template.split(None).expect("the template splits");
    let [PromptPiece::Template(before)] = frame.before.as_slice() else {
        panic!("{:?}", frame.before)
    };
    assert!(before.starts_with("<|im_start|>system\nYou are a helpful AI assistant named SmolLM"));
    assert!(before.ends_with("<|im_end|>\n<|im_start|>user\n"));
}
