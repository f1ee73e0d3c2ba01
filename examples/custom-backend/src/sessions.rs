//! Which sessions are alive: in memory alone, so that a restart ends them all.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ha_core::backend::{Ended, Latch};
use ha_core::seam::{Deadline, Moment};
use tokio::sync::watch;

/// One living session.
pub(crate) struct Living {
    pub(crate) handle: u64,
    pub(crate) silence: Duration,
    /// What the owner may rely on: from the sending of the last renewal.
    pub(crate) valid_until: Moment,
    /// When the store gives it up: from the arrival of the same renewal, so never earlier.
    pub(crate) expires: Moment,
    /// Lets no renewal through; a hook for tests.
    pub(crate) frozen: bool,
    /// Latches that it has taken, now or before: it takes none of them again.
    pub(crate) taken: BTreeSet<Latch>,
    pub(crate) ended: watch::Sender<Option<Ended>>,
}

/// The sessions. No I/O is done while they are locked, so that `valid_until` never waits for a disk.
#[derive(Default)]
pub(crate) struct Sessions {
    living: BTreeMap<u64, Living>,
    /// Ended, and their latches not yet freed on the disk.
    over: BTreeSet<u64>,
}

impl Sessions {
    pub(crate) fn open(&mut self, id: u64, living: Living) {
        self.living.insert(id, living);
    }

    pub(crate) fn get(&mut self, id: u64) -> Option<&mut Living> {
        self.living.get_mut(&id)
    }

    pub(crate) fn named(&self, name: &str) -> Option<u64> {
        self.living.keys().copied().find(|id| crate::session::name(*id) == name)
    }

    pub(crate) fn valid_until(&self, id: u64) -> Deadline {
        self.living.get(&id).map_or(Deadline::PAST, |living| Deadline::at(living.valid_until))
    }

    // guide: renew
    /// Counts a renewal that was sent then and arrives now; answers when the next one is due, or
    /// `None` if the session is over.
    pub(crate) fn renew(&mut self, id: u64, sent: Moment, now: Moment) -> Option<Moment> {
        self.end_expired(now);
        let living = self.living.get_mut(&id)?;
        if !living.frozen {
            // Race: the process may be paused between sending a renewal and its arrival here.
            // Closed by: the owner counts from the sending, the store from the arrival.
            // Cost if missed: the store gives the latch away while its holder believes to hold it.
            living.valid_until = sent + living.silence;
            living.expires = now + living.silence;
        }
        Some((now + living.silence / 3).min(living.expires))
    }
    // guide: end

    /// Ends a session; what it holds is freed by the next transaction.
    pub(crate) fn end(&mut self, id: u64, why: Ended) {
        if let Some(living) = self.living.remove(&id) {
            self.over.insert(id);
            living.ended.send_replace(Some(why));
        }
    }

    fn end_where(&mut self, why: Ended, which: impl Fn(&Living) -> bool) {
        let ids: Vec<u64> = self.living.iter().filter(|(_, living)| which(living)).map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.end(id, why));
    }

    pub(crate) fn end_of_handle(&mut self, handle: u64) {
        self.end_where(Ended::Closed, |living| living.handle == handle);
    }

    pub(crate) fn end_all(&mut self) {
        self.end_where(Ended::Closed, |_| true);
    }

    fn end_expired(&mut self, now: Moment) {
        self.end_where(Ended::Expired, |living| living.expires <= now);
    }

    /// The sessions whose latches the next transaction has to free.
    pub(crate) fn overdue(&mut self, now: Moment) -> BTreeSet<u64> {
        self.end_expired(now);
        self.over.clone()
    }

    /// Their latches are free on the disk.
    pub(crate) fn freed(&mut self, freed: &BTreeSet<u64>) {
        self.over.retain(|id| !freed.contains(id));
    }
}
