#![no_main]

use transducer_frontend_java::JavaFrontEnd;

libfuzzer_sys::fuzz_target!(|input: &[u8]| transducer_fuzz::check::<JavaFrontEnd>(input));
