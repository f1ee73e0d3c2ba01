use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::engine::{Engine, Running, closed, unexpected};
use super::session::JournalSession;
use super::{Answer, Journal, JournalOptions, Operation, Why};
use crate::backend::{
    Backend, Change, Commit, Entry, Key, Mark, Outcome, Prefix, Profile, Scope, Session, SessionOptions, Snapshot,
};
use crate::seam::Seam;
use crate::{Error, ErrorKind};

/// The shortest and the longest silence that a session may have.
const SILENCE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(24 * 3600);

/// A backend on a [`Journal`] device: one process's handle on it.
///
/// It keeps the whole contract of [`crate::backend`]. Every commit, every attempt on a latch and every renewal stands
/// in the journal; what waits at the same time shares one entry. The whole key space is held in memory, by every
/// handle, so a read costs one look for the next entry and an answer from memory; on a device whose reads may be old,
/// an entry of its own (unless [`JournalOptions::reads`] does without). At most 1 MiB a value, 1024 operations and 8 MiB a commit.
///
/// A handle that is dropped ends its sessions without waiting for it.
pub struct JournalBackend {
    running: Arc<Running>,
}

/// A session as the journal knows it: one that has won a latch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// As [`Session::id`] says it.
    pub id: String,
    /// As its owner gave it.
    pub label: String,
    /// How long it may be silent.
    pub silence: Duration,
    /// How often it has renewed itself.
    pub renewals: u64,
    /// The latches that it holds.
    pub holds: Vec<Key>,
}

impl JournalBackend {
    /// Opens a handle: loads the newest snapshot, reads to the end, and begins to follow. All handles on one journal
    /// must be given the same options.
    ///
    /// # Errors
    /// * [`ErrorKind::Corrupt`], [`ErrorKind::NewerFormat`]: the journal cannot be read. The text names the entry or
    ///   the snapshot. Nothing was deleted.
    /// * [`ErrorKind::Unsupported`]: the device takes too little.
    /// * [`ErrorKind::Unavailable`], [`ErrorKind::Denied`]: the device did not answer, or refused. Try later.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn open(device: Arc<dyn Journal>, seam: Seam, options: JournalOptions) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Self { running: Running::start(device, seam, options).await? }))
    }

    fn engine(&self) -> &Arc<Engine> {
        &self.running.engine
    }
}

/// For operators, and for tests.
impl JournalBackend {
    /// The sessions that hold, or have held, a latch, in the order of their ids. Those that only wait for one are known
    /// to their own process alone.
    ///
    /// # Errors
    /// As [`Backend::read`].
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn sessions(&self) -> Result<Vec<SessionInfo>, Error> {
        self.engine().know_the_end("list sessions").await?;
        let core = self.engine().core();
        let info = |(id, record): (&Arc<str>, &super::SessionRecord)| SessionInfo {
            id: id.to_string(),
            label: record.registration.label.clone(),
            silence: record.silence(),
            renewals: record.renewals,
            holds: core.state.held_by(id),
        };
        Ok(core.state.sessions().map(info).collect())
    }

    /// Ends a session: its latches are free when this returns, and its owner hears that it was revoked. A session that
    /// holds nothing yet hears it too, although it stands in no list.
    ///
    /// # Errors
    /// * [`ErrorKind::NotFound`]: the journal knows no such session.
    /// * Else as any write; after [`ErrorKind::Indeterminate`], look whether it is still there.
    ///
    /// # Cancel safety
    /// After a drop it may be over or not.
    pub async fn revoke(&self, session: &str) -> Result<(), Error> {
        self.end(session, Why::Revoked).await
    }

    /// Ends a session as if its silence had run out at this moment, without waiting for it.
    ///
    /// # Errors
    /// As [`revoke`](Self::revoke); also not found if it has just renewed itself.
    ///
    /// # Cancel safety
    /// After a drop it may be over or not.
    pub async fn expire(&self, session: &str) -> Result<(), Error> {
        self.engine().know_the_end("expire").await?;
        let renewals = self.engine().core().state.session(session).map_or(0, |record| record.renewals);
        self.end(session, Why::Silent { renewals }).await
    }

    async fn end(&self, session: &str, why: Why) -> Result<(), Error> {
        let end = Operation::End { session: session.into(), why };
        match self.engine().ask("end a session", Some(end)).await? {
            Some(Answer::Ended(true)) => Ok(()),
            Some(Answer::Ended(false)) => Err(unknown_session(session)),
            other => Err(unexpected("end a session", &other)),
        }
    }

    /// Keeps everything that a session of this handle wants from the journal, or lets it through again: its silence
    /// runs, as if the network were cut. To try out what a failure does.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]: no session of this handle that lives.
    pub fn freeze(&self, session: &str, frozen: bool) -> Result<(), Error> {
        let mut core = self.engine().core();
        let own = core.own.get_mut(session).ok_or_else(|| unknown_session(session))?;
        own.frozen = frozen;
        Ok(())
    }

    /// How many wait for a change at this moment.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.engine().core().state.waiters().len()
    }
}

fn unknown_session(session: &str) -> Error {
    Error::new(ErrorKind::NotFound, "end a session").at(session).because("the journal knows no such session")
}

/// A registration among the waiters, taken back when the waiting ends in any way.
struct Waiting<'a> {
    engine: &'a Engine,
    scope: &'a Scope,
    number: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.engine.core().state.waiters().remove(self.scope, self.number);
    }
}

#[async_trait]
impl Backend for JournalBackend {
    fn profile(&self) -> Profile {
        self.engine().profile.clone()
    }

    async fn read(&self, key: &Key) -> Result<Option<Entry>, Error> {
        self.engine().look("read").await?;
        Ok(self.engine().core().state.read(key))
    }

    async fn list(&self, below: &Prefix) -> Result<Snapshot, Error> {
        self.engine().look("list").await?;
        Ok(self.engine().core().state.snapshot(&Scope::Below(below.clone())))
    }

    async fn changed(&self, scope: &Scope, seen: &Mark) -> Result<Change, Error> {
        let engine = &**self.engine();
        let mut is_closed = engine.is_closed();
        let wake = Arc::new(Notify::new());
        engine.check_open("changed")?;
        // Registered before the first look: a change between look and sleep leaves a permit.
        let number = engine.core().state.waiters().add(scope, &wake);
        let _waiting = Waiting { engine, scope, number };
        if engine.core().state.news(scope, *seen).is_some() {
            // Whoever was away for long hears how it ended, not one of the steps.
            engine.read_to_the_end().await?;
            if let Some(change) = engine.core().state.news(scope, *seen) {
                return Ok(change);
            }
        }
        engine.attend();
        loop {
            tokio::select! {
                biased;
                _ = is_closed.wait_for(|is_closed| *is_closed) => return Err(closed("changed")),
                () = wake.notified() => {}
            }
            engine.check_open("changed")?;
            if let Some(change) = engine.core().state.news(scope, *seen) {
                return Ok(change);
            }
        }
    }

    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        self.engine().check_open("commit")?;
        commit.validate(&self.engine().profile)?;
        match self.engine().ask("commit", Some(Operation::Commit(commit.clone()))).await? {
            Some(Answer::Commit(outcome)) => Ok(outcome),
            other => Err(unexpected("commit", &other)),
        }
    }

    async fn open_session(&self, options: &SessionOptions) -> Result<Box<dyn Session>, Error> {
        self.engine().check_open("open session")?;
        if !SILENCE.contains(&options.silence) {
            let (min, max) = (SILENCE.start(), SILENCE.end());
            let why = format!("a silence of {:?}; from {min:?} to {max:?} is possible", options.silence);
            return Err(Error::new(ErrorKind::Invalid, "open session").because(why));
        }
        Ok(Box::new(JournalSession::open(&self.running, options).await?))
    }

    async fn close(&self) -> Result<(), Error> {
        self.running.close().await
    }
}

impl fmt::Debug for JournalBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JournalBackend").field("running", &self.running).finish()
    }
}
