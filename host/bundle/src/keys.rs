//! An author's key pair, and signing with it. The files are those of `minisign`, which can be used on them as well.

use std::fmt;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use atomic_write_file::AtomicWriteFile;
use base64::Engine;
use minisign::{KeyPair, PError, SecretKeyBox};

use crate::signature::{beside, read_text};
use crate::{BundleError, Package, PublicKey, SignatureError};

/// How `minisign` says that a secret key has no passphrase: the two bytes after the algorithm's.
const NO_PASSPHRASE: &[u8] = &[0, 0];

/// A key pair that cannot be made, or a signature that cannot be made with it.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file system.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A key is never overwritten: what was signed with it could not be signed again.
    #[error("{path} is there already: a key is never overwritten, choose another name or move it away")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The secret key.
    #[error("cannot use the secret key {path}: {source}")]
    Secret {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: PError,
    },
    /// The key is none that Model Signing uses.
    #[error(
        "{path} is no unencrypted P-256 key in PEM: \
         `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {path}` makes one"
    )]
    Pem {
        /// Its file.
        path: PathBuf,
    },
    /// No key pair came about.
    #[error("cannot make a key pair: {0}")]
    Generate(PError),
    /// No signature came about.
    #[error("cannot sign {archive}: {source}")]
    Sign {
        /// The archive.
        archive: PathBuf,
        /// Why.
        source: PError,
    },
    /// What is to be signed.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A folder cannot be signed.
    #[error("{path} is a folder, and only a .tadapter file can be signed: `transducer-host pack` makes one")]
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// What was written does not verify.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

/// The number by which minisign tells keys apart. Anybody can make a key with any number: it names a key and proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId([u8; 8]);

impl KeyId {
    /// The number in a key or a signature: both have it after the two letters of the algorithm.
    pub(crate) fn in_base64(text: &str) -> Option<Self> {
        let bytes = base64::engine::general_purpose::STANDARD.decode(text.trim()).ok()?;
        Some(Self(bytes.get(2..10)?.try_into().ok()?))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As minisign prints it: a little-endian number.
        write!(f, "{:016X}", u64::from_le_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KeyId {
    type Err = NoKeyId;

    fn from_str(text: &str) -> Result<Self, NoKeyId> {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u64::from_str_radix(text, 16).ok().filter(|_| digits);
        number
            .map(|number| Self(number.to_le_bytes()))
            .ok_or_else(|| NoKeyId(text.to_owned()))
    }
}

/// A text that is no [`KeyId`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no key id: it has 16 hexadecimal digits, as in E7620F1842B4E81F")]
pub struct NoKeyId(pub String);

/// What a new secret key is protected with.
#[derive(Clone, Debug)]
pub enum Passphrase {
    /// Nothing: whoever reads the file can sign.
    None,
    /// This.
    Given(String),
    /// What is typed at the terminal.
    Asked,
}

/// Makes a key pair: `secret` for its owner's eyes only, `public` to be published.
///
/// # Errors
/// [`KeyError`]; a file that is there is left as it is.
pub fn generate_key(secret: &Path, public: &Path, passphrase: Passphrase) -> Result<PublicKey, KeyError> {
    // Before a passphrase is asked for.
    for path in [secret, public] {
        if path.symlink_metadata().is_ok() {
            return Err(KeyError::Exists { path: path.to_owned() });
        }
    }
    let pair = match passphrase {
        Passphrase::None => KeyPair::generate_unencrypted_keypair(),
        Passphrase::Given(text) => KeyPair::generate_encrypted_keypair(Some(text)),
        Passphrase::Asked => KeyPair::generate_encrypted_keypair(None),
    };
    let pair = pair.map_err(KeyError::Generate)?;
    let secret_text = pair.sk.to_box(None).map_err(KeyError::Generate)?.into_string();
    let public_text = pair.pk.to_box().map_err(KeyError::Generate)?.into_string();
    write_new(secret, &secret_text, 0o600)?;
    write_new(public, &public_text, 0o644)?;
    Ok(PublicKey::open(public)?)
}

/// A signature that was made.
#[derive(Debug)]
pub struct Signed {
    /// Its file.
    pub signature: PathBuf,
    /// The key.
    pub key: KeyId,
    /// What was signed with the archive: which adapter, version and generation it is.
    pub comment: String,
}

/// Signs an archive: writes `ARCHIVE.minisig`, of the prehashed kind, which is verified before this returns. The archive is
/// unpacked and checked first: an author should not put a name to what no host takes. Without a passphrase, a key that has
/// one asks for it at the terminal.
///
/// # Errors
/// [`KeyError`].
pub fn sign_archive(archive: &Path, secret: &Path, passphrase: Option<String>) -> Result<Signed, KeyError> {
    if archive.is_dir() {
        return Err(KeyError::Folder {
            path: archive.to_owned(),
        });
    }
    let package = Package::open(archive)?;
    let bytes = package.packed.as_deref().unwrap_or_default();
    let bundle = &package.bundle;
    let comment = format!(
        "{} {} {}",
        bundle.manifest.name, bundle.manifest.version, bundle.generation
    );

    let unusable = |source| KeyError::Secret {
        path: secret.to_owned(),
        source,
    };
    let text = read_text(secret)?;
    let boxed = SecretKeyBox::from_string(&text).map_err(unusable)?;
    let key = if has_no_passphrase(&text) {
        boxed.into_unencrypted_secret_key()
    } else {
        boxed.into_secret_key(passphrase)
    };
    let key = key.map_err(unusable)?;
    let public = minisign::PublicKey::from_secret_key(&key).map_err(unusable)?;
    let signature =
        minisign::sign(Some(&public), &key, bytes, Some(&comment), None).map_err(|source| KeyError::Sign {
            archive: archive.to_owned(),
            source,
        })?;

    let path = beside(archive);
    write_whole(&path, signature.into_string().as_bytes()).map_err(|source| KeyError::Write {
        path: path.clone(),
        source,
    })?;
    // With the code that a host verifies with, which is not the code that signed.
    let public = PublicKey::parse(&public.to_base64(), secret)?;
    let comment = public.check(archive, bytes)?;
    Ok(Signed {
        signature: path,
        key: public.id(),
        comment,
    })
}

/// Whether a secret key can be used with a passphrase only.
///
/// # Errors
/// Where it cannot be read.
pub fn has_passphrase(secret: &Path) -> Result<bool, KeyError> {
    Ok(!has_no_passphrase(&read_text(secret)?))
}

fn has_no_passphrase(text: &str) -> bool {
    let line = text.lines().nth(1).unwrap_or_default().trim();
    let bytes = base64::engine::general_purpose::STANDARD.decode(line);
    bytes.is_ok_and(|bytes| bytes.get(2..4) == Some(NO_PASSPHRASE))
}

/// A file that was not there before.
fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), KeyError> {
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path);
    let written = file.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => KeyError::Exists { path: path.to_owned() },
        _ => KeyError::Write {
            path: path.to_owned(),
            source,
        },
    })
}

/// A file in one step: whoever reads the path finds the old one or the new one.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = AtomicWriteFile::open(path)?;
    file.write_all(bytes)?;
    file.commit()
}
