//! One library: from a path to a checked root module.

use std::path::{Path, PathBuf};

use abi_stable::library::{LibraryError, lib_header_from_path};
use object::{Object as _, ObjectSection as _, ObjectSegment as _, ObjectSymbol as _};
use transducer_frontend::{FrontEndModuleRef, STAMP_SYMBOL, Stamp};

/// Why a library gives no front end.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file or folder cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is something else than a dynamic library.
    #[error("{path} is no dynamic library ({bytes} bytes): give the file that building a front end makes")]
    NotALibrary {
        /// Which file.
        path: PathBuf,
        /// Its size.
        bytes: usize,
    },
    /// The file starts like a library but is cut or damaged.
    #[error("{path} is cut or damaged ({bytes} bytes: {reason}): build or copy it again")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Its size.
        bytes: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A whole library, but no front end.
    #[error("{path} is no CPG front end: it has no symbol {STAMP_SYMBOL}")]
    NotAFrontEnd {
        /// Which file.
        path: PathBuf,
    },
    /// The front end was built against another version of this project.
    #[error(
        "{path} was built for {what} version {found}, this host speaks {expected}: build both from the same release"
    )]
    Version {
        /// Which file.
        path: PathBuf,
        /// `interface`, `CPG schema` or `wire`.
        what: &'static str,
        /// The library's version.
        found: u32,
        /// This host's.
        expected: u32,
    },
    /// The system's loader, or the check of the root module's layout, refused it.
    #[error("{path} cannot be loaded: {reason}")]
    Refused {
        /// Which file.
        path: PathBuf,
        /// What was said.
        reason: String,
    },
    /// Two libraries claim the same language.
    #[error("{path} is a front end for `{language}`, but {by} already serves it: remove one of them")]
    LanguageTaken {
        /// The second library.
        path: PathBuf,
        /// The language of both.
        language: String,
        /// The first library.
        by: PathBuf,
    },
    /// A folder holds no front end at all.
    #[error("{path} holds no front end (a file named {pattern}): build one, or name another folder")]
    NoneFound {
        /// Which folder.
        path: PathBuf,
        /// What was looked for.
        pattern: String,
    },
}

/// Loads a library for the life of the process and hands out its root module, every version and layout checked.
pub(crate) fn load(path: &Path) -> Result<FrontEndModuleRef, LoadError> {
    let cannot_read = |source| LoadError::Read {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(cannot_read)?;
    // SAFETY: the bytes must not change while they are looked at. Front ends are trusted code: whoever may write the file may
    // as well change what it does, and the system's loader maps it in the same way right after.
    let bytes = unsafe { memmap2::Mmap::map(&file) }.map_err(cannot_read)?;
    check_file(path, &bytes)?;
    drop(bytes);
    // A bare file name would send the system's loader to its own search path: to another file than the one just checked.
    let absolute = std::fs::canonicalize(path).map_err(cannot_read)?;
    let refused = |error: LibraryError| LoadError::Refused {
        path: path.to_owned(),
        // The library's own words come on several lines with indents.
        reason: error.to_string().split_whitespace().collect::<Vec<_>>().join(" "),
    };
    // Per library, unlike `RootModule::load_from_file`, which remembers the first library of a type for good.
    lib_header_from_path(&absolute)
        .and_then(|header| header.init_root_module())
        .map_err(refused)
}

/// What can be known of a library without running any of its code. The system's loader maps a cut file without looking at its
/// length, and the process dies of SIGBUS: so look first.
fn check_file(path: &Path, bytes: &[u8]) -> Result<(), LoadError> {
    let damaged = |reason: String| LoadError::Damaged {
        path: path.to_owned(),
        bytes: bytes.len(),
        reason,
    };
    if object::FileKind::parse(bytes).is_err() {
        return Err(LoadError::NotALibrary {
            path: path.to_owned(),
            bytes: bytes.len(),
        });
    }
    let file = object::File::parse(bytes).map_err(|error| damaged(error.to_string()))?;
    for segment in file.segments() {
        let (offset, size) = segment.file_range();
        if offset.saturating_add(size) > bytes.len() as u64 {
            return Err(damaged(format!("a segment of {size} bytes at {offset} does not fit")));
        }
    }
    if file.kind() != object::ObjectKind::Dynamic {
        return Err(LoadError::NotALibrary {
            path: path.to_owned(),
            bytes: bytes.len(),
        });
    }
    let stamp = find_stamp(&file).ok_or_else(|| LoadError::NotAFrontEnd { path: path.to_owned() })?;
    let current = Stamp::CURRENT;
    let versions = [
        ("interface", stamp.interface_version(), current.interface_version()),
        ("CPG schema", stamp.schema_version(), current.schema_version()),
        ("wire", stamp.wire_version(), current.wire_version()),
    ];
    for (what, found, expected) in versions {
        if found != expected {
            return Err(LoadError::Version {
                path: path.to_owned(),
                what,
                found,
                expected,
            });
        }
    }
    Ok(())
}

fn find_stamp(file: &object::File<'_>) -> Option<Stamp> {
    // Mach-O puts an underscore before the names of C.
    let is_stamp = |name: &[u8]| name.strip_prefix(b"_").unwrap_or(name) == STAMP_SYMBOL.as_bytes();
    let symbol = file
        .dynamic_symbols()
        .chain(file.symbols())
        .find(|symbol| symbol.is_definition() && symbol.name_bytes().is_ok_and(is_stamp));
    let exported = || {
        file.exports()
            .ok()?
            .into_iter()
            .find(|export| is_stamp(export.name()))
            .map(|export| export.address())
    };
    let address = symbol.map(|symbol| symbol.address()).or_else(exported)?;
    file.sections().find_map(|section| {
        let data = section.data_range(address, Stamp::BYTES as u64).ok().flatten()?;
        Stamp::from_bytes(data)
    })
}
