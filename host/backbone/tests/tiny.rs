//! The forward pass on tiny random models: against transformers, and against itself.

mod common;

use std::fs;

use common::{copy_of, edit_config, embed_batch, f32_on_cpu, fixture, greedy, ids, load, max_abs_diff, tensors};
use tch::{Kind, Tensor};
use transducer_backbone::{Backbone, BackboneError, DtypeChoice, LoadOptions, Positions};

/// Two computations of one thing in `f32`, in different orders. Logits here are of size 10.
const F32_TOLERANCE: f64 = 1e-4;

fn check_parity(model: &str, reference: &str) {
    let backbone = load(&fixture(model));
    let expected = tensors(reference);
    let embeddings = embed_batch(&backbone, &expected["ids"]);
    let logits = backbone.forward(&embeddings, None, Positions::All).unwrap();
    let diff = max_abs_diff(&logits, &expected["logits"]);
    println!("{model}: max abs diff {diff:.2e}");
    assert!(diff < F32_TOLERANCE, "{model}: logits differ by {diff}");
    for row in 0..expected["ids"].size()[0] {
        let greedy_expected = ids(&expected["greedy"].get(row));
        let new = greedy(&backbone, &ids(&expected["ids"].get(row)), greedy_expected.len()).unwrap();
        assert_eq!(new, greedy_expected, "{model}, row {row}");
    }
}

#[test]
fn a_sharded_bf16_llama_folder_computes_what_transformers_does() {
    check_parity("tiny-llama", "parity/lm_tiny_llama.safetensors");
}

#[test]
fn a_qwen2_folder_computes_what_transformers_does() {
    check_parity("tiny-qwen2", "parity/lm_tiny_qwen2.safetensors");
}

#[test]
fn a_starcoder2_folder_computes_what_transformers_does() {
    check_parity("tiny-starcoder2", "parity/lm_tiny_starcoder2.safetensors");
    // No further than its window.
    assert_eq!(load(&fixture("tiny-starcoder2")).config().max_context, 96);
}

#[test]
fn a_gemma_folder_computes_what_transformers_does() {
    check_parity("tiny-gemma", "parity/lm_tiny_gemma.safetensors");
    // What its first files call the GELU's tanh form, and what another model would be.
    for (key, value, refused) in [
        ("hidden_act", "gelu".into(), false),
        ("hidden_act", "silu".into(), true),
        ("use_bidirectional_attention", true.into(), true),
    ] {
        let folder = copy_of("tiny-gemma");
        edit_config(folder.path(), |config| config[key] = value);
        let loaded = Backbone::load(folder.path(), &f32_on_cpu());
        assert_eq!(
            matches!(loaded, Err(BackboneError::Unsupported { .. })),
            refused,
            "{key}"
        );
        assert_eq!(loaded.is_ok(), !refused, "{key}");
    }
}

#[test]
fn a_qwen2_gguf_file_computes_what_transformers_does() {
    check_parity("tiny-qwen2/model.gguf", "parity/lm_tiny_qwen2.safetensors");
}

#[test]
fn every_rope_scaling_computes_what_transformers_does() {
    let configs: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&fs::read(fixture("parity/lm_rope.json")).unwrap()).unwrap();
    let expected = tensors("parity/lm_rope.safetensors");
    let plain = load(&fixture("tiny-llama"));
    let unscaled = plain
        .forward(&embed_batch(&plain, &expected["ids"]), None, Positions::Last)
        .unwrap()
        .view([-1]);
    assert_eq!(configs.len(), 5);
    for (name, config) in configs {
        let folder = copy_of("tiny-llama");
        // As transformers 5 writes it, and as version 4 did.
        for old_form in [false, true] {
            edit_config(folder.path(), |current| {
                *current = config.clone();
                if old_form {
                    let mut rope = current["rope_parameters"].take();
                    current["rope_theta"] = rope["rope_theta"].take();
                    rope["type"] = rope["rope_type"].clone();
                    current["rope_scaling"] = rope;
                }
            });
            let backbone = load(folder.path());
            let embeddings = embed_batch(&backbone, &expected["ids"]);
            let logits = backbone.forward(&embeddings, None, Positions::Last).unwrap().view([-1]);
            let diff = max_abs_diff(&logits, &expected[&name]);
            println!(
                "{name}: max abs diff {diff:.2e}, to unscaled {:.2}",
                max_abs_diff(&logits, &unscaled)
            );
            assert!(diff < F32_TOLERANCE, "{name}: logits differ by {diff}");
            assert!(max_abs_diff(&logits, &unscaled) > 0.01, "{name} scales nothing");
        }
    }
}

#[test]
fn a_cache_changes_nothing_however_the_tokens_are_cut() {
    for model in ["tiny-llama", "tiny-qwen2", "tiny-starcoder2", "tiny-gemma"] {
        let backbone = load(&fixture(model));
        let batch = Tensor::randint(
            backbone.config().vocab_size as i64,
            [3, 20],
            (Kind::Int64, backbone.device()),
        );
        let embeddings = embed_batch(&backbone, &batch);
        let whole = backbone.forward(&embeddings, None, Positions::All).unwrap();
        for cuts in [vec![1; 20], vec![20], vec![7, 1, 1, 5, 6], vec![1, 19]] {
            let mut cache = backbone.new_cache(3, 24).unwrap();
            let mut start = 0;
            let mut parts = Vec::new();
            for &tokens in &cuts {
                let part = embeddings.narrow(1, start, tokens);
                parts.push(backbone.forward(&part, Some(&mut cache), Positions::All).unwrap());
                start += tokens;
            }
            assert_eq!((cache.len(), cache.batch(), cache.capacity()), (20, 3, 24));
            let diff = max_abs_diff(&Tensor::cat(&parts, 1), &whole);
            assert!(
                diff < F32_TOLERANCE,
                "{model}, cut as {cuts:?}: logits differ by {diff}"
            );
        }
    }
}

#[test]
fn positions_choose_what_is_computed() {
    let backbone = load(&fixture("tiny-llama"));
    let embeddings = backbone.embed(&[5, 6, 7, 8]).unwrap().unsqueeze(0);
    let all = backbone.forward(&embeddings, None, Positions::All).unwrap();
    let last = backbone.forward(&embeddings, None, Positions::Last).unwrap();
    let none = backbone.forward(&embeddings, None, Positions::None).unwrap();
    let vocab = backbone.config().vocab_size as i64;
    assert_eq!(
        (all.size(), last.size(), none.size()),
        (vec![1, 4, vocab], vec![1, 1, vocab], vec![1, 0, vocab])
    );
    assert!(max_abs_diff(&all.narrow(1, 3, 1), &last) < F32_TOLERANCE);
    assert_eq!(all.kind(), Kind::Float);
}

#[test]
fn rows_follow_their_beams() {
    let backbone = load(&fixture("tiny-llama"));
    let step = |cache: &mut _, batch: &[&[u32]]| {
        let rows = batch.iter().map(|ids| backbone.embed(ids).unwrap()).collect::<Vec<_>>();
        backbone
            .forward(&Tensor::stack(&rows, 0), Some(cache), Positions::Last)
            .unwrap()
    };
    let alone = |ids: &[u32]| {
        backbone
            .forward(&backbone.embed(ids).unwrap().unsqueeze(0), None, Positions::Last)
            .unwrap()
    };
    let mut cache = backbone.new_cache(1, 8).unwrap();
    let _prompt = step(&mut cache, &[&[5, 6, 7]]);
    cache.reorder(&[0, 0]).unwrap();
    let _beams = step(&mut cache, &[&[10], &[11]]);
    cache.reorder(&[1, 0, 1]).unwrap();
    let logits = step(&mut cache, &[&[20], &[21], &[22]]);
    for (row, expected) in [[5, 6, 7, 11, 20], [5, 6, 7, 10, 21], [5, 6, 7, 11, 22]]
        .iter()
        .enumerate()
    {
        let diff = max_abs_diff(&logits.narrow(0, row as i64, 1), &alone(expected));
        assert!(diff < F32_TOLERANCE, "row {row}: logits differ by {diff}");
    }
    cache.reorder(&[2]).unwrap();
    assert_eq!((cache.len(), cache.batch()), (5, 1));
    assert!(max_abs_diff(&step(&mut cache, &[&[30]]), &alone(&[5, 6, 7, 11, 22, 30])) < F32_TOLERANCE);
    for rows in [&[][..], &[1]] {
        assert!(matches!(
            cache.reorder(rows),
            Err(BackboneError::CacheRows { batch: 1, .. })
        ));
    }
}

#[test]
fn the_gradient_reaches_every_input_embedding_and_no_weight() {
    for model in ["tiny-llama", "tiny-qwen2", "tiny-starcoder2", "tiny-gemma"] {
        let backbone = load(&fixture(model));
        let embeddings = backbone.embed(&[3, 9, 27, 81, 243]).unwrap();
        assert!(!embeddings.requires_grad());
        let embeddings = embeddings.unsqueeze(0).set_requires_grad(true);
        let loss = |embeddings: &Tensor| {
            let logits = backbone
                .forward(embeddings, None, Positions::Last)
                .unwrap()
                .view([1, -1]);
            logits.cross_entropy_for_logits(&Tensor::from_slice(&[42_i64]))
        };
        loss(&embeddings).backward();
        let gradient = embeddings.grad();
        let norms =
            Vec::<f64>::try_from(gradient.square().sum_dim_intlist(-1, false, Kind::Double).view([-1])).unwrap();
        assert!(norms.iter().all(|&norm| norm > 1e-8), "{model}: {norms:?}");
        // The gradient is the slope: against a central difference in the first token's strongest direction.
        let direction = gradient.narrow(1, 0, 1).sign();
        let slope = (&direction * gradient.narrow(1, 0, 1))
            .sum(Kind::Double)
            .double_value(&[]);
        let moved = |step: f64| {
            let shift = Tensor::cat(&[&direction * step, gradient.narrow(1, 1, 4).zeros_like()], 1);
            tch::no_grad(|| loss(&(&embeddings + shift))).double_value(&[])
        };
        let measured = (moved(1e-3) - moved(-1e-3)) / 2e-3;
        assert!(
            (measured / slope - 1.0).abs() < 0.02,
            "{model}: slope {slope}, measured {measured}"
        );
        assert!(!backbone.embedding_table().requires_grad());
    }
}

#[test]
fn a_cache_refuses_gradients() {
    let backbone = load(&fixture("tiny-llama"));
    let embeddings = backbone.embed(&[1, 2]).unwrap().unsqueeze(0).set_requires_grad(true);
    let mut cache = backbone.new_cache(1, 4).unwrap();
    let refused = backbone.forward(&embeddings, Some(&mut cache), Positions::Last);
    assert!(matches!(refused, Err(BackboneError::GradientThroughCache)));
    let _logits = tch::no_grad(|| backbone.forward(&embeddings, Some(&mut cache), Positions::Last)).unwrap();
    assert_eq!(cache.len(), 2);
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let backbone = load(&fixture("tiny-llama"));
    let place = (Kind::Float, backbone.device());
    let run = |shape: &[i64], kind| backbone.forward(&Tensor::ones(shape, (kind, place.1)), None, Positions::Last);
    let check = |result: Result<_, BackboneError>, expected: &str| {
        assert_eq!(result.map(|_: Tensor| ()).unwrap_err().to_string(), expected);
    };
    check(
        backbone.embed(&[1, 384]),
        "token id 384 at place 1 is outside the vocabulary of 384 tokens",
    );
    check(
        run(&[4, 32], Kind::Float),
        "embeddings have the shape [4, 32], expected [batch, tokens, 32] with at least one token",
    );
    check(
        run(&[1, 0, 32], Kind::Float),
        "embeddings have the shape [1, 0, 32], expected [batch, tokens, 32] with at least one token",
    );
    check(
        run(&[1, 2, 32], Kind::Int64),
        "embeddings are Int64 on Cpu, expected floats on Cpu",
    );
    check(
        run(&[1, 129, 32], Kind::Float),
        "129 tokens exceed the model's context of 128",
    );
    check(
        backbone.new_cache(1, 129).map(|_| Tensor::new()),
        "129 tokens exceed the model's context of 128",
    );
    let mut cache = backbone.new_cache(2, 4).unwrap();
    let mut add = |batch, tokens| {
        backbone.forward(
            &Tensor::ones([batch, tokens, 32], place),
            Some(&mut cache),
            Positions::Last,
        )
    };
    check(add(1, 1), "the KV cache is for 2 sequences, the embeddings are of 1");
    let _logits = add(2, 3).unwrap();
    check(add(2, 2), "the KV cache holds 3 of 4 tokens, 2 more do not fit");
    let _logits = add(2, 1).unwrap();
}

#[test]
fn the_fingerprint_is_the_files_whatever_it_is_loaded_as() {
    let load_as = |model: &str, dtype| {
        let options = LoadOptions { dtype, ..f32_on_cpu() };
        Backbone::load(&fixture(model), &options).unwrap().fingerprint().clone()
    };
    let folder = load_as("tiny-qwen2", DtypeChoice::F32);
    assert_eq!(folder, load_as("tiny-qwen2", DtypeChoice::Bf16));
    assert_eq!(
        folder.embedding_sha256,
        load_as("tiny-qwen2/model.gguf", DtypeChoice::F32).embedding_sha256
    );
    // `sha256sum` of the table's bytes in the fixture, which are little-endian f32 already.
    let file = fs::read(fixture("tiny-qwen2/model.safetensors")).unwrap();
    let parsed = safetensors::SafeTensors::deserialize(&file).unwrap();
    let table = parsed.tensor("model.embed_tokens.weight").unwrap();
    assert_eq!(
        folder.embedding_sha256,
        hex::encode(<sha2::Sha256 as sha2::Digest>::digest(table.data()))
    );
    assert_ne!(
        folder.embedding_sha256,
        load_as("tiny-llama", DtypeChoice::F32).embedding_sha256
    );
}

#[test]
fn bf16_is_close_to_f32() {
    let exact = load(&fixture("tiny-llama"));
    let options = LoadOptions {
        dtype: DtypeChoice::Bf16,
        ..f32_on_cpu()
    };
    let rounded = Backbone::load(&fixture("tiny-llama"), &options).unwrap();
    assert_eq!((exact.kind(), rounded.kind()), (Kind::Float, Kind::BFloat16));
    let batch = tensors("parity/lm_tiny_llama.safetensors").remove("ids").unwrap();
    let logits = |backbone: &Backbone| {
        backbone
            .forward(&embed_batch(backbone, &batch), None, Positions::All)
            .unwrap()
    };
    let (exact, rounded) = (logits(&exact), logits(&rounded));
    let relative = (&rounded - &exact).square().mean(Kind::Double).sqrt() / exact.square().mean(Kind::Double).sqrt();
    // bf16 keeps 8 bits: about 0.4 % for one rounding, some of which add up.
    assert!(relative.double_value(&[]) < 0.03, "relative error {relative}");
}
