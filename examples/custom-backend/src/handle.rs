//! The contract itself: each call finds its way to a view or to the writer.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use async_trait::async_trait;
use ha_core::backend::{
    Backend, Change, Commit, Entry, Key, Mark, Outcome, Prefix, Profile, Scope, Session, SessionOptions, Snapshot,
};
use ha_core::{Error, ErrorKind};
use tokio::sync::watch;

use crate::RedbStore;
use crate::commit::apply;
use crate::core::{Core, closed, snapshot};
use crate::session::RedbSession;

/// The shortest and the longest silence that a session may have.
const SILENCE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(24 * 3600);

/// One handle on a [`RedbStore`], as one process has it.
pub struct RedbBackend {
    store: RedbStore,
    /// Tells the sessions of this handle from those of others.
    number: u64,
    closed: watch::Sender<bool>,
}

impl RedbBackend {
    pub(crate) fn new(store: RedbStore) -> Self {
        let number = store.core.seam.random_u64();
        Self { store, number, closed: watch::Sender::new(false) }
    }

    fn open(&self) -> Result<&RedbStore, Error> {
        if *self.closed.borrow() { Err(closed()) } else { Ok(&self.store) }
    }
}

#[async_trait]
impl Backend for RedbBackend {
    fn profile(&self) -> Profile {
        Core::profile()
    }

    // guide: read
    async fn read(&self, key: &Key) -> Result<Option<Entry>, Error> {
        self.open()?.core.view(|view| view.read(key))
    }

    async fn list(&self, below: &Prefix) -> Result<Snapshot, Error> {
        self.open()?.core.view(|view| snapshot(view, &Scope::Below(below.clone())))
    }
    // guide: end

    // guide: changed
    async fn changed(&self, scope: &Scope, seen: &Mark) -> Result<Change, Error> {
        // Listening before the first look: a change between look and wait rings the bell.
        let (mut closed, mut bell) = (self.closed.subscribe(), self.store.core.news.listen());
        loop {
            if let Some(change) = self.open()?.core.change(scope, *seen)? {
                return Ok(change);
            }
            // An error says that the sender is gone; both live as long as `self`.
            tokio::select! {
                biased;
                _ = closed.changed() => {}
                _ = bell.changed() => {}
            }
        }
    }
    // guide: end

    // guide: commit
    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        commit.validate(&self.profile())?;
        let commit = commit.clone();
        self.open()?.writer.write("commit", move |tables| apply(tables, &commit)).await
    }
    // guide: end

    // guide: open_session
    async fn open_session(&self, options: &SessionOptions) -> Result<Box<dyn Session>, Error> {
        let store = self.open()?;
        // The store could be closed and the handle not.
        store.core.view(|_| Ok(()))?;
        if !SILENCE.contains(&options.silence) {
            let why = format!("a silence of {:?}; {SILENCE:?} is possible", options.silence);
            return Err(Error::new(ErrorKind::Invalid, "open session").because(why));
        }
        let session = RedbSession::open(store, self.number, options, || *self.closed.borrow());
        session.map(|session| Box::new(session) as Box<dyn Session>).ok_or_else(closed)
    }
    // guide: end

    async fn close(&self) -> Result<(), Error> {
        {
            let mut sessions = self.store.core.sessions();
            self.closed.send_replace(true);
            sessions.end_of_handle(self.number);
        }
        match self.store.writer.write("close", |_| Ok(())).await {
            // The whole store was closed before, and all sessions with it.
            Err(error) if error.kind() == ErrorKind::Closed => Ok(()),
            freed => freed,
        }
    }
}

impl fmt::Debug for RedbBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbBackend").field("number", &self.number).finish_non_exhaustive()
    }
}
