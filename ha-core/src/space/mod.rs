//! What backends that hold the whole key space in memory are made of.
//!
//! A [`Space`] is the backend contract as a pure state machine: entries with revisions, latches with terms and
//! epochs, which session has taken what, what changed lately, and who waits for it. Each method is one atomic step
//! of the contract; the owner keeps the space behind one lock, or applies one step after the other. Equal steps from
//! an equal beginning lead to equal spaces and equal answers, on every machine.
//!
//! It knows no time and does no I/O. When a session has been silent for too long, how long it may write and what is
//! durable are the business of the backend around it.
//!
//! ```
//! use ha_core::backend::{Acquire, Commit, Expect, Fence, Key, Latch, Outcome, Prefix, WriteId};
//! use ha_core::space::Space;
//!
//! let mut space = Space::default();
//! space.open("session-1".into());
//! let latch = Latch::below(&Prefix::new("leader").unwrap());
//! let Ok(Acquire::Won(term)) = space.acquire("session-1", &latch, "me".into(), None) else { panic!() };
//!
//! let fence = Fence { latch: latch.clone(), term };
//! let commit = |id| Commit::new(WriteId::from_bits(0, id)).guarded_by(fence.clone());
//! let key = |key| Key::new(key).unwrap();
//! let first = space.commit(&commit(1).put(key("a"), Expect::Absent, "1".into()));
//! assert!(matches!(first, Outcome::Applied { .. }));
//!
//! // The end of a session frees its latches in the same step.
//! assert!(space.end("session-1"));
//! let late = space.commit(&commit(2).put(key("b"), Expect::Absent, "2".into()));
//! assert_eq!(late, Outcome::Fenced);
//! ```

#[cfg(feature = "journal")]
mod image;
mod latches;
#[cfg(test)]
mod tests;
mod waiters;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use crate::backend::{Change, Commit, Entry, Expect, Fence, Key, Mark, Outcome, Revision, Scope, Snapshot, Term};

#[cfg(feature = "journal")]
pub(crate) use image::{Image, NUMBER_MAX};
pub use latches::Refusal;
pub use waiters::Waiters;

/// How many changes are remembered, so that a watcher that saw them hears only what differs.
const LOG_MAX: usize = 4096;

/// A whole key space. See the [module](self).
#[derive(Default)]
pub struct Space {
    /// Counts changes; the source of revisions, marks and native epochs, so none ever repeats.
    sequence: u64,
    entries: BTreeMap<Key, Stored>,
    /// Under which term each latch is held. The native part of a term is the id of its session.
    latches: BTreeMap<Key, Term>,
    /// The highest epoch of each latch. Kept beside the visible key, which anybody may remove.
    epochs: BTreeMap<Key, u64>,
    /// For each open session the latches that it has taken, now or before: it takes none of them again.
    sessions: BTreeMap<Arc<str>, BTreeSet<Key>>,
    /// The bytes of all keys and values in `entries`.
    bytes: u64,
    log: VecDeque<(u64, Key)>,
    /// Changes up to this one are no longer in the log.
    log_floor: u64,
    waiters: Waiters,
}

struct Stored {
    value: Bytes,
    revision: Revision,
}

impl Space {
    /// An empty space whose revisions and epochs are all greater than that number.
    #[must_use]
    pub fn above(sequence: u64) -> Self {
        Self { sequence, log_floor: sequence, ..Self::default() }
    }

    /// How many changes there were: the newest revision.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The bytes of all keys and values that are stored.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Those who wait for changes; every change wakes them.
    pub fn waiters(&mut self) -> &mut Waiters {
        &mut self.waiters
    }

    /// What stands at the key.
    #[must_use]
    pub fn read(&self, key: &Key) -> Option<Entry> {
        self.entries.get(key).map(|stored| self.entry(key, stored))
    }

    fn entry(&self, key: &Key, stored: &Stored) -> Entry {
        Entry {
            key: key.clone(),
            value: stored.value.clone(),
            revision: stored.revision,
            held: self.latches.get(key).cloned(),
        }
    }

    /// All entries of the scope.
    #[must_use]
    pub fn snapshot(&self, scope: &Scope) -> Snapshot {
        let entries = match scope {
            Scope::Key(key) => self.read(key).into_iter().collect(),
            Scope::Below(prefix) => {
                let start = (Bound::Included(prefix.as_str()), Bound::Unbounded);
                let from = self.entries.range::<str, _>(start);
                let within = from.take_while(|(key, _)| prefix.contains(key));
                within.map(|(key, stored)| self.entry(key, stored)).collect()
            }
        };
        Snapshot { entries, mark: self.mark() }
    }

    fn mark(&self) -> Mark {
        // One more than the sequence, because a mark of 0 stands for "nothing seen".
        Mark::from_native(self.sequence + 1)
    }

    /// What differs in the scope from what was seen; `None` if nothing does. The last 4096 changes are remembered;
    /// whoever saw less hears of the whole scope.
    #[must_use]
    pub fn news(&self, scope: &Scope, seen: Mark) -> Option<Change> {
        let Some(seen) = seen.native().checked_sub(1) else {
            return Some(Change::Snapshot(self.snapshot(scope)));
        };
        if seen < self.log_floor || seen > self.sequence {
            return Some(Change::Snapshot(self.snapshot(scope)));
        }
        let since = self.log.iter().rev().take_while(|(sequence, _)| *sequence > seen);
        let keys: BTreeSet<&Key> = since.map(|(_, key)| key).filter(|key| scope.contains(key)).collect();
        if keys.is_empty() {
            return None;
        }
        let (mut entries, mut removed) = (Vec::new(), Vec::new());
        for key in keys {
            match self.read(key) {
                Some(entry) => entries.push(entry),
                None => removed.push(key.clone()),
            }
        }
        Some(Change::Delta { entries, removed, mark: self.mark() })
    }

    /// Applies all of the commit or none of it. It must have passed [`Commit::validate`].
    pub fn commit(&mut self, commit: &Commit) -> Outcome {
        if commit.guard.as_ref().is_some_and(|fence| !self.is_current(fence)) {
            return Outcome::Fenced;
        }
        let writes = commit.writes.iter().map(|write| (&write.key, write.expect));
        for (key, expect) in writes.chain(commit.checks.iter().map(|(key, expect)| (key, *expect))) {
            let found = self.entries.get(key);
            if !expect.is_met_by(found.map(|stored| stored.revision)) {
                return Outcome::Conflict { key: key.clone(), found: self.read(key) };
            }
        }
        let mut revisions = Vec::with_capacity(commit.writes.len());
        for write in &commit.writes {
            revisions.push(match (&write.value, write.expect) {
                (Some(value), _) => self.put(&write.key, value.clone()),
                (None, Expect::Revision(revision)) => {
                    self.remove(&write.key);
                    revision
                }
                // Refused by `Commit::validate`.
                (None, Expect::Absent) => continue,
            });
        }
        Outcome::Applied { revisions }
    }

    fn is_current(&self, fence: &Fence) -> bool {
        self.latches.get(fence.latch.key()).is_some_and(|term| *term == fence.term)
    }

    fn put(&mut self, key: &Key, value: Bytes) -> Revision {
        let revision = self.touch(key);
        self.bytes += value.len() as u64;
        match self.entries.get_mut(key) {
            Some(stored) => {
                self.bytes -= stored.value.len() as u64;
                *stored = Stored { value, revision };
            }
            None => {
                self.bytes += key.as_str().len() as u64;
                self.entries.insert(key.clone(), Stored { value, revision });
            }
        }
        revision
    }

    fn remove(&mut self, key: &Key) {
        if let Some(stored) = self.entries.remove(key) {
            self.bytes -= (key.as_str().len() + stored.value.len()) as u64;
            self.touch(key);
        }
    }

    /// Counts and announces a change of the key.
    fn touch(&mut self, key: &Key) -> Revision {
        self.sequence += 1;
        if self.log.len() == LOG_MAX {
            self.log_floor = self.log.pop_front().map_or(self.log_floor, |(sequence, _)| sequence);
        }
        self.log.push_back((self.sequence, key.clone()));
        self.waiters.wake(key);
        Revision::from_native(self.sequence)
    }

    /// A write past all rules, as an operator or another program would make it; `None` removes.
    pub fn tamper(&mut self, key: &Key, value: Option<Bytes>) {
        // The holder of a latch is recognised by its entry; a foreign one is nobody's. So the
        // leader is fenced, and the next attempt of anybody wins.
        self.latches.remove(key);
        match value {
            Some(value) => drop(self.put(key, value)),
            None => self.remove(key),
        }
    }
}

impl fmt::Debug for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Space")
            .field("sequence", &self.sequence)
            .field("entries", &self.entries.len())
            .field("sessions", &self.sessions.len())
            .field("latches", &self.latches.len())
            .field("waiters", &self.waiters.len())
            .finish_non_exhaustive()
    }
}
