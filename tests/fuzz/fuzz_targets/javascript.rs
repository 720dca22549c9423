#![no_main]

use transducer_frontend_javascript::JavaScriptFrontEnd;

libfuzzer_sys::fuzz_target!(|input: &[u8]| transducer_fuzz::check::<JavaScriptFrontEnd>(input));
