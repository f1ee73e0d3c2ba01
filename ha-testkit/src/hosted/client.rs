use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ha_core::backend::{
    Backend, Change, Commit, Entry, Key, Mark, Outcome, Prefix, Profile, Scope, Session, SessionOptions, Snapshot,
};
use ha_core::seam::{Seam, Task};
use ha_core::{Error, ErrorKind};
use serde::Serialize;
use tokio::sync::oneshot;

use super::host::HOSTING;
use super::line::{Asked, Line, NotMade};
use super::message::{FromHost, ToHost};
use super::session::HostedSession;
use crate::process::Process;
use crate::remote::Effect;
use crate::remote::cell::Cell;
use crate::remote::wire::{Answer, Request, WireCommit, WireScope};

/// How long a hook waits for a host that stands still.
const HOOK_MAX: Duration = Duration::from_secs(60);

/// A handle that a process of its own has: a backend as any other. See the [module](super).
///
/// Calls take as long as the host's handle takes; one that is stopped answers when it goes on. When the host dies,
/// reads are [`Unavailable`](ErrorKind::Unavailable), writes that were under way
/// [`Indeterminate`](ErrorKind::Indeterminate), later ones unavailable, and its sessions are over, with
/// [`Ended::Expired`](ha_core::backend::Ended): nobody renews them any more.
///
/// The host lives as long as the handle or a session that was opened on it, and is killed with the last of them.
pub struct Hosted(Arc<Inner>);

pub(super) struct Inner {
    line: Arc<Line>,
    profile: Profile,
    closed: AtomicBool,
    /// `None` once it was killed.
    process: Mutex<Option<Process>>,
    _speaking: Task,
    /// What that task runs on, as long as there is a handle.
    _seam: Seam,
}

impl Hosted {
    /// Starts this program once more in that [role](crate::process::role()), which plays the [`host`](super::host())
    /// of a handle, and waits until that is open.
    ///
    /// # Errors
    /// Those of opening the handle there; [`ErrorKind::Unavailable`]: the host has ended meanwhile.
    ///
    /// # Panics
    /// The process cannot be started, or ends before it can be reached.
    ///
    /// # Cancel safety
    /// A host that was started is killed.
    pub async fn spawn(seam: Seam, role: &str, arguments: &(impl Serialize + Sync)) -> Result<Self, Error> {
        let process = Process::spawn(seam.clone(), role, arguments);
        let told = process.told(HOSTING).await;
        let address = serde_json::from_value(told.value)
            .map_err(|error| Error::new(ErrorKind::Unavailable, "connect").caused_by(error))?;
        let (line, words) = Line::new();
        let (sender, opened) = oneshot::channel();
        // On the critical thread: a test that blocks its runtime is answered all the same.
        let speaking = seam.spawn_critical(Arc::clone(&line).run(address, words, sender));
        let gone = || Error::new(ErrorKind::Unavailable, "connect").because("the host has ended");
        let profile = opened.await.map_err(|_| gone())??;
        let closed = AtomicBool::new(false);
        let process = Mutex::new(Some(process));
        Ok(Self(Arc::new(Inner { line, profile, closed, process, _speaking: speaking, _seam: seam })))
    }

    /// Kills the host, as by `kill -9`; it is gone when this returns. A second call does nothing.
    pub fn kill(&self) {
        // Killed and reaped by being dropped; without the lock, because that takes a moment.
        let process = self.0.process.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(process);
    }

    /// The number of the host's process; `None` once it was killed.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.0.process.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Process::id)
    }

    /// [`Hooked::freeze`](super::Hooked::freeze) of the host's handle.
    ///
    /// # Errors
    /// Those of the hook; [`ErrorKind::Unavailable`] or [`ErrorKind::Indeterminate`]: the host is gone.
    ///
    /// # Cancel safety
    /// After a drop it may be done or not.
    pub async fn freeze(&self, session: &str, frozen: bool) -> Result<(), Error> {
        let message = |number| ToHost::Freeze { number, session: session.into(), frozen };
        let (answer, _) = self.0.exchange("freeze", message, Effect::Write).await?;
        self.0.done("freeze", answer)
    }

    /// [`Hooked::waiting`](super::Hooked::waiting) of the host's handle, after all calls that were made or dropped
    /// before; 0 if the host is gone. Blocks the thread until the host has answered.
    ///
    /// # Panics
    /// The host stands still for a minute.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let (sender, counted) = std::sync::mpsc::sync_channel(1);
        let take = move |message| {
            if let FromHost::Waiting { count, .. } = message {
                // Nobody waits any more after a panic.
                let _ = sender.send(count);
            }
        };
        let Ok(_asked) = self.0.line.ask(|number| ToHost::Waiting { number }, take, None) else { return 0 };
        match counted.recv_timeout(HOOK_MAX) {
            Ok(count) => count,
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => 0,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("a host does not say how many wait on it"),
        }
    }
}

impl Inner {
    /// One call and its answer.
    pub(super) async fn call(
        &self,
        operation: &'static str,
        request: Request,
        effect: Effect,
    ) -> Result<Answer, Error> {
        let (answer, _) = self.exchange(operation, |number| ToHost::Call { number, request }, effect).await?;
        Ok(answer)
    }

    /// One message, its answer, and what keeps up what the answer stands for.
    async fn exchange(
        &self,
        operation: &'static str,
        message: impl FnOnce(u64) -> ToHost,
        effect: Effect,
    ) -> Result<(Answer, Asked), Error> {
        let (sender, receiver) = oneshot::channel();
        let asked = self.ask(operation, message, sender, None)?;
        self.answered(operation, receiver, effect).await.map(|answer| (answer, asked))
    }

    fn ask(
        &self,
        operation: &'static str,
        message: impl FnOnce(u64) -> ToHost,
        sender: oneshot::Sender<FromHost>,
        cell: Option<&Arc<Cell>>,
    ) -> Result<Asked, Error> {
        // If nobody waits for the answer any more, it is forgotten on both sides.
        let asked = self.line.ask(message, move |answer| drop(sender.send(answer)), cell);
        asked.map_err(|why| match why {
            NotMade::TooLarge(why) => Error::new(ErrorKind::TooLarge, operation).because(why),
            NotMade::Gone(_) if self.closed.load(Ordering::Acquire) => Error::new(ErrorKind::Closed, operation),
            NotMade::Gone(why) => Error::new(ErrorKind::Unavailable, operation).because(why),
        })
    }

    async fn answered(
        &self,
        operation: &'static str,
        receiver: oneshot::Receiver<FromHost>,
        effect: Effect,
    ) -> Result<Answer, Error> {
        match receiver.await {
            Ok(FromHost::Answer { answer: Answer::Failed(error), .. }) => Err(error.error(operation, effect.unknown())),
            Ok(FromHost::Answer { answer, .. }) => Ok(answer),
            Ok(_) => Err(self.nonsense(operation, effect)),
            Err(_) => {
                let why = "the host of the handle is gone, and has not answered";
                Err(Error::new(effect.unknown(), operation).because(why))
            }
        }
    }

    /// The error for an answer that does not fit the question.
    pub(super) fn nonsense(&self, operation: &'static str, effect: Effect) -> Error {
        Error::new(effect.unknown(), operation).because("the answer of the host does not fit the call")
    }

    pub(super) fn done(&self, operation: &'static str, answer: Answer) -> Result<(), Error> {
        match answer {
            Answer::Done => Ok(()),
            _ => Err(self.nonsense(operation, Effect::Write)),
        }
    }
}

#[async_trait]
impl Backend for Hosted {
    fn profile(&self) -> Profile {
        self.0.profile.clone()
    }

    async fn read(&self, key: &Key) -> Result<Option<Entry>, Error> {
        let answer = self.0.call("read", Request::Read(key.to_string()), Effect::Nothing).await?;
        answer.read().ok_or_else(|| self.0.nonsense("read", Effect::Nothing))
    }

    async fn list(&self, below: &Prefix) -> Result<Snapshot, Error> {
        let answer = self.0.call("list", Request::List(below.to_string()), Effect::Nothing).await?;
        answer.list().ok_or_else(|| self.0.nonsense("list", Effect::Nothing))
    }

    async fn changed(&self, scope: &Scope, seen: &Mark) -> Result<Change, Error> {
        let request = Request::Changed { scope: WireScope::new(scope), seen: seen.native() };
        let answer = self.0.call("changed", request, Effect::Nothing).await?;
        answer.change().ok_or_else(|| self.0.nonsense("changed", Effect::Nothing))
    }

    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        let answer = self.0.call("commit", Request::Commit(WireCommit::new(commit)), Effect::Write).await?;
        answer.outcome(commit.writes.len()).ok_or_else(|| self.0.nonsense("commit", Effect::Write))
    }

    async fn open_session(&self, options: &SessionOptions) -> Result<Box<dyn Session>, Error> {
        // One that is longer than five hundred years is refused as what it is: too long.
        let silence_ns = u64::try_from(options.silence.as_nanos()).unwrap_or(u64::MAX);
        let request = Request::Open { silence_ns, label: options.label.clone() };
        let (sender, receiver) = oneshot::channel();
        let cell = Arc::new(Cell::new());
        let asked = self.0.ask("open session", |number| ToHost::Call { number, request }, sender, Some(&cell))?;
        match self.0.answered("open session", receiver, Effect::Nothing).await? {
            Answer::Opened(id) => Ok(Box::new(HostedSession::new(&self.0, id, cell, asked))),
            _ => Err(self.0.nonsense("open session", Effect::Nothing)),
        }
    }

    async fn close(&self) -> Result<(), Error> {
        match self.0.call("close", Request::Close, Effect::Write).await {
            Ok(answer) => {
                self.0.closed.store(true, Ordering::Release);
                self.0.done("close", answer)
            }
            // The host is gone, and was told to close before.
            Err(error) if error.kind() == ErrorKind::Closed => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl fmt::Debug for Hosted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hosted")
            .field("process", &self.process_id())
            .field("line", &self.0.line)
            .finish_non_exhaustive()
    }
}
