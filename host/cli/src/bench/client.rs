//! One request, and the times of its answer.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, Response, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;

use super::plan::Ask;

/// A request that ended.
pub(super) struct Done {
    pub(super) adapter: String,
    /// The times, or the code of the error.
    pub(super) result: Result<Answered, String>,
}

/// Times count from when the request was due.
pub(super) struct Answered {
    /// The first piece of text; none if the model wrote nothing.
    pub(super) first_token: Option<Duration>,
    /// From the first piece of text to the last, for each token after the first.
    pub(super) per_token: Option<Duration>,
    pub(super) end_to_end: Duration,
    pub(super) prompt_tokens: u64,
    pub(super) completion_tokens: u64,
}

pub(super) struct Client {
    client: hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: String,
    authorization: Option<String>,
    limit: Duration,
}

impl Client {
    pub(super) fn new(url: &str, key: Option<&str>, ca: Option<&Path>, limit: Duration) -> Result<Self> {
        let uri: Uri = url
            .parse()
            .with_context(|| format!("{url:?} is no address of a server"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.path().len() > 1 || uri.query().is_some() {
            bail!("{url:?} is no address of a server, as http://127.0.0.1:8077 is one");
        }
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls(ca)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        Ok(Self {
            client: hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector),
            url: url.trim_end_matches('/').to_owned(),
            authorization: key.map(|key| format!("Bearer {key}")),
            limit,
        })
    }

    /// What a GET answers.
    pub(super) async fn get(&self, path: &str) -> Result<Value> {
        let response = self.client.request(self.to(Method::GET, path, String::new())?).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        let value: Value = serde_json::from_slice(&body).unwrap_or_default();
        if !status.is_success() {
            bail!(
                "{status}: {}",
                value["error"]["message"].as_str().unwrap_or("no reason is given")
            );
        }
        Ok(value)
    }

    /// Sends a request that was due then, and reads its answer to the end.
    pub(super) async fn ask(&self, ask: &Ask, due: Instant) -> Done {
        let result = match tokio::time::timeout(self.limit, self.answer(ask, due)).await {
            Ok(result) => result,
            Err(_) => Err("time_limit".to_owned()),
        };
        Done {
            adapter: ask.adapter.clone(),
            result,
        }
    }

    async fn answer(&self, ask: &Ask, due: Instant) -> Result<Answered, String> {
        let path = format!("/v1/tasks/{}?stream=true", ask.adapter);
        let request = self
            .to(Method::POST, &path, ask.body.clone())
            .map_err(|error| error.to_string())?;
        let response = self.client.request(request).await.map_err(|error| {
            if error.is_connect() {
                "no_connection".to_owned()
            } else {
                "broken_connection".to_owned()
            }
        })?;
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        let mut body = response.into_body();
        let (mut events, mut first, mut last) = (Events::default(), None, due);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| "broken_connection".to_owned())?;
            let Some(data) = frame.data_ref() else { continue };
            for (event, data) in events.take(data) {
                match event.as_str() {
                    "text" => {
                        last = Instant::now();
                        first.get_or_insert(last);
                    }
                    "answer" => return Ok(answered(&data, due, first, last)),
                    "error" => return Err(code(&data)),
                    _ => {}
                }
            }
        }
        Err("no_answer".to_owned())
    }

    fn to(&self, method: Method, path: &str, body: String) -> Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("content-type", "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        Ok(request.body(Full::new(body.into()))?)
    }
}

fn tls(ca: Option<&Path>) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    // A system without certificates can still be asked over http.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca {
        let context = || format!("cannot read {}", path.display());
        for certificate in CertificateDer::pem_file_iter(path).with_context(context)? {
            roots.add(certificate.with_context(context)?)?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn answered(data: &str, due: Instant, first: Option<Instant>, last: Instant) -> Answered {
    let answer: Value = serde_json::from_str(data).unwrap_or_default();
    let count = |key: &str| answer["usage"][key].as_u64().unwrap_or(0);
    let completion_tokens = count("completion_tokens");
    let later = u32::try_from(completion_tokens.saturating_sub(1)).unwrap_or(u32::MAX);
    Answered {
        first_token: first.map(|first| first - due),
        per_token: first.filter(|_| later > 0).map(|first| (last - first) / later),
        end_to_end: due.elapsed(),
        prompt_tokens: count("prompt_tokens"),
        completion_tokens,
    }
}

async fn refusal(response: Response<hyper::body::Incoming>) -> String {
    let status = response.status();
    let body = response
        .into_body()
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    match serde_json::from_slice::<Value>(&body) {
        Ok(value) if value["error"]["code"].is_string() => code(&value.to_string()),
        _ => format!("http_{}", status.as_u16()),
    }
}

fn code(data: &str) -> String {
    let value: Value = serde_json::from_str(data).unwrap_or_default();
    value["error"]["code"].as_str().unwrap_or("no_code").to_owned()
}

/// Server-sent events out of pieces of a body.
#[derive(Default)]
struct Events {
    rest: Vec<u8>,
}

impl Events {
    /// The events that are complete with this piece: name and data.
    fn take(&mut self, piece: &[u8]) -> Vec<(String, String)> {
        self.rest.extend_from_slice(piece);
        let mut found = Vec::new();
        while let Some(end) = self.rest.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = self.rest.drain(..end + 2).collect();
            let block = String::from_utf8_lossy(&block);
            let line = |name: &str| {
                block
                    .lines()
                    .find_map(|line| line.strip_prefix(name))
                    .unwrap_or_default()
                    .to_owned()
            };
            found.push((line("event: "), line("data: ")));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::Events;

    #[test]
    fn events_are_put_together_from_pieces() {
        let mut events = Events::default();
        assert!(events.take(b"event: te").is_empty());
        let found = events.take("xt\ndata: né\n\n:keep\n\nevent: answer\ndata: 1".as_bytes());
        assert_eq!(
            found,
            [("text".to_owned(), "né".to_owned()), (String::new(), String::new())]
        );
        assert_eq!(events.take(b"2\n\n"), [("answer".to_owned(), "12".to_owned())]);
    }
}
