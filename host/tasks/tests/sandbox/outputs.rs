//! Outputs that are too large or make no sense.

use crate::guest::{
    ANSWER_DATA, ANSWER_DIAGNOSTICS, ANSWER_TEXT, BEAMS, INFO, MAX_NEW_TOKENS, SEGMENT, SEGMENTS, STATE, STOP,
    TEMPERATURE, TOP_P,
};
use crate::hostile::{check, parse_to, set};

#[test]
fn large_outputs_are_refused() {
    check(&[
        (
            "an answer of 5 MB",
            |g| {
                set(&mut g.memory, "100");
                g.words(ANSWER_TEXT, &[0, 5_000_000]);
            },
            "OutputTooLarge",
            "larger than the limit of 4194304",
        ),
        (
            "a million empty segments",
            |g| {
                set(&mut g.memory, "400");
                g.words(SEGMENTS, &[0x1_0000, 1_000_000]);
            },
            "OutputTooLarge",
            "in `prepare`",
        ),
        (
            "2,000 segments",
            |g| {
                g.words(SEGMENTS, &[0x1_0000, 2000]);
            },
            "OutputTooLarge",
            "the number of segments in `prepare` is 2000, above the limit of 1024",
        ),
        (
            "the same text 200 times",
            |g| {
                for index in 0..200 {
                    g.words(SEGMENT + 12 * index, &[0, 0x1_0000, 0x1_0000]);
                }
                g.words(SEGMENTS, &[SEGMENT as u32, 200]);
            },
            "OutputTooLarge",
            "in `prepare`",
        ),
        (
            "a state of 2 MB",
            |g| {
                set(&mut g.memory, "100");
                g.words(STATE, &[0, 2 << 20]);
            },
            "OutputTooLarge",
            "the state, in bytes, in `prepare` is 2097152, above the limit of 1048576",
        ),
        (
            "a thousand diagnostics",
            |g| {
                g.words(ANSWER_DIAGNOSTICS, &[0x1_0000, 1000]);
            },
            "OutputTooLarge",
            "the number of diagnostics in `finish` is 1000",
        ),
        (
            "a log line of 5 MB",
            |g| {
                set(&mut g.memory, "100");
                set(
                    &mut g.prepare,
                    "(call $log (i32.const 0) (i32.const 0) (i32.const 5000000))",
                );
            },
            "OutputTooLarge",
            "in `prepare`",
        ),
    ]);
}

#[test]
fn senseless_outputs_are_refused() {
    check(&[
        (
            "a text that is no UTF-8",
            |g| {
                g.text(ANSWER_TEXT, b"ab\xff\xfe");
            },
            "BadUtf8",
            "from byte 2 on",
        ),
        (
            "a name that is no UTF-8",
            |g| {
                g.text(INFO, b"\xc3\x28");
            },
            "BadUtf8",
            "in `describe`",
        ),
        (
            "a text outside of the memory",
            |g| {
                g.words(ANSWER_TEXT, &[0x1_fff0, 0x20]);
            },
            "InvalidOutput",
            "out of bounds",
        ),
        (
            "a list outside of the memory",
            |g| {
                g.words(SEGMENTS, &[0xffff_fff0, 2]);
            },
            "InvalidOutput",
            "out of bounds",
        ),
        (
            "a list that is not aligned",
            |g| {
                g.words(SEGMENTS, &[0x401, 1]);
            },
            "InvalidOutput",
            "aligned",
        ),
        (
            "a variant that does not exist",
            |g| {
                g.words(SEGMENT, &[7]);
            },
            "InvalidOutput",
            "discriminant",
        ),
        (
            "a result outside of the memory",
            |g| set(&mut g.prepare, "(return (i32.const -4))"),
            "InvalidOutput",
            "out of bounds",
        ),
        (
            "memory for the request outside of the memory",
            |g| set(&mut g.realloc, "(i32.const -16)"),
            "InvalidOutput",
            "beyond end of memory",
        ),
        (
            "data that is no JSON",
            |g| {
                g.text(ANSWER_DATA, b"{");
            },
            "InvalidOutput",
            "`data` is not JSON",
        ),
        (
            "data nested without end",
            |g| {
                g.text(ANSWER_DATA, &[b'['; 9999]);
            },
            "InvalidOutput",
            "recursion limit",
        ),
        (
            "a schema that is no object",
            |g| {
                g.text(INFO + 24, b"3");
            },
            "InvalidOutput",
            "request schema must be an object",
        ),
        (
            "a name with a line break",
            |g| {
                g.text(INFO, b"a\nb");
            },
            "InvalidOutput",
            "the name is",
        ),
        (
            "no languages",
            |g| {
                g.words(INFO + 16, &[0, 0]);
            },
            "InvalidOutput",
            "the languages are []",
        ),
        (
            "no prompt",
            |g| {
                g.words(SEGMENTS, &[0, 0]);
            },
            "InvalidOutput",
            "the prompt is empty",
        ),
        (
            "no tokens",
            |g| {
                g.words(MAX_NEW_TOKENS, &[0]);
            },
            "InvalidOutput",
            "max-new-tokens is 0",
        ),
        (
            "endless tokens",
            |g| {
                g.words(MAX_NEW_TOKENS, &[u32::MAX]);
            },
            "InvalidOutput",
            "allowed are 1 to 4096",
        ),
        (
            "temperature NaN",
            |g| {
                g.words(TEMPERATURE, &[f32::NAN.to_bits()]);
            },
            "InvalidOutput",
            "temperature is NaN",
        ),
        (
            "temperature -1",
            |g| {
                g.words(TEMPERATURE, &[(-1.0_f32).to_bits()]);
            },
            "InvalidOutput",
            "temperature is -1",
        ),
        (
            "top-p 0",
            |g| {
                g.words(TOP_P, &[0]);
            },
            "InvalidOutput",
            "top-p is 0",
        ),
        (
            "top-p infinite",
            |g| {
                g.words(TOP_P, &[f32::INFINITY.to_bits()]);
            },
            "InvalidOutput",
            "top-p is inf",
        ),
        (
            "a thousand beams",
            |g| {
                g.words(BEAMS, &[1000]);
            },
            "InvalidOutput",
            "beams is 1000",
        ),
        (
            "an empty stop string",
            |g| {
                let stop = g.strings(&[""]);
                g.words(STOP, &stop);
            },
            "InvalidOutput",
            "a stop string has 0 bytes",
        ),
        (
            "a graph that never was",
            |g| {
                g.words(SEGMENT, &[1, 12345]);
            },
            "InvalidOutput",
            "handle",
        ),
        (
            "the same graph twice",
            |g| {
                set(&mut g.prepare, &parse_to(SEGMENT + 4));
                g.words(SEGMENTS, &[SEGMENT as u32, 2]);
                g.words(SEGMENT, &[1, 0, 0, 1]);
                g.prepare += &format!(
                    "(i32.store (i32.const {}) (i32.load (i32.const {})))",
                    SEGMENT + 16,
                    SEGMENT + 4
                );
            },
            "InvalidOutput",
            "handle",
        ),
        (
            "a graph that was dropped",
            |g| {
                g.words(SEGMENT, &[1]);
                let drop = format!("(call $drop (i32.load (i32.const {})))", SEGMENT + 4);
                g.prepare = parse_to(SEGMENT + 4) + &drop;
            },
            "InvalidOutput",
            "handle",
        ),
        (
            "asking a graph that never was",
            |g| set(&mut g.prepare, "(drop (call $nodes (i32.const 77)))"),
            "InvalidOutput",
            "handle",
        ),
    ]);
}
