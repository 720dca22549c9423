//! What crosses the boundary, and the only code on either side of it.

use std::any::Any;
use std::panic::catch_unwind;

use abi_stable::library::RootModule;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{RResult, RSlice, RString, RVec};
use abi_stable::{StableAbi, package_version_strings};
use transducer_cpg::{SCHEMA_VERSION, wire};

use crate::{FrontEnd, ParseLimits};

/// Version of this interface: the root module's fields and what they mean.
pub const INTERFACE_VERSION: u32 = 1;

/// Name of the symbol under which a library carries its [`Stamp`].
pub const STAMP_SYMBOL: &str = "TRANSDUCER_FRONTEND_STAMP";
/// First bytes of a [`Stamp`].
pub const STAMP_MAGIC: [u8; 8] = *b"TCPG-FE\0";

/// The versions a library was built with, as plain data that a host reads from the file: before any of the library's code
/// runs, and whatever the rest of it looks like. In memory order, little endian: magic, interface, schema, wire version.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp([u8; Self::BYTES]);

impl Stamp {
    /// Bytes of a stamp.
    pub const BYTES: usize = STAMP_MAGIC.len() + 3 * 4;

    /// The versions of this very crate.
    pub const CURRENT: Self = {
        let (magic, numbers) = (STAMP_MAGIC, [INTERFACE_VERSION, SCHEMA_VERSION, wire::WIRE_VERSION]);
        let mut bytes = [0; Self::BYTES];
        let mut at = 0;
        while at < bytes.len() {
            bytes[at] = if at < magic.len() {
                magic[at]
            } else {
                let at = at - magic.len();
                numbers[at / 4].to_le_bytes()[at % 4]
            };
            at += 1;
        }
        Self(bytes)
    };

    /// A stamp, if `bytes` starts with one.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes
            .first_chunk()
            .filter(|bytes| bytes.starts_with(&STAMP_MAGIC))
            .map(|&bytes| Self(bytes))
    }

    /// Version of the interface, [`INTERFACE_VERSION`].
    pub fn interface_version(&self) -> u32 {
        self.number(0)
    }

    /// Version of the graph schema, [`SCHEMA_VERSION`].
    pub fn schema_version(&self) -> u32 {
        self.number(1)
    }

    /// Version of the wire form, [`wire::WIRE_VERSION`].
    pub fn wire_version(&self) -> u32 {
        self.number(2)
    }

    fn number(&self, index: usize) -> u32 {
        u32::from_le_bytes(std::array::from_fn(|byte| self.0[STAMP_MAGIC.len() + 4 * index + byte]))
    }
}

/// The root module of a front end's library.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = FrontEndModuleRef)))]
pub struct FrontEndModule {
    /// Who it is.
    pub describe: extern "C" fn() -> LanguageInfo,
    /// The graph of a source in [`wire`] form. The bytes need not be UTF-8: what is not is a [`ParseError::NotUtf8`].
    #[sabi(last_prefix_field)]
    pub parse: extern "C" fn(RSlice<'_, u8>, ParseLimits) -> RResult<RVec<u8>, ParseError>,
}

impl RootModule for FrontEndModuleRef {
    abi_stable::declare_root_module_statics! {FrontEndModuleRef}
    const BASE_NAME: &'static str = "transducer_frontend";
    const NAME: &'static str = "transducer_frontend";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}

/// Who a front end is.
#[repr(C)]
#[derive(StableAbi, Clone, Debug, PartialEq, Eq)]
pub struct LanguageInfo {
    /// See [`FrontEnd::LANGUAGE`].
    pub language: RString,
    /// See [`FrontEnd::EXTENSIONS`].
    pub extensions: RVec<RString>,
    /// See [`FrontEnd::NAME`].
    pub name: RString,
    /// See [`FrontEnd::VERSION`].
    pub version: RString,
}

/// Why there is no graph.
#[repr(u8)]
#[derive(StableAbi, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The source is not UTF-8.
    #[error("the source is not UTF-8 after byte {valid_up_to}: convert it first")]
    NotUtf8 {
        /// Bytes before the first wrong one.
        valid_up_to: u64,
    },
    /// The source is longer than [`ParseLimits::max_bytes`].
    #[error("the source has {bytes} bytes, the limit is {limit}: cut it, or raise the limit")]
    TooLong {
        /// Bytes of the source.
        bytes: u64,
        /// The limit.
        limit: u32,
    },
    /// Parsing took longer than [`ParseLimits::max_millis`].
    #[error("parsing took longer than the limit of {limit_millis} ms: cut the source, or raise the limit")]
    TimedOut {
        /// The limit.
        limit_millis: u32,
    },
    /// The front end panicked; the process goes on.
    #[error("the front end panicked: {message}")]
    Panicked {
        /// What the panic said.
        message: RString,
    },
    /// The front end failed for a reason of its own.
    #[error("the front end failed: {message}")]
    Failed {
        /// What it said.
        message: RString,
    },
}

impl ParseError {
    /// A failure of the front end's own kind.
    pub fn failed(reason: impl std::fmt::Display) -> Self {
        Self::Failed {
            message: reason.to_string().into(),
        }
    }
}

/// [`FrontEndModule::describe`] of a front end.
pub extern "C" fn describe<F: FrontEnd>() -> LanguageInfo {
    LanguageInfo {
        language: F::LANGUAGE.into(),
        extensions: F::EXTENSIONS.iter().map(|&extension| extension.into()).collect(),
        name: F::NAME.into(),
        version: F::VERSION.into(),
    }
}

/// [`FrontEndModule::parse`] of a front end: checks the text and its length, catches panics, encodes the graph.
pub extern "C" fn parse<F: FrontEnd>(source: RSlice<'_, u8>, limits: ParseLimits) -> RResult<RVec<u8>, ParseError> {
    let bytes = source.as_slice();
    let parsed = limits.check_length(bytes.len()).and_then(|()| {
        let source = std::str::from_utf8(bytes).map_err(|error| ParseError::NotUtf8 {
            valid_up_to: error.valid_up_to() as u64,
        })?;
        let graph = catch_unwind(|| F::parse(source, &limits).map(|cpg| wire::encode(&cpg)));
        graph.unwrap_or_else(|panic| {
            Err(ParseError::Panicked {
                message: panic_message(panic.as_ref()).into(),
            })
        })
    });
    parsed.map(RVec::from).into()
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a value that is no text")
}

/// Makes a `cdylib` a front end: exports the root module and the [`Stamp`] of the type given. Once a library.
#[macro_export]
macro_rules! export_frontend {
    ($frontend:ty) => {
        const _: () = {
            use $crate::abi_stable::library as abi;
            use $crate::abi_stable::prefix_type::PrefixTypeTrait as _;

            // SAFETY: the one symbol of this name, as the macro is to be called once a library; hosts only read it.
            #[unsafe(no_mangle)]
            static TRANSDUCER_FRONTEND_STAMP: $crate::Stamp = $crate::Stamp::CURRENT;

            fn root_module() -> $crate::FrontEndModuleRef {
                $crate::FrontEndModule {
                    describe: $crate::describe::<$frontend>,
                    parse: $crate::parse::<$frontend>,
                }
                .leak_into_prefix()
            }

            extern "C" fn erased_root_module() -> abi::RootModuleResult {
                abi::__call_root_module_loader(root_module)
            }

            // What `abi_stable::export_root_module` expands to, with `ROOT_MODULE_LOADER_NAME`; that attribute predates the
            // 2024 edition's `unsafe(...)`.
            // SAFETY: the one symbol of this name, as above; its type is the one that `abi_stable` loads.
            #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
            static ROOT_MODULE: abi::LibHeader = {
                // SAFETY: `erased_root_module` returns the module of the very type given.
                unsafe {
                    abi::LibHeader::from_constructor::<$crate::FrontEndModuleRef>(
                        erased_root_module,
                        abi::CheckTypeLayout::Yes,
                    )
                }
            };
        };
    };
}
