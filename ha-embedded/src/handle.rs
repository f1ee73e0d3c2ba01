use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ha_core::backend::{
    Backend, Change, Commit, Ended, Entry, Key, Mark, Outcome, Prefix, Profile, Scope, Session, SessionOptions,
    Snapshot,
};
use ha_core::{Error, ErrorKind};
use tokio::sync::{Notify, watch};

use crate::session::EmbeddedSession;
use crate::store::Shared;

/// The shortest and the longest silence that a session may have.
const SILENCE: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(24 * 3600);

/// One process's handle on an [`Embedded`](crate::Embedded) store.
pub struct Handle {
    shared: Arc<Shared>,
    number: u64,
    closed: watch::Sender<bool>,
}

impl Handle {
    pub(crate) fn new(shared: Arc<Shared>, number: u64) -> Self {
        Self { shared, number, closed: watch::Sender::new(false) }
    }

    /// Ends the handle as a crash of its process would: its sessions are over at once, and every
    /// later call fails.
    pub fn crash(&self) {
        // Race: another thread may open a session just now.
        // Closed by: whether the handle is closed is written and, for sessions, read under the lock.
        // Cost if missed: a session that outlives its handle, and keeps what it takes.
        let mut state = self.shared.state();
        self.closed.send_replace(true);
        let mine = state.sessions.iter().filter(|(_, living)| living.handle == self.number);
        let mine: Vec<u64> = mine.map(|(id, _)| *id).collect();
        for id in mine {
            state.end(id, Ended::Closed);
        }
    }

    fn check_open(&self, operation: &'static str) -> Result<(), Error> {
        if *self.closed.borrow() {
            return Err(self.closed_error(operation));
        }
        Ok(())
    }

    fn closed_error(&self, operation: &'static str) -> Error {
        Error::new(ErrorKind::Closed, operation)
            .because(format!("the backend handle {} was closed; connect again", self.number))
    }
}

async fn until(closed: &mut watch::Receiver<bool>) {
    // An error says that the handle is gone, and so closed as well.
    let _ = closed.wait_for(|closed| *closed).await;
}

/// A registration among the waiters, taken back when the waiting ends in any way.
struct Waiting<'a> {
    shared: &'a Shared,
    scope: &'a Scope,
    number: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.shared.state().space.waiters().remove(self.scope, self.number);
    }
}

#[async_trait]
impl Backend for Handle {
    fn profile(&self) -> Profile {
        self.shared.profile.clone()
    }

    async fn read(&self, key: &Key) -> Result<Option<Entry>, Error> {
        self.check_open("read")?;
        Ok(self.shared.state().space.read(key))
    }

    async fn list(&self, below: &Prefix) -> Result<Snapshot, Error> {
        self.check_open("list")?;
        Ok(self.shared.state().space.snapshot(&Scope::Below(below.clone())))
    }

    async fn changed(&self, scope: &Scope, seen: &Mark) -> Result<Change, Error> {
        let mut closed = self.closed.subscribe();
        let wake = Arc::new(Notify::new());
        self.check_open("changed")?;
        // Registered before the first look: a change between look and sleep leaves a permit.
        let number = self.shared.state().space.waiters().add(scope, &wake);
        let _waiting = Waiting { shared: &self.shared, scope, number };
        loop {
            let expiry = {
                let state = self.shared.state();
                if let Some(change) = state.space.news(scope, *seen) {
                    return Ok(change);
                }
                state.next_expiry()
            };
            // Nobody else ends a silent session: whoever waits looks again when one may be due.
            let expiry = async {
                match expiry {
                    Some(at) => self.shared.seam.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = until(&mut closed) => self.check_open("changed")?,
                () = wake.notified() => {}
                () = expiry => {}
            }
        }
    }

    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        self.check_open("commit")?;
        commit.validate(&self.shared.profile)?;
        Ok(self.shared.state().space.commit(commit))
    }

    async fn open_session(&self, options: &SessionOptions) -> Result<Box<dyn Session>, Error> {
        self.check_open("open session")?;
        if !SILENCE.contains(&options.silence) {
            return Err(Error::new(ErrorKind::Invalid, "open session").because(format!(
                "a silence of {:?}; from {:?} to {:?} is possible",
                options.silence,
                SILENCE.start(),
                SILENCE.end(),
            )));
        }
        let closed = || *self.closed.borrow();
        match EmbeddedSession::open(&self.shared, self.number, options, closed) {
            Some(session) => Ok(Box::new(session)),
            None => Err(self.closed_error("open session")),
        }
    }

    async fn close(&self) -> Result<(), Error> {
        self.crash();
        Ok(())
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("number", &self.number).finish_non_exhaustive()
    }
}
