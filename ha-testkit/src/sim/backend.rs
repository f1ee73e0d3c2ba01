use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ha_core::backend::{
    Backend, Change, Commit, Ended, Entry, Key, Mark, Outcome, Prefix, Profile, Scope, Session, SessionOptions,
    Snapshot,
};
use ha_core::seam::Seam;
use ha_core::{Error, ErrorKind};
use tokio::sync::watch;

use super::network::{Heard, Line};
use super::session::SimSession;
use super::store::{Answer, Request};
use crate::remote::cell::Cell;

/// How long a process waits for an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// How long for one that the store may keep open: longer than it does.
pub(super) const WATCH_PATIENCE: Duration = Duration::from_secs(35);

/// One process's handle on the store, over its line.
pub(super) struct SimBackend {
    pub(super) client: Arc<Client>,
}

/// What a handle and its sessions share.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) line: Line,
    pub(super) seam: Seam,
    closed: watch::Sender<bool>,
    sessions: Mutex<Vec<(u64, Arc<Cell>)>>,
}

impl SimBackend {
    pub(super) fn new(line: Line, seam: Seam) -> Self {
        let (closed, sessions) = (watch::Sender::new(false), Mutex::default());
        Self { client: Arc::new(Client { line, seam, closed, sessions }) }
    }
}

fn nothing_came(operation: &'static str, writes: bool) -> Error {
    let kind = if writes { ErrorKind::Indeterminate } else { ErrorKind::Unavailable };
    Error::new(kind, operation).because("no answer came")
}

impl Client {
    pub(super) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Asks, and waits for the answer as long as the handle is open.
    pub(super) async fn call(&self, operation: &'static str, request: Request) -> Result<Answer, Error> {
        let closed = || Error::new(ErrorKind::Closed, operation).because("the handle was closed");
        if self.is_closed() {
            return Err(closed());
        }
        let (writes, watches) = (request.is_write(), request.is_watch());
        let at_most = if watches { WATCH_PATIENCE } else { PATIENCE };
        let mut end = self.closed.subscribe();
        let heard = tokio::select! {
            biased;
            heard = self.line.ask(&self.seam, request, at_most) => heard,
            _ = end.wait_for(|closed| *closed) => {
                return Err(if writes { nothing_came(operation, true) } else { closed() });
            }
        };
        match heard {
            Heard::Answer(Answer::Failed(error)) => Err(error),
            Heard::Answer(answer) => Ok(answer),
            Heard::NotSent => Err(Error::new(ErrorKind::Unavailable, operation).because("the connection is refused")),
            Heard::Nothing => Err(nothing_came(operation, writes)),
        }
    }

    pub(super) fn nonsense(operation: &'static str) -> Error {
        Error::new(ErrorKind::Indeterminate, operation).because("an answer to another question")
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for SimBackend {
    fn profile(&self) -> Profile {
        self.client.line.store().profile()
    }

    async fn read(&self, key: &Key) -> Result<Option<Entry>, Error> {
        match self.client.call("read", Request::Read(key.clone())).await? {
            Answer::Entry(entry) => Ok(entry),
            _ => Err(Client::nonsense("read")),
        }
    }

    async fn list(&self, below: &Prefix) -> Result<Snapshot, Error> {
        match self.client.call("list", Request::List(below.clone())).await? {
            Answer::Snapshot(snapshot) => Ok(snapshot),
            _ => Err(Client::nonsense("list")),
        }
    }

    async fn changed(&self, scope: &Scope, seen: &Mark) -> Result<Change, Error> {
        match self.client.call("changed", Request::Changed(scope.clone(), *seen)).await? {
            Answer::Change(change) => Ok(change),
            _ => Err(Client::nonsense("changed")),
        }
    }

    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        commit.validate(&self.profile())?;
        match self.client.call("commit", Request::Commit(commit.clone())).await? {
            Answer::Outcome(outcome) => Ok(outcome),
            _ => Err(Client::nonsense("commit")),
        }
    }

    async fn open_session(&self, options: &SessionOptions) -> Result<Box<dyn Session>, Error> {
        let (client, session) = (&self.client, self.client.seam.random_u64() >> 1);
        let sent = client.seam.now();
        client.call("open session", Request::Open { session, silence: options.silence }).await?;
        let cell = Arc::new(Cell::new());
        client.sessions.lock().unwrap_or_else(PoisonError::into_inner).push((session, Arc::clone(&cell)));
        Ok(Box::new(SimSession::start(client, session, cell, options.silence, sent)))
    }

    async fn close(&self) -> Result<(), Error> {
        let sessions = std::mem::take(&mut *self.client.sessions.lock().unwrap_or_else(PoisonError::into_inner));
        for (session, cell) in sessions {
            cell.end(Ended::Closed);
            if !self.client.is_closed() {
                // What cannot be told is found out by silence.
                let _ = self.client.line.ask(&self.client.seam, Request::Close(session), PATIENCE).await;
            }
        }
        self.client.closed.send_replace(true);
        Ok(())
    }
}

impl fmt::Debug for SimBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimBackend").finish_non_exhaustive()
    }
}
