//! Outputs that are too large or make no sense.

use crate::guest::{
    ANSWER_DATA, ANSWER_DIAGNOSTICS, ANSWER_TEXT, BEAMS, INFO, MAX_NEW_TOKENS, SEGMENT, SEGMENTS, STATE, STOP,
    TEMPERATURE, TOP_P,
};
use crate::hostile::{Case, parse_to, set, spoilt};

pub(crate) fn large() -> Vec<Case> {
    spoilt(&[
        ("an answer of 5 MB", |g| {
            set(&mut g.memory, "100");
            g.words(ANSWER_TEXT, &[0, 5_000_000]);
        }),
        ("a million empty segments", |g| {
            set(&mut g.memory, "400");
            g.words(SEGMENTS, &[0x1_0000, 1_000_000]);
        }),
        ("2,000 segments", |g| {
            g.words(SEGMENTS, &[0x1_0000, 2000]);
        }),
        ("the same text 200 times", |g| {
            for index in 0..200 {
                g.words(SEGMENT + 12 * index, &[0, 0x1_0000, 0x1_0000]);
            }
            g.words(SEGMENTS, &[SEGMENT as u32, 200]);
        }),
        ("a state of 2 MB", |g| {
            set(&mut g.memory, "100");
            g.words(STATE, &[0, 2 << 20]);
        }),
        ("a thousand diagnostics", |g| {
            g.words(ANSWER_DIAGNOSTICS, &[0x1_0000, 1000]);
        }),
        ("a log line of 5 MB", |g| {
            set(&mut g.memory, "100");
            set(
                &mut g.prepare,
                "(call $log (i32.const 0) (i32.const 0) (i32.const 5000000))",
            );
        }),
    ])
}

pub(crate) fn senseless() -> Vec<Case> {
    spoilt(&[
        ("a text that is no UTF-8", |g| {
            g.text(ANSWER_TEXT, b"ab\xff\xfe");
        }),
        ("a name that is no UTF-8", |g| {
            g.text(INFO, b"\xc3\x28");
        }),
        ("a text outside of the memory", |g| {
            g.words(ANSWER_TEXT, &[0x1_fff0, 0x20]);
        }),
        ("a list outside of the memory", |g| {
            g.words(SEGMENTS, &[0xffff_fff0, 2]);
        }),
        ("a list that is not aligned", |g| {
            g.words(SEGMENTS, &[0x401, 1]);
        }),
        ("a variant that does not exist", |g| {
            g.words(SEGMENT, &[7]);
        }),
        ("a result outside of the memory", |g| {
            set(&mut g.prepare, "(return (i32.const -4))");
        }),
        ("memory for the request outside of the memory", |g| {
            set(&mut g.realloc, "(i32.const -16)");
        }),
        ("data that is no JSON", |g| {
            g.text(ANSWER_DATA, b"{");
        }),
        ("data nested without end", |g| {
            g.text(ANSWER_DATA, &[b'['; 9999]);
        }),
        ("a schema that is no object", |g| {
            g.text(INFO + 24, b"3");
        }),
        ("a name with a line break", |g| {
            g.text(INFO, b"a\nb");
        }),
        ("no languages", |g| {
            g.words(INFO + 16, &[0, 0]);
        }),
        ("no prompt", |g| {
            g.words(SEGMENTS, &[0, 0]);
        }),
        ("no tokens", |g| {
            g.words(MAX_NEW_TOKENS, &[0]);
        }),
        ("endless tokens", |g| {
            g.words(MAX_NEW_TOKENS, &[u32::MAX]);
        }),
        ("temperature NaN", |g| {
            g.words(TEMPERATURE, &[f32::NAN.to_bits()]);
        }),
        ("temperature -1", |g| {
            g.words(TEMPERATURE, &[(-1.0_f32).to_bits()]);
        }),
        ("top-p 0", |g| {
            g.words(TOP_P, &[0]);
        }),
        ("top-p infinite", |g| {
            g.words(TOP_P, &[f32::INFINITY.to_bits()]);
        }),
        ("a thousand beams", |g| {
            g.words(BEAMS, &[1000]);
        }),
        ("an empty stop string", |g| {
            let stop = g.strings(&[""]);
            g.words(STOP, &stop);
        }),
        ("a graph that never was", |g| {
            g.words(SEGMENT, &[1, 12345]);
        }),
        ("the same graph twice", |g| {
            set(&mut g.prepare, &parse_to(SEGMENT + 4));
            g.words(SEGMENTS, &[SEGMENT as u32, 2]);
            g.words(SEGMENT, &[1, 0, 0, 1]);
            g.prepare += &format!(
                "(i32.store (i32.const {}) (i32.load (i32.const {})))",
                SEGMENT + 16,
                SEGMENT + 4
            );
        }),
        ("a graph that was dropped", |g| {
            g.words(SEGMENT, &[1]);
            let drop = format!("(call $drop (i32.load (i32.const {})))", SEGMENT + 4);
            g.prepare = parse_to(SEGMENT + 4) + &drop;
        }),
        ("asking a graph that never was", |g| {
            set(&mut g.prepare, "(drop (call $nodes (i32.const 77)))");
        }),
    ])
}
