//! A registry, and what goes there and comes from there.

use std::sync::Arc;
use std::time::Duration;

use docker_credential::{CredentialRetrievalError, DockerCredential};
use futures_util::{StreamExt, stream};
use oci_client::client::{Client, ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;

use crate::error::named;
use crate::form::{Descriptor, MANIFEST_TYPE, Manifest, digest};
use crate::{Artifact, RegistryError, Target};

/// A registry that says nothing for so long is not there.
const CONNECT_TIME: Duration = Duration::from_secs(15);
/// A transfer that stands still for so long is over.
const SILENCE: Duration = Duration::from_secs(60);
/// Bytes that are sent at a time: a bar moves, and the system is not called for every few bytes.
const CHUNK: usize = 64 << 10;
/// A bundle's manifest is a KB or two.
const MAX_MANIFEST: u64 = 1 << 20;

/// Told how many bytes more have been moved.
pub type Progress = Arc<dyn Fn(u64) + Send + Sync>;

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
    client: Client,
    auth: RegistryAuth,
    user: Option<String>,
    runtime: tokio::runtime::Runtime,
}

impl Remote {
    /// The place that `target` names. `login` is a name and a password; without it, docker's configuration is asked.
    ///
    /// # Errors
    /// [`RegistryError::PlainHttp`] and [`RegistryError::Credentials`].
    pub fn new(target: Target, login: Option<(String, String)>, plain_http: bool) -> Result<Self, RegistryError> {
        if plain_http && !target.is_loopback() {
            return Err(RegistryError::PlainHttp {
                registry: target.registry().to_owned(),
            });
        }
        // Of the process; whoever was first has chosen.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::new(ClientConfig {
            protocol: if plain_http {
                ClientProtocol::Http
            } else {
                ClientProtocol::Https
            },
            connect_timeout: Some(CONNECT_TIME),
            read_timeout: Some(SILENCE),
            use_monolithic_push: true,
            user_agent: concat!("transducer-host/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        });
        let auth = match login {
            Some((user, password)) => RegistryAuth::Basic(user, password),
            None => kept_login(target.registry())?,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Self {
            user: match &auth {
                RegistryAuth::Basic(user, _) => Some(user.clone()),
                _ => None,
            },
            runtime: runtime.map_err(|error| RegistryError::Other {
                target: target.clone(),
                why: error.to_string(),
            })?,
            target,
            client,
            auth,
        })
    }

    /// Puts an artifact there; what the registry has of it already is not sent again. Returns the manifest's digest.
    ///
    /// # Errors
    /// [`RegistryError`]; the tag is moved last, so that it never names half an artifact.
    pub fn push(&self, artifact: Artifact, progress: &Progress) -> Result<String, RegistryError> {
        if self.target.digest().is_some() {
            return Err(RegistryError::PushToDigest {
                target: self.target.clone(),
            });
        }
        let parts = artifact.parts();
        let expected = digest(&parts.manifest);
        self.runtime.block_on(async {
            let reference = self.target.reference();
            self.client
                .store_auth_if_needed(self.target.registry(), &self.auth)
                .await;
            let sending = async {
                for (descriptor, bytes) in parts.blobs {
                    if self.client.blob_exists(reference, &descriptor.digest).await? {
                        progress(descriptor.size);
                    } else {
                        let chunks = sent(bytes, progress.clone());
                        let size = Some(descriptor.size);
                        self.client
                            .push_blob_stream(reference, chunks, &descriptor.digest, size)
                            .await?;
                    }
                }
                let content_type = MANIFEST_TYPE
                    .parse()
                    .map_err(|_| OciDistributionError::PushNoDataError)?;
                self.client
                    .push_manifest_raw(reference, parts.manifest, content_type)
                    .await?;
                self.client.fetch_manifest_digest(reference, &self.auth).await
            };
            let found = sending.await.map_err(|error| self.named(error))?;
            self.same("the manifest", &expected, &found)?;
            Ok(expected)
        })
    }

    /// Fetches what is there. `begin` is told how many bytes will come.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn pull(&self, limits: Limits, begin: &dyn Fn(u64), progress: &Progress) -> Result<Pulled, RegistryError> {
        self.runtime.block_on(async {
            let reference = self.target.reference();
            let manifest = self
                .client
                .pull_manifest_raw(reference, &self.auth, &[MANIFEST_TYPE])
                .await;
            let (bytes, _) = manifest.map_err(|error| self.named(error))?;
            self.within("the manifest", bytes.len() as u64, MAX_MANIFEST)?;
            let found = digest(&bytes);
            if let Some(expected) = self.target.digest() {
                self.same("the manifest", expected, &found)?;
            }
            let manifest = Manifest::parse(&bytes, &self.target)?;
            let archive = manifest.archive().ok_or_else(|| RegistryError::Manifest {
                target: self.target.clone(),
                why: "it has no archive".to_owned(),
            })?;
            self.within("the archive", archive.size, limits.archive)?;
            begin(archive.size);
            let archive = self.blob("the archive", archive, progress).await?;
            let signature = match manifest.signature() {
                Some(signature) => {
                    self.within("the signature", signature.size, limits.signature)?;
                    let silent: Progress = Arc::new(|_| ());
                    Some(self.blob("the signature", signature, &silent).await?)
                }
                None => None,
            };
            Ok(Pulled {
                digest: found,
                archive,
                signature,
            })
        })
    }

    /// A blob, no byte more or less than its descriptor says.
    async fn blob(
        &self,
        what: &'static str,
        wanted: &Descriptor,
        progress: &Progress,
    ) -> Result<Vec<u8>, RegistryError> {
        let reference = self.target.reference();
        let stream = self.client.pull_blob_stream(reference, wanted.digest.as_str()).await;
        let mut stream = stream.map_err(|error| self.named(error))?.stream;
        let mut bytes = Vec::new();
        let mut broken = None;
        while let Some(chunk) = stream.next().await {
            match chunk {
                Ok(chunk) => {
                    progress(chunk.len() as u64);
                    bytes.extend_from_slice(&chunk);
                    self.within(what, bytes.len() as u64, wanted.size)?;
                }
                // A connection that was cut, or the client's own check of the digest: both are told below, by what came.
                Err(error) => {
                    broken = Some(error);
                    break;
                }
            }
        }
        if (bytes.len() as u64) < wanted.size {
            return Err(RegistryError::Truncated {
                target: self.target.clone(),
                what,
                found: bytes.len() as u64,
                expected: wanted.size,
            });
        }
        self.same(what, &wanted.digest, &digest(&bytes))?;
        match broken {
            None => Ok(bytes),
            Some(error) => Err(RegistryError::Other {
                target: self.target.clone(),
                why: error.to_string(),
            }),
        }
    }

    fn named(&self, error: OciDistributionError) -> RegistryError {
        named(error, &self.target, self.user.as_deref())
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

/// A blob in pieces, each counted when it is taken.
fn sent<B: From<Vec<u8>>>(
    bytes: Vec<u8>,
    progress: Progress,
) -> impl futures_util::Stream<Item = Result<B, OciDistributionError>> + Send + 'static {
    let pieces: Vec<Vec<u8>> = bytes.chunks(CHUNK).map(<[u8]>::to_vec).collect();
    stream::iter(pieces).map(move |piece| {
        progress(piece.len() as u64);
        Ok(B::from(piece))
    })
}

/// What `docker login` has kept; nobody, where it has kept nothing.
fn kept_login(registry: &str) -> Result<RegistryAuth, RegistryError> {
    match docker_credential::get_credential(registry) {
        Ok(DockerCredential::UsernamePassword(user, password)) => Ok(RegistryAuth::Basic(user, password)),
        Ok(DockerCredential::IdentityToken(_)) => Err(RegistryError::Credentials {
            registry: registry.to_owned(),
            why: "it is an identity token, which this program cannot use; set TRANSDUCER_REGISTRY_USER and \
                  TRANSDUCER_REGISTRY_PASSWORD"
                .to_owned(),
        }),
        Err(CredentialRetrievalError::ConfigNotFound | CredentialRetrievalError::NoCredentialConfigured) => {
            Ok(RegistryAuth::Anonymous)
        }
        // What docker's helpers say of a registry that nobody has logged in to.
        Err(CredentialRetrievalError::HelperFailure { stdout, .. }) if stdout.contains("credentials not found") => {
            Ok(RegistryAuth::Anonymous)
        }
        Err(error) => Err(RegistryError::Credentials {
            registry: registry.to_owned(),
            why: error.to_string(),
        }),
    }
}
