use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ha_core::backend::{
    Backend, Change, Commit, EarlyEnd, Entry, Key, Mark, Outcome, Prefix, Profile, Scope, Session, SessionOptions,
    Snapshot,
};
use ha_core::seam::Seam;
use ha_core::{Error, ErrorKind};
use tokio::sync::watch;

use super::line::{Line, Silence};
use super::session::RemoteSession;
use super::wire::{self, Answer, Request, Welcome, WireCommit, WireScope};
use super::{POLL_MAX, SILENCE_MAX, SILENCE_MIN};

/// How many connections a client keeps while they are at rest.
const IDLE_MAX: usize = 16;

/// How a client behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteOptions {
    /// Who it is, for people who look at [`Server::clients`](super::Server::clients); at most 1024 bytes.
    pub label: String,
    /// How long it waits for an answer, and as long again for a change that may never come. After that a
    /// read is [`Unavailable`](ErrorKind::Unavailable) and a write [`Indeterminate`](ErrorKind::Indeterminate).
    /// Default: ten seconds.
    pub answer_max: Duration,
}

impl Default for RemoteOptions {
    fn default() -> Self {
        Self { label: String::new(), answer_max: Duration::from_secs(10) }
    }
}

/// A handle on a store that a [`Server`](super::Server) serves, in this process or another.
///
/// Each call that is under way has a connection of its own, so that waits, renewals and commits
/// never wait for each other. A connection at rest is used again if it is not known to be closed.
/// Nothing is ever sent twice: what was not sent is [`Unavailable`](ErrorKind::Unavailable), and a
/// write that was sent and not answered is [`Indeterminate`](ErrorKind::Indeterminate).
///
/// Dropping the handle ends nothing: sessions that were opened on it go on while they live.
///
/// Connections belong to the runtime that they are made on, which must have I/O enabled; a handle that
/// is used from several runtimes must not outlive any of them.
pub struct Remote(Arc<Inner>);

pub(super) struct Inner {
    address: SocketAddr,
    id: String,
    options: RemoteOptions,
    profile: Profile,
    pub(super) seam: Seam,
    pub(super) closed: watch::Sender<bool>,
    /// Whether the server has confirmed the close.
    told: AtomicBool,
    idle: Mutex<Vec<Line>>,
}

/// What an unanswered request may have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Nothing,
    Write,
}

impl Remote {
    /// Connects to a server, under that label.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`]: no server answers there. Try again when there is one.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn connect(address: SocketAddr, label: &str, seam: Seam) -> Result<Self, Error> {
        let options = RemoteOptions { label: label.into(), ..RemoteOptions::default() };
        Self::connect_with(address, options, seam).await
    }

    /// Connects to a server, with those options.
    ///
    /// # Errors
    /// As [`Remote::connect`]; and [`ErrorKind::Invalid`] for a label that is too long.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn connect_with(address: SocketAddr, options: RemoteOptions, seam: Seam) -> Result<Self, Error> {
        if options.label.len() > 1024 {
            let why = format!("a label of {} bytes; at most 1024 are allowed", options.label.len());
            return Err(Error::new(ErrorKind::Invalid, "connect").at(address).because(why));
        }
        let id = seam.uuid().to_string();
        let (line, welcome) = Line::connect(address, &Line::hello(&id, &options.label), &seam)
            .await
            .map_err(|why| Error::new(ErrorKind::Unavailable, "connect").at(address).because(why))?;
        let Welcome { value_bytes_max, commit_operations_max, commit_bytes_max } = welcome;
        let profile = Profile::new("remote", value_bytes_max, commit_operations_max, commit_bytes_max);
        Ok(Self(Arc::new(Inner {
            address,
            id,
            options,
            profile: profile.with_early_ends([EarlyEnd::Evidence, EarlyEnd::Operator]),
            seam,
            closed: watch::Sender::new(false),
            told: AtomicBool::new(false),
            idle: Mutex::new(vec![line]),
        })))
    }

    /// What the server knows this client by: for [`Server::hold`](super::Server::hold).
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }
}

impl Inner {
    /// One more connection.
    pub(super) async fn line(&self) -> Result<Line, String> {
        let hello = Line::hello(&self.id, &self.options.label);
        Line::connect(self.address, &hello, &self.seam).await.map(|(line, _)| line)
    }

    async fn idle_line(&self) -> Result<Line, String> {
        loop {
            // Bounded by how many are kept.
            let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match kept {
                Some(line) if line.is_stale() => {}
                Some(line) => return Ok(line),
                None => return self.line().await,
            }
        }
    }

    fn keep(&self, line: Line) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // Looked at under the lock that closing empties the list under.
        if idle.len() < IDLE_MAX && !*self.closed.borrow() {
            idle.push(line);
        }
    }

    pub(super) fn closed_error(operation: &'static str) -> Error {
        Error::new(ErrorKind::Closed, operation).because("the backend handle was closed; connect again")
    }

    pub(super) async fn until_closed(&self) {
        let mut closed = self.closed.subscribe();
        // The sender lives in `self`.
        let _ = closed.wait_for(|closed| *closed).await;
    }

    /// One request and its answer, unless the handle is closed before.
    pub(super) async fn call(
        &self,
        operation: &'static str,
        request: &Request,
        effect: Effect,
    ) -> Result<Answer, Error> {
        if *self.closed.borrow() {
            return Err(Self::closed_error(operation));
        }
        let wait = if matches!(request, Request::Changed { .. }) { POLL_MAX } else { Duration::ZERO };
        let bytes = encoded(operation, request)?;
        let line = tokio::select! {
            biased;
            () = self.until_closed() => return Err(Self::closed_error(operation)),
            line = self.idle_line() => line,
        };
        let mut line = line.map_err(|why| self.unavailable(operation, why))?;
        let at_most = self.options.answer_max + wait;
        // From here on the request may have been sent, and closing tells nothing about it.
        let answer = tokio::select! {
            biased;
            () = self.until_closed() => match effect {
                Effect::Nothing => return Err(Self::closed_error(operation)),
                Effect::Write => Err(Silence::Unanswered("the backend handle was closed".into())),
            },
            answer = line.ask(&bytes, at_most, &self.seam) => answer,
        };
        self.judge(operation, effect, line, answer)
    }

    fn judge(
        &self,
        operation: &'static str,
        effect: Effect,
        line: Line,
        answer: Result<Answer, Silence>,
    ) -> Result<Answer, Error> {
        match answer {
            Ok(answer) => {
                self.keep(line);
                match answer {
                    Answer::Failed(error) => Err(error.error(operation, effect.unknown())),
                    answer => Ok(answer),
                }
            }
            Err(Silence::NotSent(why)) => Err(self.unavailable(operation, why)),
            Err(Silence::Unanswered(why)) => Err(Error::new(effect.unknown(), operation).at(self.address).because(why)),
        }
    }

    fn unavailable(&self, operation: &'static str, why: String) -> Error {
        Error::new(ErrorKind::Unavailable, operation).at(self.address).because(why)
    }

    /// The error for an answer that does not fit the question.
    pub(super) fn nonsense(&self, operation: &'static str, effect: Effect) -> Error {
        let why = "the answer does not fit the request; are client and server of one build?";
        Error::new(effect.unknown(), operation).at(self.address).because(why)
    }

    async fn tell_close(&self) -> Result<(), Error> {
        let bytes = encoded("close", &Request::Close)?;
        let mut line = self.line().await.map_err(|why| self.unavailable("close", why))?;
        match line.ask(&bytes, self.options.answer_max, &self.seam).await {
            Ok(Answer::Done) => {
                self.told.store(true, Ordering::Release);
                Ok(())
            }
            Ok(_) => Err(self.nonsense("close", Effect::Write)),
            Err(Silence::NotSent(why)) => Err(self.unavailable("close", why)),
            Err(Silence::Unanswered(why)) => {
                Err(Error::new(ErrorKind::Indeterminate, "close").at(self.address).because(why))
            }
        }
    }
}

impl Effect {
    /// The kind of an error that leaves open what was done.
    pub(crate) fn unknown(self) -> ErrorKind {
        match self {
            Self::Nothing => ErrorKind::Unavailable,
            Self::Write => ErrorKind::Indeterminate,
        }
    }
}

fn encoded(operation: &'static str, request: &Request) -> Result<Vec<u8>, Error> {
    wire::frame(request).map_err(|error| Error::new(ErrorKind::TooLarge, operation).because(error))
}

#[async_trait]
impl Backend for Remote {
    fn profile(&self) -> Profile {
        self.0.profile.clone()
    }

    async fn read(&self, key: &Key) -> Result<Option<Entry>, Error> {
        let answer = self.0.call("read", &Request::Read(key.to_string()), Effect::Nothing).await?;
        answer.read().ok_or_else(|| self.0.nonsense("read", Effect::Nothing))
    }

    async fn list(&self, below: &Prefix) -> Result<Snapshot, Error> {
        let answer = self.0.call("list", &Request::List(below.to_string()), Effect::Nothing).await?;
        answer.list().ok_or_else(|| self.0.nonsense("list", Effect::Nothing))
    }

    async fn changed(&self, scope: &Scope, seen: &Mark) -> Result<Change, Error> {
        let request = Request::Changed { scope: WireScope::new(scope), seen: seen.native() };
        let answer = self.0.call("changed", &request, Effect::Nothing).await?;
        answer.change().ok_or_else(|| self.0.nonsense("changed", Effect::Nothing))
    }

    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        commit.validate(&self.0.profile)?;
        let answer = self.0.call("commit", &Request::Commit(WireCommit::new(commit)), Effect::Write).await?;
        answer.outcome(commit.writes.len()).ok_or_else(|| self.0.nonsense("commit", Effect::Write))
    }

    async fn open_session(&self, options: &SessionOptions) -> Result<Box<dyn Session>, Error> {
        let SessionOptions { silence, label } = options;
        let possible = (SILENCE_MIN..=SILENCE_MAX).contains(silence);
        let silence_ns = u64::try_from(silence.as_nanos()).ok().filter(|_| possible).ok_or_else(|| {
            let why = format!("a silence of {silence:?}; from {SILENCE_MIN:?} to {SILENCE_MAX:?} is possible");
            Error::new(ErrorKind::Invalid, "open session").because(why)
        })?;
        // The store counts from when this arrives, and so never ends it before.
        let sent = self.0.seam.now();
        let request = Request::Open { silence_ns, label: label.clone() };
        match self.0.call("open session", &request, Effect::Nothing).await? {
            Answer::Opened(id) => Ok(Box::new(RemoteSession::start(&self.0, id, *silence, sent))),
            _ => Err(self.0.nonsense("open session", Effect::Nothing)),
        }
    }

    async fn close(&self) -> Result<(), Error> {
        self.0.closed.send_replace(true);
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        if self.0.told.load(Ordering::Acquire) {
            return Ok(());
        }
        self.0.tell_close().await
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote")
            .field("address", &self.0.address)
            .field("id", &self.0.id)
            .field("label", &self.0.options.label)
            .finish_non_exhaustive()
    }
}
