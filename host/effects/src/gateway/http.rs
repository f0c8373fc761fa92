//! One request over HTTP, bounded in time and size. No redirects, no cookies, no surprises.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};

use super::backend::{Billable, Fault, Remedy};
use super::key::{Key, scrub};
use crate::error::Error;

/// Most bytes of an error's body that are read.
const MAX_ERROR_BYTES: usize = 4 * 1024;
/// Most characters of it in messages.
const MAX_ERROR_CHARS: usize = 300;

/// A server with its key and limits.
pub struct Server {
    client: Client,
    base: Url,
    pub key: Option<Key>,
    first_byte: Duration,
    max_bytes: usize,
}

/// Limits of exchanges with a server.
#[derive(Debug, Clone, Copy)]
pub struct HttpLimits {
    pub connect: Duration,
    pub first_byte: Duration,
    pub max_bytes: usize,
}

impl Server {
    /// A server at an address. Nothing is sent.
    pub fn new(endpoint: &str, url: &str, key: Option<Key>, limits: HttpLimits) -> Result<Self, Error> {
        let wrong = |message: String| Error::GatewayWrong { endpoint: endpoint.to_owned(), message };
        let mut base: Url = url.parse().map_err(|_| wrong("its url is no URL".to_owned()))?;
        if !["http", "https"].contains(&base.scheme()) || base.host_str().is_none() {
            return Err(wrong("its url must begin with http:// or https://".to_owned()));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(wrong("its url holds a password; use key_env or key_file".to_owned()));
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(wrong("its url holds a query or fragment; give the base alone".to_owned()));
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let is_local = is_local(&base);
        if base.scheme() == "http" && key.is_some() && !is_local {
            return Err(wrong("its key would be sent unencrypted; use https://".to_owned()));
        }
        let mut builder = Client::builder()
            .tls_backend_preconfigured(tls().map_err(wrong)?)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(limits.connect)
            .user_agent(concat!("fusebox/", env!("CARGO_PKG_VERSION")));
        if is_local {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| wrong(plain(error)))?;
        Ok(Self { client, base, key, first_byte: limits.first_byte, max_bytes: limits.max_bytes })
    }

    /// Posts JSON and returns the response, if it is a success.
    pub async fn post(&self, path: &str, body: String) -> Result<Body, Fault> {
        let url = self.base.join(path).map_err(|_| Fault::fatal("its url cannot be joined with the path"))?;
        let mut request = self.client.post(url).header(CONTENT_TYPE, "application/json").body(body);
        if let Some(key) = &self.key {
            let mut value =
                HeaderValue::from_str(&key.bearer()).map_err(|_| Fault::fatal("the key fits into no header"))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let answer = tokio::time::timeout(self.first_byte, request.send()).await;
        let response = match answer {
            Err(_) => {
                let message = format!("no answer within {} ms", self.first_byte.as_millis());
                return Err(Fault::timed_out(message, Billable::Partial(0)));
            }
            Ok(Err(error)) if error.is_connect() => return Err(Fault::passing(self.scrubbed(plain(error)))),
            Ok(Err(error)) => {
                return Err(Fault::passing(self.scrubbed(plain(error))).charged(Billable::Partial(0)));
            }
            Ok(Ok(response)) => response,
        };
        if response.status().is_success() {
            return Ok(Body { response, left: self.max_bytes });
        }
        Err(self.refused(response).await)
    }

    /// The fault in a refusing response, with the server's message.
    async fn refused(&self, response: Response) -> Fault {
        let status = response.status();
        if status.is_redirection() {
            return Fault::fatal(format!("HTTP {status}: redirects are not followed; give the final address"));
        }
        let after = response.headers().get(RETRY_AFTER).and_then(retry_after);
        let mut body = Body { response, left: MAX_ERROR_BYTES };
        let mut said = Vec::new();
        // A refusal is reported at once, however slowly its body comes.
        let read = async {
            while let Ok(Some(bytes)) = body.chunk().await {
                said.extend_from_slice(&bytes);
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(1), read).await;
        let said = self.scrubbed(plain_words(&said));
        let said: String =
            said.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MAX_ERROR_CHARS).collect();
        let message = if said.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}: {said}") };
        let remedy = match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Remedy::Retry(after),
            status if status.is_server_error() => Remedy::Retry(after),
            _ => Remedy::Next,
        };
        Fault { remedy, ..Fault::fatal(message) }
    }

    /// A text without the key.
    pub fn scrubbed(&self, text: String) -> String {
        scrub(self.key.as_ref(), text)
    }
}

/// A body that is read piece by piece, up to its limit.
pub struct Body {
    response: Response,
    left: usize,
}

impl Body {
    /// Whether it is a stream of events.
    pub fn is_event_stream(&self) -> bool {
        let kind = self.response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        kind.is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/event-stream"))
    }

    /// The next piece; `None` at the end.
    pub async fn chunk(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let chunk = self.response.chunk().await;
        let broken = |error: reqwest::Error| Fault::passing(format!("the answer broke off: {}", plain(error)));
        match chunk.map_err(broken)? {
            None => Ok(None),
            Some(bytes) if bytes.len() > self.left => Err(Fault::fatal("the answer is larger than is accepted")),
            Some(bytes) => {
                self.left -= bytes.len();
                Ok(Some(bytes.to_vec()))
            }
        }
    }

    /// The whole body.
    pub async fn all(mut self) -> Result<Vec<u8>, Fault> {
        let mut all = Vec::new();
        loop {
            let so_far = Billable::Partial(all.len() as u64);
            match self.chunk().await.map_err(|fault| fault.charged(so_far))? {
                None => return Ok(all),
                Some(bytes) => all.extend_from_slice(&bytes),
            }
        }
    }
}

/// The message in an error's body: that of its JSON or, without any, its text. Escapes could hide a key in a text.
fn plain_words(body: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let message =
        ["/error/message", "/message", "/error", "/detail"].into_iter().find_map(|at| value.pointer(at)?.as_str());
    let text = String::from_utf8_lossy(body);
    match message {
        Some(message) => message.to_owned(),
        None if text.contains('\\') => String::new(),
        None => text.into_owned(),
    }
}

/// The wait that a server asks for: seconds, or a date.
fn retry_after(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(std::time::SystemTime::now()).unwrap_or_default())
}

pub(crate) fn is_local(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost" | "[::1]") => true,
        Some(host) => host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

/// An error with its causes, without the address: the reader knows the endpoint.
pub(crate) fn plain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(source) = cause {
        message = format!("{message}: {source}");
        cause = source.source();
    }
    message
}

/// Certificates as the system trusts them, checked by rustls with ring.
pub(crate) fn tls() -> Result<rustls::ClientConfig, String> {
    use rustls_platform_verifier::BuilderVerifierExt as _;
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    let verified = builder.with_platform_verifier().map_err(|error| format!("TLS cannot be set up: {error}"))?;
    Ok(verified.with_no_client_auth())
}
