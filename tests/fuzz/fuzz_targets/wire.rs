#![no_main]

use transducer_frontend::cpg::wire;

// Whatever the bytes: a graph that encodes to these very bytes, or an error.
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Ok(graph) = wire::decode(input) {
        assert_eq!(wire::encode(&graph), input);
    }
});
