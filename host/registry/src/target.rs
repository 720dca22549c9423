//! Which artifact of which registry.

use std::fmt;
use std::str::FromStr;

use crate::RegistryError;

/// Longest tag, by the OCI distribution specification.
const MAX_TAG: usize = 128;
/// Longest repository: registries allow some 255.
const MAX_REPOSITORY: usize = 255;

/// `REGISTRY/REPOSITORY:TAG` or `REGISTRY/REPOSITORY@sha256:DIGEST`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    registry: String,
    repository: String,
    /// A tag, or a digest with its `sha256:`.
    reference: String,
}

impl Target {
    /// The registry, with its port where one is named.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    pub(crate) fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag or the digest.
    pub(crate) fn reference(&self) -> &str {
        &self.reference
    }

    /// The digest that it names, `sha256:…`; none where it names a tag.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        // A tag has no colon.
        Some(self.reference.as_str()).filter(|reference| reference.contains(':'))
    }

    /// Whether the registry is on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = self
            .registry
            .rsplit_once(':')
            .map_or(self.registry.as_str(), |(host, _)| host);
        host == "localhost"
            || host
                .parse::<std::net::Ipv4Addr>()
                .is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.digest().is_some() { '@' } else { ':' };
        write!(f, "{}/{}{mark}{}", self.registry, self.repository, self.reference)
    }
}

impl FromStr for Target {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        let wrong = |why: &str| RegistryError::Reference {
            text: text.to_owned(),
            why: why.to_owned(),
        };
        let (registry, rest) = text.split_once('/').ok_or_else(|| wrong("it has no repository"))?;
        // Other tools take a name without a registry for one of Docker's.
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':');
        if !(registry == "localhost" || registry.contains(['.', ':'])) || !registry.bytes().all(is_host) {
            return Err(wrong("it has no registry"));
        }
        // A missing tag is no tag either.
        let (repository, reference) = match rest.split_once('@') {
            Some((repository, digest)) => (repository, digest),
            None => rest.rsplit_once(':').ok_or_else(|| wrong("it has no tag"))?,
        };
        let is_name =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-');
        let part =
            |part: &str| part.starts_with(|first: char| first.is_ascii_alphanumeric()) && part.bytes().all(is_name);
        if repository.len() > MAX_REPOSITORY || !repository.split('/').all(part) {
            return Err(wrong(
                "a repository is lower-case letters, digits, `.`, `_` and `-`, in parts with `/` between",
            ));
        }
        let hex =
            |digest: &str| digest.len() == 64 && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let is_tag = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let good = match reference.strip_prefix("sha256:") {
            Some(digest) => hex(digest),
            None => {
                let length = (1..=MAX_TAG).contains(&reference.len());
                length && !reference.starts_with(['.', '-']) && reference.bytes().all(is_tag)
            }
        };
        if !good {
            return Err(wrong(
                "a tag is letters, digits, `.`, `_` and `-`, a digest `sha256:` and 64 hexadecimal digits",
            ));
        }
        Ok(Self {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            reference: reference.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        let digest = format!("ghcr.io/a/b@sha256:{}", "a".repeat(64));
        for (text, expected) in [
            ("ghcr.io/a/b:1.0", Ok(false)),
            ("localhost:5000/b:1", Ok(true)),
            ("localhost/b:1", Ok(true)),
            ("127.0.0.1:5000/b:1", Ok(true)),
            ("127.evil.org/b:1", Ok(false)),
            (&digest, Ok(false)),
            ("a/b:1", Err("it has no registry")),
            ("user@a.b/b:1", Err("it has no registry")),
            ("b:1", Err("it has no repository")),
            ("ghcr.io/b", Err("it has no tag")),
            ("ghcr.io/B:1", Err("a repository is")),
            ("ghcr.io/../b:1", Err("a repository is")),
            ("ghcr.io/a//b:1", Err("a repository is")),
            ("ghcr.io/b:1?x=y", Err("a tag is")),
            ("ghcr.io/b@sha256:abc", Err("a tag is")),
        ] {
            match (text.parse::<Target>(), expected) {
                (Ok(target), Ok(loopback)) => {
                    assert_eq!(target.is_loopback(), loopback, "{text}");
                    assert_eq!(target.to_string(), text);
                }
                (Err(error), Err(why)) => assert!(error.to_string().contains(why), "{error}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }
}
