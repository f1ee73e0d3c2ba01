//! The check that is a process's sign of life, until a session stands on it.

use std::sync::Arc;

use ha_core::Error;
use ha_core::backend::SessionOptions;
use ha_core::seam::Moment;

use crate::backend::Inner;
use crate::http::{Failure, FailureKind, Http, Request};
use crate::wire::{NewService, TtlCheck, go_duration};

/// The name of the service that stands for a process in Consul's catalogue.
const SERVICE: &str = "ha";
/// After that long without a sign of life Consul forgets the service. Its own smallest value.
const FORGET_AFTER: &str = "1m";

/// Chooses the agent that stands for this process: the one that answers now, else the next that does. Also says when
/// the check was asked for.
pub(super) async fn place<'a>(
    inner: &'a Arc<Inner>,
    name: &str,
    options: &SessionOptions,
) -> Result<(Moment, Unused<'a>), Error> {
    let (http, first) = (&inner.http, inner.http.current());
    let mut turn = 0;
    loop {
        let (agent, now) = (first + turn, inner.seam.now());
        let mut unused = Unused { inner, agent, check: None };
        if !inner.settings.liveness.agent_check {
            return Ok((now, unused));
        }
        // Race: the future may be dropped, or the answer be lost, when the agent has the check already.
        // Closed by: it counts as there from before the request is sent until it is known that it is not.
        // Cost if missed: a process in Consul's catalogue that never was, for some minutes.
        unused.check = Some(name.to_owned());
        let failure = match register(http, agent, name, options).await {
            Ok(true) => return Ok((now, unused)),
            Ok(false) => {
                unused.check = None;
                return Ok((now, unused));
            }
            Err(failure) => failure,
        };
        if failure.kind != FailureKind::Unknown {
            unused.check = None;
        }
        turn += 1;
        if turn >= http.agents() || !matches!(failure.kind, FailureKind::Unknown | FailureKind::NotDone) {
            return Err(failure.of_read("open session", "agent check"));
        }
    }
}

/// Registers the process's sign of life with the agent; `false` if the agent does not let us.
async fn register(http: &Http, agent: usize, name: &str, options: &SessionOptions) -> Result<bool, Failure> {
    let check = TtlCheck {
        id: name,
        ttl: go_duration(options.silence),
        status: "passing",
        forget_after: FORGET_AFTER,
        notes: &options.label,
    };
    let service = NewService { id: name, name: SERVICE, check };
    let body = serde_json::to_vec(&service).map_err(|error| Failure::new(FailureKind::Invalid, error))?;
    let request = Request::put("agent/service/register").body(body);
    match http.send_to_agent(agent, &request).await.and_then(|answer| answer.ok()) {
        Ok(_) => Ok(true),
        Err(failure) if failure.kind == FailureKind::Denied => {
            tracing::warn!(
                ?failure,
                "the token may not register the service `ha`; a lost process is found by its session's TTL alone, \
                 which takes twice as long"
            );
            Ok(false)
        }
        Err(failure) => Err(failure),
    }
}

pub(super) fn deregistration(service: &str) -> Request {
    Request::put(format!("agent/service/deregister/{service}"))
}

/// A check that no session stands on yet.
pub(super) struct Unused<'a> {
    inner: &'a Arc<Inner>,
    pub(super) agent: usize,
    pub(super) check: Option<String>,
}

impl Drop for Unused<'_> {
    fn drop(&mut self) {
        let Some(check) = self.check.take() else { return };
        let (inner, agent) = (Arc::clone(self.inner), self.agent);
        let telling = async move {
            // Consul forgets it by itself if this fails.
            let _ = inner.renewals.send_to_agent(agent, &deregistration(&check)).await;
        };
        self.inner.seam.spawn_critical(telling).detach();
    }
}
