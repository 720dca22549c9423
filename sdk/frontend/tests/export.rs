//! What [`export_frontend!`] makes, called as a host calls it.

use abi_stable::library::{LibHeader, ROOT_MODULE_LOADER_NAME};
use abi_stable::std_types::RSlice;
use transducer_frontend::cpg::{Cpg, CpgBuilder, SCHEMA_VERSION, wire};
use transducer_frontend::{
    FrontEnd, FrontEndModuleRef, INTERFACE_VERSION, ParseError, ParseLimits, Stamp, export_frontend,
};

struct Empty;

impl FrontEnd for Empty {
    const LANGUAGE: &'static str = "empty";
    const EXTENSIONS: &'static [&'static str] = &["e"];
    const NAME: &'static str = "empty";
    const VERSION: &'static str = "1.2.3";

    fn parse(source: &str, _limits: &ParseLimits) -> Result<Cpg, ParseError> {
        assert_ne!(source, "panic", "at once");
        CpgBuilder::new("empty", source.len())
            .and_then(CpgBuilder::finish)
            .map_err(ParseError::failed)
    }
}

export_frontend!(Empty);

#[expect(improper_ctypes, reason = "both sides are this very crate")]
// SAFETY: the statics that the macro just made, of these types; they are constants.
unsafe extern "C" {
    #[link_name = "_1as_0lib_1header_0root_bmodule_bloader"]
    safe static ROOT_MODULE: LibHeader;
    #[link_name = "TRANSDUCER_FRONTEND_STAMP"]
    safe static STAMP: Stamp;
}

fn module() -> FrontEndModuleRef {
    ROOT_MODULE.init_root_module().expect("the module of this very crate")
}

#[test]
fn the_symbol_is_the_one_that_abi_stable_looks_for() {
    assert_eq!(ROOT_MODULE_LOADER_NAME, "_1as_0lib_1header_0root_bmodule_bloader");
    assert_eq!(STAMP, Stamp::CURRENT);
    let versions = (STAMP.interface_version(), STAMP.schema_version(), STAMP.wire_version());
    assert_eq!(versions, (INTERFACE_VERSION, SCHEMA_VERSION, wire::WIRE_VERSION));
}

#[test]
fn the_module_describes_and_parses() {
    let info = module().describe()();
    assert_eq!((info.language.as_str(), info.version.as_str()), ("empty", "1.2.3"));
    let bytes = module().parse()(RSlice::from_slice(b"abc"), ParseLimits::DEFAULT)
        .into_result()
        .unwrap();
    assert_eq!(wire::decode(&bytes).unwrap().source_len(), 3);
}

#[test]
fn what_is_no_text_never_reaches_the_author() {
    let parse = |bytes: &[u8], limits| {
        module().parse()(RSlice::from_slice(bytes), limits)
            .into_result()
            .unwrap_err()
    };
    assert_eq!(
        parse(b"ab\xff", ParseLimits::DEFAULT),
        ParseError::NotUtf8 { valid_up_to: 2 }
    );
    let limits = ParseLimits {
        max_bytes: 2,
        ..ParseLimits::DEFAULT
    };
    assert_eq!(
        parse(b"\xff\xff\xff", limits),
        ParseError::TooLong { bytes: 3, limit: 2 }
    );
    let panicked = parse(b"panic", ParseLimits::DEFAULT);
    assert!(
        matches!(&panicked, ParseError::Panicked { message } if message.contains("at once")),
        "{panicked}"
    );
}
