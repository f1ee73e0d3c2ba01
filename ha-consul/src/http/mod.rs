//! Requests to an agent: sent once, bounded, with the token of the moment.

mod answer;
mod failure;
mod token;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ha_core::{Error, ErrorKind};
use reqwest::{Client, Method};

use crate::address::Address;
use crate::settings::ConsulSettings;

pub(crate) use answer::Answer;
pub(crate) use failure::{Failure, FailureKind};
use token::TokenReader;

/// The longest answer that is read: far more than any list of a cluster needs.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// A way to the agents. Each purpose (commits, waiting, renewals) has one of its own, so that none
/// waits for a connection of another's. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Http(Arc<Inner>);

struct Inner {
    agents: Vec<Agent>,
    /// Which agent answered last.
    current: AtomicUsize,
    token: TokenReader,
    /// Datacenter, namespace and partition, as part of a query.
    scope: String,
    request_timeout: Duration,
}

struct Agent {
    address: Address,
    client: Client,
}

/// One request.
#[derive(Debug)]
pub(crate) struct Request {
    method: Method,
    path: String,
    body: Option<Vec<u8>>,
    timeout: Option<Duration>,
}

impl Request {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), body: None, timeout: None }
    }

    pub(crate) fn put(path: impl Into<String>) -> Self {
        Self { method: Method::PUT, path: path.into(), body: None, timeout: None }
    }

    pub(crate) fn body(mut self, body: Vec<u8>) -> Self {
        self.body = Some(body);
        self
    }

    /// Instead of the time-out of the settings.
    pub(crate) fn within(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl Http {
    pub(crate) fn new(settings: &ConsulSettings) -> Result<Self, Error> {
        let agent = |address: Address| {
            let mut builder = Client::builder()
                .connect_timeout(settings.connect_timeout)
                // Nothing is sent again by itself: only the layer above knows what may be.
                .retry(reqwest::retry::never())
                .redirect(reqwest::redirect::Policy::none())
                .tcp_nodelay(true)
                .no_proxy();
            if let Address::Unix(path) = &address {
                builder = builder.unix_socket(path.as_path());
            }
            let client = builder.build().map_err(|error| {
                Error::new(ErrorKind::Invalid, "consul client").at(&address).caused_by(error.without_url())
            })?;
            Ok(Agent { address, client })
        };
        let agents = settings.parsed_addresses()?.into_iter().map(agent).collect::<Result<_, Error>>()?;
        let scope = [("dc", &settings.datacenter), ("ns", &settings.namespace), ("partition", &settings.partition)];
        let scope = scope.iter().filter_map(|(name, value)| value.as_ref().map(|value| format!("&{name}={value}")));
        Ok(Self(Arc::new(Inner {
            agents,
            current: AtomicUsize::new(0),
            token: TokenReader::new(settings.token.clone()),
            scope: scope.collect(),
            request_timeout: settings.request_timeout,
        })))
    }

    /// Sends the request, once. Only an agent that it did not reach is replaced by the next one.
    ///
    /// # Cancel safety
    /// After a drop it may have been carried out.
    pub(crate) async fn send(&self, request: &Request) -> Result<Answer, Failure> {
        let inner = &*self.0;
        let first = inner.current.load(Ordering::Relaxed);
        let mut last = None;
        for turn in 0..inner.agents.len() {
            let index = (first + turn) % inner.agents.len();
            match self.send_to(&inner.agents[index], request).await {
                Ok(answer) => {
                    inner.current.store(index, Ordering::Relaxed);
                    // An agent that is there and cannot serve: the next request may ask another.
                    if answer.status >= 500 {
                        self.turn_away_from(index);
                    }
                    return Ok(answer);
                }
                Err(failure) if failure.kind == FailureKind::NotDone => last = Some(failure),
                Err(failure) => {
                    self.turn_away_from(index);
                    return Err(failure);
                }
            }
        }
        Err(last.unwrap_or_else(|| Failure::new(FailureKind::NotDone, "no agent is configured")))
    }

    /// How many agents there are.
    pub(crate) fn agents(&self) -> usize {
        self.0.agents.len()
    }

    /// Which agent is asked first at the moment.
    pub(crate) fn current(&self) -> usize {
        self.0.current.load(Ordering::Relaxed)
    }

    /// Sends the request, once, to that agent and no other: checks belong to the agent that has them.
    ///
    /// # Cancel safety
    /// After a drop it may have been carried out.
    pub(crate) async fn send_to_agent(&self, agent: usize, request: &Request) -> Result<Answer, Failure> {
        self.send_to(&self.0.agents[agent % self.0.agents.len()], request).await
    }

    fn turn_away_from(&self, index: usize) {
        let next = (index + 1) % self.0.agents.len();
        // Somebody else may have turned away already; then this changes nothing.
        let _ = self.0.current.compare_exchange(index, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    async fn send_to(&self, agent: &Agent, request: &Request) -> Result<Answer, Failure> {
        let inner = &*self.0;
        let joint = if request.path.contains('?') { "" } else { "?" };
        let url = format!("{}/v1/{}{joint}{}", agent.address.base(), request.path, inner.scope);
        let mut builder = agent.client.request(request.method.clone(), url);
        builder = builder.timeout(request.timeout.unwrap_or(inner.request_timeout));
        if let Some(token) = inner.token.current()? {
            builder = builder.header("X-Consul-Token", token);
        }
        if let Some(body) = &request.body {
            builder = builder.body(body.clone());
        }
        let failed = |error| Failure::of_transport(error, &agent.address.to_string());
        let mut response = builder.send().await.map_err(failed)?;
        let status = response.status().as_u16();
        let index = response.headers().get("X-Consul-Index").and_then(|value| value.to_str().ok()?.parse().ok());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(Failure::new(FailureKind::Unknown, "the answer has no end; is this a Consul agent?"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, index, body: Bytes::from(body) })
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<String> = self.0.agents.iter().map(|agent| agent.address.to_string()).collect();
        f.debug_struct("Http").field("addresses", &addresses).finish_non_exhaustive()
    }
}
