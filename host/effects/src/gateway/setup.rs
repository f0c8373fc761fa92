//! Making a gateway from a policy.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fusebox_core::policy::{Endpoint, GatewayPolicy, Protocol, Unpriced};
use fusebox_core::{Policy, Price};

use super::backend::{Ask, Backend, Exchange, Fault, OnText};
use super::cassette::{Record, Replay};
use super::http::{HttpLimits, Server};
use super::key::Key;
use super::openai::OpenAi;
use super::router::Router;
use super::{Gateway, Limits, Models, Route};
use crate::error::Error;

/// Largest file with a key, in bytes.
const MAX_KEY_FILE_BYTES: u64 = 64 * 1024;

/// Source of keys: the environment, by name.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Gateway {
    /// The gateway of a policy. Keys are read now; nothing is sent. Files are looked for from `folder`.
    ///
    /// # Errors
    /// When an endpoint is incomplete or contradicts itself, a recording cannot be read, or a model names a missing
    /// endpoint. A missing key is reported by [`lacking`](Self::lacking) and by requests to its endpoint. No error ever
    /// holds a key.
    pub fn new(policy: &Policy, folder: Option<&Path>, variables: Variables<'_>) -> Result<Self, Error> {
        let gateway = &policy.gateway;
        let mut setup = Setup { gateway, folder, variables, made: BTreeMap::new(), lacking: Vec::new() };
        let mut models = BTreeMap::new();
        for (alias, model) in &gateway.models {
            let wrong = |message: String| Error::GatewayWrong { endpoint: format!("model {alias}"), message };
            if model.routes.is_empty() {
                return Err(wrong("it has no routes; name an endpoint and its name for the model".to_owned()));
            }
            let mut routes = Vec::new();
            for route in &model.routes {
                let endpoint = gateway.endpoints.get(&route.endpoint);
                let endpoint = endpoint.ok_or_else(|| wrong(format!("there is no endpoint {:?}", route.endpoint)))?;
                // A replayed answer costs nothing.
                let is_free = endpoint.protocol == Protocol::Cassette && endpoint.record.is_none();
                let price = policy.prices.get(&route.model).copied();
                routes.push(Route {
                    endpoint: route.endpoint.clone(),
                    model: Some(route.model.clone()),
                    backend: setup.backend(&route.endpoint)?,
                    price: if is_free { Some(Price::FREE) } else { price },
                });
            }
            models.insert(alias.clone(), routes);
        }
        // Endpoints without a model are checked as well.
        for name in gateway.endpoints.keys() {
            setup.backend(name)?;
        }
        let lacking = setup.lacking;
        Ok(Self { models: Models::Named(models), limits: limits(gateway)?, unpriced: gateway.unpriced, lacking })
    }

    /// A gateway that answers every alias from one recording. Nothing is sent anywhere.
    ///
    /// # Errors
    /// When the recording cannot be read.
    pub fn replaying(path: &Path) -> Result<Self, Error> {
        let backend = Arc::new(Replay::open("cassette", path)?);
        let route = Route { endpoint: "cassette".to_owned(), model: None, backend, price: Some(Price::FREE) };
        Ok(Self {
            models: Models::Any(route),
            limits: limits(&GatewayPolicy::default())?,
            unpriced: Unpriced::default(),
            lacking: Vec::new(),
        })
    }
}

fn limits(policy: &GatewayPolicy) -> Result<Limits, Error> {
    let wrong = |message: &str| Error::GatewayWrong { endpoint: "gateway".to_owned(), message: message.to_owned() };
    let times = [policy.connect_timeout_ms, policy.first_byte_timeout_ms, policy.timeout_ms];
    if times.contains(&0) || policy.max_response_bytes == 0 {
        return Err(wrong("its times and max_response_bytes must be at least 1"));
    }
    if policy.retries > 10 || policy.repairs > 10 {
        return Err(wrong("retries and repairs may be 10 at the most"));
    }
    if policy.max_response_bytes > 64 * 1024 * 1024 {
        return Err(wrong("max_response_bytes may be 64 MiB at the most"));
    }
    Ok(Limits {
        timeout: Duration::from_millis(policy.timeout_ms.into()),
        retries: policy.retries,
        max_wait: Duration::from_millis(policy.max_wait_ms.into()),
        repairs: policy.repairs,
    })
}

struct Setup<'a> {
    gateway: &'a GatewayPolicy,
    folder: Option<&'a Path>,
    variables: Variables<'a>,
    made: BTreeMap<String, Arc<dyn Backend>>,
    lacking: Vec<MissingKey>,
}

/// An endpoint without its key: requests to it fail. Runs that need no model go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingKey {
    /// Name of the endpoint.
    pub endpoint: String,
    /// Description of the missing key. Never a key.
    pub message: String,
}

impl Backend for MissingKey {
    fn exchange<'a>(&'a self, _: Ask<'a>, _: OnText<'a>) -> Exchange<'a> {
        Box::pin(std::future::ready(Err(Fault::fatal(self.message.clone()))))
    }
}

impl Setup<'_> {
    fn backend(&mut self, name: &str) -> Result<Arc<dyn Backend>, Error> {
        if let Some(made) = self.made.get(name) {
            return Ok(Arc::clone(made));
        }
        let wrong = |message: String| Error::GatewayWrong { endpoint: name.to_owned(), message };
        let endpoint = self.gateway.endpoints.get(name);
        let endpoint = endpoint.ok_or_else(|| wrong("there is no such endpoint".to_owned()))?.clone();
        check(&endpoint).map_err(wrong)?;
        let backend: Arc<dyn Backend> = match endpoint.protocol {
            protocol @ (Protocol::OpenAi | Protocol::Router) => match (self.key(&endpoint), protocol) {
                (Err(message), _) => {
                    let lacking = MissingKey { endpoint: name.to_owned(), message };
                    self.lacking.push(lacking.clone());
                    Arc::new(lacking)
                }
                (Ok(key), Protocol::Router) => Arc::new(Router { server: self.server(name, &endpoint, key)? }),
                (Ok(key), _) => Arc::new(OpenAi { server: self.server(name, &endpoint, key)? }),
            },
            Protocol::Cassette => {
                let path = self.path(endpoint.path.as_deref().unwrap_or_default());
                match &endpoint.record {
                    None => Arc::new(Replay::open(name, &path)?),
                    Some(upstream) => {
                        let protocol = self.gateway.endpoints.get(upstream).map(|endpoint| endpoint.protocol);
                        match protocol {
                            None => return Err(wrong(format!("it records {upstream:?}, which is no endpoint"))),
                            Some(Protocol::Cassette) => {
                                return Err(wrong("it records another recording".to_owned()));
                            }
                            Some(_) => Arc::new(Record::open(name, &path, self.backend(upstream)?)?),
                        }
                    }
                }
            }
        };
        self.made.insert(name.to_owned(), Arc::clone(&backend));
        Ok(backend)
    }

    fn server(&self, name: &str, endpoint: &Endpoint, key: Option<Key>) -> Result<Server, Error> {
        let limits = HttpLimits {
            connect: Duration::from_millis(self.gateway.connect_timeout_ms.into()),
            first_byte: Duration::from_millis(self.gateway.first_byte_timeout_ms.into()),
            max_bytes: self.gateway.max_response_bytes as usize,
        };
        Server::new(name, endpoint.url.as_deref().unwrap_or_default(), key, limits)
    }

    /// The key of an endpoint, or its fault.
    fn key(&self, endpoint: &Endpoint) -> Result<Option<Key>, String> {
        let (text, from) = match (&endpoint.key_env, &endpoint.key_file) {
            (Some(variable), _) => {
                let value = (self.variables)(variable);
                let missing = || format!("its key is looked for in ${variable}, which is not set");
                (value.ok_or_else(missing)?, format!("in ${variable}"))
            }
            (None, Some(file)) => {
                let path = self.path(file);
                let from = format!("in {}", path.display());
                let text = read_key(&path).map_err(|error| format!("its key {from} cannot be read: {error}"))?;
                (text, from)
            }
            (None, None) => return Ok(None),
        };
        Key::parse(&text).map(Some).map_err(|what| format!("its key {from} {what}"))
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.map_or_else(|| PathBuf::from(path), |folder| folder.join(path))
    }
}

fn read_key(path: &Path) -> std::io::Result<String> {
    // Opening a FIFO would wait for its other end.
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    std::io::Read::read_to_string(&mut std::io::Read::take(file, MAX_KEY_FILE_BYTES), &mut text)?;
    Ok(text)
}

/// Checks that an endpoint has all settings of its protocol and no others.
fn check(endpoint: &Endpoint) -> Result<(), String> {
    let Endpoint { protocol, url, key_env, key_file, path, record } = endpoint;
    if *protocol == Protocol::Cassette {
        if path.is_none() {
            return Err("a cassette needs a path".to_owned());
        }
        if url.is_some() || key_env.is_some() || key_file.is_some() {
            return Err("a cassette has neither url nor key".to_owned());
        }
        return Ok(());
    }
    if url.is_none() {
        return Err("it needs a url".to_owned());
    }
    if path.is_some() || record.is_some() {
        return Err("only a cassette has path and record".to_owned());
    }
    if key_env.is_some() && key_file.is_some() {
        return Err("it has both key_env and key_file; give one of them".to_owned());
    }
    Ok(())
}
