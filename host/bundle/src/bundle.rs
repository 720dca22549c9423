//! A bundle as a folder on disk.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::{AdapterName, BundleError, Generation, Invalid, Manifest, ValidatedManifest};

/// The manifest's name in a bundle.
pub const MANIFEST_FILE: &str = "adapter.toml";
/// A manifest is a page of text; this leaves room for a long table of evaluations.
pub const MAX_MANIFEST_BYTES: u64 = 256 << 10;
/// A Rust task is some 60 KB, a JavaScript engine with a task some 10 MB.
pub const MAX_COMPONENT_BYTES: u64 = 32 << 20;
/// A hundred thousand parameters are 400 KB; a transducer for a very wide model stays far below this.
pub const MAX_WEIGHTS_BYTES: u64 = 64 << 20;

/// A folder that holds a bundle, good or bad.
#[derive(Debug)]
pub struct Found {
    /// The folder's name, which is what requests ask for.
    pub name: String,
    /// The bundle, or what is wrong with it.
    pub bundle: Result<Bundle, BundleError>,
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
    /// Reads the bundle in this folder. Every file is read once, so that what is checked is what is used.
    pub fn open(dir: &Path) -> Result<Self, BundleError> {
        let path = dir.join(MANIFEST_FILE);
        let text = read(&path, MAX_MANIFEST_BYTES)?;
        let manifest = parse(&text, &path)?;
        // A relative or root path has no folder name to compare with; `.` is a folder being worked on.
        if let Some(folder) = dir.file_name().and_then(|name| name.to_str())
            && folder != manifest.name.as_str()
        {
            let expected = format!("\"{folder}\", the name of the bundle's folder");
            let source = Invalid::new("adapter.name", format!("\"{}\"", manifest.name), expected);
            return Err(BundleError::Invalid { path, source });
        }
        let component = read(&dir.join(&manifest.component), MAX_COMPONENT_BYTES)?;
        let weights = manifest
            .weights
            .as_ref()
            .map(|name| read(&dir.join(name), MAX_WEIGHTS_BYTES))
            .transpose()?;
        let mut files = vec![
            (MANIFEST_FILE, text.as_slice()),
            (manifest.component.as_str(), component.as_slice()),
        ];
        if let (Some(name), Some(bytes)) = (&manifest.weights, &weights) {
            files.push((name, bytes));
        }
        let generation = Generation::of(&files);
        Ok(Self {
            manifest,
            generation,
            component,
            weights,
        })
    }

    /// The bundles below an adapters directory: every folder with a manifest, by name. What cannot be opened is
    /// returned with its error.
    pub fn open_all(adapters: &Path) -> Result<Vec<Found>, BundleError> {
        let context = |source| BundleError::Read {
            path: adapters.to_owned(),
            source,
        };
        let mut found = Vec::new();
        for entry in std::fs::read_dir(adapters).map_err(context)? {
            let dir = entry.map_err(context)?.path();
            let name = dir
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            // Hidden folders are somebody's staging area.
            if !name.starts_with('.') && dir.join(MANIFEST_FILE).exists() {
                let bundle = Self::open(&dir);
                found.push(Found { name, bundle });
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// The adapter's name.
    pub fn name(&self) -> &AdapterName {
        &self.manifest.name
    }
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
    let manifest: Manifest = toml::from_str(text).map_err(|error| syntax(error.to_string()))?;
    manifest.try_into().map_err(|source| BundleError::Invalid {
        path: path.to_owned(),
        source,
    })
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, BundleError> {
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
