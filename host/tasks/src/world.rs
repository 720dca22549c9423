//! Which world a component was built for: read from its bytes, before anything in it is compiled.

use std::fmt;

use semver::Version;
use wasmparser::{Parser, Payload};

use crate::TaskError;

/// The package of every world, without its version.
const PACKAGE: &str = "transducer:task/";

/// The interfaces that a task may import. `types` holds no function: it is there for the types of the others.
const IMPORTS: [&str; 3] = ["cpg", "log", "types"];

/// The interface that a task must export.
const EXPORT: &str = "transducer:task/handler";

/// A version of the world that tasks are built for. What each one is stands in `sdk/wit`, a frozen folder a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum World {
    /// `transducer:task@1.0.0`.
    V1_0,
    /// `transducer:task@1.1.0`, in which a task may have metrics of its own.
    V1_1,
}

impl World {
    /// Every world that this host runs, the oldest first.
    pub const ALL: [Self; 2] = [Self::V1_0, Self::V1_1];

    /// The newest of them.
    pub const NEWEST: Self = Self::V1_1;

    /// Its name with its version, as a manifest has it.
    pub const fn name(self) -> &'static str {
        match self {
            World::V1_0 => "transducer:task@1.0.0",
            World::V1_1 => "transducer:task@1.1.0",
        }
    }

    /// Its version.
    pub fn version(self) -> &'static str {
        self.name().rsplit_once('@').map_or("", |(_, version)| version)
    }

    /// The world of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|world| world.name() == name)
    }

    /// The names of all, for a message.
    pub fn known() -> String {
        Self::ALL.map(|world| format!("`{world}`")).join(" and ")
    }

    /// One of its interfaces with its version.
    pub(crate) fn interface(self, interface: &str) -> String {
        format!("{PACKAGE}{interface}@{}", self.version())
    }

    /// Reads which world a component was built for, from the names of what it imports and exports.
    ///
    /// # Errors
    /// [`TaskError::InvalidComponent`] for bytes that cannot be read, [`TaskError::NewerWorld`],
    /// [`TaskError::UnsupportedWorld`] and [`TaskError::MixedWorlds`] for versions that this host does not have,
    /// [`TaskError::UnknownImport`] and [`TaskError::MissingExport`] for what is no task.
    pub fn of(component: &[u8]) -> Result<Self, TaskError> {
        let names = Names::read(component).map_err(|error| TaskError::InvalidComponent {
            message: error.to_string(),
        })?;
        // A wrong version first: it explains the imports that are unknown because of it.
        let world = names.version()?.map(known).transpose()?;
        let allowed = |name: &str| match world {
            Some(world) => IMPORTS.iter().any(|import| name == world.interface(import)),
            None => false,
        };
        if let Some(name) = names.imports.iter().find(|name| !allowed(name)) {
            return Err(TaskError::UnknownImport { name: told(name) });
        }
        match world {
            Some(world) if names.exports.contains(&world.interface("handler").as_str()) => Ok(world),
            _ => Err(TaskError::MissingExport { name: EXPORT }),
        }
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name in a component that was not looked at yet: it may be long, and hold what a terminal obeys.
fn told(name: &str) -> String {
    name.escape_debug().take(100).collect()
}

/// The world of a version, if this host has it.
fn known(version: &str) -> Result<World, TaskError> {
    if let Some(world) = World::ALL.into_iter().find(|world| world.version() == version) {
        return Ok(world);
    }
    let found = format!("transducer:task@{}", told(version));
    let newest = Version::parse(World::NEWEST.version());
    match (Version::parse(version), newest) {
        (Ok(version), Ok(newest)) if version > newest => Err(TaskError::NewerWorld { found }),
        _ => Err(TaskError::UnsupportedWorld { found }),
    }
}

/// What a component imports and exports at its top level.
#[derive(Default)]
struct Names<'a> {
    imports: Vec<&'a str>,
    exports: Vec<&'a str>,
}

impl<'a> Names<'a> {
    fn read(component: &'a [u8]) -> Result<Self, wasmparser::BinaryReaderError> {
        let mut names = Self::default();
        // Modules and components in it have imports and exports of their own.
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(component) {
            match payload? {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        names.imports.push(import?.name.name);
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        names.exports.push(export?.name.name);
                    }
                }
                _ => {}
            }
        }
        Ok(names)
    }

    /// The one version of our package in all names; none where the package is not named.
    fn version(&self) -> Result<Option<&'a str>, TaskError> {
        let names = self.exports.iter().chain(&self.imports);
        let mut versions = names.filter_map(|name| Some(name.strip_prefix(PACKAGE)?.rsplit_once('@')?.1));
        let Some(first) = versions.next() else {
            return Ok(None);
        };
        match versions.find(|version| *version != first) {
            None => Ok(Some(first)),
            Some(other) => Err(TaskError::MixedWorlds {
                found: [first, other].map(|version| format!("transducer:task@{}", told(version))),
            }),
        }
    }
}
