use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ha_core::backend::{Ended, Profile};
use ha_core::seam::{Moment, Seam};
use ha_core::space::Space;

use crate::session::Cell;

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
        let state = State { space: Space::above(epochs_above), ..State::default() };
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
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Keys, latches, and who waits. It knows no time; this store knows the rest of its sessions.
    pub(crate) space: Space,
    /// The same sessions as those that are open in the space.
    pub(crate) sessions: BTreeMap<u64, Living>,
    expiries: BTreeSet<(Moment, u64)>,
}

#[derive(Debug)]
pub(crate) struct Living {
    /// What the space knows it by.
    pub(crate) id: Arc<str>,
    pub(crate) label: String,
    pub(crate) cell: Arc<Cell>,
    pub(crate) handle: u64,
    pub(crate) frozen: bool,
    pub(crate) expires: Moment,
}

impl State {
    pub(crate) fn open(&mut self, number: u64, living: Living) {
        // What never comes is not waited for.
        if living.expires != Moment::NEVER {
            self.expiries.insert((living.expires, number));
        }
        self.space.open(Arc::clone(&living.id));
        self.sessions.insert(number, living);
    }

    /// Prolongs a session; `false` if the renewal does not get through or there is none.
    pub(crate) fn renew(&mut self, number: u64, expires: Moment) -> bool {
        let Some(living) = self.sessions.get_mut(&number).filter(|living| !living.frozen) else { return false };
        self.expiries.remove(&(living.expires, number));
        living.expires = expires;
        self.expiries.insert((expires, number));
        true
    }

    pub(crate) fn next_expiry(&self) -> Option<Moment> {
        self.expiries.first().map(|(expires, _)| *expires)
    }

    fn end_expired(&mut self, now: Moment) {
        while let Some((expires, number)) = self.expiries.first().copied() {
            if expires > now {
                return;
            }
            self.end(number, Ended::Expired);
        }
    }

    /// Ends a session and frees what it holds, in one step.
    pub(crate) fn end(&mut self, number: u64, why: Ended) {
        let Some(living) = self.sessions.remove(&number) else { return };
        self.expiries.remove(&(living.expires, number));
        self.space.end(&living.id);
        living.cell.end(why);
    }
}
