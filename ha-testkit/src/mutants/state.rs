use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use ha_core::backend::{
    Acquire, Ended, Entry, Expect, Fence, Holder, Key, Latch, Mark, Outcome, Revision, Scope, Term, Write,
};
use ha_core::seam::Moment;
use ha_core::{Error, ErrorKind};
use tokio::sync::watch;

use super::Defect;

/// Everything that the model stores. Each method is one step.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) count: u64,
    pub(crate) entries: BTreeMap<Key, (Bytes, u64)>,
    /// How often each key was written; broken models count from here.
    epochs: BTreeMap<Key, u64>,
    holders: BTreeMap<Key, (u64, Term)>,
    pub(crate) sessions: BTreeMap<u64, Living>,
    pub(crate) answers_take: Duration,
    /// What a broken client sends once more.
    pub(crate) again: Vec<Write>,
    /// Each change that is counted, and of which key.
    log: Vec<(u64, Key)>,
}

pub(crate) struct Living {
    pub(crate) expires: Moment,
    pub(crate) frozen: bool,
    pub(crate) ended: watch::Sender<Option<Ended>>,
    taken: BTreeSet<Key>,
}

impl State {
    pub(crate) fn entry(&self, key: &Key) -> Option<Entry> {
        let (value, revision) = self.entries.get(key)?;
        let held = self.holders.get(key).map(|(_, term)| term.clone());
        Some(Entry { key: key.clone(), value: value.clone(), revision: Revision::from_native(*revision), held })
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark::from_native(self.count + 1)
    }

    pub(crate) fn is_fenced(&self, fence: &Fence) -> bool {
        self.holders.get(fence.latch.key()).is_none_or(|(_, term)| *term != fence.term)
    }

    /// The first key that is not as expected.
    pub(crate) fn unmet<'a>(&self, mut all: impl Iterator<Item = (&'a Key, Expect)>) -> Option<Outcome> {
        all.find_map(|(key, expect)| {
            let found = self.entry(key);
            let met = expect.is_met_by(found.as_ref().map(|entry| entry.revision));
            (!met).then(|| Outcome::Conflict { key: key.clone(), found })
        })
    }

    pub(crate) fn write(&mut self, write: &Write, defect: Defect) -> Revision {
        let Some(value) = &write.value else {
            let found = self.entries.remove(&write.key);
            if defect != Defect::WakeUpLost {
                self.touch(&write.key);
            }
            return Revision::from_native(found.map_or(0, |(_, revision)| revision));
        };
        let found = self.entries.get(&write.key).map(|(value, revision)| (value.clone(), *revision));
        if let Some((_, revision)) = found.as_ref().filter(|(found, _)| found == value)
            && defect == Defect::IdenticalWriteSwallowed
        {
            return Revision::from_native(*revision);
        }
        self.touch(&write.key);
        let of_key = found.map_or(1, |(_, revision)| revision + 1);
        let revision = if defect == Defect::RevisionReused { of_key } else { self.count };
        self.entries.insert(write.key.clone(), (value.clone(), revision));
        Revision::from_native(revision)
    }

    fn store(&mut self, key: Key, value: Bytes) {
        self.touch(&key);
        self.entries.insert(key, (value, self.count));
    }

    fn touch(&mut self, key: &Key) {
        self.count += 1;
        self.log.push((self.count, key.clone()));
    }

    /// Whether anything in a scope has changed since that mark.
    pub(crate) fn has_news(&self, seen: Mark, is_in_scope: impl Fn(&Key) -> bool) -> bool {
        let since = self.log.iter().rev().take_while(|(count, _)| *count >= seen.native());
        seen == Mark::UNSEEN || since.into_iter().any(|(_, key)| is_in_scope(key))
    }

    /// Which session holds the latch.
    pub(crate) fn holder(&self, latch: &Key) -> Option<u64> {
        self.holders.get(latch).map(|(by, _)| *by)
    }

    pub(crate) fn open(&mut self, id: u64, expires: Moment, ended: watch::Sender<Option<Ended>>) {
        self.sessions.insert(id, Living { expires, frozen: false, ended, taken: BTreeSet::new() });
    }

    pub(crate) fn end(&mut self, id: u64, why: Ended) {
        let Some(living) = self.sessions.remove(&id) else { return };
        let latches: Vec<Key> =
            self.holders.iter().filter(|(_, (by, _))| *by == id).map(|(key, _)| key.clone()).collect();
        for latch in latches {
            self.free(&latch);
        }
        living.ended.send_replace(Some(why));
    }

    pub(crate) fn end_expired(&mut self, now: Moment) {
        let expired: Vec<u64> = self.sessions.iter().filter(|(_, s)| s.expires <= now).map(|(id, _)| *id).collect();
        expired.into_iter().for_each(|id| self.end(id, Ended::Expired));
    }

    fn free(&mut self, latch: &Key) {
        self.holders.remove(latch);
        self.store(latch.clone(), Bytes::new());
    }

    pub(crate) fn release(&mut self, id: u64, latch: &Latch, defect: Defect) {
        let held = self.holders.get(latch.key()).map(|(by, _)| *by);
        if held == Some(id) || (held.is_some() && defect == Defect::ReleaseByAnybody) {
            self.free(latch.key());
            if defect == Defect::EpochRestartsAfterRelease {
                self.epochs.remove(latch.key());
            }
        }
    }

    pub(crate) fn acquire(
        &mut self,
        id: u64,
        latch: &Latch,
        holder: Bytes,
        over: Option<&Term>,
        defect: Defect,
    ) -> Result<Acquire, Error> {
        let ended = || Error::new(ErrorKind::SessionEnded, "acquire").at(latch).because("open another session");
        let mark = self.mark();
        let living = self.sessions.get_mut(&id).ok_or_else(ended)?;
        let key = latch.key();
        let held = self.holders.get(key).cloned();
        if let Some((_, term)) = held.as_ref().filter(|(by, _)| *by == id) {
            return Ok(Acquire::Won(term.clone()));
        }
        if living.taken.contains(key) && defect != Defect::LatchTakenAgain {
            return Err(ended());
        }
        let any = defect == Defect::TakeOverOfAnyTerm && over.is_some();
        if let Some((_, term)) = held.filter(|(_, term)| over != Some(term) && !any) {
            let value = self.entries.get(key).map(|(value, _)| value.clone()).unwrap_or_default();
            let by = Holder { term, value };
            return Ok(Acquire::Held { by, wait: Scope::Key(key.clone()), seen: mark });
        }
        living.taken.insert(key.clone());
        let epoch = self.epochs.get(key).copied().unwrap_or(0) + 1;
        let term = Term { epoch, native: format!("model-{id}").into() };
        self.epochs.insert(key.clone(), epoch);
        self.holders.insert(key.clone(), (id, term.clone()));
        self.store(key.clone(), holder);
        self.store(latch.epoch_key(), epoch.to_string().into());
        Ok(Acquire::Won(term))
    }

    pub(crate) fn tamper(&mut self, key: &Key, value: Option<Bytes>, defect: Defect) {
        if defect != Defect::ForeignEditIgnored {
            self.holders.remove(key);
        }
        if defect == Defect::EpochRestartsAfterKeyRemoval {
            let beside = key.as_str().replace("epoch", "latch");
            self.epochs.retain(|latch, _| latch.as_str() != beside);
        }
        match value {
            Some(value) => self.store(key.clone(), value),
            None => {
                self.entries.remove(key);
                self.touch(key);
            }
        }
    }
}
