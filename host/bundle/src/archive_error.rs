//! What can be wrong with an archive, before it is known whether a bundle is in it.

/// An archive that is not unpacked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// The file is larger than any bundle.
    #[error("the archive has {found} bytes, the limit is {limit}")]
    TooLarge {
        /// Its size.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// It unpacks to more than any bundle is, as a zip bomb does.
    #[error("the archive unpacks to more than {limit} bytes, the most that a bundle can have")]
    Bomb {
        /// The limit.
        limit: u64,
    },
    /// No zstd frame, or a damaged one.
    #[error("not an archive of this host: {message} (expected one zstd frame)")]
    NotZstd {
        /// What zstd says.
        message: String,
    },
    /// The file ends too early, as a broken download does.
    #[error("the archive ends within {what}: fetch it again")]
    Truncated {
        /// Where it ends.
        what: String,
    },
    /// Something follows the archive.
    #[error("{bytes} bytes follow the end of the archive, expected none")]
    TrailingBytes {
        /// How many.
        bytes: usize,
    },
    /// The frame holds no tar.
    #[error("the zstd frame holds no tar: {message}")]
    NotTar {
        /// What the reader says.
        message: String,
    },
    /// The tar has no entry.
    #[error("the archive is empty, expected `files.json`, the list of its files")]
    Empty,
    /// More files than a bundle has.
    #[error("the archive has more than {limit} entries, a bundle has fewer")]
    TooManyEntries {
        /// The limit.
        limit: usize,
    },
    /// A name that could lead elsewhere, or that some file systems do not take.
    #[error("an entry is named \"{name}\", expected a plain file name of letters, digits, `.`, `_` and `-`")]
    Name {
        /// The name, with what is not ASCII escaped, cut where it is long.
        name: String,
    },
    /// A link, a device, a folder, an extension header.
    #[error("{name} is {kind}, archives hold plain files only")]
    NotRegular {
        /// The entry.
        name: String,
        /// What it is.
        kind: &'static str,
    },
    /// The first entry is not the list.
    #[error("the first entry is {found}, expected `files.json`, the list of the files")]
    NoList {
        /// The first entry.
        found: String,
    },
    /// The list is not of its form.
    #[error("files.json: {message}")]
    List {
        /// What the reader says, with line and column.
        message: String,
    },
    /// An archive of a later host.
    #[error("files.json is of format {found}, this host reads {expected}")]
    Format {
        /// Found.
        found: u32,
        /// Read.
        expected: u32,
    },
    /// A file is larger than any real one of its kind.
    #[error("{name} has {found} bytes, the limit is {limit}")]
    FileTooLarge {
        /// The entry.
        name: String,
        /// Its size.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// Two entries of one name.
    #[error("{name} is there twice")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// Two names that are one on some file systems.
    #[error("{first} and {second} differ in case only, and are one file on some systems")]
    Case {
        /// One.
        first: String,
        /// The other.
        second: String,
    },
    /// A file that the list does not name.
    #[error("{name} is in the archive and not in its list, files.json")]
    Unlisted {
        /// The file.
        name: String,
    },
    /// A file that only the list names.
    #[error("{name} is in the list, files.json, and not in the archive")]
    Missing {
        /// The file.
        name: String,
    },
    /// A file that every bundle has, or that the manifest names.
    #[error("{name} is not in the archive, and the bundle needs it")]
    Absent {
        /// The file.
        name: String,
    },
    /// The list says another size.
    #[error("{name} has {found} bytes, files.json says {listed}")]
    Size {
        /// The file.
        name: String,
        /// Of the list.
        listed: u64,
        /// Of the entry.
        found: u64,
    },
    /// The list says another digest.
    #[error("{name} has the SHA-256 {found}, files.json says {listed}")]
    Digest {
        /// The file.
        name: String,
        /// Of the list.
        listed: String,
        /// Of the bytes.
        found: String,
    },
    /// The files are right, but the tar around them is not the one that `pack` writes.
    #[error(
        "the tar is not the one that `pack` makes of these files, from byte {offset} on: owners, times, order or padding differ"
    )]
    NotCanonical {
        /// Where they part.
        offset: usize,
    },
    /// What `pack` recorded cannot be read.
    #[error("pack.json is no record of `pack`: {message}")]
    Record {
        /// What is wrong.
        message: String,
    },
    /// A file that no bundle has.
    #[error("{name} belongs to no bundle: beside what the manifest names there may be {allowed}")]
    Strange {
        /// The file.
        name: String,
        /// The documents that there may be.
        allowed: String,
    },
}
