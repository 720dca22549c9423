#![no_main]

use transducer_frontend_python::PythonFrontEnd;

libfuzzer_sys::fuzz_target!(|input: &[u8]| transducer_fuzz::check::<PythonFrontEnd>(input));
