use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use ha_core::backend::{
    Acquire, Backend, Change, Commit, Ended, Entry, Key, Latch, Mark, Outcome, Prefix, Profile, Revision, Scope,
    Session, SessionOptions, Snapshot, Term,
};
use ha_core::seam::Deadline;
use ha_core::{Error, ErrorKind};

/// What stands between the services and a sound backend, and breaks what the services rely on. For proving that the
/// checks can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Sabotage {
    /// Nothing.
    None,
    /// Commits lose their guard.
    Unfenced,
    /// An unknown outcome is told as "not applied".
    UnknownIsNotApplied,
    /// An unknown outcome is told as "applied".
    UnknownIsApplied,
    /// What was listed once is the answer to every later list.
    OldLists,
    /// What was read once of a key is the answer to every later read of it.
    OldReads,
    /// What a process follows never changes again.
    Deaf,
    /// A session says that it holds for ever, and never that it is over.
    EndlessDeadline,
}

impl Sabotage {
    /// All of them but [`Sabotage::None`].
    pub const ALL: [Self; 7] = [
        Self::Unfenced,
        Self::UnknownIsNotApplied,
        Self::UnknownIsApplied,
        Self::OldLists,
        Self::OldReads,
        Self::Deaf,
        Self::EndlessDeadline,
    ];

    /// That backend, broken in this way.
    #[must_use]
    pub fn of(self, backend: Arc<dyn Backend>) -> Arc<dyn Backend> {
        match self {
            Self::None => backend,
            how => Arc::new(Sabotaged { inner: backend, how, lists: Mutex::default(), reads: Mutex::default() }),
        }
    }
}

#[derive(Debug)]
struct Sabotaged {
    inner: Arc<dyn Backend>,
    how: Sabotage,
    lists: Mutex<BTreeMap<Prefix, Snapshot>>,
    reads: Mutex<BTreeMap<Key, Option<Entry>>>,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for Sabotaged {
    fn profile(&self) -> Profile {
        self.inner.profile()
    }

    async fn read(&self, key: &Key) -> Result<Option<Entry>, Error> {
        let known = self.reads.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
        if let Some(known) = known.filter(|_| self.how == Sabotage::OldReads) {
            return Ok(known);
        }
        let entry = self.inner.read(key).await?;
        self.reads.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), entry.clone());
        Ok(entry)
    }

    async fn list(&self, below: &Prefix) -> Result<Snapshot, Error> {
        let known = self.lists.lock().unwrap_or_else(PoisonError::into_inner).get(below).cloned();
        let old = match self.how {
            Sabotage::OldLists => true,
            Sabotage::Deaf => below.as_str().ends_with("leader/"),
            _ => false,
        };
        if let Some(known) = known.filter(|_| old) {
            return Ok(known);
        }
        let snapshot = self.inner.list(below).await?;
        self.lists.lock().unwrap_or_else(PoisonError::into_inner).insert(below.clone(), snapshot.clone());
        Ok(snapshot)
    }

    async fn changed(&self, scope: &Scope, seen: &Mark) -> Result<Change, Error> {
        if self.how == Sabotage::Deaf && *seen != Mark::UNSEEN && matches!(scope, Scope::Below(_)) {
            return std::future::pending().await;
        }
        self.inner.changed(scope, seen).await
    }

    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        let mut commit = commit.clone();
        if self.how == Sabotage::Unfenced {
            commit.guard = None;
        }
        match self.inner.commit(&commit).await {
            Err(error) if error.may_have_applied() && self.how == Sabotage::UnknownIsNotApplied => {
                Err(Error::new(ErrorKind::Unavailable, "commit").because("sabotaged"))
            }
            Err(error) if error.may_have_applied() && self.how == Sabotage::UnknownIsApplied => {
                let revisions = commit.writes.iter().map(|_| Revision::from_native(1)).collect();
                Ok(Outcome::Applied { revisions })
            }
            other => other,
        }
    }

    async fn open_session(&self, options: &SessionOptions) -> Result<Box<dyn Session>, Error> {
        let session = self.inner.open_session(options).await?;
        Ok(if self.how == Sabotage::EndlessDeadline { Box::new(Endless(session)) } else { session })
    }

    async fn close(&self) -> Result<(), Error> {
        self.inner.close().await
    }
}

#[derive(Debug)]
struct Endless(Box<dyn Session>);

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Session for Endless {
    fn id(&self) -> &str {
        self.0.id()
    }

    async fn try_acquire(&self, latch: &Latch, holder: Bytes, over: Option<&Term>) -> Result<Acquire, Error> {
        self.0.try_acquire(latch, holder, over).await
    }

    async fn release(&self, latch: &Latch) -> Result<(), Error> {
        self.0.release(latch).await
    }

    fn valid_until(&self) -> Deadline {
        Deadline::NEVER
    }

    async fn ended(&self) -> Ended {
        std::future::pending().await
    }

    async fn close(&self) -> Result<(), Error> {
        self.0.close().await
    }
}
