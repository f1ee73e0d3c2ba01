//! Requests to an agent: sent once, bounded, with the token of the moment.

mod access;
mod agent;
mod answer;
mod failure;
pub(crate) mod header;
mod limits;
mod request;
mod tls;
mod token;
mod verdict;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ha_core::Error;
use reqwest::header::HeaderValue;
use tokio::sync::Semaphore;

use crate::address::Address;
use crate::settings::{ConsulSettings, invalid};

pub(crate) use answer::Answer;
pub(crate) use failure::{Failure, FailureKind};
pub(crate) use limits::Limits;
pub(crate) use request::Request;

use agent::{Agent, Way};
use token::TokenReader;

/// A way to the agents. Each purpose (commits, waiting, renewals) has one of its own, so that none
/// waits for a connection of another's. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Http(Arc<Inner>);

struct Inner {
    agents: Vec<Agent>,
    /// Which agent answered last.
    current: AtomicUsize,
    token: TokenReader,
    auth: Option<HeaderValue>,
    /// Datacenter, namespace and partition, as part of a query.
    scope: String,
    request_timeout: Duration,
    /// For requests that do not bring their own time-out, as those do that wait on purpose and renewals.
    places: Semaphore,
}

impl Http {
    pub(crate) fn new(settings: &ConsulSettings) -> Result<Self, Error> {
        let addresses = settings.parsed_addresses()?;
        let agents = addresses.into_iter().map(|address| Agent::new(address, settings)).collect::<Result<_, _>>()?;
        let auth = settings.auth.as_ref().map(header::of_user).transpose();
        let scope: Vec<String> = settings.scope().map(|(name, value)| format!("{name}={value}")).collect();
        Ok(Self(Arc::new(Inner {
            agents,
            current: AtomicUsize::new(0),
            token: TokenReader::new(&settings.token)?,
            auth: auth.map_err(|why| invalid("auth", why.into()))?,
            scope: scope.join("&"),
            request_timeout: settings.request_timeout,
            places: Semaphore::new(settings.requests_max),
        })))
    }

    /// Sends the request, once.
    ///
    /// The next agent is asked instead if this one was certainly not reached. What only reads is also asked of the
    /// next one if this one answers that it cannot serve, or the connection breaks; not if the time ran out, which is
    /// the caller's. No agent is asked twice.
    ///
    /// # Cancel safety
    /// After a drop it may have been carried out.
    pub(crate) async fn send(&self, request: &Request) -> Result<Answer, Failure> {
        let inner = &*self.0;
        let first = inner.current.load(Ordering::Relaxed);
        let mut before = None;
        for turn in 1..=inner.agents.len() {
            let index = (first + turn - 1) % inner.agents.len();
            let is_last = turn == inner.agents.len();
            match self.send_to(&inner.agents[index], request).await {
                Ok(answer) if !answer.leads_elsewhere() => {
                    inner.current.store(index, Ordering::Relaxed);
                    return Ok(answer);
                }
                // An agent that is there and cannot serve: the next request may ask another.
                Ok(answer) if is_last || !request.only_reads() => {
                    inner.current.store(index, Ordering::Relaxed);
                    self.turn_away_from(index);
                    return Ok(answer);
                }
                Ok(answer) => before = Some(answer.failure().after(before)),
                Err(failure) => {
                    let goes_on = match failure.kind {
                        FailureKind::NotDone => true,
                        FailureKind::Unknown => request.only_reads() && !failure.took_too_long(),
                        _ => false,
                    };
                    if is_last || !goes_on {
                        self.turn_away_from(index);
                        return Err(failure.after(before));
                    }
                    before = Some(failure.after(before));
                }
            }
        }
        // Settings without an address are refused.
        Err(before.unwrap_or_else(|| Failure::new(FailureKind::NotDone, "no agent is configured")))
    }

    fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.0.agents.iter().map(|agent| &agent.address)
    }

    /// How many agents there are.
    pub(crate) fn agents(&self) -> usize {
        self.0.agents.len()
    }

    /// Which agent is asked first at the moment.
    pub(crate) fn current(&self) -> usize {
        self.0.current.load(Ordering::Relaxed)
    }

    /// Sends the request, once, to that agent and no other: checks belong to the agent that has them. If it fails,
    /// what comes next is asked of another.
    ///
    /// # Cancel safety
    /// After a drop it may have been carried out.
    pub(crate) async fn send_to_agent(&self, agent: usize, request: &Request) -> Result<Answer, Failure> {
        let index = agent % self.0.agents.len();
        let result = self.send_to(&self.0.agents[index], request).await;
        if result.as_ref().map_or(true, Answer::leads_elsewhere) {
            self.turn_away_from(index);
        }
        result
    }

    fn turn_away_from(&self, index: usize) {
        let next = (index + 1) % self.0.agents.len();
        // Somebody else may have turned away already; then this changes nothing.
        let _ = self.0.current.compare_exchange(index, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    async fn send_to(&self, agent: &Agent, request: &Request) -> Result<Answer, Failure> {
        let inner = &*self.0;
        // Each that has a place gives it back within its time-out, so this wait ends. The semaphore is never closed.
        let _place = match request.timeout {
            None => inner.places.acquire().await.ok(),
            Some(_) => None,
        };
        let way = Way {
            token: inner.token.current(),
            auth: inner.auth.clone(),
            scope: &inner.scope,
            within: request.timeout.unwrap_or(inner.request_timeout),
        };
        agent.send(request, &way).await
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<String> = self.addresses().map(ToString::to_string).collect();
        f.debug_struct("Http").field("addresses", &addresses).finish_non_exhaustive()
    }
}
