//! The worlds that a task can be built for, as they are published in `sdk/wit`.

use std::path::Path;

use crate::GuestError;

/// The files of a world's package.
type Files = [(&'static str, &'static str); 4];

macro_rules! files {
    ($version:literal) => {
        [
            (
                "cpg.wit",
                include_str!(concat!("../../../sdk/wit/", $version, "/cpg.wit")),
            ),
            (
                "log.wit",
                include_str!(concat!("../../../sdk/wit/", $version, "/log.wit")),
            ),
            (
                "types.wit",
                include_str!(concat!("../../../sdk/wit/", $version, "/types.wit")),
            ),
            (
                "world.wit",
                include_str!(concat!("../../../sdk/wit/", $version, "/world.wit")),
            ),
        ]
    };
}

/// Each world by the name that a manifest gives it.
const WORLDS: [(&str, Files); 2] = [
    ("transducer:task@1.0.0", files!("1.0.0")),
    ("transducer:task@1.1.0", files!("1.1.0")),
];

/// The world's name inside its package.
pub(crate) const WORLD: &str = "task";

/// The world that a bundle's manifest names.
pub(crate) fn world_of(folder: &Path) -> Result<String, GuestError> {
    let path = folder.join("adapter.toml");
    let text = crate::read_text(&path)?;
    let world = text.parse::<toml::Table>().ok().and_then(|manifest| {
        let world = manifest.get("task")?.get("world")?.as_str()?;
        Some(world.to_owned())
    });
    world.ok_or(GuestError::NoWorld { path })
}

/// The package of a world, in a folder that is gone with the value.
pub(crate) fn unpacked(world: &str) -> Result<tempfile::TempDir, GuestError> {
    let Some((_, files)) = WORLDS.iter().find(|(name, _)| *name == world) else {
        return Err(GuestError::UnknownWorld {
            found: world.to_owned(),
            known: WORLDS.map(|(name, _)| name).join(", "),
        });
    };
    let folder = tempfile::tempdir().map_err(|source| GuestError::Write {
        path: std::env::temp_dir(),
        source,
    })?;
    for (name, text) in files {
        crate::write(&folder.path().join(name), text.as_bytes())?;
    }
    Ok(folder)
}
