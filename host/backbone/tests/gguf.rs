//! GGUF files: the default model, dequantization against the `gguf` package, and damaged files.

mod common;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use common::{fixture, model_path};
use proptest::prelude::*;
use transducer_backbone::gguf::{Gguf, GgufError, Optional, QuantType, TensorInfo};

#[test]
fn the_default_model_is_described_and_read() {
    let gguf = Gguf::open(&model_path()).unwrap();
    assert_eq!(gguf.str("general.architecture").unwrap(), "llama");
    assert_eq!(gguf.u32("llama.block_count").unwrap(), 30);
    assert_eq!(
        gguf.f32("llama.rope.freq_base").unwrap().to_bits(),
        100_000.0_f32.to_bits()
    );
    assert!(!gguf.bool("tokenizer.ggml.add_bos_token").unwrap());
    assert_eq!(gguf.strings("tokenizer.ggml.tokens").unwrap().len(), 49_152);
    assert_eq!(gguf.ints("tokenizer.ggml.token_type").unwrap().len(), 49_152);
    assert_eq!(gguf.tensors().len(), 272);
    let table = gguf.tensor("token_embd.weight").unwrap();
    assert_eq!((table.shape(), table.quant()), (&[49_152, 576][..], QuantType::Q8_0));
    let parameters = gguf.tensors().iter().map(TensorInfo::elements).sum::<usize>();
    assert_eq!(parameters, 134_515_008);
    let norm = gguf.dequantize("output_norm.weight").unwrap();
    assert!(norm.len() == 576 && norm.iter().all(|value| value.is_finite()));
}

#[test]
fn what_is_absent_or_of_another_type_is_named() {
    let path = fixture("tiny-qwen2/model.gguf");
    let gguf = Gguf::open(&path).unwrap();
    let check = |error: GgufError, expected: &str| {
        assert_eq!(error.to_string(), format!("{}: {expected}", path.display()));
    };
    check(
        gguf.u32("qwen2.depth").unwrap_err(),
        "the metadata has no entry `qwen2.depth`",
    );
    assert_eq!(gguf.u32("qwen2.depth").optional().unwrap(), None);
    check(
        gguf.u32("general.architecture").unwrap_err(),
        "metadata entry `general.architecture` should be integer in 0..=4294967295, found string \"qwen2\"",
    );
    assert!(gguf.u32("general.architecture").optional().is_err());
    check(
        gguf.strings("tokenizer.ggml.token_type").unwrap_err(),
        "metadata entry `tokenizer.ggml.token_type` should be array of strings, found array of 384 integers",
    );
    check(
        gguf.dequantize("blk.9.attn_q.weight").unwrap_err(),
        "no tensor `blk.9.attn_q.weight`",
    );
}

#[test]
fn every_quantization_is_read_as_the_gguf_package_reads_it() {
    let file = fs::read(fixture("parity/lm_quants.safetensors")).unwrap();
    let reference = safetensors::SafeTensors::deserialize(&file).unwrap();
    let quants = [
        QuantType::F32,
        QuantType::F16,
        QuantType::BF16,
        QuantType::Q4_0,
        QuantType::Q4_1,
        QuantType::Q5_0,
        QuantType::Q5_1,
        QuantType::Q8_0,
        QuantType::Q4_K,
        QuantType::Q5_K,
        QuantType::Q6_K,
    ];
    assert_eq!(reference.len(), 2 * quants.len());
    for quant in quants {
        let bytes = reference.tensor(&format!("{quant:?}.bytes")).unwrap();
        let expected = reference.tensor(&format!("{quant:?}.values")).unwrap();
        let expected = expected
            .data()
            .chunks_exact(4)
            .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let mut values = vec![0.0; bytes.data().len() / quant.block_bytes() * quant.block_values()];
        quant.dequantize(bytes.data(), &mut values);
        // Bit by bit, but that both zeros are zero.
        let bits = |value: f32| if value == 0.0 { 0 } else { value.to_bits() };
        let expected = expected.map(|value| bits(f32::from_bits(value))).collect::<Vec<_>>();
        assert!(expected.iter().any(|&value| value != 0));
        assert_eq!(values.into_iter().map(bits).collect::<Vec<_>>(), expected, "{quant:?}");
    }
}

/// Opens `bytes` as a file, and reads everything in it if it opens.
fn open(bytes: &[u8]) -> Result<Gguf, GgufError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    let gguf = Gguf::open(file.path())?;
    for tensor in gguf.tensors() {
        let values = gguf.dequantize(tensor.name()).unwrap();
        assert_eq!(values.len(), tensor.elements());
    }
    Ok(gguf)
}

fn refusal(bytes: &[u8]) -> String {
    match open(bytes).unwrap_err() {
        GgufError::Malformed { fault, .. } => fault.to_string(),
        error => error.to_string(),
    }
}

/// A GGUF file of one f32 tensor, built by hand so that each part can be wrong.
#[derive(Clone)]
struct Small {
    magic: [u8; 4],
    version: u32,
    tensors: u64,
    entries: u64,
    metadata: Vec<u8>,
    dimensions: Vec<u64>,
    quant: u32,
    offset: u64,
    data: usize,
}

fn string(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text].concat()
}

/// A metadata entry of the type `code`.
fn entry(key: &str, code: u32, value: &[u8]) -> Vec<u8> {
    [&string(key.as_bytes())[..], &code.to_le_bytes(), value].concat()
}

impl Small {
    fn new() -> Self {
        Self {
            magic: *b"GGUF",
            version: 3,
            tensors: 1,
            entries: 0,
            metadata: Vec::new(),
            dimensions: vec![4, 2],
            quant: 0,
            offset: 0,
            data: 32,
        }
    }

    fn with_entries(entries: &[Vec<u8>]) -> Self {
        Self {
            entries: entries.len() as u64,
            metadata: entries.concat(),
            ..Self::new()
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.magic.to_vec();
        bytes.extend(self.version.to_le_bytes());
        bytes.extend(self.tensors.to_le_bytes());
        bytes.extend(self.entries.to_le_bytes());
        bytes.extend(&self.metadata);
        for _ in 0..self.tensors.min(2) {
            bytes.extend(string(b"t"));
            bytes.extend((self.dimensions.len() as u32).to_le_bytes());
            bytes.extend(self.dimensions.iter().flat_map(|dimension| dimension.to_le_bytes()));
            bytes.extend(self.quant.to_le_bytes());
            bytes.extend(self.offset.to_le_bytes());
        }
        bytes.resize(bytes.len().next_multiple_of(32) + self.data, 0);
        bytes
    }
}

#[test]
fn each_fault_is_named() {
    let small = Small::new;
    assert_eq!(open(&small().bytes()).unwrap().tensor("t").unwrap().shape(), [2, 4]);
    let check = |file: Small, expected: &str| assert_eq!(refusal(&file.bytes()), expected);

    check(
        Small {
            magic: *b"GGML",
            ..small()
        },
        "it begins with [47, 47, 4d, 4c], not with \"GGUF\"",
    );
    check(
        Small { version: 1, ..small() },
        "format version 1 is not supported (2 and 3 are, little endian); convert the model anew",
    );
    check(
        Small {
            tensors: 1 << 60,
            ..small()
        },
        "tensor count at byte 8 is 1152921504606846976, the limit is 65536",
    );
    check(
        Small {
            entries: 60_000,
            ..small()
        },
        "metadata count at byte 16 needs 780000 bytes, 104 are left; the file may be cut off",
    );
    check(
        Small {
            dimensions: vec![4; 5],
            ..small()
        },
        "dimension count at byte 33 is 5, the limit is 4",
    );
    let shape = |dimensions: &[u64], quant, expected: &str| {
        check(
            Small {
                dimensions: dimensions.to_vec(),
                quant,
                ..small()
            },
            &format!("tensor `t` has the shape {dimensions:?} (innermost first): {expected}"),
        );
    };
    shape(&[], 0, "a tensor needs a dimension");
    shape(&[4, 0], 0, "a dimension is 0");
    shape(&[1 << 32, 1 << 32], 0, "it has more values than can be addressed");
    shape(&[48], 2, "a row does not fill whole quantization blocks");
    check(
        Small { quant: 10, ..small() },
        "tensor `t` has the type Q2_K (code 10); supported are F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, \
         Q6_K",
    );
    let range = |offset, data, expected: &str| {
        check(
            Small {
                offset,
                data,
                ..small()
            },
            &format!("tensor `t`: 32 bytes of data at offset {offset} of the {data}-byte data section: {expected}"),
        );
    };
    range(8, 64, "the offset is off the alignment");
    range(0, 31, "it ends past the file; the file may be cut off");
    range(u64::MAX - 31, 32, "it ends past the file; the file may be cut off");
    check(
        Small { tensors: 2, ..small() },
        "tensor `t`: 32 bytes of data at offset 0 of the 32-byte data section: it overlaps another tensor",
    );

    let check = |entries: &[Vec<u8>], expected: &str| check(Small::with_entries(entries), expected);
    check(
        &[entry("a", 4, &[1, 0, 0, 0]), entry("a", 7, &[1])],
        "metadata entry `a` occurs twice",
    );
    check(
        &[entry("a", 7, &[2])],
        "metadata entry `a` holds 2, which is no valid bool",
    );
    check(
        &[entry("a", 99, &[0; 4])],
        "metadata entry `a` has the type code 99, which is not supported here",
    );
    check(
        &[entry("a", 10, &[0xff; 8])],
        "metadata entry `a` holds 18446744073709551615, which is no valid signed 64-bit integer",
    );
    check(
        &[entry("a", 8, &string(b"\xff"))],
        "metadata string at byte 45 is not UTF-8",
    );
    check(
        &[entry("general.alignment", 4, &[3, 0, 0, 0])],
        "general.alignment is 3, expected a power of two from 8 to 2097152",
    );
    let array = |code: u32, count: u64| entry("a", 9, &[&code.to_le_bytes()[..], &count.to_le_bytes()].concat());
    check(
        &[array(9, 1)],
        "metadata entry `a` has the type code 9, which is not supported here",
    );
    check(
        &[array(8, 1 << 40)],
        "metadata array length at byte 41 is 1099511627776, the limit is 4000000",
    );
    check(
        &[array(8, 1 << 20)],
        "metadata array length at byte 41 needs 8388608 bytes, 79 are left; the file may be cut off",
    );
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let whole = Small::with_entries(&[
        entry("a", 8, &string(b"text")),
        entry(
            "b",
            9,
            &[&5_u32.to_le_bytes()[..], &2_u64.to_le_bytes(), &[0; 8]].concat(),
        ),
    ])
    .bytes();
    open(&whole).unwrap();
    for len in 0..whole.len() {
        assert!(open(&whole[..len]).is_err(), "cut to {len} of {} bytes", whole.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, rng_seed: prop::test_runner::RngSeed::Fixed(1), ..ProptestConfig::default() })]

    /// A real file, of whose header a few bytes have been changed: it opens and reads in full, or says why not.
    #[test]
    fn a_mutated_header_never_panics(
        mutations in prop::collection::vec((0_usize..14_000, prop_oneof![Just(0_u8), Just(1), Just(0x7f), Just(0xff), any::<u8>()]), 1..6)
    ) {
        let mut bytes = fs::read(fixture("tiny-qwen2/model.gguf")).unwrap();
        for (place, value) in mutations {
            bytes[place] = value;
        }
        let result = catch_unwind(AssertUnwindSafe(|| open(&bytes).map(|_| ()).map_err(|error| error.to_string())));
        prop_assert!(result.is_ok());
    }
}
