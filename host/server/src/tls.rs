//! TLS in front of the routes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Two round trips, and time to send a lost packet again. A client that needs longer is gone, or holds a connection on purpose.
const HANDSHAKE_TIME: Duration = Duration::from_secs(5);

/// How often, at most, the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// A server's certificate and key, as their files have them: certificates are renewed while servers run.
#[derive(Clone, Debug)]
pub struct Tls(Arc<Mutex<Pair>>);

#[derive(Debug)]
struct Pair {
    cert: PathBuf,
    key: PathBuf,
    config: Arc<ServerConfig>,
    /// Of the files when they were read last.
    changed: Changed,
    looked: Instant,
}

/// When a certificate and its key were changed, where that can be told.
type Changed = [Option<SystemTime>; 2];

/// A certificate or a key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that cannot be read, or is not PEM.
    #[error("cannot read {path}: {source}; expected PEM")]
    Pem {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// There is nothing in it.
    #[error("{path} has no certificate in it; expected PEM, the server's own first")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// They do not go together, or are of a kind that there is not here.
    #[error("the certificate {cert} and the key {key}: {source}")]
    Pair {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's.
        key: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
}

impl Tls {
    /// Reads a chain of certificates, the server's own first, and its key, both in PEM. Files that change later are read again.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn open(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let changed = changed(cert, key);
        Ok(Self(Arc::new(Mutex::new(Pair {
            config: read(cert, key)?,
            cert: cert.to_owned(),
            key: key.to_owned(),
            changed,
            looked: Instant::now(),
        }))))
    }

    /// What the files hold now. Where that cannot be used, as between the change of one file and that of the other, it is what they
    /// held before.
    fn now(&self) -> Arc<ServerConfig> {
        let mut pair = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pair.looked.elapsed() >= LOOK {
            pair.looked = Instant::now();
            let changed = changed(&pair.cert, &pair.key);
            if changed != pair.changed {
                pair.changed = changed;
                match read(&pair.cert, &pair.key) {
                    Ok(config) => {
                        tracing::info!(cert = %pair.cert.display(), "the certificate was read again");
                        pair.config = config;
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the certificate changed and cannot be used; the one before goes on");
                    }
                }
            }
        }
        pair.config.clone()
    }
}

fn changed(cert: &Path, key: &Path) -> Changed {
    [cert, key].map(|path| path.metadata().and_then(|file| file.modified()).ok())
}

fn read(cert: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let unreadable = |path: &Path, source| TlsError::Pem {
        path: path.to_owned(),
        source,
    };
    let chain = CertificateDer::pem_file_iter(cert).map_err(|source| unreadable(cert, source))?;
    let chain: Vec<_> = chain
        .collect::<Result<_, _>>()
        .map_err(|source| unreadable(cert, source))?;
    if chain.is_empty() {
        return Err(TlsError::Empty { path: cert.to_owned() });
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|source| unreadable(key, source))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret));
    let mut config = config.map_err(|source| TlsError::Pair {
        cert: cert.to_owned(),
        key: key.to_owned(),
        source,
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The connection once its handshake is done; none where it failed.
pub(crate) async fn handshake(tls: &Tls, stream: TcpStream, address: SocketAddr) -> Option<TlsStream<TcpStream>> {
    let acceptor = TlsAcceptor::from(tls.now());
    match tokio::time::timeout(HANDSHAKE_TIME, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::debug!(%address, %error, "a TLS handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!(%address, "a TLS handshake took longer than {HANDSHAKE_TIME:?}");
            None
        }
    }
}
