//! Webhooks: batches of events in the CloudEvents format, signed as Standard Webhooks describes.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, StatusCode, Url};
use sha2::Sha256;

use crate::error::Error;
use crate::gateway::http::{is_local, plain, tls};
use crate::gateway::key::Key;

/// Time limits for a connection, and then for an answer.
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(10);

/// A receiver of events over HTTP. Redirects are not followed.
pub struct Webhook {
    client: Client,
    url: Url,
    secret: Key,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

impl Webhook {
    /// A webhook at an address, with the secret that its bodies are signed with. Nothing is sent.
    ///
    /// # Errors
    /// When the address is invalid or would carry events unencrypted to another machine, or the secret is invalid.
    pub fn new(name: &str, url: &str, secret: &str) -> Result<Self, Error> {
        let wrong = |message: String| Error::WebhookWrong { webhook: name.to_owned(), message };
        let url: Url = url.parse().map_err(|_| wrong("its url is no URL".to_owned()))?;
        let is_local = is_local(&url);
        if !(url.scheme() == "https" || url.scheme() == "http" && is_local) || url.host_str().is_none() {
            return Err(wrong("its url must begin with https://, or with http:// on this machine".to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("its url holds a password".to_owned()));
        }
        let secret = Key::parse(secret).map_err(|what| wrong(format!("its secret {what}")))?;
        let mut builder = Client::builder()
            .tls_backend_preconfigured(tls().map_err(wrong)?)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .user_agent(concat!("fusebox/", env!("CARGO_PKG_VERSION")));
        if is_local {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| wrong(plain(error)))?;
        Ok(Self { client, url, secret })
    }

    /// Sends a body. The receiver checks `webhook-signature`, which is `v1,` and the HMAC-SHA256 under the secret, in
    /// base64, over `webhook-id`, `webhook-timestamp` and the body, joined by dots; and remembers the ids that it has
    /// received.
    ///
    /// # Errors
    /// The reason why it was not accepted, in words. The same body may be accepted another time.
    pub async fn send(&self, id: &str, timestamp_s: u64, content_type: &str, body: Vec<u8>) -> Result<(), String> {
        let signature = self.signature(id, timestamp_s, &body);
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, content_type)
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp_s.to_string())
            .header("webhook-signature", signature)
            .body(body);
        let response = request.send().await.map_err(plain)?;
        match response.status() {
            status if status.is_success() => Ok(()),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(format!("it answered {}; does it know the secret?", response.status()))
            }
            status => Err(format!("it answered {status}")),
        }
    }

    fn signature(&self, id: &str, timestamp_s: u64, body: &[u8]) -> String {
        // HMAC takes keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.secret.bytes()) else { return String::new() };
        mac.update(format!("{id}.{timestamp_s}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_safe_or_refused() {
        let made = |url: &str| Webhook::new("w", url, "secret").is_ok();
        assert!(made("https://example.com/hook") && made("http://127.0.0.1:8080/x"));
        for bad in ["", "example.com", "http://example.com/x", "https://user:pass@example.com/", "ftp://127.0.0.1/"] {
            assert!(!made(bad), "{bad}");
        }
        assert!(Webhook::new("w", "https://example.com", "").is_err());
    }

    /// The example of the Standard Webhooks specification.
    #[test]
    fn a_signature_is_what_others_compute() {
        use base64::Engine as _;
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
        mac.update(br#"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}"#);
        let expected = "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(STANDARD.encode(mac.finalize().into_bytes()), expected);
        let webhook = Webhook::new("w", "https://example.com", "secret").unwrap();
        assert_ne!(webhook.signature("a", 1, b"x"), webhook.signature("a", 2, b"x"));
        assert!(webhook.signature("a", 1, b"x").starts_with("v1,"));
    }
}
