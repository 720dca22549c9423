//! One artifact's place in a registry, and what goes there and comes from there.

use std::io::{self, Read};

use ureq::SendBody;
use ureq::http::StatusCode;

use crate::form::{Descriptor, MANIFEST_TYPE, Manifest, digest};
use crate::http::{Http, Said};
use crate::{Artifact, RegistryError, Target};

/// A bundle's manifest is a KB or two.
const MAX_MANIFEST: u64 = 1 << 20;
/// What blobs are sent as.
const OCTETS: &str = "application/octet-stream";
/// Where a registry repeats the digest of a manifest.
const DIGEST_HEADER: &str = "docker-content-digest";

/// Told how many bytes more have been moved.
pub type Progress<'a> = dyn Fn(u64) + 'a;

/// How much may come.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of an archive.
    pub archive: u64,
    /// Bytes of a signature.
    pub signature: u64,
}

/// What was pulled. That the bytes are those that the manifest names is known, and nothing else of them.
#[derive(Debug)]
pub struct Pulled {
    /// Of the manifest, `sha256:…`.
    pub digest: String,
    /// The archive.
    pub archive: Vec<u8>,
    /// Its signature, if one was pushed with it.
    pub signature: Option<Vec<u8>>,
}

/// One artifact's place in a registry.
pub struct Remote {
    target: Target,
    http: Http,
}

impl Remote {
    /// The place that `target` names. `login` is a name and a password; without it, docker's configuration is asked.
    ///
    /// # Errors
    /// [`RegistryError::PlainHttp`] and [`RegistryError::Credentials`].
    pub fn new(target: Target, login: Option<(String, String)>, plain_http: bool) -> Result<Self, RegistryError> {
        let http = Http::new(target.clone(), login, plain_http)?;
        Ok(Self { target, http })
    }

    /// Puts an artifact there; what the registry has of it already is not sent again. Returns the manifest's digest.
    ///
    /// # Errors
    /// [`RegistryError`]; the tag is moved last, so that it never names half an artifact.
    pub fn push(&mut self, artifact: Artifact, progress: &Progress<'_>) -> Result<String, RegistryError> {
        if self.target.digest().is_some() {
            return Err(RegistryError::PushToDigest {
                target: self.target.clone(),
            });
        }
        let parts = artifact.parts();
        for (descriptor, bytes) in &parts.blobs {
            self.push_blob(descriptor, bytes, progress)?;
        }
        let expected = digest(&parts.manifest);
        let url = self.http.url(&format!("manifests/{}", self.target.reference()));
        let mut manifest = parts.manifest.as_slice();
        let length = manifest.len();
        let said = self
            .http
            .put(&url, MANIFEST_TYPE, length, SendBody::from_reader(&mut manifest))?;
        let said = self.hoped(said, &[StatusCode::CREATED])?;
        if let Some(found) = said.header(DIGEST_HEADER) {
            self.same("the manifest", &expected, found)?;
        }
        Ok(expected)
    }

    fn push_blob(
        &mut self,
        descriptor: &Descriptor,
        bytes: &[u8],
        progress: &Progress<'_>,
    ) -> Result<(), RegistryError> {
        let url = self.http.url(&format!("blobs/{}", descriptor.digest));
        if self.http.ask("HEAD", &url, "")?.status() == StatusCode::OK {
            progress(descriptor.size);
            return Ok(());
        }
        let url = self.http.url("blobs/uploads/");
        let said = self.http.ask("POST", &url, "")?;
        let said = self.hoped(said, &[StatusCode::ACCEPTED])?;
        let location = self.http.location(&said);
        let location =
            location.ok_or_else(|| self.http.other("the registry says not where to upload to".to_owned()))?;
        let mark = if location.contains('?') { '&' } else { '?' };
        let url = format!("{location}{mark}digest={}", descriptor.digest);
        let mut counted = Counted { bytes, progress };
        let said = self
            .http
            .put(&url, OCTETS, bytes.len(), SendBody::from_reader(&mut counted))?;
        self.hoped(said, &[StatusCode::CREATED]).map(drop)
    }

    /// Fetches what is there. `begin` is told how many bytes will come.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn pull(
        &mut self,
        limits: Limits,
        begin: &Progress<'_>,
        progress: &Progress<'_>,
    ) -> Result<Pulled, RegistryError> {
        let url = self.http.url(&format!("manifests/{}", self.target.reference()));
        let said = self.http.ask("GET", &url, MANIFEST_TYPE)?;
        let mut said = self.hoped(said, &[StatusCode::OK])?;
        let (bytes, _) = read(&mut said, MAX_MANIFEST + 1, &|_| ());
        self.within("the manifest", bytes.len() as u64, MAX_MANIFEST)?;
        let found = digest(&bytes);
        if let Some(expected) = self.target.digest() {
            self.same("the manifest", expected, &found)?;
        }
        let manifest = Manifest::parse(&bytes, &self.target)?;
        self.within("the archive", manifest.archive().size, limits.archive)?;
        begin(manifest.archive().size);
        let archive = self.blob("the archive", manifest.archive(), progress)?;
        let signature = match manifest.signature() {
            Some(signature) => {
                self.within("the signature", signature.size, limits.signature)?;
                Some(self.blob("the signature", signature, &|_| ())?)
            }
            None => None,
        };
        Ok(Pulled {
            digest: found,
            archive,
            signature,
        })
    }

    /// A blob, no byte more or less than its descriptor says.
    fn blob(
        &mut self,
        what: &'static str,
        wanted: &Descriptor,
        progress: &Progress<'_>,
    ) -> Result<Vec<u8>, RegistryError> {
        let url = self.http.url(&format!("blobs/{}", wanted.digest));
        let said = self.http.ask("GET", &url, "")?;
        let mut said = self.hoped(said, &[StatusCode::OK])?;
        // One byte more tells a blob that is longer.
        let (bytes, why) = read(&mut said, wanted.size + 1, progress);
        let found = bytes.len() as u64;
        self.within(what, found, wanted.size)?;
        if found < wanted.size {
            return Err(RegistryError::Truncated {
                target: self.target.clone(),
                what,
                found,
                expected: wanted.size,
                why,
            });
        }
        self.same(what, &wanted.digest, &digest(&bytes))?;
        Ok(bytes)
    }

    fn hoped(&self, said: Said, hoped: &[StatusCode]) -> Result<Said, RegistryError> {
        if hoped.contains(&said.status()) {
            return Ok(said);
        }
        Err(self.http.refusal(said))
    }

    fn within(&self, what: &'static str, found: u64, limit: u64) -> Result<(), RegistryError> {
        if found <= limit {
            return Ok(());
        }
        Err(RegistryError::TooLarge {
            target: self.target.clone(),
            what,
            found,
            limit,
        })
    }

    fn same(&self, what: &'static str, expected: &str, found: &str) -> Result<(), RegistryError> {
        if expected == found {
            return Ok(());
        }
        Err(RegistryError::Digest {
            target: self.target.clone(),
            what,
            found: found.to_owned(),
            expected: expected.to_owned(),
        })
    }
}

/// A body, up to so many bytes, and why it ended if that was not its end.
fn read(said: &mut Said, limit: u64, progress: &Progress<'_>) -> (Vec<u8>, String) {
    let mut body = said.response.body_mut().as_reader().take(limit);
    let (mut bytes, mut piece) = (Vec::new(), [0; 64 << 10]);
    loop {
        match body.read(&mut piece) {
            Ok(0) => return (bytes, "the registry sent no more".to_owned()),
            Ok(count) => {
                bytes.extend_from_slice(&piece[..count]);
                progress(count as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (bytes, error.to_string()),
        }
    }
}

/// Bytes that are counted as they are sent.
struct Counted<'a> {
    bytes: &'a [u8],
    progress: &'a Progress<'a>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        (self.progress)(count as u64);
        Ok(count)
    }
}
