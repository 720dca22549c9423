#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| transducer_fuzz::doors::policy(input));
