use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use ha_core::backend::{
    Acquire, Change, Commit, Ended, Entry, Expect, Fence, Holder, Key, Latch, Mark, Outcome, Profile, Revision, Scope,
    Snapshot, Term,
};
use ha_core::seam::{Moment, Seam};
use ha_core::{Error, ErrorKind};

use crate::session::Cell;
use crate::waiters::Waiters;

/// How many changes are remembered, so that a watcher that saw them hears only what differs.
const LOG_MAX: usize = 4096;

/// How long the store waits in silence before it gives a session up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// As long as the session's options say.
    OfTheSession,
    /// For ever: nobody competes, and a process that slept for a day has lost nothing by it.
    Endless,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) seam: Seam,
    pub(crate) profile: Profile,
    pub(crate) patience: Patience,
    state: Mutex<State>,
}

impl Shared {
    pub(crate) fn new(seam: Seam, profile: Profile) -> Self {
        Self { seam, profile, patience: Patience::OfTheSession, state: Mutex::new(State::default()) }
    }

    /// A store whose sessions never end by silence, and whose epochs are all greater than that number.
    pub(crate) fn endless(seam: Seam, profile: Profile, epochs_above: u64) -> Self {
        let state = State { sequence: epochs_above, log_floor: epochs_above, ..State::default() };
        Self { seam, profile, patience: Patience::Endless, state: Mutex::new(state) }
    }

    /// The state as it is now: sessions whose time has run out are ended first.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // No step below leaves the state half-changed when it panics, so poison says nothing.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.end_expired(self.seam.now());
        state
    }
}

/// The whole store. Every method is one atomic step: the caller holds the only lock.
#[derive(Default)]
pub(crate) struct State {
    /// Counts changes; the source of revisions, marks and native epochs, so none ever repeats.
    sequence: u64,
    entries: BTreeMap<Key, Stored>,
    latches: BTreeMap<Key, Held>,
    /// The highest epoch of each latch. Kept beside the visible key, which anybody may remove.
    epochs: BTreeMap<Key, u64>,
    pub(crate) sessions: BTreeMap<u64, Living>,
    expiries: BTreeSet<(Moment, u64)>,
    log: VecDeque<(u64, Key)>,
    /// Changes up to this one are no longer in the log.
    log_floor: u64,
    pub(crate) waiters: Waiters,
}

struct Stored {
    value: Bytes,
    revision: Revision,
}

#[derive(Clone)]
struct Held {
    session: u64,
    term: Term,
}

pub(crate) struct Living {
    pub(crate) label: String,
    pub(crate) cell: Arc<Cell>,
    pub(crate) handle: u64,
    pub(crate) frozen: bool,
    expires: Moment,
    /// Latches that this session has taken, now or before: it takes none of them again.
    taken: BTreeSet<Key>,
}

impl State {
    pub(crate) fn read(&self, key: &Key) -> Option<Entry> {
        self.entries.get(key).map(|stored| self.entry(key, stored))
    }

    fn entry(&self, key: &Key, stored: &Stored) -> Entry {
        Entry {
            key: key.clone(),
            value: stored.value.clone(),
            revision: stored.revision,
            held: self.latches.get(key).map(|held| held.term.clone()),
        }
    }

    pub(crate) fn snapshot(&self, scope: &Scope) -> Snapshot {
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

    /// What differs in the scope from what was seen; `None` if nothing does.
    pub(crate) fn news(&self, scope: &Scope, seen: Mark) -> Option<Change> {
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

    pub(crate) fn commit(&mut self, commit: &Commit) -> Outcome {
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
        self.latches.get(fence.latch.key()).is_some_and(|held| held.term == fence.term)
    }

    fn put(&mut self, key: &Key, value: Bytes) -> Revision {
        let revision = self.touch(key);
        match self.entries.get_mut(key) {
            Some(stored) => *stored = Stored { value, revision },
            None => drop(self.entries.insert(key.clone(), Stored { value, revision })),
        }
        revision
    }

    fn remove(&mut self, key: &Key) {
        if self.entries.remove(key).is_some() {
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

    /// A write past all rules, as an operator or another program would make it.
    pub(crate) fn tamper(&mut self, key: &Key, value: Option<Bytes>) {
        // The holder of a latch is recognised by its entry; a foreign one is nobody's. So the
        // leader is fenced, and the next attempt of anybody wins.
        self.latches.remove(key);
        match value {
            Some(value) => drop(self.put(key, value)),
            None => self.remove(key),
        }
    }
}

/// Sessions and latches.
impl State {
    pub(crate) fn open(&mut self, id: u64, label: &str, handle: u64, expires: Moment, cell: Arc<Cell>) {
        let taken = BTreeSet::new();
        let living = Living { label: label.into(), cell, handle, frozen: false, expires, taken };
        self.sessions.insert(id, living);
        // What never comes is not waited for.
        if expires != Moment::NEVER {
            self.expiries.insert((expires, id));
        }
    }

    /// Prolongs a session; `false` if the renewal does not get through or there is none.
    pub(crate) fn renew(&mut self, id: u64, expires: Moment) -> bool {
        let Some(living) = self.sessions.get_mut(&id).filter(|living| !living.frozen) else { return false };
        self.expiries.remove(&(living.expires, id));
        living.expires = expires;
        self.expiries.insert((expires, id));
        true
    }

    pub(crate) fn next_expiry(&self) -> Option<Moment> {
        self.expiries.first().map(|(expires, _)| *expires)
    }

    fn end_expired(&mut self, now: Moment) {
        while let Some((expires, id)) = self.expiries.first().copied() {
            if expires > now {
                return;
            }
            self.end(id, Ended::Expired);
        }
    }

    /// Ends a session and frees what it holds, in one step.
    pub(crate) fn end(&mut self, id: u64, why: Ended) {
        let Some(living) = self.sessions.remove(&id) else { return };
        self.expiries.remove(&(living.expires, id));
        let held = self.latches.iter().filter(|(_, held)| held.session == id);
        let held: Vec<Key> = held.map(|(key, _)| key.clone()).collect();
        for latch in held {
            self.free(&latch);
        }
        living.cell.end(why);
    }

    fn free(&mut self, latch: &Key) {
        self.latches.remove(latch);
        self.put(latch, Bytes::new());
    }

    pub(crate) fn acquire(
        &mut self,
        id: u64,
        latch: &Latch,
        holder: Bytes,
        over: Option<&Term>,
    ) -> Result<Acquire, Error> {
        let ended = |why: &str| Error::new(ErrorKind::SessionEnded, "acquire").at(latch).because(why);
        let Some(living) = self.sessions.get_mut(&id) else {
            return Err(ended("open another session"));
        };
        let key = latch.key();
        let held = self.latches.get(key);
        if let Some(held) = held.filter(|held| held.session == id) {
            return Ok(Acquire::Won(held.term.clone()));
        }
        // Before looking at who holds it: a session that has lost the latch must not wait for it.
        if living.taken.contains(key) {
            return Err(ended("this session has held the latch before; open another one"));
        }
        if let Some(held) = held.filter(|held| over != Some(&held.term)) {
            return Ok(self.held(key, held.clone()));
        }
        living.taken.insert(key.clone());
        let next = self.sequence + 1;
        let epoch = self.epochs.get(key).map_or(next, |stored| next.max(stored + 1));
        let term = Term { epoch, native: format!("session-{id}").into() };
        self.epochs.insert(key.clone(), epoch);
        self.latches.insert(key.clone(), Held { session: id, term: term.clone() });
        self.put(key, holder);
        self.put(&latch.epoch_key(), epoch.to_string().into());
        Ok(Acquire::Won(term))
    }

    fn held(&self, key: &Key, held: Held) -> Acquire {
        let value = self.entries.get(key).map_or_else(Bytes::new, |stored| stored.value.clone());
        Acquire::Held { by: Holder { term: held.term, value }, wait: Scope::Key(key.clone()), seen: self.mark() }
    }

    pub(crate) fn release(&mut self, id: u64, latch: &Latch) {
        if self.latches.get(latch.key()).is_some_and(|held| held.session == id) {
            self.free(latch.key());
        }
    }

    /// The latches that a session holds.
    pub(crate) fn held_by(&self, id: u64) -> Vec<Key> {
        let held = self.latches.iter().filter(|(_, held)| held.session == id);
        held.map(|(key, _)| key.clone()).collect()
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("sequence", &self.sequence)
            .field("entries", &self.entries.len())
            .field("sessions", &self.sessions.len())
            .field("latches", &self.latches.len())
            .field("waiters", &self.waiters.len())
            .finish_non_exhaustive()
    }
}
