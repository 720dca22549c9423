//! What can go wrong with a registry, by name.

use crate::Target;

/// Why nothing was pushed or pulled.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The text names no artifact.
    #[error("{text:?} names no artifact: give REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@sha256:DIGEST ({why})")]
    Reference {
        /// The text.
        text: String,
        /// What is wrong.
        why: String,
    },
    /// A digest cannot be pushed to: it follows from what is pushed.
    #[error("{target} names a digest: push to a tag, and the digest is printed")]
    PushToDigest {
        /// The reference.
        target: Target,
    },
    /// Passwords and archives do not go over a network in the open.
    #[error("--plain-http is for registries on this machine, and {registry} is none: leave it out")]
    PlainHttp {
        /// The registry.
        registry: String,
    },
    /// Nobody answers.
    #[error(
        "cannot reach {registry}: {why}; is the name right, and does the registry speak HTTPS (--plain-http for one on this machine)?"
    )]
    Unreachable {
        /// The registry.
        registry: String,
        /// What the network says.
        why: String,
    },
    /// The registry wants to know who asks, or does not let them.
    #[error(
        "{registry} does not let us in{}: `docker login {registry}`, or set TRANSDUCER_REGISTRY_USER and \
         TRANSDUCER_REGISTRY_PASSWORD",
        user.as_ref().map_or(" without a password".to_owned(), |user| format!(" as {user}"))
    )]
    Unauthorized {
        /// The registry.
        registry: String,
        /// As whom it was asked.
        user: Option<String>,
    },
    /// The credentials that are kept for the registry cannot be read.
    #[error("the credentials of docker's configuration for {registry} cannot be used: {why}")]
    Credentials {
        /// The registry.
        registry: String,
        /// Why.
        why: String,
    },
    /// There is no such artifact.
    #[error("{target} does not exist: is the tag right?")]
    NotFound {
        /// The reference.
        target: Target,
    },
    /// It is something else than a bundle.
    #[error("{target} is no bundle: {what} is {found:?}, expected {expected:?}")]
    MediaType {
        /// The reference.
        target: Target,
        /// What has the type.
        what: &'static str,
        /// The type found.
        found: String,
        /// The type of bundles.
        expected: &'static str,
    },
    /// The manifest is none.
    #[error("{target}: the manifest cannot be used: {why}")]
    Manifest {
        /// The reference.
        target: Target,
        /// Why.
        why: String,
    },
    /// Larger than any archive.
    #[error("{target}: {what} has {found} bytes, the limit is {limit}")]
    TooLarge {
        /// The reference.
        target: Target,
        /// Which part.
        what: &'static str,
        /// Its size.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// The bytes are not those that were asked for.
    #[error("{target}: {what} has SHA-256 {found}, expected {expected}: the registry is damaged or lies")]
    Digest {
        /// The reference.
        target: Target,
        /// Which part.
        what: &'static str,
        /// Of the bytes.
        found: String,
        /// Asked for.
        expected: String,
    },
    /// The bytes ended too early.
    #[error(
        "{target}: {what} ended after {found} of {expected} bytes ({why}): try again; if it stays so, the registry is damaged"
    )]
    Truncated {
        /// The reference.
        target: Target,
        /// Which part.
        what: &'static str,
        /// Bytes that came.
        found: u64,
        /// Bytes that were promised.
        expected: u64,
        /// What was said about it.
        why: String,
    },
    /// Anything else.
    #[error("{target}: {why}")]
    Other {
        /// The reference.
        target: Target,
        /// What the registry says.
        why: String,
    },
}
