//! The ABI of a front end, written down: `abi/N.txt` is that of interface N, and does not change.

use std::fmt::Write;
use std::path::PathBuf;

use abi_stable::StableAbi;
use abi_stable::std_types::{RResult, RSlice, RVec};
use abi_stable::type_layout::{TLData, TLFields, TypeLayout};
use transducer_frontend::cpg::{SCHEMA_VERSION, wire};
use transducer_frontend::{
    FrontEndModuleRef, INTERFACE_VERSION, LanguageInfo, ParseError, ParseLimits, STAMP_SYMBOL, Stamp,
};

/// All that both sides have to agree on. Sizes and alignments are those of 64-bit machines.
fn described() -> String {
    let stamp = Stamp::CURRENT;
    let mut text = format!(
        "interface {INTERFACE_VERSION}\nstamp {STAMP_SYMBOL}: {} bytes: magic, interface, schema, wire\n\n",
        Stamp::BYTES
    );
    assert_eq!(
        [stamp.schema_version(), stamp.wire_version()],
        [SCHEMA_VERSION, wire::WIRE_VERSION]
    );
    // The module, and the types that its functions take and give: a signature names them and does not lead there.
    let mut open = vec![
        <RResult<RVec<u8>, ParseError> as StableAbi>::LAYOUT,
        <RSlice<'static, u8> as StableAbi>::LAYOUT,
        <ParseLimits as StableAbi>::LAYOUT,
        <LanguageInfo as StableAbi>::LAYOUT,
        <FrontEndModuleRef as StableAbi>::LAYOUT,
    ];
    let mut seen: Vec<String> = Vec::new();
    while let Some(layout) = open.pop() {
        let name = layout.full_type().to_string();
        if !seen.contains(&name) {
            open.extend(describe(layout, &name, &mut text).into_iter().rev());
            seen.push(name);
        }
    }
    text
}

/// Writes one type down; the types that it is made of.
fn describe(layout: &'static TypeLayout, name: &str, text: &mut String) -> Vec<&'static TypeLayout> {
    let mut say = |line: std::fmt::Arguments<'_>| writeln!(text, "{line}").expect("a String takes everything");
    say(format_args!(
        "{name}: {} bytes, aligned to {}",
        layout.size(),
        layout.alignment()
    ));
    // A reference to a module names its fields' type only here.
    let mut parts: Vec<_> = layout.phantom_fields().iter().map(|field| field.layout()).collect();
    let mut fields = |indent: &str, fields: &mut dyn Iterator<Item = abi_stable::type_layout::TLField>| {
        for field in fields {
            let functions = field.function_range();
            if functions.is_empty() {
                say(format_args!("{indent}{}: {}", field.name(), field.full_type()));
                parts.push(field.layout());
            }
            for function in functions.iter() {
                say(format_args!(
                    "{indent}{}: {}",
                    field.name(),
                    function.to_string().trim_end()
                ));
            }
        }
    };
    let all = |of: TLFields| of.iter();
    match layout.data() {
        TLData::Struct { fields: of } => fields("    ", &mut all(of)),
        TLData::Union { fields: of } => fields("    or ", &mut all(of)),
        TLData::PrefixType(prefix) => {
            fields("    ", &mut all(prefix.fields));
            say_prefix(prefix.first_suffix_field.into(), text);
        }
        TLData::Enum(of) => {
            let mut all = all(of.fields);
            for (variant, count) in of.variant_names_iter().zip(of.field_count) {
                fields(&format!("    {variant}."), &mut all.by_ref().take(usize::from(*count)));
            }
            say_variants(&of.variant_names_iter().collect::<Vec<_>>(), text);
        }
        TLData::Primitive(_) | TLData::Opaque => {}
    }
    parts
}

fn say_prefix(first: usize, text: &mut String) {
    writeln!(text, "    (fields from the {}th on may be absent)", first + 1).expect("a String takes everything");
}

fn say_variants(names: &[&str], text: &mut String) {
    writeln!(text, "    one of {}", names.join(", ")).expect("a String takes everything");
}

#[test]
#[cfg(target_pointer_width = "64")]
fn the_interface_is_the_one_that_was_released() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("abi");
    let path = folder.join(format!("{INTERFACE_VERSION}.txt"));
    let found = described();
    if std::env::var_os("BLESS").is_some() && !path.exists() {
        std::fs::write(&path, &found).expect("the folder can be written");
    }
    let released = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; BLESS=1 writes that of a new interface", path.display()));
    assert_eq!(
        found, released,
        "the ABI (left) is not that of interface {INTERFACE_VERSION} (right): raise INTERFACE_VERSION"
    );
}

/// `abi_stable` refuses a library whose crate is of another major version than the host's: it must not change otherwise.
#[test]
fn the_crates_major_version_is_the_interface() {
    let major = env!("CARGO_PKG_VERSION_MAJOR").parse();
    assert_eq!(major, Ok(INTERFACE_VERSION));
}
