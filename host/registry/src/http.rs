//! Requests to a registry, and who asks: [OCI's distribution](https://github.com/opencontainers/distribution-spec/blob/main/spec.md)
//! as far as one artifact needs it.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use docker_credential::{CredentialRetrievalError, DockerCredential};
use ureq::http::{Request, Response, StatusCode, header};
use ureq::{Agent, Body, SendBody};

use crate::{RegistryError, Target};

/// A registry that says nothing for so long is not there.
const CONNECT_TIME: Duration = Duration::from_secs(15);
/// A transfer that stands still for so long is over.
const SILENCE: Duration = Duration::from_secs(60);
/// A message of a registry, as far as it is told.
const MAX_MESSAGE: usize = 300;
/// A token is a few KB.
const MAX_TOKEN: u64 = 64 << 10;

/// A name and its password.
type Login = (String, String);

/// What speaks to one registry about one repository.
pub(crate) struct Http {
    agent: Agent,
    base: String,
    target: Target,
    login: Option<Login>,
    /// `Authorization`, once the registry has asked for it.
    authorization: Option<String>,
}

/// What a server said, whatever it said.
pub(crate) struct Said {
    pub(crate) response: Response<Body>,
}

impl Http {
    pub(crate) fn new(target: Target, login: Option<Login>, plain_http: bool) -> Result<Self, RegistryError> {
        if plain_http && !target.is_loopback() {
            return Err(RegistryError::PlainHttp {
                registry: target.registry().to_owned(),
            });
        }
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_TIME))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .timeout_per_write(Some(SILENCE))
            .user_agent(concat!("transducer-host/", env!("CARGO_PKG_VERSION")))
            .build();
        let scheme = if plain_http { "http" } else { "https" };
        let login = match login {
            Some(login) => Some(login),
            None => kept_login(target.registry())?,
        };
        Ok(Self {
            agent: Agent::new_with_config(agent),
            base: format!("{scheme}://{}", target.registry()),
            target,
            login,
            authorization: None,
        })
    }

    /// The address of a part of the repository, as in `manifests/1.0`.
    pub(crate) fn url(&self, part: &str) -> String {
        format!("{}/v2/{}/{part}", self.base, self.target.repository())
    }

    /// The address that a `Location` names.
    pub(crate) fn location(&self, said: &Said) -> Option<String> {
        let location = said.header(header::LOCATION.as_str())?;
        Some(if location.starts_with('/') {
            format!("{}{location}", self.base)
        } else {
            location.to_owned()
        })
    }

    /// A request without a body. Where the registry asks who asks, it is told, and asked again.
    pub(crate) fn ask(&mut self, method: &str, url: &str, accept: &str) -> Result<Said, RegistryError> {
        self.known(|http| http.send(method, url, &[(header::ACCEPT.as_str(), accept)], SendBody::none()))
    }

    /// A request with a body, to a registry that has let us in before.
    pub(crate) fn put(&self, url: &str, kind: &str, length: usize, body: SendBody<'_>) -> Result<Said, RegistryError> {
        let length = length.to_string();
        let headers = [
            (header::CONTENT_TYPE.as_str(), kind),
            (header::CONTENT_LENGTH.as_str(), length.as_str()),
        ];
        self.send("PUT", url, &headers, body)
    }

    fn known(&mut self, ask: impl Fn(&Self) -> Result<Said, RegistryError>) -> Result<Said, RegistryError> {
        let said = ask(self)?;
        if said.status() != StatusCode::UNAUTHORIZED || self.authorization.is_some() {
            return Ok(said);
        }
        let Some(challenge) = said.header(header::WWW_AUTHENTICATE.as_str()).map(str::to_owned) else {
            return Ok(said);
        };
        self.authorization = self.answer(&challenge)?;
        if self.authorization.is_none() {
            Ok(said)
        } else {
            ask(self)
        }
    }

    /// What a challenge asks for: the login itself, or a token that is had for it.
    fn answer(&self, challenge: &str) -> Result<Option<String>, RegistryError> {
        let basic = self.login.as_ref().map(|(user, password)| {
            let pair = STANDARD.encode(format!("{user}:{password}"));
            format!("Basic {pair}")
        });
        let Some(parameters) = challenge.strip_prefix("Bearer ") else {
            return Ok(basic);
        };
        let value = |name: &str| {
            let at = parameters.find(&format!("{name}=\""))? + name.len() + 2;
            let end = parameters[at..].find('"')?;
            Some(&parameters[at..at + end])
        };
        let Some(realm) =
            value("realm").filter(|realm| realm.starts_with("https://") || self.base.starts_with("http://"))
        else {
            // A login does not go to a place that is spoken to in the open.
            return Ok(None);
        };
        let scope = value("scope").map_or_else(
            || format!("repository:{}:pull,push", self.target.repository()),
            str::to_owned,
        );
        let mut request = self.agent.get(realm).query("scope", scope);
        if let Some(service) = value("service") {
            request = request.query("service", service);
        }
        if let Some(basic) = &basic {
            request = request.header(header::AUTHORIZATION.as_str(), basic);
        }
        let mut response = request.call().map_err(|error| self.unreachable(&error))?;
        #[derive(serde::Deserialize)]
        struct Token {
            token: Option<String>,
            access_token: Option<String>,
        }
        let text = response.body_mut().with_config().limit(MAX_TOKEN).read_to_string();
        let token = text.ok().and_then(|text| serde_json::from_str::<Token>(&text).ok());
        let token = token.and_then(|token| token.token.or(token.access_token));
        Ok(token.map(|token| format!("Bearer {token}")))
    }

    fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: SendBody<'_>,
    ) -> Result<Said, RegistryError> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(*name, *value);
        }
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request.body(body).map_err(|error| self.other(error.to_string()))?;
        match self.agent.run(request) {
            Ok(response) => Ok(Said { response }),
            Err(error) => Err(self.unreachable(&error)),
        }
    }

    fn unreachable(&self, error: &ureq::Error) -> RegistryError {
        RegistryError::Unreachable {
            registry: self.target.registry().to_owned(),
            why: error.to_string(),
        }
    }

    pub(crate) fn other(&self, why: String) -> RegistryError {
        RegistryError::Other {
            target: self.target.clone(),
            why,
        }
    }

    /// The error that an answer is, which is not one of those that were hoped for.
    pub(crate) fn refusal(&self, mut said: Said) -> RegistryError {
        match said.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => RegistryError::Unauthorized {
                registry: self.target.registry().to_owned(),
                user: self.login.as_ref().map(|(user, _)| user.clone()),
            },
            StatusCode::NOT_FOUND => RegistryError::NotFound {
                target: self.target.clone(),
            },
            status => {
                let text = said.response.body_mut().read_to_string().unwrap_or_default();
                let text: String = text.chars().filter(|c| !c.is_control()).take(MAX_MESSAGE).collect();
                self.other(format!("the registry answers {status}: {text}"))
            }
        }
    }
}

impl Said {
    pub(crate) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }
}

/// What `docker login` has kept; nobody, where it has kept nothing.
fn kept_login(registry: &str) -> Result<Option<Login>, RegistryError> {
    let unusable = |why: String| RegistryError::Credentials {
        registry: registry.to_owned(),
        why,
    };
    match docker_credential::get_credential(registry) {
        Ok(DockerCredential::UsernamePassword(user, password)) => Ok(Some((user, password))),
        Ok(DockerCredential::IdentityToken(_)) => Err(unusable(
            "it is an identity token, which this program cannot use; set TRANSDUCER_REGISTRY_USER and \
             TRANSDUCER_REGISTRY_PASSWORD"
                .to_owned(),
        )),
        Err(CredentialRetrievalError::ConfigNotFound | CredentialRetrievalError::NoCredentialConfigured) => Ok(None),
        Err(CredentialRetrievalError::ConfigReadError) if !docker_config().is_some_and(|path| path.exists()) => {
            Ok(None)
        }
        // What docker's helpers say of a registry that nobody has logged in to.
        Err(CredentialRetrievalError::HelperFailure { stdout, .. }) if stdout.contains("credentials not found") => {
            Ok(None)
        }
        Err(error) => Err(unusable(error.to_string())),
    }
}

/// Where docker keeps its configuration.
fn docker_config() -> Option<PathBuf> {
    let dir = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let dir = dir.or_else(|| Some(std::env::home_dir()?.join(".docker")));
    Some(dir?.join("config.json"))
}
