use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ha_core::backend::{Ended, SessionOptions};
use ha_core::seam::{Deadline, Moment, Task};
use ha_core::{Error, ErrorKind};

use super::cell::Cell;
use super::check::{deregistration, place};
use crate::backend::Inner;
use crate::http::{Answer, Failure, FailureKind, Request};
use crate::settings::Liveness;
use crate::wire::{NewSession, SessionId, go_duration};

/// The smallest TTL that Consul takes unless its `session_ttl_min` says otherwise.
const SESSION_TTL_MIN: Duration = Duration::from_secs(10);
const SILENCE_MIN: Duration = Duration::from_millis(100);
const SILENCE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// How many heartbeats fit into one silence, and renewals into one TTL.
const RENEWALS: u32 = 3;
/// How long an agent may take to tell its servers of a new check. It is a matter of milliseconds.
const TOLD_WITHIN: Duration = Duration::from_secs(10);
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
    /// Whether Consul has acknowledged that it is over.
    told: AtomicBool,
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
        // Until the session is there, whoever drops the future or fails leaves no check behind.
        let (at_registration, mut unused) = place(&inner, &name, options).await?;
        let (agent, check) = (unused.agent, &unused.check);
        let ttl = settings.session_ttl.unwrap_or(match check {
            Some(_) => silence.max(SESSION_TTL_MIN),
            None => silence,
        });
        let mut checks: Vec<String> = check.iter().cloned().collect();
        if settings.serf_health {
            checks.push("serfHealth".into());
        }
        let request = session_request(settings, ttl, options, checks)?;
        let with_check = unused.check.is_some().then_some(agent);
        let created = create(&inner, with_check, &request, at_registration + silence.min(TOLD_WITHIN)).await;
        let (id, sent) = created.map_err(|failure| failure.of_read("open session", &options.label))?;
        let check = unused.check.take();
        drop(unused);
        let cell = Cell::new(check.as_ref().map(|_| at_registration + silence), sent + ttl);
        Ok(Arc::new(Self { cell, id, agent, check, silence, ttl, told: AtomicBool::new(false), inner }))
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
        let mut pause = self.first_pause(self.ttl);
        while !self.cell.has_ended() {
            self.inner.seam.sleep(pause).await;
            pause = regular;
            let sent = self.inner.seam.now();
            match http.send(&request).await.and_then(|answer| self.is_renewed(answer)) {
                Ok(()) => self.cell.session_lives_until(sent + self.ttl, self.inner.seam.now()),
                Err(failure) if failure.kind == FailureKind::NoSession && self.is_gone().await => {
                    tracing::info!(session = self.id, "Consul knows this session no more");
                    self.cell.end(Ended::Revoked);
                    // Its check is left.
                    return self.destroy().await;
                }
                Err(failure) => {
                    self.trace(&failure);
                    pause = soon;
                }
            }
        }
    }

    // Race: something in between may answer in Consul's place, with a success.
    // Closed by: Consul's own names the session.
    // Cost if missed: a deadline that Consul knows nothing of, beyond the end of the session.
    fn is_renewed(&self, answer: Answer) -> Result<(), Failure> {
        let answer = answer.ok()?;
        let renewed: Vec<SessionId> = answer.json()?;
        if renewed.iter().any(|session| session.id == self.id) { Ok(()) } else { Err(answer.not_consuls()) }
    }

    // Race: a server that was just elected may be asked before it has caught up with what was stored last.
    // Closed by: a consistent read, which it answers only when it has.
    // Cost if missed: a leadership that ends because the servers had an election.
    async fn is_gone(&self) -> bool {
        let request = Request::get(format!("session/info/{}?consistent", self.id)).within(self.ttl / RENEWALS);
        let answer = self.inner.renewals.send(&request).await.and_then(|answer| answer.ok());
        let known = answer.and_then(|answer| answer.json::<Vec<serde::de::IgnoredAny>>());
        known.is_ok_and(|sessions| sessions.is_empty())
    }

    /// Keeps the agent's check passing.
    async fn keep_check(self: Arc<Self>) {
        let Some(check) = &self.check else { return };
        let request = Request::put(format!("agent/check/pass/{check}")).within(self.silence / RENEWALS);
        let http = &self.inner.renewals;
        let (regular, soon) = pauses(self.silence);
        let mut pause = self.first_pause(self.silence);
        while !self.cell.has_ended() {
            self.inner.seam.sleep(pause).await;
            pause = regular;
            let sent = self.inner.seam.now();
            match http.send_to_agent(self.agent, &request).await.and_then(Answer::without_text) {
                Ok(_) => self.cell.check_passes_until(sent + self.silence, self.inner.seam.now()),
                Err(failure) => {
                    self.trace(&failure);
                    pause = soon;
                }
            }
        }
    }

    /// As long as the regular one, less what opening the session took.
    fn first_pause(&self, period: Duration) -> Duration {
        let left = self.cell.valid_until().remaining(self.inner.seam.now());
        left.saturating_sub(period - period / RENEWALS)
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

    /// Ends the session for this process and at Consul. Goes on if the future is dropped.
    pub(crate) async fn close(self: &Arc<Self>) -> Result<(), Error> {
        self.cell.end(Ended::Closed);
        let living = Arc::clone(self);
        let ended = self.where_it_is_renewed(async move { living.end_at_consul().await }).await;
        ended.map_err(|failure| failure.of_write("close session", &self.id))
    }

    // Race: the application may starve its runtime, or end it, while another thread lets go of a latch. A connection
    //       that was made on that runtime stands still with it.
    // Closed by: what lets go of something is sent where the session is renewed, by connections that live there.
    // Cost if missed: a latch that nobody wants and nobody can take until the silence is over.
    pub(super) async fn where_it_is_renewed<T: Send + 'static>(
        &self,
        sending: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        let (tell, told) = tokio::sync::oneshot::channel();
        let telling = async move {
            let _ = tell.send(sending.await);
        };
        self.inner.seam.spawn_critical(telling).detach();
        told.await.unwrap_or_else(|_| Err(Failure::new(FailureKind::Unknown, "the thread that sends it is gone")))
    }

    /// One attempt. Consul forgets the check by itself if that part fails.
    async fn end_at_consul(&self) -> Result<(), Failure> {
        let http = &self.inner.renewals;
        let request = Request::put(format!("session/destroy/{}", self.id));
        let forget = async {
            if let Some(check) = &self.check {
                let _ = http.send_to_agent(self.agent, &deregistration(check)).await;
            }
        };
        let (destroyed, ()) = futures_util::join!(http.send(&request), forget);
        let destroyed = destroyed.and_then(|answer| answer.ok())?;
        if !destroyed.json::<bool>()? {
            return Err(destroyed.not_consuls());
        }
        self.told.store(true, Ordering::Release);
        Ok(())
    }

    /// Ends the session for this process at once, and tells Consul in the background.
    //
    // Race: it may be over for this process, and whoever was telling Consul so has failed, was dropped, or is
    //       ended with the session.
    // Closed by: what counts is whether Consul has acknowledged it; hearing it twice does no harm.
    // Cost if missed: a latch that nobody holds and nobody can take until the silence is over.
    pub(super) fn abandon(self: &Arc<Self>) {
        if self.told.load(Ordering::Acquire) {
            return;
        }
        self.cell.end(Ended::Closed);
        let living = Arc::clone(self);
        self.inner.seam.spawn_critical(async move { living.destroy().await }).detach();
    }

    /// Tells Consul that the session is over, a few times.
    async fn destroy(&self) {
        let seam = &self.inner.seam;
        for attempt in 0..DESTROY_TRIES {
            if self.end_at_consul().await.is_ok() {
                return;
            }
            seam.sleep(seam.jittered(DESTROY_PAUSE * 2_u32.pow(attempt))).await;
        }
    }
}

/// The pause between two renewals, and the one after a renewal that failed.
fn pauses(period: Duration) -> (Duration, Duration) {
    (period / RENEWALS, period / (RENEWALS * 8))
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
            Ok(answer) => return Ok((answer.json::<SessionId>()?.checked()?, sent)),
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
