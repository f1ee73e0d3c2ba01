//! Keeps a late copy of a create from bringing back what was removed.
//!
//! A put that expects a revision is harmless when a copy of it arrives late: revisions never
//! repeat. A put that expects *absence* is not: create, lost answer, removal — and then the copy
//! arrives under the same, still valid, leadership and finds the key absent, as it expects.
//!
//! So every guarded commit that creates also checks a *barrier*, one key per latch. Before a key
//! whose creation was ever in doubt is removed, the barrier is raised: all copies that are still on
//! their way then fail their check. In the ordinary case this costs one check within the same
//! commit, and one read per leadership.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::Committer;
use crate::backend::{Commit, Expect, Fence, Key, Latch, Outcome, Write};
use crate::record::{self, Body};
use crate::{Error, ErrorKind};

/// Past this many doubtful keys the barrier is raised anyway, so that the list has a bound.
const DOUBTFUL_MAX: usize = 256;

/// What stands in the barrier; how often it was raised is for people to read.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Raised {
    pub(crate) times: u64,
}

impl Body for Raised {
    const KIND: &'static str = "barrier";
}

#[derive(Debug, Default)]
pub(super) struct Barriers {
    latches: Mutex<BTreeMap<Latch, Barrier>>,
    // Held while a barrier is read or raised, so that this process does it once.
    raising: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Barrier {
    /// The epoch that the rest is about; another epoch starts anew.
    epoch: u64,
    /// How the barrier stands; `None` if it must be read first.
    stands: Option<Expect>,
    times: u64,
    /// Keys whose creation is under way or was in doubt, and for which standing of the barrier.
    doubtful: BTreeMap<Key, u64>,
}

/// A create that is under way. Dropped without being settled (the future was cancelled, or the
/// answer was lost), its keys stay doubtful.
pub(super) struct Doubt<'a> {
    barriers: &'a Barriers,
    latch: Latch,
    barrier: Key,
    epoch: u64,
    keys: Vec<Key>,
}

impl Doubt<'_> {
    pub(super) fn barrier(&self) -> &Key {
        &self.barrier
    }

    /// The commit was answered: no copy of it is on its way.
    pub(super) fn settled(self) {
        self.barriers.with(&self.latch, self.epoch, |barrier| {
            for key in &self.keys {
                barrier.doubtful.remove(key);
            }
        });
    }

    /// As settled, and what we knew of the barrier was wrong.
    pub(super) fn settled_by_refusal(self) {
        self.barriers.with(&self.latch, self.epoch, |barrier| barrier.stands = None);
        self.settled();
    }
}

impl Barriers {
    /// Adds the check of the barrier to a commit that creates, and raises the barrier before one
    /// that removes what is doubtful. `None` if the commit creates nothing.
    pub(super) async fn prepare<'a>(
        &'a self,
        committer: &Committer,
        commit: &mut Commit,
    ) -> Result<Option<Doubt<'a>>, Error> {
        let Some(fence) = &commit.guard else { return Ok(None) };
        let own = barrier_key(&fence.latch);
        if commit.writes.iter().any(|write| write.key == own) {
            // Removed, it would stand as it did before it was first raised, and let old copies pass.
            return Err(Error::new(ErrorKind::Invalid, "commit")
                .at(own)
                .because("the barrier of a leadership is not written, nor cleaned up, under that leadership"));
        }
        let creates = commit.writes.iter().any(is_create);
        let removes = commit.writes.iter().any(|w| w.value.is_none());
        if !creates && !removes {
            return Ok(None);
        }
        let must_raise = self.with(&fence.latch, fence.term.epoch, |barrier| {
            let doubted = |w: &Write| w.value.is_none() && barrier.doubtful.contains_key(&w.key);
            commit.writes.iter().any(doubted) || barrier.doubtful.len() > DOUBTFUL_MAX
        });
        if must_raise {
            self.raise(committer, fence, &fence.latch, fence.term.epoch).await?;
        }
        // A key may have been created under another latch of this process. Anybody's raising of that
        // latch's barrier stops the copies, so it is done under the guard of who removes.
        for (latch, epoch) in self.doubted_elsewhere(commit, &fence.latch) {
            self.raise(committer, fence, &latch, epoch).await?;
        }
        if !creates {
            return Ok(None);
        }
        let key = barrier_key(&fence.latch);
        let stands = self.look(committer, fence, &key).await?;
        // A key that was in doubt before stays so, whatever becomes of this commit: a copy of the
        // earlier one may still be on its way. Only what is newly in doubt can be settled.
        let keys = self.with(&fence.latch, fence.term.epoch, |barrier| {
            let created = commit.writes.iter().filter(|w| is_create(w)).map(|w| w.key.clone());
            let times = barrier.times;
            created.filter(|key| barrier.doubtful.insert(key.clone(), times).is_none()).collect()
        });
        let (latch, epoch) = (fence.latch.clone(), fence.term.epoch);
        commit.checks.push((key.clone(), stands));
        Ok(Some(Doubt { barriers: self, latch, barrier: key, epoch, keys }))
    }

    /// Raises the barriers of all latches under which the creation of such a key is in doubt.
    // Race: a create whose answer was lost has not landed yet; the key is absent, so whoever is to
    //       remove it for good finds nothing to remove, and then it lands.
    // Closed by: the barrier is raised before that look; what is absent after it stays absent.
    // Cost if missed: the plan of a job that was cleaned up appears, and the job runs again.
    pub(super) async fn raise_for(
        &self,
        committer: &Committer,
        fence: &Fence,
        concerns: impl Fn(&Key) -> bool,
    ) -> Result<(), Error> {
        let doubted: Vec<(Latch, u64)> = {
            let latches = self.latches.lock().unwrap_or_else(PoisonError::into_inner);
            let doubted = latches.iter().filter(|(_, barrier)| barrier.doubtful.keys().any(&concerns));
            doubted.map(|(latch, barrier)| (latch.clone(), barrier.epoch)).collect()
        };
        for (latch, epoch) in doubted {
            // What a former leadership on the same latch left under way is fenced already.
            if latch != fence.latch || epoch == fence.term.epoch {
                self.raise(committer, fence, &latch, epoch).await?;
            }
        }
        Ok(())
    }

    /// How the barrier stands, read once per leadership.
    async fn look(&self, committer: &Committer, fence: &Fence, key: &Key) -> Result<Expect, Error> {
        let known = || self.with(&fence.latch, fence.term.epoch, |barrier| barrier.stands);
        if let Some(stands) = known() {
            return Ok(stands);
        }
        let _one = self.raising.lock().await;
        if let Some(stands) = known() {
            return Ok(stands);
        }
        self.read(committer, &fence.latch, fence.term.epoch, key).await
    }

    async fn read(&self, committer: &Committer, latch: &Latch, epoch: u64, key: &Key) -> Result<Expect, Error> {
        let found = committer.backend.read(key).await?;
        let stands = found.as_ref().map_or(Expect::Absent, |entry| Expect::Revision(entry.revision));
        self.with(latch, epoch, |barrier| barrier.stands = Some(stands));
        Ok(stands)
    }

    /// The other latches under which the creation of what this commit removes is in doubt.
    fn doubted_elsewhere(&self, commit: &Commit, own: &Latch) -> Vec<(Latch, u64)> {
        let latches = self.latches.lock().unwrap_or_else(PoisonError::into_inner);
        let removed: Vec<&Key> = commit.writes.iter().filter(|w| w.value.is_none()).map(|w| &w.key).collect();
        let others = latches.iter().filter(|(latch, _)| *latch != own);
        let doubted = others.filter(|(_, barrier)| removed.iter().any(|key| barrier.doubtful.contains_key(*key)));
        doubted.map(|(latch, barrier)| (latch.clone(), barrier.epoch)).collect()
    }

    /// Raises the barrier of that latch as of that epoch, under the guard of `fence`.
    async fn raise(&self, committer: &Committer, fence: &Fence, latch: &Latch, epoch: u64) -> Result<(), Error> {
        let _one = self.raising.lock().await;
        let key = barrier_key(latch);
        let known = self.with(latch, epoch, |barrier| barrier.stands);
        let stands = match known {
            Some(stands) => stands,
            None => self.read(committer, latch, epoch, &key).await?,
        };
        // Race: a create may be prepared under the old standing while the barrier is raised.
        // Closed by: its keys carry the old number of raisings or the new one; only those of the
        //            old are forgotten, and its own check makes it fail, to be prepared again.
        // Cost if missed: a removed plan comes back, and a finished job runs again.
        let times = self.with(latch, epoch, |barrier| {
            barrier.stands = None;
            barrier.times
        });
        let id = committer.seam.write_id();
        let value = record::encode_in(committer.formats.oldest(), &Raised { times: times + 1 }, id, fence.term.epoch)?;
        let commit = Commit::new(id).guarded_by(fence.clone()).put(key, stands, value);
        match committer.send(&commit).await? {
            Outcome::Applied { revisions } => {
                let stands = revisions.first().map(|revision| Expect::Revision(*revision));
                self.with(latch, epoch, |barrier| {
                    barrier.doubtful.retain(|_, since| *since > times);
                    barrier.times = times + 1;
                    barrier.stands = stands;
                });
                Ok(())
            }
            Outcome::Fenced => Err(Error::new(ErrorKind::Fenced, "commit").at(&fence.latch)),
            Outcome::Conflict { key, .. } => Err(Error::new(ErrorKind::Unavailable, "commit")
                .at(key)
                .because("the barrier was raised by somebody else; try again")),
        }
    }

    fn with<T>(&self, latch: &Latch, epoch: u64, f: impl FnOnce(&mut Barrier) -> T) -> T {
        // Nothing in here can panic half-way, so a poisoned lock protects sound data.
        let mut latches = self.latches.lock().unwrap_or_else(PoisonError::into_inner);
        if !latches.contains_key(latch) {
            latches.insert(latch.clone(), Barrier::default());
        }
        let barrier = latches.get_mut(latch).expect("inserted just above");
        if barrier.epoch > epoch {
            // A deposed leader's commit: it will be fenced, and must not touch its successor's notes.
            return f(&mut Barrier { epoch, ..Barrier::default() });
        }
        if barrier.epoch < epoch {
            // What the former leadership left under way is fenced; it can bring nothing back.
            *barrier = Barrier { epoch, ..Barrier::default() };
        }
        f(barrier)
    }
}

fn is_create(write: &Write) -> bool {
    write.expect == Expect::Absent && write.value.is_some()
}

fn barrier_key(latch: &Latch) -> Key {
    latch.home().fixed_key("barrier")
}
