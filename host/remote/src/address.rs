//! Where a server is, as it is written behind `--backbone`.

use std::str::FromStr;

use hyper::Uri;

/// The schemes: how the server is spoken to, and how it is reached.
const SCHEMES: [&str; 2] = ["vllm+http", "vllm+https"];

/// A server that takes prompt embeddings: `vllm+http://host:port`, or `vllm+https://…`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// `http://host:port`, without a slash at its end.
    base: String,
}

/// One server or more, as they are written behind one another: with commas between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses(pub Vec<Address>);

impl FromStr for Addresses {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let mut addresses = Vec::new();
        for address in text.split(',') {
            let address: Address = address.trim().parse()?;
            if addresses.contains(&address) {
                let (text, why) = (address.to_string(), "it stands there twice");
                return Err(AddressError { text, why });
            }
            addresses.push(address);
        }
        Ok(Self(addresses))
    }
}

/// What is written there is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no address of a server: {why}; one is vllm+http://127.0.0.1:8000")]
pub struct AddressError {
    text: String,
    why: &'static str,
}

impl Address {
    /// The address of a path of the server, as in `/v1/models`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Whether the connection is encrypted.
    pub(crate) fn is_https(&self) -> bool {
        self.base.starts_with("https:")
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let error = |why| AddressError {
            text: text.to_owned(),
            why,
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(|| error("it has no scheme"))?;
        if !SCHEMES.contains(&scheme) {
            return Err(error("its scheme is neither vllm+http nor vllm+https"));
        }
        let plain = scheme.trim_start_matches("vllm+");
        let base = format!("{plain}://{}", rest.trim_end_matches('/'));
        let uri: Uri = base.parse().map_err(|_| error("it does not parse"))?;
        let authority = uri.authority().ok_or_else(|| error("it names no host"))?;
        if authority.host().is_empty() {
            return Err(error("it names no host"));
        }
        if authority.as_str().contains('@') {
            return Err(error("a name or password has no place in it"));
        }
        if uri.path().len() > 1 || uri.query().is_some() {
            return Err(error("it has a path"));
        }
        Ok(Self { base })
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "vllm+{}", self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, Addresses};

    fn check(text: &str, expected: &str) {
        let found = text.parse::<Address>().map_or_else(
            |error| error.to_string(),
            |address| format!("{address} {}", address.url("/health")),
        );
        assert_eq!(found, expected);
    }

    #[test]
    fn several_stand_behind_commas() {
        let count = |text: &str| text.parse::<Addresses>().map(|addresses| addresses.0.len());
        assert_eq!(count("vllm+http://a:1, vllm+http://b:1"), Ok(2));
        let error = count("vllm+http://a:1,vllm+http://a:1/").expect_err("twice");
        assert!(error.to_string().contains("twice"), "{error}");
        assert!(count("vllm+http://a:1,").is_err());
    }

    #[test]
    fn an_address_is_a_scheme_and_a_host() {
        check("vllm+http://a:8000", "vllm+http://a:8000 http://a:8000/health");
        check("vllm+https://a/", "vllm+https://a https://a/health");
        check(
            "vllm+http://[::1]:8000",
            "vllm+http://[::1]:8000 http://[::1]:8000/health",
        );
        for (text, why) in [
            ("a:8000", "it has no scheme"),
            ("http://a:8000", "its scheme is neither vllm+http nor vllm+https"),
            ("vllm+http://a:8000/v1", "it has a path"),
            ("vllm+http://a:8000?x", "it has a path"),
            ("vllm+http://me:secret@a", "a name or password has no place in it"),
            ("vllm+http://", "it does not parse"),
            ("vllm+http://:8000", "it names no host"),
        ] {
            check(
                text,
                &format!("{text:?} is no address of a server: {why}; one is vllm+http://127.0.0.1:8000"),
            );
        }
    }
}
