//! Tokenizers from small GGUF files that the tests write themselves.

use std::fmt::Write as _;

use super::*;
use crate::gguf::Gguf;

/// A metadata value of a GGUF file.
#[derive(Clone)]
enum Value {
    U32(u32),
    Bool(bool),
    Text(&'static str),
    Texts(Vec<&'static str>),
    Numbers(Vec<i32>),
}

type Metadata = Vec<(&'static str, Value)>;

/// The bytes of a GGUF file with this metadata and no tensors.
fn gguf(metadata: &Metadata) -> Vec<u8> {
    fn text(out: &mut Vec<u8>, text: &str) {
        out.extend((text.len() as u64).to_le_bytes());
        out.extend(text.as_bytes());
    }
    let mut out = b"GGUF".to_vec();
    out.extend(3_u32.to_le_bytes());
    out.extend(0_u64.to_le_bytes());
    out.extend((metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata {
        text(&mut out, key);
        let code: u32 = match value {
            Value::U32(_) => 4,
            Value::Bool(_) => 7,
            Value::Text(_) => 8,
            Value::Texts(_) | Value::Numbers(_) => 9,
        };
        out.extend(code.to_le_bytes());
        match value {
            Value::U32(number) => out.extend(number.to_le_bytes()),
            Value::Bool(flag) => out.push(u8::from(*flag)),
            Value::Text(string) => text(&mut out, string),
            Value::Texts(strings) => {
                out.extend(8_u32.to_le_bytes());
                out.extend((strings.len() as u64).to_le_bytes());
                strings.iter().for_each(|string| text(&mut out, string));
            }
            Value::Numbers(numbers) => {
                out.extend(5_u32.to_le_bytes());
                out.extend((numbers.len() as u64).to_le_bytes());
                numbers.iter().for_each(|number| out.extend(number.to_le_bytes()));
            }
        }
    }
    // The data section, empty, begins at a multiple of the alignment.
    out.resize(out.len().next_multiple_of(32), 0);
    out
}

/// A vocabulary of a few letters, digits, a space, a line end, one merge, and one token of every kind.
fn small() -> Metadata {
    let tokens = [
        "a", "b", "c", "E", "Ġ", "Ċ", "1", "2", "3", "ab", "Ġa", "123", "<|end|>", "<tool>", "[unused]", "Ã", "©", "é",
    ];
    let kinds = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 4, 5, 1, 1, 1];
    vec![
        ("tokenizer.ggml.model", Value::Text("gpt2")),
        ("tokenizer.ggml.pre", Value::Text("gpt-2")),
        ("tokenizer.ggml.tokens", Value::Texts(tokens.to_vec())),
        ("tokenizer.ggml.token_type", Value::Numbers(kinds.to_vec())),
        ("tokenizer.ggml.merges", Value::Texts(vec!["a b", "Ġ a"])),
        ("tokenizer.ggml.bos_token_id", Value::U32(12)),
        ("tokenizer.ggml.eos_token_id", Value::U32(12)),
    ]
}

/// The small vocabulary with some entries put in or replaced; an entry of no texts is taken out.
fn with(changes: Metadata) -> Metadata {
    let mut metadata = small();
    for (key, value) in changes {
        metadata.retain(|(other, _)| *other != key);
        if !matches!(&value, Value::Texts(texts) if texts.is_empty()) {
            metadata.push((key, value));
        }
    }
    metadata
}

fn build(metadata: &Metadata) -> Result<Tokenizer, TokenizerError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, gguf(metadata)).expect("the file can be written");
    Tokenizer::from_gguf(&Gguf::open(&path).expect("the file is sound"))
}

fn refused(changes: Metadata) -> String {
    build(&with(changes)).expect_err("a contradiction").to_string()
}

/// The tokens of a text, by name.
fn tokens(tokenizer: &Tokenizer, text: &str) -> String {
    let mut out = String::new();
    for id in tokenizer.encode(text).expect("the text encodes").ids {
        let name = tokenizer.inner.id_to_token(id).expect("in the vocabulary");
        write!(out, "{}{name}", if out.is_empty() { "" } else { " " }).expect("strings take text");
    }
    out
}

#[test]
fn the_kinds_of_tokens_differ() {
    let tokenizer = build(&small()).expect("a sound vocabulary");
    // A special token's name is text to a user; an added token is matched; an unused one is not there.
    assert_eq!(tokens(&tokenizer, "a<tool>b"), "a <tool> b");
    assert_eq!(tokenizer.encode_template("a<|end|>").expect("it encodes").ids, [0, 12]);
    assert!(
        tokenizer
            .encode("a<|end|>")
            .expect("it encodes")
            .ids
            .iter()
            .all(|&id| id != 12)
    );
    assert_eq!(tokenizer.token_bytes(14), Some(&b""[..]));
    assert_eq!(tokenizer.token_bytes(12), Some(&b"<|end|>"[..]));
    assert_eq!(tokenizer.text_bytes(12), b"");
    assert_eq!(tokenizer.decode(&[9, 12, 10, 13, 99]), "ab a<tool>");
    assert_eq!(tokenizer.eos_ids(), [12]);
    assert_eq!(tokenizer.vocab_size(), 18);
}

#[test]
fn tokens_of_one_character_share_its_range() {
    let tokenizer = build(&small()).expect("a sound vocabulary");
    let found = tokenizer.encode("aéb").expect("it encodes");
    assert_eq!(found.ids, [0, 15, 16, 1]);
    assert_eq!(found.offsets, [(0, 1), (1, 3), (1, 3), (3, 4)]);
    let mut stream = tokenizer.stream_decoder();
    assert_eq!([0, 15, 16, 1].map(|id| stream.push(id)), ["a", "", "é", "b"]);
}

#[test]
fn the_name_of_the_pre_tokenizer_decides_how_words_are_cut() {
    let pre = |name| build(&with(vec![("tokenizer.ggml.pre", Value::Text(name))])).expect("a sound vocabulary");
    // Two spaces before a digit: GPT-2 leaves the second to the digit, where digits are cut off first it stays.
    assert_eq!(tokens(&pre("gpt-2"), "a  a"), "a Ġ Ġa");
    let merged = |name| {
        let mut metadata = with(vec![("tokenizer.ggml.pre", Value::Text(name))]);
        for (key, value) in &mut metadata {
            match (*key, value) {
                ("tokenizer.ggml.tokens", Value::Texts(tokens)) => tokens.push("ĠĠ"),
                ("tokenizer.ggml.token_type", Value::Numbers(kinds)) => kinds.push(1),
                ("tokenizer.ggml.merges", Value::Texts(merges)) => merges.push("Ġ Ġ"),
                _ => {}
            }
        }
        build(&metadata).expect("a sound vocabulary")
    };
    assert_eq!(tokens(&merged("gpt-2"), "a  1"), "a Ġ Ġ 1");
    assert_eq!(tokens(&merged("smollm"), "a  1"), "a ĠĠ 1");
    assert_eq!(tokens(&merged("starcoder"), "a  1"), "a ĠĠ 1");
    // Llama 3 takes a word of the vocabulary whole though no merge makes it, and three digits are one word.
    assert_eq!(tokens(&pre("llama-bpe"), "a123"), "a 123");
    assert_eq!(tokens(&pre("qwen2"), "a123"), "a 1 2 3");
    assert_eq!(tokens(&pre("gpt-2"), "a123"), "a 1 2 3");
    // Qwen 2 composes letters first: the two tokens of É, of which the vocabulary has one, lie at the letter.
    let found = pre("qwen2").encode("bE\u{301}").expect("it encodes");
    assert_eq!((found.ids, found.offsets), (vec![1, 15], vec![(0, 1), (1, 2)]));
    assert!(pre("llama-bpe").add_bos());
    assert!(!pre("qwen2").add_bos());
    let told = vec![
        ("tokenizer.ggml.pre", Value::Text("llama-bpe")),
        ("tokenizer.ggml.add_bos_token", Value::Bool(false)),
    ];
    assert!(!build(&with(told)).expect("a sound vocabulary").add_bos());
}

#[test]
fn no_name_is_gpt_2() {
    let without = build(&with(vec![("tokenizer.ggml.pre", Value::Texts(vec![]))])).expect("a sound vocabulary");
    assert_eq!(without.sha256(), build(&small()).expect("a sound vocabulary").sha256());
}

#[test]
fn what_changes_ids_changes_the_digest() {
    let digest = |changes| build(&with(changes)).expect("a sound vocabulary").sha256().to_owned();
    let original = digest(vec![]);
    assert_eq!(original, digest(vec![("tokenizer.ggml.eos_token_id", Value::U32(0))]));
    for change in [
        ("tokenizer.ggml.pre", Value::Text("smollm")),
        ("tokenizer.ggml.merges", Value::Texts(vec!["Ġ a", "a b"])),
        ("tokenizer.ggml.merges", Value::Texts(vec!["a b"])),
        (
            "tokenizer.ggml.token_type",
            Value::Numbers(vec![1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 4, 4, 5, 1, 1, 1]),
        ),
    ] {
        assert_ne!(original, digest(vec![change]));
    }
}

#[test]
fn a_folder_of_the_same_vocabulary_is_the_same_tokenizer() {
    let from_gguf = build(&small()).expect("a sound vocabulary");
    let folder = tempfile::tempdir().expect("a temporary folder");
    from_gguf
        .inner
        .save(folder.path().join("tokenizer.json"), true)
        .expect("the tokenizer can be saved");
    let bare = Tokenizer::from_folder(folder.path()).expect("a sound folder");
    assert_eq!(bare.sha256(), from_gguf.sha256());
    assert_eq!((bare.bos(), bare.add_bos()), (None, false));

    let config = r#"{"bos_token": {"content": "<|end|>"}, "add_bos_token": true, "eos_token": "a"}"#;
    std::fs::write(folder.path().join("tokenizer_config.json"), config).expect("the file can be written");
    std::fs::write(
        folder.path().join("generation_config.json"),
        r#"{"eos_token_id": [1, 12]}"#,
    )
    .expect("written");
    let told = Tokenizer::from_folder(folder.path()).expect("a sound folder");
    assert_eq!((told.bos(), told.add_bos()), (Some(12), true));
    assert_eq!(told.eos_ids(), [0, 1, 12]);
    assert_eq!(told.sha256(), from_gguf.sha256());
}

#[test]
fn what_cannot_be_a_tokenizer_is_named() {
    let refused = |key, value| refused(vec![(key, value)]);
    assert_eq!(
        refused("tokenizer.ggml.pre", Value::Text("nouveau")),
        "the GGUF file's pre-tokenizer `nouveau` is not known (known: default, gpt-2, smollm, starcoder, llama-bpe, \
         llama3, llama-v3, qwen2); splitting text by another one would give the model token ids it was not trained on"
    );
    assert!(refused("tokenizer.ggml.model", Value::Text("llama")).contains("`llama`; only `gpt2`"));
    assert!(refused("tokenizer.ggml.tokens", Value::Texts(vec![])).ends_with("no entry `tokenizer.ggml.tokens`"));
    assert_eq!(
        refused("tokenizer.ggml.token_type", Value::Numbers(vec![1; 17])),
        "`tokenizer.ggml.token_type` has 17 entries for 18 tokens"
    );
    assert_eq!(
        refused("tokenizer.ggml.token_type", Value::Numbers(vec![9; 18])),
        "token 0 has the type 9 in `tokenizer.ggml.token_type`; types are 1 to 6"
    );
    assert_eq!(
        refused("tokenizer.ggml.merges", Value::Texts(vec!["a b", "ab"])),
        "merge 1 (`ab`) is not two tokens separated by a space"
    );
    assert!(refused("tokenizer.ggml.merges", Value::Texts(vec!["a q"])).starts_with("vocabulary and merges do not"));
    assert_eq!(
        refused("tokenizer.ggml.eos_token_id", Value::U32(18)),
        "the eos token has id 18, beyond the vocabulary of 18 tokens"
    );
    let mut twice = small();
    twice[2].1 = Value::Texts(vec!["a"; 18]);
    let twice = build(&twice).expect_err("a token twice").to_string();
    assert_eq!(twice, "the vocabulary holds `a` twice, as 0 and as 1");
    let mut raw = small();
    if let Value::Texts(tokens) = &mut raw[2].1 {
        tokens[2] = "c d";
    }
    let raw = build(&raw).expect_err("a raw space").to_string();
    assert_eq!(
        raw,
        "token 2 (`c d`) holds ' ', which stands for no byte in byte-level BPE"
    );
}

#[test]
fn a_folder_that_is_no_byte_level_bpe_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let missing = Tokenizer::from_folder(folder.path()).expect_err("no file").to_string();
    assert!(
        missing.starts_with("cannot read ") && missing.contains("tokenizer.json"),
        "{missing}"
    );
    let write = |pre_tokenizer: &str| {
        let json = format!(
            r#"{{"version": "1.0", "added_tokens": [], "pre_tokenizer": {pre_tokenizer},
                "model": {{"type": "BPE", "vocab": {{"a": 0}}, "merges": []}}}}"#
        );
        std::fs::write(folder.path().join("tokenizer.json"), json).expect("the file can be written");
        Tokenizer::from_folder(folder.path()).map_err(|error| error.to_string())
    };
    assert!(write(r#"{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true}"#).is_ok());
    for pre_tokenizer in [
        "null",
        r#"{"type": "Whitespace"}"#,
        r#"{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true}"#,
    ] {
        let error = write(pre_tokenizer).expect_err(pre_tokenizer);
        assert!(
            error.ends_with("only byte-level BPE without a prefix space is supported"),
            "{error}"
        );
    }
    assert!(
        write("7")
            .expect_err("no pre-tokenizer")
            .contains("is not what a tokenizer needs")
    );
}

#[test]
fn too_much_text_is_refused() {
    let tokenizer = build(&small()).expect("a sound vocabulary");
    let error = tokenizer
        .encode(&"a".repeat(MAX_TEXT_BYTES + 1))
        .expect_err("too long")
        .to_string();
    assert_eq!(
        error,
        "the text has 67108865 bytes; at most 67108864 are encoded at once"
    );
}
