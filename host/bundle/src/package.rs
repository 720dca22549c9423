//! A bundle with everything that travels with it: what `pack`, `verify`, `inspect`, `diff` and `install` work on.

use std::path::Path;

use crate::bundle::{assemble, read_file};
use crate::policy::Origin;
use crate::record::MAX_RECORD_BYTES;
use crate::signature::Sealed;
use crate::{
    ARCHIVE_EXTENSION, Archive, ArchiveError, Bundle, BundleError, FileEntry, MANIFEST_FILE, MAX_ARCHIVE_BYTES,
    MAX_DOCUMENT_BYTES, PACK_RECORD_FILE, PackRecord, Policy, Refusal, Signer, Trusted, WeightsError, WeightsInfo,
    check_weights,
};

/// What may travel with a bundle beside the files that the host loads: its card, and what its licences ask for.
pub const DOCUMENTS: [&str; 4] = ["ATTRIBUTION.md", "LICENSE", "NOTICE", "README.md"];

/// A bundle and its documents, from a folder or from an archive.
#[derive(Clone, Debug)]
pub struct Package {
    /// What the host loads.
    pub bundle: Bundle,
    /// All of its files.
    pub archive: Archive,
    /// The archive's bytes, where it came from one.
    pub packed: Option<Vec<u8>>,
    /// What `pack` recorded; none in a folder.
    pub record: Option<PackRecord>,
    /// What else lies in the folder, and is no part of the bundle.
    pub left_out: Vec<String>,
}

impl Package {
    /// Reads a bundle's folder or a `.tadapter` file.
    ///
    /// # Errors
    /// What [`Bundle::open`] says, and what is wrong with the documents.
    pub fn open(path: &Path) -> Result<Self, BundleError> {
        if path.is_dir() {
            return Self::open_dir(path);
        }
        Self::unpack(read_file(path, MAX_ARCHIVE_BYTES)?, path)
    }

    /// Reads the bytes of an archive; `path` is what errors call it.
    ///
    /// # Errors
    /// As [`Package::open`].
    pub fn unpack(packed: Vec<u8>, path: &Path) -> Result<Self, BundleError> {
        let in_archive = |source| BundleError::Archive {
            path: path.to_owned(),
            source,
        };
        let archive = Archive::read(&packed).map_err(in_archive)?;
        let bundle = assemble(path, &mut |name, limit| {
            let missing = || ArchiveError::Absent { name: name.to_owned() };
            let bytes = archive.files.get(name).ok_or_else(missing).map_err(in_archive)?;
            within(name, bytes, limit).map_err(in_archive)?;
            Ok(bytes.clone())
        })?;
        let loaded = loaded(&bundle);
        let record = archive.files.get(PACK_RECORD_FILE);
        let record = record.map(|json| {
            within(PACK_RECORD_FILE, json, MAX_RECORD_BYTES)?;
            PackRecord::parse(json)
        });
        for (name, bytes) in &archive.files {
            if name != PACK_RECORD_FILE && !loaded.contains(&name.as_str()) {
                if !DOCUMENTS.contains(&name.as_str()) {
                    return Err(in_archive(ArchiveError::Strange {
                        name: name.clone(),
                        allowed: DOCUMENTS.join(", "),
                    }));
                }
                within(name, bytes, MAX_DOCUMENT_BYTES).map_err(in_archive)?;
            }
        }
        Ok(Self {
            bundle,
            archive,
            packed: Some(packed),
            record: record.transpose().map_err(in_archive)?,
            left_out: Vec::new(),
        })
    }

    /// As [`Package::open`], of what a policy lets in; with who signed it, where the policy knows them.
    ///
    /// # Errors
    /// [`BundleError::Refused`], and what [`Package::open`] says.
    pub fn open_under(path: &Path, policy: &Policy) -> Result<(Self, Option<Signer>), BundleError> {
        if path.is_dir() {
            // Before it is read, so that what is wrong in it cannot make it more than a refused one.
            policy.folder(path)?;
            let package = Self::open_dir(path)?;
            let signer = policy.admit(path, &package.bundle, Origin::Folder)?;
            return Ok((package, signer));
        }
        Self::unpack_under(read_file(path, MAX_ARCHIVE_BYTES)?, path, policy)
    }

    /// As [`Package::unpack`], of what a policy lets in: size and signature are looked at before anything is unpacked.
    ///
    /// # Errors
    /// [`BundleError::Refused`], and what [`Package::unpack`] says.
    pub fn unpack_under(packed: Vec<u8>, path: &Path, policy: &Policy) -> Result<(Self, Option<Signer>), BundleError> {
        let trusted = policy.signed_by(path, &packed)?;
        let package = Self::unpack(packed, path)?;
        let signer = policy.admit(path, &package.bundle, Origin::Archive(trusted))?;
        Ok((package, signer))
    }

    /// Whether a policy lets this bundle in, which came from `path`; and who signed it, where the policy knows them.
    ///
    /// # Errors
    /// [`BundleError::Refused`].
    pub fn admitted(&self, path: &Path, policy: &Policy) -> Result<Option<Signer>, BundleError> {
        let origin = match &self.packed {
            Some(packed) => Origin::Archive(policy.signed_by(path, packed)?),
            None => Origin::Folder,
        };
        Ok(policy.admit(path, &self.bundle, origin)?)
    }

    /// Whose signature it has, where a policy knows them and whatever else the policy says of it; `path` is where it came from.
    ///
    /// # Errors
    /// Where the signature is none or does not hold, or its key was revoked.
    pub fn signer(&self, path: &Path, policy: &Policy) -> Result<Option<Signer>, Refusal> {
        let Some(packed) = &self.packed else {
            return Ok(None);
        };
        let Some(sealed) = Sealed::find(path, packed)? else {
            return Ok(None);
        };
        let trusted = policy.trusted(&sealed, path, packed)?;
        Ok(trusted.map(Trusted::signer))
    }

    fn open_dir(dir: &Path) -> Result<Self, BundleError> {
        let mut archive = Archive::default();
        let bundle = crate::bundle::open_dir(dir, &mut |name, limit| {
            let bytes = read_file(&dir.join(name), limit)?;
            archive.files.insert(name.to_owned(), bytes.clone());
            Ok(bytes)
        })?;
        let context = |source| BundleError::Read {
            path: dir.to_owned(),
            source,
        };
        let mut left_out = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(context)? {
            let name = entry.map_err(context)?.file_name().to_string_lossy().into_owned();
            if DOCUMENTS.contains(&name.as_str()) {
                let bytes = read_file(&dir.join(&name), MAX_DOCUMENT_BYTES)?;
                archive.files.insert(name, bytes);
            } else if !archive.files.contains_key(&name) {
                left_out.push(name);
            }
        }
        left_out.sort();
        Ok(Self {
            bundle,
            archive,
            packed: None,
            record: None,
            left_out,
        })
    }

    /// Writes down with what it is packed.
    pub fn set_record(&mut self, record: PackRecord) {
        self.archive
            .files
            .insert(PACK_RECORD_FILE.to_owned(), record.to_bytes());
        self.record = Some(record);
    }

    /// The archive of this bundle, read back before it is returned: what is handed out is known to be taken.
    ///
    /// # Errors
    /// What [`Package::unpack`] would say of it.
    pub fn pack(&self) -> Result<Vec<u8>, BundleError> {
        let path = self.file_name();
        let bytes = self.archive.write().map_err(|source| BundleError::Archive {
            path: Path::new(&path).to_owned(),
            source,
        })?;
        let again = Self::unpack(bytes.clone(), Path::new(&path))?;
        assert!(
            again.bundle.generation == self.bundle.generation && again.archive == self.archive,
            "what was packed was unpacked to something else"
        );
        Ok(bytes)
    }

    /// What an archive of it is called: name and version.
    #[must_use]
    pub fn file_name(&self) -> String {
        let manifest = &self.bundle.manifest;
        format!("{}-{}.{ARCHIVE_EXTENSION}", manifest.name, manifest.version)
    }

    /// The files with sizes and digests.
    #[must_use]
    pub fn files(&self) -> Vec<FileEntry> {
        self.archive.list()
    }

    /// Reads the weights, and says what is wrong with them; `None` for a bundle that has none.
    ///
    /// # Errors
    /// [`WeightsError`].
    pub fn weights(&self) -> Result<Option<WeightsInfo>, WeightsError> {
        let manifest = &self.bundle.manifest;
        let weights = self.bundle.weights.as_deref();
        weights
            .map(|bytes| check_weights(bytes, &manifest.transducer, manifest.base_model.hidden_size))
            .transpose()
    }
}

fn within(name: &str, bytes: &[u8], limit: u64) -> Result<(), ArchiveError> {
    if bytes.len() as u64 <= limit {
        return Ok(());
    }
    Err(ArchiveError::FileTooLarge {
        name: name.to_owned(),
        found: bytes.len() as u64,
        limit,
    })
}

/// The names of the files that the host loads.
fn loaded(bundle: &Bundle) -> Vec<&str> {
    let manifest = &bundle.manifest;
    let weights = manifest.weights.as_deref();
    [MANIFEST_FILE, &manifest.component]
        .into_iter()
        .chain(weights)
        .collect()
}
