//! Which front end speaks which language.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::{Path, PathBuf};

use abi_stable::std_types::RSlice;
use transducer_cpg::wire::{self, WireError};
use transducer_cpg::{Cpg, InvalidCpg};
use transducer_frontend::{FrontEndModuleRef, ParseError, ParseLimits};

use crate::LoadError;
use crate::library;

/// What a front end's file is called, after the system's prefix.
const STEM: &str = "transducer_frontend_";

/// A language that can be parsed, and who parses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Language {
    /// Its name in lower case: `java`.
    pub name: String,
    /// Extensions of its files, without the dot.
    pub extensions: Vec<String>,
    /// The front end's name.
    pub frontend: String,
    /// The front end's version.
    pub version: String,
    /// Where the front end was loaded from.
    pub path: PathBuf,
}

/// Why a source gave no graph.
#[derive(Debug, thiserror::Error)]
pub enum ParseFailure {
    /// No front end for the language is loaded.
    #[error("no front end for `{language}`; loaded: {known}")]
    UnknownLanguage {
        /// The language asked for.
        language: String,
        /// The languages there are, or `none`.
        known: String,
    },
    /// The front end gave none.
    #[error("{language}: {error}")]
    FrontEnd {
        /// The language.
        language: String,
        /// What the front end said.
        error: ParseError,
    },
    /// The front end's answer is no encoded graph.
    #[error("the front end for `{language}` answered with something else than a graph: {error}")]
    Wire {
        /// The language.
        language: String,
        /// What is wrong with the answer.
        error: WireError,
    },
    /// The front end's graph does not fit the source.
    #[error("the front end for `{language}` answered with a graph of another source: {error}")]
    Source {
        /// The language.
        language: String,
        /// Where it does not fit.
        error: InvalidCpg,
    },
}

/// The loaded front ends.
#[derive(Default)]
pub struct FrontEnds {
    languages: Vec<Language>,
    /// Of the language with the same index.
    modules: Vec<FrontEndModuleRef>,
}

impl std::fmt::Debug for FrontEnds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FrontEnds")
            .field("languages", &self.languages)
            .finish_non_exhaustive()
    }
}

impl FrontEnds {
    /// One front end, from its library.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        let mut frontends = Self::default();
        frontends.add(path)?;
        Ok(frontends)
    }

    /// Every front end of a folder: the files named `libtransducer_frontend_<language>.so`, or as the system has it.
    ///
    /// # Errors
    /// [`LoadError`] for the first file that does not load, in the order of their names, and where there is none.
    pub fn load_dir(path: &Path) -> Result<Self, LoadError> {
        let mut frontends = Self::default();
        for library in Self::files(path)? {
            frontends.add(&library)?;
        }
        Ok(frontends)
    }

    /// The files that [`FrontEnds::load_dir`] would load, in that order.
    ///
    /// # Errors
    /// [`LoadError`] for a folder that cannot be read, or that has none.
    pub fn files(path: &Path) -> Result<Vec<PathBuf>, LoadError> {
        let cannot_read = |source| LoadError::Read {
            path: path.to_owned(),
            source,
        };
        let prefix = format!("{DLL_PREFIX}{STEM}");
        let mut libraries = Vec::new();
        for entry in std::fs::read_dir(path).map_err(cannot_read)? {
            let file = entry.map_err(cannot_read)?.path();
            let name = file.file_name().and_then(|name| name.to_str());
            if name.is_some_and(|name| name.starts_with(&prefix) && name.ends_with(DLL_SUFFIX)) {
                libraries.push(file);
            }
        }
        if libraries.is_empty() {
            let pattern = format!("{prefix}<language>{DLL_SUFFIX}");
            return Err(LoadError::NoneFound {
                path: path.to_owned(),
                pattern,
            });
        }
        libraries.sort();
        Ok(libraries)
    }

    /// Loads one more front end.
    ///
    /// # Errors
    /// [`LoadError`]; the front ends loaded before stay as they are.
    pub fn add(&mut self, path: &Path) -> Result<&Language, LoadError> {
        let module = library::load(path)?;
        let info = module.describe()();
        let language = Language {
            name: info.language.into_string(),
            extensions: info.extensions.into_iter().map(Into::into).collect(),
            frontend: info.name.into_string(),
            version: info.version.into_string(),
            path: path.to_owned(),
        };
        if let Some(by) = self.language(&language.name) {
            let by = by.path.clone();
            return Err(LoadError::LanguageTaken {
                path: path.to_owned(),
                language: language.name,
                by,
            });
        }
        tracing::debug!(language = language.name, frontend = language.frontend, path = %path.display(), "loaded a front end");
        self.modules.push(module);
        self.languages.push(language);
        Ok(&self.languages[self.languages.len() - 1])
    }

    /// The languages, in the order they were loaded.
    pub fn languages(&self) -> &[Language] {
        &self.languages
    }

    /// The language of that name.
    pub fn language(&self, name: &str) -> Option<&Language> {
        self.languages.iter().find(|language| language.name == name)
    }

    /// The language whose files have this extension (without the dot, in any case); of several, the one loaded first.
    pub fn by_extension(&self, extension: &str) -> Option<&Language> {
        let matches = |known: &String| known.eq_ignore_ascii_case(extension);
        self.languages
            .iter()
            .find(|language| language.extensions.iter().any(matches))
    }

    /// The graph of a source within [`ParseLimits::DEFAULT`].
    ///
    /// # Errors
    /// [`ParseFailure`].
    pub fn parse(&self, language: &str, source: &str) -> Result<Cpg, ParseFailure> {
        self.parse_within(language, source, ParseLimits::DEFAULT)
    }

    /// The graph of a source within limits of one's own; it is checked to be one of this very source.
    ///
    /// # Errors
    /// [`ParseFailure`].
    pub fn parse_within(&self, language: &str, source: &str, limits: ParseLimits) -> Result<Cpg, ParseFailure> {
        let Some(index) = self.languages.iter().position(|known| known.name == language) else {
            let known: Vec<&str> = self.languages.iter().map(|language| language.name.as_str()).collect();
            let known = if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            };
            return Err(ParseFailure::UnknownLanguage {
                language: language.to_owned(),
                known,
            });
        };
        let language = || language.to_owned();
        let bytes = self.modules[index].parse()(RSlice::from_slice(source.as_bytes()), limits)
            .into_result()
            .map_err(|error| ParseFailure::FrontEnd {
                language: language(),
                error,
            })?;
        let cpg = wire::decode(&bytes).map_err(|error| ParseFailure::Wire {
            language: language(),
            error,
        })?;
        cpg.check_source(source).map_err(|error| ParseFailure::Source {
            language: language(),
            error,
        })?;
        Ok(cpg)
    }
}
