//! Answers of the engine against those of transformers' `generate` on the same prompts: `tests/fixtures/parity/decode.json`,
//! made by `tests/parity/decode_reference.py`, `decode_t5.json`, made by `make_tiny_t5.py`, and the greedy texts of `lm_smollm2.json`, made by `lm_reference.py`.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, mpsc};

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use serde::Deserialize;
use transducer_backbone::{Backbone, DeviceChoice, DtypeChoice, LoadOptions, WeightFormat};
use transducer_engine::{
    Completion, Decoding, DecodingOptions, Engine, EngineError, EngineOptions, Event, FinishReason, LocalEngine,
    OfflineRequest, PromptEmbeddings, Request, generate_together,
};

#[derive(Deserialize)]
struct Case {
    model: String,
    ids: Vec<u32>,
    beams: usize,
    max_new_tokens: usize,
    stop: Vec<String>,
    new_ids: Vec<u32>,
    text: String,
    reason: String,
}

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

fn cases(model: &str) -> Vec<Case> {
    let file = if model.starts_with("tiny-t5") {
        "decode_t5.json"
    } else {
        "decode.json"
    };
    let json = std::fs::read(fixtures().join("parity").join(file)).expect("the fixture is there");
    let cases: Vec<Case> = serde_json::from_slice(&json).expect("the fixture is JSON");
    cases.into_iter().filter(|case| case.model == model).collect()
}

/// The references are computed in f32 on the CPU.
fn load(path: &Path) -> Arc<Backbone> {
    let options = LoadOptions {
        device: DeviceChoice::Cpu,
        dtype: DtypeChoice::F32,
        weights: WeightFormat::Full,
        ..LoadOptions::default()
    };
    Arc::new(Backbone::load(path, &options).unwrap_or_else(|error| panic!("{error}")))
}

fn tiny() -> Arc<Backbone> {
    load(&fixtures().join("tiny-llama"))
}

/// Encoders with decoders: `CodeT5+`'s configuration, and that of T5 1.1.
const T5: [&str; 2] = ["tiny-t5", "tiny-t5-gated"];

fn default_model() -> Arc<Backbone> {
    let path = std::env::var_os("TRANSDUCER_MODEL").expect("`.cargo/config.toml` names the default model");
    load(Path::new(&path))
}

fn start(backbone: &Arc<Backbone>) -> LocalEngine {
    // A small piece, so that prompts of tests are read in several.
    let options = EngineOptions {
        prefill_chunk: 50,
        ..EngineOptions::default()
    };
    LocalEngine::start(Arc::clone(backbone), &options).expect("a thread starts")
}

fn prompt(backbone: &Backbone, ids: &[u32]) -> PromptEmbeddings {
    let embeddings = backbone.embed(ids).expect("ids are in the vocabulary");
    PromptEmbeddings::new(&embeddings, backbone).expect("embeddings of the model's own fit it")
}

fn decoding(change: impl FnOnce(&mut DecodingOptions)) -> Decoding {
    let mut options = DecodingOptions::default();
    change(&mut options);
    Decoding::new(options).expect("valid options")
}

/// The pieces of text that the sink was given, and the completion.
fn streamed(engine: &LocalEngine, prompt: PromptEmbeddings, decoding: Decoding) -> (Vec<String>, Completion) {
    let (sender, receiver) = mpsc::channel();
    let sink = Box::new(move |event| match sender.send(event) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    });
    engine
        .submit(Request::new(prompt, decoding, sink))
        .expect("there is room");
    let mut pieces = Vec::new();
    for event in receiver {
        match event {
            Event::Text(text) => pieces.push(text),
            Event::Done(completion) => return (pieces, completion),
            Event::Failed(error) => panic!("{error}"),
        }
    }
    panic!("the sink was dropped without an end")
}

fn check(backbone: &Arc<Backbone>, cases: &[Case]) {
    let engine = start(backbone);
    let mut prefill = 0.0;
    let mut decode = 0.0;
    for (index, case) in cases.iter().enumerate() {
        let decoding = decoding(|options| {
            options.beams = case.beams;
            options.max_new_tokens = case.max_new_tokens;
            options.stop.clone_from(&case.stop);
        });
        let (pieces, completion) = streamed(&engine, prompt(backbone, &case.ids), decoding);
        let context = format!("{} case {index}, {} beams", case.model, case.beams);
        assert_eq!(completion.text, case.text, "{context}");
        assert_eq!(completion.ids, case.new_ids, "{context}");
        let reason = match completion.finish_reason {
            FinishReason::EndToken => "end",
            FinishReason::StopString => "stop",
            FinishReason::Length => "length",
        };
        assert_eq!(reason, case.reason, "{context}");
        assert_eq!(pieces.concat(), completion.text, "{context}");
        assert!(pieces.iter().all(|piece| !piece.is_empty()), "{context}");
        assert_eq!(completion.usage.prompt_tokens, case.ids.len());
        assert_eq!(
            completion.usage.completion_tokens,
            case.new_ids.len() + usize::from(reason == "end")
        );
        prefill += completion.timings.prefill.as_secs_f64();
        decode += completion.timings.decode.as_secs_f64();
    }
    println!(
        "{} answers identical; prefill {prefill:.2} s, decode {decode:.2} s",
        cases.len()
    );
}

#[test]
fn the_tiny_model_answers_as_in_transformers() {
    let cases = cases("tiny");
    assert!(cases.iter().any(|case| case.beams == 5));
    check(&tiny(), &cases);
}

#[test]
fn encoders_with_decoders_answer_as_in_transformers() {
    for model in T5 {
        let cases = cases(model);
        for beams in [1, 2, 4] {
            assert!(cases.iter().filter(|case| case.beams == beams).count() >= 3, "{model}");
        }
        check(&load(&fixtures().join(model)), &cases);
    }
}

#[test]
fn the_default_model_answers_as_in_transformers() {
    let cases = cases("default");
    let count = |beams: usize| cases.iter().filter(|case| case.beams == beams).count();
    assert!(count(1) >= 4 && count(2) >= 15 && count(4) >= 1);
    for reason in ["end", "stop", "length"] {
        assert!(
            cases.iter().any(|case| case.reason == reason && case.beams == 2),
            "{reason}"
        );
    }
    check(&default_model(), &cases);
}

/// Prompts of different lengths side by side: each answer is that of the prompt alone, whatever its neighbours.
fn check_together(backbone: &Backbone, cases: &[Case]) {
    let greedy: Vec<&Case> = cases.iter().filter(|case| case.beams == 1).collect();
    assert!(greedy.len() >= 3);
    let requests: Vec<OfflineRequest> = greedy
        .iter()
        .map(|case| OfflineRequest {
            prompt: prompt(backbone, &case.ids),
            decoding: decoding(|options| {
                options.max_new_tokens = case.max_new_tokens;
                options.stop.clone_from(&case.stop);
            }),
        })
        .collect();
    let completions = generate_together(backbone, &requests, &AtomicBool::new(false)).expect("answers");
    assert_eq!(completions.len(), greedy.len());
    for (case, completion) in greedy.iter().zip(completions) {
        assert_eq!(completion.text, case.text);
        assert_eq!(completion.ids, case.new_ids);
        assert_eq!(completion.usage.prompt_tokens, case.ids.len());
    }
}

#[test]
fn answers_made_together_are_those_made_alone() {
    check_together(&tiny(), &cases("tiny"));
    for model in T5 {
        check_together(&load(&fixtures().join(model)), &cases(model));
    }
    check_together(&default_model(), &cases("default"));
}

/// Beside a prompt that nearly fills the context, a short one has as much room for its answer as alone.
#[test]
fn a_long_prompt_takes_no_room_from_a_short_one() {
    let backbone = tiny();
    let context = backbone.config().max_context;
    let request = |tokens: usize, most: usize| OfflineRequest {
        prompt: prompt(&backbone, &vec![7; tokens]),
        decoding: decoding(|options| options.max_new_tokens = most),
    };
    let answers = |requests: &[OfflineRequest]| {
        let made = generate_together(&backbone, requests, &AtomicBool::new(false)).expect("answers");
        made.into_iter().map(|completion| completion.ids).collect::<Vec<_>>()
    };
    let (short, long) = (|| request(5, context - 5), || request(context - 4, 4));
    let alone = [answers(&[short()]), answers(&[long()])].concat();
    assert!(alone[0].len() > 4, "{alone:?}");
    assert_eq!(answers(&[short(), long()]), alone);
    assert_eq!(answers(&[long(), short()]), [alone[1].clone(), alone[0].clone()]);
}

#[test]
fn what_is_not_greedy_is_not_made_together_and_a_stop_is_heard() {
    let backbone = tiny();
    let request = |beams| OfflineRequest {
        prompt: prompt(&backbone, &[1, 2, 3]),
        decoding: decoding(|options| options.beams = beams),
    };
    let together = |beams, stop| generate_together(&backbone, &[request(1), request(beams)], &AtomicBool::new(stop));
    assert!(matches!(together(2, false), Err(EngineError::NotGreedy)));
    assert!(matches!(together(1, true), Err(EngineError::Cancelled)));
    assert!(
        generate_together(&backbone, &[], &AtomicBool::new(false))
            .expect("nothing")
            .is_empty()
    );
}

#[derive(Deserialize)]
struct Greedy {
    ids: Vec<u32>,
    greedy_ids: Vec<u32>,
    greedy_text: String,
}

/// In these references end tokens do not end an answer; here they do.
#[test]
fn greedy_texts_of_the_default_model_are_those_of_transformers() {
    let json = std::fs::read(fixtures().join("parity/lm_smollm2.json")).expect("the fixture is there");
    let prompts: Vec<Greedy> = serde_json::from_slice(&json).expect("the fixture is JSON");
    let backbone = default_model();
    let ends = backbone.tokenizer().eos_ids();
    let cases: Vec<Case> = prompts
        .into_iter()
        .map(
            |Greedy {
                 ids,
                 greedy_ids,
                 greedy_text,
             }| {
                let max_new_tokens = greedy_ids.len();
                let new_ids: Vec<u32> = greedy_ids.iter().copied().take_while(|id| !ends.contains(id)).collect();
                let ended = new_ids.len() < max_new_tokens;
                let text = if ended {
                    backbone.tokenizer().decode(&new_ids)
                } else {
                    greedy_text.clone()
                };
                assert!(greedy_text.starts_with(&text));
                let reason = if ended { "end" } else { "length" }.to_owned();
                Case {
                    model: "default".to_owned(),
                    ids,
                    beams: 1,
                    max_new_tokens,
                    stop: vec![],
                    new_ids,
                    text,
                    reason,
                }
            },
        )
        .collect();
    assert_eq!(cases.len(), 20);
    assert!(cases.iter().filter(|case| case.reason == "length").count() >= 15);
    check(&backbone, &cases);
}

#[test]
fn the_seed_decides_what_is_sampled() {
    let backbone = tiny();
    let engine = start(&backbone);
    let sample = |seed| {
        let decoding = decoding(|options| {
            (options.temperature, options.top_p, options.seed, options.max_new_tokens) = (1.0, 0.9, Some(seed), 40);
        });
        engine
            .generate(prompt(&backbone, &[5, 6, 7, 8]), decoding)
            .expect("an answer")
            .ids
    };
    assert_eq!(sample(1), sample(1));
    assert_ne!(sample(1), sample(2));
}

#[test]
fn an_answer_ends_with_the_context() {
    let backbone = tiny();
    let engine = start(&backbone);
    let context = backbone.config().max_context;
    let ids: Vec<u32> = (0..context as u32 - 3).map(|place| 3 + place % 300).collect();
    for beams in [1, 2] {
        let decoding = decoding(|options| (options.beams, options.max_new_tokens) = (beams, 64));
        let completion = engine.generate(prompt(&backbone, &ids), decoding).expect("an answer");
        assert!(completion.ids.len() <= 3);
        assert!(completion.finish_reason != FinishReason::Length || completion.ids.len() == 3);
    }
}

/// A prompt of an encoder leaves the decoder all of its own room.
#[test]
fn an_encoder_leaves_room_for_a_whole_answer() {
    let backbone = load(&fixtures().join("tiny-t5-gated"));
    let engine = start(&backbone);
    let context = backbone.config().max_context;
    let ids: Vec<u32> = (0..context as u32).map(|place| 5 + place % 300).collect();
    // An answer that ends only where it must.
    let stopless = |limit| {
        let decoding = decoding(|options| {
            (options.temperature, options.seed, options.max_new_tokens) = (1.0, Some(3), limit);
        });
        engine.generate(prompt(&backbone, &ids), decoding).expect("an answer")
    };
    let completion = stopless(20);
    assert_eq!(
        (completion.ids.len(), completion.finish_reason),
        (20, FinishReason::Length)
    );
    let longest = stopless(context + 1);
    assert!(longest.ids.len() <= context, "{}", longest.ids.len());
    let too_long = backbone
        .embed(&[ids.as_slice(), &[5]].concat())
        .expect("ids are in the vocabulary");
    assert_eq!(
        PromptEmbeddings::new(&too_long, &backbone)
            .expect_err("no room")
            .to_string(),
        "the prompt has 257 tokens; at most 256 leave room for an answer in the model's context of 256"
    );
}

#[test]
fn tensors_that_are_no_prompt_are_refused() {
    let backbone = tiny();
    let hidden = backbone.config().hidden_size as i64;
    let context = backbone.config().max_context as i64;
    let check = |tensor: &tch::Tensor, expected: &str| {
        let error = PromptEmbeddings::new(tensor, &backbone).expect_err(expected);
        assert_eq!(error.to_string(), expected);
    };
    let zeros = |shape: &[i64]| tch::Tensor::zeros(shape, tch::kind::FLOAT_CPU);
    check(
        &zeros(&[0, hidden]),
        "prompt embeddings have the shape [0, 32], expected [tokens, 32] with at least one token",
    );
    check(
        &zeros(&[4, 31]),
        "prompt embeddings have the shape [4, 31], expected [tokens, 32] with at least one token",
    );
    check(
        &zeros(&[1, 4, hidden]),
        "prompt embeddings have the shape [1, 4, 32], expected [tokens, 32] with at least one token",
    );
    check(
        &zeros(&[4, hidden]).to_kind(tch::Kind::Int64),
        "prompt embeddings are Int64 on Cpu, expected floats on Cpu",
    );
    check(
        &zeros(&[context, hidden]),
        "the prompt has 128 tokens; at most 127 leave room for an answer in the model's context of 128",
    );
    let poisoned = zeros(&[4, hidden]);
    let _ = poisoned.narrow(0, 2, 1).fill_(f64::NAN);
    check(
        &poisoned,
        "prompt embeddings hold 32 numbers that are infinite or not numbers",
    );
    // Finite as they come, but not in the numbers that the model computes in.
    let huge = zeros(&[4, hidden]).to_kind(tch::Kind::Double);
    let _ = huge.get(1).get(1).fill_(1e300);
    check(
        &huge,
        "prompt embeddings hold 1 numbers that are infinite or not numbers",
    );
    // Each is finite, though their sum is not.
    let large = zeros(&[4, hidden]) + f64::from(f32::MAX);
    assert!(PromptEmbeddings::new(&large, &backbone).is_ok());
}

#[test]
fn whoever_runs_beside_it_an_answer_is_the_same() {
    check_beside_others(tiny());
    for model in T5 {
        check_beside_others(load(&fixtures().join(model)));
    }
}

/// Requests of every kind that come and go while others run, each against itself alone. All numbers are drawn from one seed.
fn check_beside_others(backbone: Arc<Backbone>) {
    const REQUESTS: usize = 64;
    let alone = LocalEngine::start(
        Arc::clone(&backbone),
        &EngineOptions {
            most_running: 1,
            ..EngineOptions::default()
        },
    )
    .expect("a thread starts");
    let engine = LocalEngine::start(
        Arc::clone(&backbone),
        &EngineOptions {
            queue_bound: REQUESTS,
            most_running: 5,
            prefill_chunk: 7,
            ..EngineOptions::default()
        },
    )
    .expect("a thread starts");
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(5);
    let requests: Vec<(Vec<u32>, Decoding)> = (0..REQUESTS)
        .map(|_| {
            let ids = (0..rng.random_range(1..40)).map(|_| rng.random_range(3..300)).collect();
            let decoding = decoding(|options| {
                options.max_new_tokens = rng.random_range(1..30);
                match rng.random_range(0..4) {
                    0 => (options.temperature, options.top_k, options.seed) = (0.9, 20, Some(rng.random())),
                    1 => options.beams = rng.random_range(2..4),
                    _ => {}
                }
            });
            (ids, decoding)
        })
        .collect();
    let (sender, receiver) = mpsc::channel();
    for (place, (ids, decoding)) in requests.iter().enumerate() {
        let sender = sender.clone();
        let sink = Box::new(move |event| {
            if !matches!(event, Event::Text(_)) {
                sender.send((place, event)).expect("the test listens");
            }
            ControlFlow::Continue(())
        });
        let request = Request::new(prompt(&backbone, ids), decoding.clone(), sink);
        let ticket = engine.submit(request).expect("there is room");
        // Some leave in the middle: those that stay must not notice.
        if place % 9 == 8 {
            ticket.cancel.cancel();
        }
    }
    drop(sender);
    let mut compared = 0;
    for (place, event) in receiver {
        let (ids, decoding) = &requests[place];
        match event {
            Event::Done(completion) => {
                let expected = streamed(&alone, prompt(&backbone, ids), decoding.clone()).1;
                assert_eq!(
                    (completion.ids, completion.text),
                    (expected.ids, expected.text),
                    "request {place}"
                );
                compared += 1;
            }
            Event::Failed(EngineError::Cancelled) => assert_eq!(place % 9, 8),
            other => panic!("request {place}: {other:?}"),
        }
    }
    assert!(compared >= REQUESTS - REQUESTS / 9, "{compared}");
}
