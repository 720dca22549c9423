//! The artifact that an archive is: its manifest, its configuration, its layers.
//!
//! The media types and the form of the configuration are those of [ModelPack](https://github.com/modelpack/model-spec), v1; titles
//! are annotated as in the [OCI image specification](https://github.com/opencontainers/image-spec/blob/main/annotations.md).
//! No time is in any of them: the same archive has the same digest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{RegistryError, Target};

pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const ARTIFACT_TYPE: &str = "application/vnd.cncf.model.manifest.v1+json";
pub(crate) const CONFIG_TYPE: &str = "application/vnd.cncf.model.config.v1+json";
/// An archive is a tar in a zstd frame.
pub(crate) const ARCHIVE_TYPE: &str = "application/vnd.cncf.model.weight.v1.tar+zstd";
/// ModelPack has no type for signatures; this is its type for a file that says something of the model.
pub(crate) const SIGNATURE_TYPE: &str = "application/vnd.cncf.model.doc.v1.raw";
/// What the file name of a signature ends in.
pub(crate) const SIGNATURE_SUFFIX: &str = ".minisig";

/// Where ORAS reads a layer's file name.
const TITLE: &str = "org.opencontainers.image.title";
/// Where ModelPack does.
const FILE_PATH: &str = "org.cncf.model.filepath";

/// What is pushed.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// The archive's bytes.
    pub archive: Vec<u8>,
    /// Its signature, a minisign one.
    pub signature: Option<Vec<u8>>,
    /// What it is.
    pub about: About,
}

/// What a registry shows of an archive.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// File name of the archive.
    pub file_name: String,
    /// The adapter.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One line on what it does.
    pub summary: String,
    /// SPDX expression.
    pub license: String,
    /// Who made it.
    pub authors: Vec<String>,
    /// Where to read more.
    pub homepage: Option<String>,
    /// The commit that it was packed from.
    pub revision: Option<String>,
    /// Family of the frozen LLM that it was made for.
    pub family: String,
    /// Trainable parameters; 0 of none.
    pub parameters: usize,
}

/// A blob: its type, digest and size.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

impl Descriptor {
    fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: digest(bytes),
            size: bytes.len() as u64,
            annotations: BTreeMap::new(),
        }
    }

    fn named(mut self, name: &str) -> Self {
        for key in [TITLE, FILE_PATH] {
            self.annotations.insert(key.to_owned(), name.to_owned());
        }
        self
    }

    fn title(&self) -> &str {
        self.annotations.get(TITLE).map_or("", String::as_str)
    }
}

/// An OCI manifest, as far as bundles need it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    artifact_type: String,
    config: Descriptor,
    layers: Vec<Descriptor>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// SHA-256 as OCI writes it.
pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Everything that is sent of an artifact: the manifest's bytes, and the blobs.
pub(crate) struct Parts {
    pub(crate) manifest: Vec<u8>,
    pub(crate) blobs: Vec<(Descriptor, Vec<u8>)>,
}

impl Artifact {
    pub(crate) fn parts(self) -> Parts {
        let Self {
            archive,
            signature,
            about,
        } = self;
        let mut layers = vec![(Descriptor::of(ARCHIVE_TYPE, &archive).named(&about.file_name), archive)];
        if let Some(signature) = signature {
            let name = format!("{}{SIGNATURE_SUFFIX}", about.file_name);
            layers.push((Descriptor::of(SIGNATURE_TYPE, &signature).named(&name), signature));
        }
        let config = serde_json::to_vec(&config(&about, &layers)).unwrap_or_default();
        let annotations = [
            ("org.opencontainers.image.title", about.name.as_str()),
            ("org.opencontainers.image.version", &about.version),
            ("org.opencontainers.image.description", &about.summary),
            ("org.opencontainers.image.licenses", &about.license),
        ];
        let annotations = annotations.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let manifest = Manifest {
            schema_version: 2,
            media_type: MANIFEST_TYPE.to_owned(),
            artifact_type: ARTIFACT_TYPE.to_owned(),
            config: Descriptor::of(CONFIG_TYPE, &config),
            layers: layers.iter().map(|(descriptor, _)| descriptor.clone()).collect(),
            annotations: annotations.into(),
        };
        let mut blobs = vec![(manifest.config.clone(), config)];
        blobs.extend(layers);
        Parts {
            // A struct of texts and numbers always has a JSON form.
            manifest: serde_json::to_vec(&manifest).unwrap_or_default(),
            blobs,
        }
    }
}

/// ModelPack's configuration.
fn config(about: &About, layers: &[(Descriptor, Vec<u8>)]) -> Value {
    // Of each layer as it is when it is unpacked.
    let diff = |(descriptor, bytes): &(Descriptor, Vec<u8>)| match descriptor.media_type.as_str() {
        ARCHIVE_TYPE => zstd::decode_all(bytes.as_slice()).map_or_else(|_| digest(bytes), |tar| digest(&tar)),
        _ => digest(bytes),
    };
    let mut descriptor = json!({
        "name": about.name,
        "version": about.version,
        "family": about.family,
        "description": about.summary,
        "licenses": [about.license],
    });
    if !about.authors.is_empty() {
        descriptor["authors"] = json!(about.authors);
    }
    if let Some(homepage) = &about.homepage {
        descriptor["docURL"] = json!(homepage);
    }
    if let Some(revision) = &about.revision {
        descriptor["revision"] = json!(revision);
    }
    json!({
        "descriptor": descriptor,
        "modelfs": {"type": "layers", "diffIds": layers.iter().map(diff).collect::<Vec<_>>()},
        "config": {
            "architecture": "transducer",
            "format": "tadapter",
            "precision": "fp32",
            "paramSize": format!("{:.1}k", about.parameters as f64 / 1e3),
        },
    })
}

impl Manifest {
    /// The manifest in these bytes, if it is that of a bundle.
    pub(crate) fn parse(bytes: &[u8], target: &Target) -> Result<Self, RegistryError> {
        let unusable = |why: String| RegistryError::Manifest {
            target: target.clone(),
            why,
        };
        let manifest: Self = serde_json::from_slice(bytes).map_err(|error| unusable(error.to_string()))?;
        let wrong = |what, found: &str, expected| RegistryError::MediaType {
            target: target.clone(),
            what,
            found: found.chars().take(100).collect(),
            expected,
        };
        if manifest.artifact_type != ARTIFACT_TYPE {
            return Err(wrong("its artifactType", &manifest.artifact_type, ARTIFACT_TYPE));
        }
        if manifest.config.media_type != CONFIG_TYPE {
            let found = &manifest.config.media_type;
            return Err(wrong("the type of its configuration", found, CONFIG_TYPE));
        }
        let is_digest = |digest: &str| {
            let hex = digest.strip_prefix("sha256:").unwrap_or_default();
            hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        if let Some(layer) = manifest.layers.iter().find(|layer| !is_digest(&layer.digest)) {
            return Err(unusable(format!("{:?} is no SHA-256 digest", layer.digest)));
        }
        let archives = manifest.layers.iter().filter(|layer| layer.media_type == ARCHIVE_TYPE);
        match archives.count() {
            1 => Ok(manifest),
            0 => {
                let found = manifest.layers.first().map_or("", |layer| layer.media_type.as_str());
                Err(wrong("the type of its first layer", found, ARCHIVE_TYPE))
            }
            count => Err(unusable(format!("it has {count} archives, a bundle is one"))),
        }
    }

    /// The archive.
    pub(crate) fn archive(&self) -> &Descriptor {
        let archive = self.layers.iter().find(|layer| layer.media_type == ARCHIVE_TYPE);
        archive.expect("a manifest is parsed only with an archive")
    }

    pub(crate) fn signature(&self) -> Option<&Descriptor> {
        let is_signature =
            |layer: &&Descriptor| layer.media_type == SIGNATURE_TYPE && layer.title().ends_with(SIGNATURE_SUFFIX);
        self.layers.iter().find(is_signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_is_what_a_reader_expects_and_the_same_twice() {
        let artifact = Artifact {
            archive: zstd::encode_all(&b"a tar"[..], 1).expect("compressed"),
            signature: Some(b"signed".to_vec()),
            about: About {
                file_name: "a-1.0.0.tadapter".to_owned(),
                name: "a".to_owned(),
                ..About::default()
            },
        };
        let (first, second) = (artifact.clone().parts(), artifact.parts());
        assert_eq!(first.manifest, second.manifest);
        let target: Target = "localhost:1/a:1".parse().expect("a target");
        let manifest = Manifest::parse(&first.manifest, &target).expect("a bundle's");
        assert_eq!(manifest.archive().title(), "a-1.0.0.tadapter");
        assert_eq!(manifest.signature().expect("a signature").size, 6);
        let config: Value = serde_json::from_slice(&first.blobs[0].1).expect("JSON");
        assert_eq!(config["modelfs"]["diffIds"][0], digest(b"a tar"));

        let image = String::from_utf8(first.manifest)
            .expect("JSON")
            .replace(ARTIFACT_TYPE, "image");
        let error = Manifest::parse(image.as_bytes(), &target).expect_err("another type");
        assert!(error.to_string().contains("its artifactType is \"image\""), "{error}");
    }
}
