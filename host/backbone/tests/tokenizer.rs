//! The tokenizer of the default model against Hugging Face transformers reading the same file.
//!
//! `tests/fixtures/parity/tokenizer.json` holds our own texts and is always checked. References over real code are
//! made by `tests/parity/tokenizer_reference.py` and named in `TRANSDUCER_TOKENIZER_REFERENCE`.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use transducer_backbone::gguf::Gguf;
use transducer_backbone::tokenizer::{Encoding, Tokenizer};

#[derive(Deserialize)]
struct Reference {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
    offsets: Vec<u32>,
    template_ids: Option<Vec<u32>>,
    decoded: Option<String>,
}

fn model() -> Gguf {
    let path = std::env::var_os("TRANSDUCER_MODEL").expect("`.cargo/config.toml` names the default model");
    Gguf::open(Path::new(&path)).expect("the default model opens; `cargo xtask setup` provides it")
}

fn tokenizer() -> Tokenizer {
    Tokenizer::from_gguf(&model()).expect("the default model has a tokenizer")
}

fn read(path: &Path) -> Reference {
    let json = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&json).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn own() -> Reference {
    read(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/parity/tokenizer.json"))
}

fn expected(case: &Case) -> Encoding {
    let offsets = case.offsets.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    Encoding {
        ids: case.ids.clone(),
        offsets,
    }
}

/// Checks every case and returns how many there were.
fn check(tokenizer: &Tokenizer, reference: &Reference) -> usize {
    for case in &reference.cases {
        let found = tokenizer.encode(&case.text).expect("text encodes");
        assert_eq!(found, expected(case), "{:?}", case.text);
        for &(start, end) in &found.offsets {
            assert!(
                case.text
                    .get(start as usize..end as usize)
                    .is_some_and(|part| !part.is_empty())
            );
        }
        assert_eq!(tokenizer.decode(&found.ids), case.text);
    }
    reference.cases.len()
}

#[test]
fn ids_and_offsets_are_those_of_transformers() {
    assert!(check(&tokenizer(), &own()) >= 60);
}

#[test]
fn ids_and_offsets_are_those_of_transformers_on_the_named_reference() {
    let Some(path) = std::env::var_os("TRANSDUCER_TOKENIZER_REFERENCE") else {
        return;
    };
    let reference = read(Path::new(&path));
    let count = check(&tokenizer(), &reference);
    let beyond_ascii = reference.cases.iter().filter(|case| !case.text.is_ascii()).count();
    println!("{count} of {count} texts identical in ids and offsets, {beyond_ascii} of them with non-ASCII characters");
}

#[test]
fn template_text_and_decoding_are_those_of_transformers() {
    let tokenizer = tokenizer();
    for case in own().cases {
        let found = tokenizer.encode_template(&case.text).expect("text encodes");
        assert_eq!(Some(found.ids), case.template_ids, "{:?}", case.text);
        assert_eq!(Some(tokenizer.decode(&case.ids)), case.decoded);
    }
}

#[test]
fn no_special_token_comes_out_of_user_text() {
    let tokenizer = tokenizer();
    let specials: Vec<u32> = (0..tokenizer.vocab_size() as u32)
        .filter(|&id| tokenizer.is_special(id))
        .collect();
    assert_eq!(specials.len(), 17);
    for &special in &specials {
        let name = std::str::from_utf8(tokenizer.token_bytes(special).expect("in the vocabulary")).expect("a name");
        for text in [name.to_owned(), format!("a{name}b"), format!("{name}{name} {name}\n")] {
            let ids = tokenizer.encode(&text).expect("text encodes").ids;
            assert!(
                ids.iter().all(|&id| !tokenizer.is_special(id)),
                "{text:?} became {ids:?}"
            );
            assert_eq!(tokenizer.decode(&ids), text);
        }
        assert_eq!(tokenizer.encode_template(name).expect("text encodes").ids, [special]);
    }
}

#[test]
fn streamed_text_is_the_decoded_text() {
    let tokenizer = tokenizer();
    for case in own().cases {
        let mut stream = tokenizer.stream_decoder();
        let mut text = String::new();
        for &id in &case.ids {
            text.push_str(&stream.push(id));
            assert!(
                case.text.starts_with(&text),
                "{text:?} is not how {:?} begins",
                case.text
            );
        }
        text.push_str(&stream.finish());
        assert_eq!(text, case.text);
    }
}

#[test]
fn the_file_says_where_answers_begin_and_end() {
    let tokenizer = tokenizer();
    assert_eq!(tokenizer.vocab_size(), 49_152);
    assert_eq!(tokenizer.bos(), Some(1));
    assert!(!tokenizer.add_bos());
    // The file names only <|im_end|>; <|endoftext|> ends a text too.
    assert_eq!(tokenizer.eos_ids(), [0, 2]);
    assert_eq!(tokenizer.token_bytes(49_152), None);
    assert_eq!(tokenizer.text_bytes(2), b"");
}

/// The digest that bundles pin this model's tokenizer by: it may change only when ids do.
#[test]
fn the_digest_is_pinned() {
    assert_eq!(
        tokenizer().sha256(),
        "850b4dc7396d0a49b30d7b278ecaf2b82a8c04d826619a198923f424532bb118"
    );
}

/// A folder saved by transformers from the same file has the same digest and ids.
#[test]
fn a_folder_is_the_same_tokenizer() {
    let Some(folder) = std::env::var_os("TRANSDUCER_TOKENIZER_FOLDER") else {
        return;
    };
    let from_folder = Tokenizer::from_folder(Path::new(&folder)).expect("the folder has a tokenizer");
    let from_gguf = tokenizer();
    assert_eq!(from_folder.sha256(), from_gguf.sha256());
    assert_eq!(from_folder.eos_ids(), from_gguf.eos_ids());
    assert_eq!(from_folder.bos(), from_gguf.bos());
    check(&from_folder, &own());
}
