use std::sync::Arc;
use std::time::Duration;

use ha_core::backend::{Ended, SessionOptions};
use ha_core::seam::{Deadline, Moment, Task};
use ha_core::{Error, ErrorKind};

use super::cell::Cell;
use crate::backend::Inner;
use crate::http::{Failure, FailureKind, Http, Request};
use crate::settings::Liveness;
use crate::wire::{NewService, NewSession, SessionId, TtlCheck, go_duration};

/// The name of the service that stands for a process in Consul's catalogue.
const SERVICE: &str = "ha";
/// After that long without a sign of life Consul forgets the service. Its own smallest value.
const FORGET_AFTER: &str = "1m";
/// The smallest TTL that Consul takes unless its `session_ttl_min` says otherwise.
const SESSION_TTL_MIN: Duration = Duration::from_secs(10);
const SILENCE_MIN: Duration = Duration::from_millis(100);
const SILENCE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// How many heartbeats fit into one silence, and renewals into one TTL.
const RENEWALS: u32 = 3;
/// How often and at what distance a session that cannot be destroyed at once is tried again.
const DESTROY_TRIES: u32 = 5;
const DESTROY_PAUSE: Duration = Duration::from_millis(200);

/// What keeps one session alive in Consul, and ends it there.
pub(crate) struct Living {
    pub(super) inner: Arc<Inner>,
    pub(super) cell: Cell,
    id: String,
    /// The agent that the check was registered with.
    agent: usize,
    /// Service and check have one name.
    check: Option<String>,
    silence: Duration,
    ttl: Duration,
}

impl Living {
    pub(super) async fn open(inner: Arc<Inner>, options: &SessionOptions) -> Result<Arc<Self>, Error> {
        let silence = options.silence;
        if !(SILENCE_MIN..=SILENCE_MAX).contains(&silence) {
            let why = format!("silence {silence:?}; from {SILENCE_MIN:?} to {SILENCE_MAX:?} are allowed");
            return Err(Error::new(ErrorKind::Invalid, "open session").because(why));
        }
        let settings = &inner.settings.liveness;
        let name = format!("ha-{}", inner.seam.uuid());
        let (agent, at_registration, check) = place(&inner, &name, options).await?;
        let ttl = settings.session_ttl.unwrap_or(match check {
            Some(_) => silence.max(SESSION_TTL_MIN),
            None => silence,
        });
        let mut checks: Vec<String> = check.iter().cloned().collect();
        if settings.serf_health {
            checks.push("serfHealth".into());
        }
        let request = session_request(settings, ttl, options, checks)?;
        // Until the session is there, whoever drops the future or fails leaves no check behind.
        let mut unused = Unused { inner: &inner, agent, check };
        let with_check = unused.check.is_some().then_some(agent);
        let created = create(&inner, with_check, &request, at_registration + silence).await;
        let (id, sent) = created.map_err(|failure| failure.of_read("open session", &options.label))?;
        let check = unused.check.take();
        drop(unused);
        let cell = Cell::new(check.as_ref().map(|_| at_registration + silence), sent + ttl);
        Ok(Arc::new(Self { cell, id, agent, check, silence, ttl, inner }))
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// What must go on even if the application blocks its whole runtime.
    pub(super) fn renewals(living: &Arc<Self>) -> Vec<Task> {
        let seam = &living.inner.seam;
        let mut tasks = vec![
            seam.spawn_critical(Arc::clone(living).keep_session()),
            seam.spawn_critical(Arc::clone(living).watch_deadline()),
        ];
        if living.check.is_some() {
            tasks.push(seam.spawn_critical(Arc::clone(living).keep_check()));
        }
        tasks
    }

    /// Renews the session at the servers, through their own elections, until it is over.
    async fn keep_session(self: Arc<Self>) {
        let request = Request::put(format!("session/renew/{}", self.id)).within(self.ttl / RENEWALS);
        let http = &self.inner.renewals;
        let (regular, soon) = pauses(self.ttl);
        let mut pause = regular;
        while !self.cell.has_ended() {
            self.inner.seam.sleep(pause).await;
            pause = regular;
            let sent = self.inner.seam.now();
            match http.send(&request).await.and_then(|answer| answer.ok()) {
                Ok(_) => self.cell.session_lives_until(sent + self.ttl, self.inner.seam.now()),
                Err(failure) if failure.kind == FailureKind::NoSession => {
                    tracing::info!(session = self.id, "Consul knows this session no more");
                    self.cell.end(Ended::Revoked);
                    // The check that stands for it, and what a leader that was not up to date yet denied.
                    return self.destroy().await;
                }
                Err(failure) => {
                    self.trace(&failure);
                    pause = soon;
                }
            }
        }
    }

    /// Keeps the agent's check passing.
    async fn keep_check(self: Arc<Self>) {
        let Some(check) = &self.check else { return };
        let request = Request::put(format!("agent/check/pass/{check}")).within(self.silence / RENEWALS);
        let http = &self.inner.renewals;
        let (regular, soon) = pauses(self.silence);
        let mut pause = regular;
        while !self.cell.has_ended() {
            self.inner.seam.sleep(pause).await;
            pause = regular;
            let sent = self.inner.seam.now();
            match http.send_to_agent(self.agent, &request).await.and_then(|answer| answer.ok()) {
                Ok(_) => self.cell.check_passes_until(sent + self.silence, self.inner.seam.now()),
                Err(failure) => {
                    self.trace(&failure);
                    pause = soon;
                }
            }
        }
    }

    /// The session is over for this process when its deadline passes, whatever Consul may think of it.
    async fn watch_deadline(self: Arc<Self>) {
        let seam = &self.inner.seam;
        while !self.cell.has_ended() {
            let until = self.cell.valid_until();
            if until.is_past(seam.now()) {
                tracing::warn!(session = self.id, "no renewal was acknowledged in time; the session is over");
                self.cell.end(Ended::Expired);
                return self.destroy().await;
            }
            seam.sleep_until(until.moment()).await;
        }
    }

    fn trace(&self, failure: &Failure) {
        tracing::debug!(session = self.id, ?failure, "a renewal failed; trying again until the deadline");
    }

    /// Ends the session for this process and at Consul.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        self.cell.end(Ended::Closed);
        let request = Request::put(format!("session/destroy/{}", self.id));
        let destroyed = self.inner.http.send(&request).await.and_then(|answer| answer.ok());
        if let Some(check) = &self.check {
            // Consul forgets it by itself if this fails.
            let _ = self.inner.http.send_to_agent(self.agent, &deregistration(check)).await;
        }
        destroyed.map(drop).map_err(|failure| failure.of_write("close session", &self.id))
    }

    /// Ends the session for this process at once, and tells Consul in the background.
    pub(super) fn abandon(self: &Arc<Self>) {
        if self.cell.has_ended() {
            return;
        }
        self.cell.end(Ended::Closed);
        let living = Arc::clone(self);
        self.inner.seam.spawn_critical(async move { living.destroy().await }).detach();
    }

    /// Tells Consul that the session is over, a few times.
    async fn destroy(&self) {
        let (http, seam) = (&self.inner.renewals, &self.inner.seam);
        for attempt in 0..DESTROY_TRIES {
            let request = Request::put(format!("session/destroy/{}", self.id));
            if http.send(&request).await.and_then(|answer| answer.ok()).is_ok() {
                break;
            }
            seam.sleep(seam.jittered(DESTROY_PAUSE * 2_u32.pow(attempt))).await;
        }
        if let Some(check) = &self.check {
            // Consul forgets it by itself if this fails.
            let _ = http.send_to_agent(self.agent, &deregistration(check)).await;
        }
    }
}

/// The pause between two renewals, and the one after a renewal that failed.
fn pauses(period: Duration) -> (Duration, Duration) {
    (period / RENEWALS, period / (RENEWALS * 8))
}

/// Chooses the agent that stands for this process: the one that answers now, else the next that does. Also says when
/// the check was asked for, and the check.
async fn place(
    inner: &Inner,
    name: &str,
    options: &SessionOptions,
) -> Result<(usize, Moment, Option<String>), Error> {
    let (http, first) = (&inner.http, inner.http.current());
    let mut turn = 0;
    loop {
        let (agent, now) = (first + turn, inner.seam.now());
        if !inner.settings.liveness.agent_check {
            return Ok((agent, now, None));
        }
        match register(http, agent, name, options).await {
            Ok(check) => return Ok((agent, now, check)),
            Err(error) => {
                turn += 1;
                if turn >= http.agents() || error.kind() != ErrorKind::Unavailable {
                    return Err(error);
                }
            }
        }
    }
}

/// Registers the process's sign of life with the agent; `None` if the agent does not let us.
async fn register(http: &Http, agent: usize, name: &str, options: &SessionOptions) -> Result<Option<String>, Error> {
    let check = TtlCheck {
        id: name,
        ttl: go_duration(options.silence),
        status: "passing",
        forget_after: FORGET_AFTER,
        notes: &options.label,
    };
    let service = NewService { id: name, name: SERVICE, check };
    let request = Request::put("agent/service/register").body(encode(&service)?);
    match http.send_to_agent(agent, &request).await.and_then(|answer| answer.ok()) {
        Ok(_) => Ok(Some(name.to_owned())),
        Err(failure) if failure.kind == FailureKind::Denied => {
            tracing::warn!(
                ?failure,
                "the token may not register the service `ha`; a lost process is found by its session's TTL alone, \
                 which takes twice as long"
            );
            Ok(None)
        }
        Err(failure) => Err(failure.of_read("open session", "agent check")),
    }
}

fn deregistration(service: &str) -> Request {
    Request::put(format!("agent/service/deregister/{service}"))
}

fn session_request(
    settings: &Liveness,
    ttl: Duration,
    options: &SessionOptions,
    node_checks: Vec<String>,
) -> Result<Vec<u8>, Error> {
    let session = NewSession {
        name: &options.label,
        ttl: go_duration(ttl),
        lock_delay: go_duration(settings.lock_delay),
        behavior: "release",
        node_checks,
    };
    encode(&session)
}

fn encode<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|error| Error::new(ErrorKind::Invalid, "open session").caused_by(error))
}

/// Creates the session, at the agent that has its check; also says when the request that made it was sent.
async fn create(inner: &Inner, agent: Option<usize>, body: &[u8], until: Moment) -> Result<(String, Moment), Failure> {
    let seam = &inner.seam;
    loop {
        let sent = seam.now();
        let request = Request::put("session/create").body(body.to_vec());
        let answer = match agent {
            Some(agent) => inner.http.send_to_agent(agent, &request).await,
            None => inner.http.send(&request).await,
        };
        let failure = match answer.and_then(|answer| answer.ok()) {
            Ok(answer) => return Ok((answer.json::<SessionId>()?.id, sent)),
            Err(failure) => failure,
        };
        // The agent tells its servers of a new check a moment after it has acknowledged it.
        let early = failure.why.contains("registration") && !Deadline::at(until).is_past(seam.now());
        if !early {
            return Err(failure);
        }
        seam.sleep(Duration::from_millis(10)).await;
    }
}

/// A check that no session stands on yet.
struct Unused<'a> {
    inner: &'a Arc<Inner>,
    agent: usize,
    check: Option<String>,
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
