use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::Error;
use crate::backend::{
    Acquire, Backend, Change, Commit, Ended, Entry, Fence, Key, Latch, Mark, Outcome, Prefix, Profile, Scope, Session,
    SessionOptions, Snapshot, Term, Write,
};
use crate::seam::Deadline;

/// Shows what lies below one prefix of a backend as if it were the whole of it.
///
/// This is how several clusters live in one store: each sees its own keys and no others. Entries
/// that the backend reports from elsewhere are left out; that never hides a key of this prefix.
///
/// ```
/// # use std::sync::Arc;
/// # use ha_core::{backend::{Backend, Prefix}, wrap::Chroot};
/// # fn example(shared: Arc<dyn Backend>) -> Result<(), ha_core::Error> {
/// let production = Chroot::new(Arc::clone(&shared), Prefix::new("flink/prod")?);
/// let staging = Chroot::new(shared, Prefix::new("flink/staging")?);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Chroot {
    inner: Arc<dyn Backend>,
    root: Prefix,
}

impl Chroot {
    /// The part of `inner` below `root`.
    #[must_use]
    pub fn new(inner: Arc<dyn Backend>, root: Prefix) -> Self {
        Self { inner, root }
    }
}

/// Translates between what lies inside of the root and what the backend calls it.
trait Translate {
    fn outer_latch(&self, latch: &Latch) -> Latch;
    fn outer_scope(&self, scope: &Scope) -> Scope;
    fn inner_scope(&self, scope: Scope) -> Scope;
    fn inner_entries(&self, entries: Vec<Entry>) -> Vec<Entry>;
    fn inner_entry(&self, entry: Entry) -> Option<Entry>;
}

impl Translate for Prefix {
    fn outer_latch(&self, latch: &Latch) -> Latch {
        Latch::from_key(self.outer(latch.key()))
    }

    fn outer_scope(&self, scope: &Scope) -> Scope {
        match scope {
            Scope::Key(key) => Scope::Key(self.outer(key)),
            Scope::Below(prefix) => Scope::Below(self.join(prefix)),
        }
    }

    fn inner_scope(&self, scope: Scope) -> Scope {
        match scope {
            Scope::Key(key) => Scope::Key(self.inner(&key).unwrap_or(key)),
            Scope::Below(prefix) => {
                let rest = prefix.as_str().strip_prefix(self.as_str()).and_then(|rest| Prefix::new(rest).ok());
                Scope::Below(rest.unwrap_or_else(Prefix::root))
            }
        }
    }

    fn inner_entries(&self, entries: Vec<Entry>) -> Vec<Entry> {
        entries.into_iter().filter_map(|entry| self.inner_entry(entry)).collect()
    }

    fn inner_entry(&self, entry: Entry) -> Option<Entry> {
        let key = self.inner(&entry.key)?;
        Some(Entry { key, ..entry })
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for Chroot {
    fn profile(&self) -> Profile {
        let mut profile = self.inner.profile();
        // Every key is longer by the root for the store than for the caller. Where operations are
        // practically unlimited, half must do; what the store still refuses is too large all the same.
        let longer = self.root.as_str().len().saturating_mul(profile.commit_operations_max);
        profile.commit_bytes_max -= longer.min(profile.commit_bytes_max / 2);
        profile
    }

    async fn read(&self, key: &Key) -> Result<Option<Entry>, Error> {
        let found = self.inner.read(&self.root.outer(key)).await?;
        Ok(found.and_then(|entry| self.root.inner_entry(entry)))
    }

    async fn list(&self, below: &Prefix) -> Result<Snapshot, Error> {
        let Snapshot { entries, mark } = self.inner.list(&self.root.join(below)).await?;
        Ok(Snapshot { entries: self.root.inner_entries(entries), mark })
    }

    async fn changed(&self, scope: &Scope, seen: &Mark) -> Result<Change, Error> {
        Ok(match self.inner.changed(&self.root.outer_scope(scope), seen).await? {
            Change::Snapshot(Snapshot { entries, mark }) => {
                Change::Snapshot(Snapshot { entries: self.root.inner_entries(entries), mark })
            }
            Change::Delta { entries, removed, mark } => Change::Delta {
                entries: self.root.inner_entries(entries),
                removed: removed.iter().filter_map(|key| self.root.inner(key)).collect(),
                mark,
            },
            Change::Hint { mark } => Change::Hint { mark },
        })
    }

    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        // Refused here, so that the error names the key as the caller knows it.
        commit.validate(&self.profile())?;
        let outer = |write: &Write| Write { key: self.root.outer(&write.key), ..write.clone() };
        let commit = Commit {
            id: commit.id,
            guard: commit
                .guard
                .as_ref()
                .map(|fence| Fence { latch: self.root.outer_latch(&fence.latch), term: fence.term.clone() }),
            writes: commit.writes.iter().map(outer).collect(),
            checks: commit.checks.iter().map(|(key, expect)| (self.root.outer(key), *expect)).collect(),
        };
        Ok(match self.inner.commit(&commit).await? {
            Outcome::Conflict { key, found } => Outcome::Conflict {
                key: self.root.inner(&key).unwrap_or(key),
                found: found.and_then(|entry| self.root.inner_entry(entry)),
            },
            other => other,
        })
    }

    async fn open_session(&self, options: &SessionOptions) -> Result<Box<dyn Session>, Error> {
        let inner = self.inner.open_session(options).await?;
        Ok(Box::new(ChrootSession { inner, root: self.root.clone() }))
    }

    async fn close(&self) -> Result<(), Error> {
        self.inner.close().await
    }
}

#[derive(Debug)]
struct ChrootSession {
    inner: Box<dyn Session>,
    root: Prefix,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Session for ChrootSession {
    fn id(&self) -> &str {
        self.inner.id()
    }

    async fn try_acquire(&self, latch: &Latch, holder: Bytes, over: Option<&Term>) -> Result<Acquire, Error> {
        Ok(match self.inner.try_acquire(&self.root.outer_latch(latch), holder, over).await? {
            Acquire::Held { by, wait, seen } => Acquire::Held { by, wait: self.root.inner_scope(wait), seen },
            won => won,
        })
    }

    async fn release(&self, latch: &Latch) -> Result<(), Error> {
        self.inner.release(&self.root.outer_latch(latch)).await
    }

    fn valid_until(&self) -> Deadline {
        self.inner.valid_until()
    }

    async fn ended(&self) -> Ended {
        self.inner.ended().await
    }

    async fn close(&self) -> Result<(), Error> {
        self.inner.close().await
    }
}
