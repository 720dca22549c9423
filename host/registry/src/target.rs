//! Which artifact of which registry.

use std::fmt;
use std::str::FromStr;

use oci_client::Reference;

use crate::RegistryError;

/// `REGISTRY/REPOSITORY:TAG` or `REGISTRY/REPOSITORY@sha256:DIGEST`.
#[derive(Clone, Debug)]
pub struct Target(Reference);

impl Target {
    /// The registry, with its port where one is named.
    #[must_use]
    pub fn registry(&self) -> &str {
        self.0.registry()
    }

    /// The digest that it names, `sha256:…`; none where it names a tag.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        self.0.digest()
    }

    /// Whether the registry is on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let registry = self.registry();
        let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
        host == "localhost"
            || host
                .parse::<std::net::Ipv4Addr>()
                .is_ok_and(|address| address.is_loopback())
    }

    pub(crate) fn reference(&self) -> &Reference {
        &self.0
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for Target {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        let wrong = |why: &str| RegistryError::Reference {
            text: text.to_owned(),
            why: why.to_owned(),
        };
        let (first, repository) = text.split_once('/').ok_or_else(|| wrong("it has no repository"))?;
        // Other tools take a name without a registry for one of Docker's.
        if first != "localhost" && !first.contains(['.', ':']) {
            return Err(wrong("it has no registry"));
        }
        // Nor is a missing tag a tag.
        if !repository.contains([':', '@']) {
            return Err(wrong("it has no tag"));
        }
        let reference = Reference::try_from(text).map_err(|error| wrong(&error.to_string()))?;
        Ok(Self(reference))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        for (text, expected) in [
            ("ghcr.io/a/b:1.0", Ok(false)),
            ("localhost:5000/b:1", Ok(true)),
            ("localhost/b:1", Ok(true)),
            ("127.0.0.1:5000/b:1", Ok(true)),
            ("127.evil.org/b:1", Ok(false)),
            ("a/b:1", Err("it has no registry")),
            ("b:1", Err("it has no repository")),
            ("ghcr.io/b", Err("it has no tag")),
            ("ghcr.io/B:1", Err("")),
        ] {
            match (text.parse::<Target>(), expected) {
                (Ok(target), Ok(loopback)) => assert_eq!(target.is_loopback(), loopback, "{text}"),
                (Err(error), Err(why)) => assert!(error.to_string().contains(why), "{error}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
        let digest = format!("sha256:{}", "a".repeat(64));
        let target: Target = format!("ghcr.io/a/b@{digest}").parse().expect("a digest");
        assert_eq!(target.digest(), Some(digest.as_str()));
    }
}
