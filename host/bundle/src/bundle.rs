//! A bundle as the host loads it, from a folder or an archive on disk.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use serde::Deserialize;

use crate::error::readable;
use crate::policy::Origin;
use crate::record::check_weights_digest;
use crate::validated::{check_schema, host_range};
use crate::{
    ARCHIVE_EXTENSION, AdapterName, BundleError, Generation, HOST_VERSION, Invalid, MAX_ARCHIVE_BYTES, Manifest,
    Package, Policy, Signer, ValidatedManifest,
};

/// The manifest's name in a bundle.
pub const MANIFEST_FILE: &str = "adapter.toml";
/// A manifest is a page of text; this leaves room for a long table of evaluations.
pub const MAX_MANIFEST_BYTES: u64 = 256 << 10;
/// A Rust task is some 60 KB, a JavaScript engine with a task some 10 MB; the sandbox compiles no larger ones.
pub const MAX_COMPONENT_BYTES: u64 = 16 << 20;
/// A hundred thousand parameters are 400 KB; a transducer for a very wide model stays far below this.
pub const MAX_WEIGHTS_BYTES: u64 = 64 << 20;

/// A folder or an archive that holds a bundle, good or bad.
#[derive(Debug)]
pub struct Found {
    /// The adapter's name, which is what requests ask for: the folder's, or the one in the archive's manifest. An archive that
    /// cannot be read goes by its file's name.
    pub name: String,
    /// The folder or the archive; of two bundles of one name, the first.
    pub path: PathBuf,
    /// The bundle, or what is wrong with it.
    pub bundle: Result<Bundle, BundleError>,
    /// Who signed it, where a policy knows them.
    pub signer: Option<Signer>,
}

/// A bundle that was read completely and whose manifest is valid.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// The manifest.
    pub manifest: ValidatedManifest,
    /// Names the bytes that follow.
    pub generation: Generation,
    /// The component's bytes, as they are.
    pub component: Vec<u8>,
    /// The weights' bytes, as they are; none for an untrained transducer.
    pub weights: Option<Vec<u8>>,
}

impl Bundle {
    /// Reads the bundle in this folder or `.tadapter` file. Every file is read once, so that what is checked is what is used.
    pub fn open(path: &Path) -> Result<Self, BundleError> {
        if path.is_dir() {
            return open_dir(path, &mut |name, limit| read_file(&path.join(name), limit));
        }
        Ok(Package::open(path)?.bundle)
    }

    /// As [`Bundle::open`], of what a policy lets in; with who signed it, where the policy knows them. The bytes that are checked
    /// are those that are unpacked.
    ///
    /// # Errors
    /// [`BundleError::Refused`], and what [`Bundle::open`] says.
    pub fn open_under(path: &Path, policy: Option<&Policy>) -> Result<(Self, Option<Signer>), BundleError> {
        let Some(policy) = policy else {
            return Ok((Self::open(path)?, None));
        };
        if path.is_dir() {
            // Before it is read, so that what is wrong in it cannot make it more than a refused one.
            policy.folder(path)?;
            let bundle = open_dir(path, &mut |name, limit| read_file(&path.join(name), limit))?;
            let signer = policy.admit(path, &bundle, Origin::Folder)?;
            return Ok((bundle, signer));
        }
        let (package, signer) = Package::unpack_under(read_file(path, MAX_ARCHIVE_BYTES)?, path, policy)?;
        Ok((package.bundle, signer))
    }

    /// The bundles of an adapters directory, by name: every folder with a manifest and every `.tadapter` file. What cannot be
    /// opened is returned with its error, and so are two bundles of one name. They are read by the threads of the current Rayon pool.
    pub fn open_all(adapters: &Path) -> Result<Vec<Found>, BundleError> {
        Self::open_all_under(adapters, None)
    }

    /// As [`Bundle::open_all`]; what the policy does not let in is returned with its [`BundleError::Refused`].
    pub fn open_all_under(adapters: &Path, policy: Option<&Policy>) -> Result<Vec<Found>, BundleError> {
        let context = |source| BundleError::Read {
            path: adapters.to_owned(),
            source,
        };
        let entries = std::fs::read_dir(adapters).map_err(context)?;
        let paths = entries.map(|entry| Ok(entry.map_err(context)?.path()));
        let paths: Vec<_> = paths.collect::<Result<_, BundleError>>()?;
        let found = paths.into_par_iter().filter_map(|path| {
            let file_name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            let archive = path.extension().is_some_and(|extension| extension == ARCHIVE_EXTENSION) && !path.is_dir();
            // Hidden folders are somebody's staging area.
            if file_name.starts_with('.') || !(archive || may_be_bundle(&path, &file_name)) {
                return None;
            }
            let (bundle, signer) = match Self::open_under(&path, policy) {
                Ok((bundle, signer)) => (Ok(bundle), signer),
                Err(error) => (Err(error), None),
            };
            let name = match &bundle {
                Ok(bundle) if archive => bundle.name().to_string(),
                Err(_) if archive => name_of(&file_name).to_owned(),
                _ => file_name,
            };
            Some(Found {
                name,
                path,
                bundle,
                signer,
            })
        });
        Ok(one_of_each_name(found.collect()))
    }

    /// The adapter's name.
    pub fn name(&self) -> &AdapterName {
        &self.manifest.name
    }
}

/// Whether a path in an adapters directory is a bundle's folder. One that the host may not look into is, if its name can be an adapter's:
/// what serves under that name would otherwise go without a word.
fn may_be_bundle(path: &Path, file_name: &str) -> bool {
    match path.join(MANIFEST_FILE).symlink_metadata() {
        Ok(_) => true,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => false,
        Err(_) => file_name.parse::<AdapterName>().is_ok(),
    }
}

/// Reads a file of a bundle by its name, up to a limit.
pub(crate) type ReadFile<'a> = dyn FnMut(&str, u64) -> Result<Vec<u8>, BundleError> + 'a;

/// The bundle in a folder, whose name has to be the adapter's.
pub(crate) fn open_dir(dir: &Path, read: &mut ReadFile<'_>) -> Result<Bundle, BundleError> {
    let bundle = assemble(dir, read)?;
    // A relative or root path has no folder name to compare with; `.` is a folder being worked on.
    if let Some(folder) = dir.file_name().and_then(|name| name.to_str())
        && folder != bundle.name().as_str()
    {
        let expected = format!("\"{folder}\", the name of the bundle's folder");
        let source = Invalid::new("adapter.name", format!("\"{}\"", bundle.name()), expected);
        let path = dir.join(MANIFEST_FILE);
        return Err(BundleError::Invalid { path, source });
    }
    Ok(bundle)
}

/// A bundle of its files; `place` is the folder or the archive that they lie in.
pub(crate) fn assemble(place: &Path, read: &mut ReadFile<'_>) -> Result<Bundle, BundleError> {
    let text = read(MANIFEST_FILE, MAX_MANIFEST_BYTES)?;
    let manifest = parse(&text, &place.join(MANIFEST_FILE))?;
    let component = read(&manifest.component, MAX_COMPONENT_BYTES)?;
    let weights = manifest
        .weights
        .as_ref()
        .map(|name| read(name, MAX_WEIGHTS_BYTES).map(|bytes| (name.clone(), bytes)))
        .transpose()?;
    check_records(&manifest, weights.as_ref()).map_err(|source| BundleError::Invalid {
        path: place.join(MANIFEST_FILE),
        source,
    })?;
    let mut files = vec![
        (MANIFEST_FILE, text.as_slice()),
        (manifest.component.as_str(), component.as_slice()),
    ];
    if let Some((name, bytes)) = &weights {
        files.push((name, bytes));
    }
    let generation = Generation::of(&files);
    Ok(Bundle {
        manifest,
        generation,
        component,
        weights: weights.map(|(_, bytes)| bytes),
    })
}

/// What was recorded of weights has to be of those that there are.
fn check_records(manifest: &ValidatedManifest, weights: Option<&(String, Vec<u8>)>) -> Result<(), Invalid> {
    if let Some(provenance) = &manifest.provenance {
        check_weights_digest("provenance.weights-sha256", &provenance.weights_sha256, weights)?;
    }
    if let Some(evaluation) = &manifest.evaluation {
        check_weights_digest("evaluation.weights-sha256", &evaluation.weights_sha256, weights)?;
    }
    Ok(())
}

/// The adapter's name in the name of an archive's file, `NAME.tadapter` or `NAME-VERSION.tadapter`.
fn name_of(file: &str) -> &str {
    let stem = file
        .strip_suffix(ARCHIVE_EXTENSION)
        .unwrap_or(file)
        .trim_end_matches('.');
    let version = |&(at, _): &(usize, &str)| semver::Version::parse(&stem[at + 1..]).is_ok();
    match stem.match_indices('-').find(version) {
        Some((at, _)) => &stem[..at],
        None => stem,
    }
}

/// Two bundles of one name are an error of that name, whatever is in them: which one answers may not depend on the order of a
/// directory. What cannot be read, or is not let in, may not take a name from what can: it goes by its whole file name.
fn one_of_each_name(mut found: Vec<Found>) -> Vec<Found> {
    found.sort_by(|a, b| (&a.name, &a.path).cmp(&(&b.name, &b.path)));
    let unread = |found: &Found| matches!(found.bundle, Err(BundleError::Archive { .. } | BundleError::Refused(_)));
    for index in 0..found.len() {
        // Where none can be used, the first keeps the name: what serves under it goes on, with a reason.
        let before = |(other, found): (usize, &Found)| other < index || (other != index && !unread(found));
        let same = found
            .iter()
            .enumerate()
            .filter(|(_, other)| other.name == found[index].name);
        if unread(&found[index]) && same.into_iter().any(before) {
            found[index].name = found[index]
                .path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            // A folder's name may be an adapter's.
            if found[index].path.is_dir() {
                found[index].name.push('/');
            }
        }
    }
    found.sort_by(|a, b| (&a.name, &a.path).cmp(&(&b.name, &b.path)));
    let mut each: Vec<Found> = Vec::new();
    for next in found {
        match each.last_mut().filter(|last| last.name == next.name) {
            Some(last) => {
                let mut paths = match &last.bundle {
                    Err(BundleError::Duplicate { paths, .. }) => paths.clone(),
                    _ => vec![last.path.clone()],
                };
                paths.push(next.path);
                last.signer = None;
                last.bundle = Err(BundleError::Duplicate { name: next.name, paths });
            }
            None => each.push(next),
        }
    }
    each
}

/// Whether a text is a manifest that a host takes; `path` is where it would lie.
///
/// # Errors
/// [`BundleError::Syntax`] and [`BundleError::Invalid`].
pub fn check_manifest(text: &str, path: &Path) -> Result<(), BundleError> {
    parse(text.as_bytes(), path).map(drop)
}

fn parse(text: &[u8], path: &Path) -> Result<ValidatedManifest, BundleError> {
    let syntax = |message: String| BundleError::Syntax {
        path: path.to_owned(),
        message,
    };
    let text = std::str::from_utf8(text).map_err(|error| syntax(format!("not UTF-8: {error}")))?;
    let invalid = |source| BundleError::Invalid {
        path: path.to_owned(),
        source,
    };
    // Where it is not even of this form, the other reader says what is wrong.
    if let Ok(any) = toml::from_str::<AnyManifest>(text) {
        check_schema(any.schema).map_err(invalid)?;
        let range = any.requires.and_then(|requires| requires.host);
        let range = range.map(|range| host_range(&range)).transpose().map_err(invalid)?;
        if let Some(requires) = range.filter(|range| !range.matches(&host_version())) {
            return Err(BundleError::OtherHost {
                path: path.to_owned(),
                // A name of the right form is short, and can be printed.
                name: any.adapter.name.parse::<AdapterName>().map_err(invalid)?,
                requires,
                host: HOST_VERSION,
            });
        }
    }
    let manifest: Manifest = toml::from_str(text).map_err(|error| syntax(readable(&error.to_string())))?;
    manifest.try_into().map_err(invalid)
}

/// What every version of the manifest has. It is looked at first, so that a bundle for another host is refused as that, and
/// not for the first key that this one does not know.
#[derive(Deserialize)]
struct AnyManifest {
    schema: u32,
    adapter: AnyAdapter,
    requires: Option<AnyRequires>,
}

#[derive(Deserialize)]
struct AnyAdapter {
    name: String,
}

#[derive(Deserialize)]
struct AnyRequires {
    host: Option<String>,
}

fn host_version() -> semver::Version {
    semver::Version::parse(HOST_VERSION).expect("Cargo takes no other version of a crate")
}

/// A plain file of at most so many bytes.
pub(crate) fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, BundleError> {
    let context = |source| BundleError::Read {
        path: PathBuf::from(path),
        source,
    };
    let metadata = path.symlink_metadata().map_err(context)?;
    if !metadata.is_file() {
        return Err(BundleError::NotAFile { path: path.to_owned() });
    }
    let mut bytes = Vec::new();
    // One byte beyond the limit tells a file that is too large, also one that grew since its size was asked.
    File::open(path)
        .and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
        .map_err(context)?;
    if bytes.len() as u64 > limit {
        let found = metadata.len().max(bytes.len() as u64);
        return Err(BundleError::TooLarge {
            path: path.to_owned(),
            found,
            limit,
        });
    }
    Ok(bytes)
}
