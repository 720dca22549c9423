//! One more token of each of several sequences: against whole sequences, in every format of the weights.

mod common;

use common::{f32_on_cpu, fixture, max_abs_diff, model_path};
use tch::{Kind, Tensor};
use transducer_backbone::{Backbone, DtypeChoice, KvCache, LoadOptions, Piece, Positions, WeightFormat};

fn load(model: &std::path::Path, dtype: DtypeChoice, weights: WeightFormat) -> Backbone {
    let options = LoadOptions {
        dtype,
        weights,
        ..f32_on_cpu()
    };
    Backbone::load(model, &options).expect("a valid model")
}

/// Prompts of different lengths, each in a cache of its own, then some tokens of all of them side by side: the logits after each of
/// these, `[sequences, steps, vocab]`; as steps, or as whole sequences.
fn logits(backbone: &Backbone, in_steps: bool) -> Tensor {
    const PROMPTS: [usize; 3] = [7, 1, 12];
    const STEPS: usize = 4;
    let _no_grad = tch::no_grad_guard();
    let id = |sequence: usize, place: usize| 3 + ((sequence * 31 + place * 7) % 300) as u32;
    let ids = |sequence: usize, places: std::ops::Range<usize>| {
        let ids: Vec<u32> = places.map(|place| id(sequence, place)).collect();
        backbone.embed(&ids).expect("ids are in the vocabulary").unsqueeze(0)
    };
    if !in_steps {
        let whole = PROMPTS.iter().enumerate().map(|(sequence, &prompt)| {
            let embeddings = ids(sequence, 0..prompt + STEPS);
            let logits = backbone
                .forward(&embeddings, None, Positions::All)
                .expect("a valid forward pass");
            logits.narrow(1, prompt as i64, STEPS as i64).squeeze_dim(0)
        });
        return Tensor::stack(&whole.collect::<Vec<_>>(), 0);
    }
    let mut caches: Vec<KvCache> = PROMPTS
        .iter()
        .enumerate()
        .map(|(sequence, &prompt)| {
            // More room than is needed, of different size: none of it may be read.
            let mut cache = backbone.new_cache(1, prompt + STEPS + 3 * sequence).expect("memory");
            let prompt = ids(sequence, 0..prompt);
            let _logits = backbone
                .forward(&prompt, Some(&mut cache), Positions::None)
                .expect("a valid forward pass");
            cache
        })
        .collect();
    let steps = (0..STEPS).map(|step| {
        let next = PROMPTS
            .iter()
            .enumerate()
            .map(|(sequence, &prompt)| ids(sequence, prompt + step..prompt + step + 1));
        let next = Tensor::cat(&next.collect::<Vec<_>>(), 0);
        backbone
            .forward_each(&next, &mut caches.iter_mut().collect::<Vec<_>>())
            .expect("a valid step")
            .squeeze_dim(1)
    });
    let logits = Tensor::stack(&steps.collect::<Vec<_>>(), 1);
    assert_eq!(
        caches.iter().map(KvCache::len).collect::<Vec<_>>(),
        PROMPTS.map(|prompt| prompt + STEPS)
    );
    logits
}

/// Prompts are read with packed weights where the CPU has no faster way, in pieces as in one go.
#[test]
fn a_prompt_is_read_in_pieces_as_in_one_go() {
    let backbone = load(&fixture("tiny-qwen2"), DtypeChoice::F32, WeightFormat::Int8);
    let ids: Vec<u32> = (0..20).map(|place| 3 + place * 11 % 300).collect();
    let embeddings = backbone.embed(&ids).expect("ids are in the vocabulary").unsqueeze(0);
    let read = |pieces: &[i64]| {
        let _no_grad = tch::no_grad_guard();
        let mut cache = backbone.new_cache(1, 24).expect("memory");
        let pieces = embeddings.split_with_sizes(pieces, 1);
        let logits = pieces
            .iter()
            .map(|piece| backbone.forward(piece, Some(&mut cache), Positions::All));
        let logits: Vec<_> = logits.collect::<Result<_, _>>().expect("valid forward passes");
        assert_eq!(cache.len(), 20);
        Tensor::cat(&logits, 1)
    };
    let (whole, pieces) = (read(&[20]), read(&[1, 7, 12]));
    let diff = max_abs_diff(&whole, &pieces);
    assert!(diff < 1e-4, "{diff}");
    let exact = load(&fixture("tiny-qwen2"), DtypeChoice::F32, WeightFormat::Full);
    let exact = exact
        .forward(&embeddings, None, Positions::All)
        .expect("a valid forward pass");
    let far = max_abs_diff(&whole, &exact) / exact.abs().max().double_value(&[]);
    assert!(far > 1e-5 && far < 0.08, "{far}");
}

/// Three sequences of which one goes on by a token where the others are read on by pieces of their prompts, and two of which begin later;
/// the logits after the last token of each.
fn in_pieces(backbone: &Backbone, together: bool) -> Tensor {
    const LENGTHS: [usize; 3] = [14, 20, 33];
    // How many tokens of each sequence a pass reads.
    const PASSES: [[usize; 3]; 5] = [[13, 0, 0], [1, 3, 0], [0, 10, 16], [0, 1, 16], [0, 6, 1]];
    let _no_grad = tch::no_grad_guard();
    let prompts = LENGTHS.map(|length| {
        let ids: Vec<u32> = (0..length)
            .map(|place| 3 + ((length * 31 + place * 7) % 300) as u32)
            .collect();
        backbone.embed(&ids).expect("ids are in the vocabulary")
    });
    let mut caches = LENGTHS.map(|length| backbone.new_cache(1, length + 5).expect("memory"));
    let mut last = [const { None }; 3];
    for counts in PASSES {
        let mut pieces = Vec::new();
        for ((cache, prompt), count) in caches.iter_mut().zip(&prompts).zip(counts) {
            if count > 0 {
                let read = cache.len();
                pieces.push(Piece {
                    embeddings: prompt.narrow(0, read as i64, count as i64),
                    positions: if read + count == prompt.size()[0] as usize {
                        Positions::Last
                    } else {
                        Positions::None
                    },
                    cache,
                });
            }
        }
        let ends: Vec<bool> = pieces.iter().map(|piece| piece.positions == Positions::Last).collect();
        let logits = if together {
            backbone.forward_pieces(&mut pieces)
        } else {
            let alone = pieces.chunks_mut(1).map(|piece| backbone.forward_pieces(piece));
            alone
                .collect::<Result<Vec<_>, _>>()
                .map(|logits| Tensor::cat(&logits, 0))
        };
        let logits = logits.expect("valid pieces");
        assert_eq!(logits.size()[0] as usize, ends.iter().filter(|&&ends| ends).count());
        let mut rows = 0..;
        let read = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        for ((sequence, _), ends) in read.zip(ends) {
            if ends {
                last[sequence] = Some(logits.select(0, rows.next().expect("a row")));
            }
        }
    }
    assert_eq!(caches.each_ref().map(KvCache::len), LENGTHS);
    Tensor::stack(&last.map(|logits| logits.expect("every sequence ends")), 0)
}

/// Also where the model has to be asked for each by itself. Some of this model's matrices have no whole blocks and are left to libtorch, which
/// adds up in another order for other numbers of rows.
#[test]
fn pieces_of_several_sequences_are_read_together_as_alone() {
    for (dtype, weights, together) in [
        (DtypeChoice::F32, WeightFormat::Int8, true),
        (DtypeChoice::F32, WeightFormat::Full, false),
        (DtypeChoice::Bf16, WeightFormat::Int8, false),
        (DtypeChoice::Int8, WeightFormat::Int8, true),
    ] {
        let backbone = load(&fixture("tiny-qwen2"), dtype, weights);
        // In `bf16` it depends on the CPU.
        assert!(backbone.reads_together() == together || dtype == DtypeChoice::Bf16);
        let (alone, mixed) = (in_pieces(&backbone, false), in_pieces(&backbone, true));
        let far = max_abs_diff(&alone, &mixed);
        let allowed = if dtype == DtypeChoice::F32 { 1e-5 } else { 0.05 };
        assert!(far <= allowed, "{dtype:?}, {weights:?}: {far}");
    }
}

/// How far steps are from whole sequences, in parts of the largest logit.
fn far(model: &std::path::Path, dtype: DtypeChoice, weights: WeightFormat) -> f64 {
    let exact = logits(&load(model, DtypeChoice::F32, WeightFormat::Full), false);
    let stepped = logits(&load(model, dtype, weights), true);
    assert_eq!(stepped.kind(), Kind::Float);
    max_abs_diff(&stepped, &exact) / exact.abs().max().double_value(&[])
}

#[test]
fn steps_are_whole_sequences_one_token_at_a_time() {
    for model in ["tiny-llama", "tiny-qwen2"] {
        let far = |dtype, weights| far(&fixture(model), dtype, weights);
        let exact = far(DtypeChoice::F32, WeightFormat::Full);
        assert!(exact < 1e-5, "{model}: {exact}");
        let rounded = far(DtypeChoice::Bf16, WeightFormat::Full);
        assert!(rounded < 0.03, "{model}: {rounded}");
        let eight = far(DtypeChoice::F32, WeightFormat::Int8);
        assert!(eight > exact && eight < 0.08, "{model}: {eight}");
        let both = far(DtypeChoice::Int8, WeightFormat::Int8);
        assert!(both > exact && both < 0.1, "{model}: {both}");
        let four = far(DtypeChoice::F32, WeightFormat::Int4);
        assert!(four > eight && four < 1.5, "{model}: {four}");
    }
}

/// Inputs are rounded where packed weights are multiplied with them, and only there.
#[test]
fn a_model_says_in_what_it_computes() {
    for (model, dtype, weights, expected) in [
        ("tiny-qwen2", DtypeChoice::Int8, WeightFormat::Auto, "int8"),
        ("tiny-qwen2", DtypeChoice::Int8, WeightFormat::Full, "bfloat16"),
        ("tiny-qwen2", DtypeChoice::F32, WeightFormat::Auto, "float"),
        ("tiny-starcoder2", DtypeChoice::Int8, WeightFormat::Auto, "bfloat16"),
    ] {
        let found = load(&fixture(model), dtype, weights).precision();
        assert_eq!(found, expected, "{model}, {dtype:?}, {weights:?}");
    }
}

/// The default model's file has four bits a weight, but for the table's eight: nothing is lost by reading them so.
#[test]
fn the_default_models_own_bits_say_it_all() {
    let model = model_path();
    let auto = far(&model, DtypeChoice::F32, WeightFormat::Auto);
    assert!(auto < 5e-3, "{auto}");
    let rounded = far(&model, DtypeChoice::Int8, WeightFormat::Auto);
    assert!(rounded > auto && rounded < 0.05, "{rounded}");
    let bytes = |weights| {
        load(&model, DtypeChoice::F32, weights)
            .step_bytes()
            .expect("steps on a CPU")
    };
    let (full, auto) = (bytes(WeightFormat::Full), bytes(WeightFormat::Auto));
    assert!(auto * 4 < full, "{auto} of {full} bytes");
}
