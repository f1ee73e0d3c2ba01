use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use ha_core::backend::{
    Acquire, Backend as _, Change, Commit, Ended, Entry, Key, Latch, Mark, Outcome, Prefix, Profile, Scope, Snapshot,
    Term,
};
use ha_core::seam::Seam;
use ha_core::{Error, ErrorKind};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng};
use tokio::sync::watch;

use super::counters::{Counters, Injected};
use crate::mutants::Defect;
use crate::mutants::model::{Handle, Shared};

/// How long the store keeps a question open to which there is no news.
const HOLD_MAX: Duration = Duration::from_secs(30);
/// No two clocks run alike: by this part of it the store waits longer than the silence that was asked for.
const MARGIN: u32 = 64;

/// What a process asks of the store.
#[derive(Debug, Clone)]
pub(super) enum Request {
    Read(Key),
    List(Prefix),
    Changed(Scope, Mark),
    Commit(Commit),
    Open { session: u64, silence: Duration },
    Renew(u64),
    Ended(u64),
    Acquire { session: u64, latch: Latch, holder: Bytes, over: Option<Term> },
    Release { session: u64, latch: Latch },
    Close(u64),
}

impl Request {
    pub(super) fn is_watch(&self) -> bool {
        matches!(self, Self::Changed(..) | Self::Ended(_))
    }

    pub(super) fn is_write(&self) -> bool {
        matches!(self, Self::Commit(_) | Self::Acquire { .. } | Self::Release { .. })
    }
}

/// What the store answers.
#[derive(Debug)]
pub(super) enum Answer {
    Entry(Option<Entry>),
    Snapshot(Snapshot),
    Change(Change),
    Outcome(Outcome),
    Acquire(Acquire),
    Alive,
    Over(Ended),
    Done,
    Failed(Error),
}

/// How the store is. Chances are in thousandths.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Condition {
    /// A request fails before anything is done.
    pub(super) refuses: u64,
    /// A write is applied, and said to have failed in a way that leaves it open.
    pub(super) fails_after: u64,
    /// How long its disk takes for a write at most, in microseconds.
    pub(super) disk_us: u64,
}

/// The store that the processes of a simulated world talk to: the model of the contract, which carries a defect if it
/// is told to.
pub(super) struct Store {
    world: Seam,
    shared: Arc<Shared>,
    handle: Handle,
    counters: Counters,
    state: Mutex<State>,
}

struct State {
    condition: Condition,
    random: StdRng,
    sessions: BTreeMap<u64, (Duration, watch::Receiver<Option<Ended>>)>,
}

impl Store {
    pub(super) fn new(world: Seam, defect: Defect, counters: Counters, seed: u64) -> Arc<Self> {
        let shared = Shared::with_gaps(world.clone(), defect, Some(20_000));
        let handle = Handle::new(&shared);
        let state =
            State { condition: Condition::default(), random: StdRng::seed_from_u64(seed), sessions: BTreeMap::new() };
        Arc::new(Self { world, shared, handle, counters, state: Mutex::new(state) })
    }

    pub(super) fn defect(&self) -> Defect {
        self.shared.defect
    }

    pub(super) fn profile(&self) -> Profile {
        self.handle.profile()
    }

    pub(super) fn set(&self, condition: Condition) {
        self.state().condition = condition;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks now and then whether a session has been silent for too long.
    pub(super) async fn watch_over_sessions(self: Arc<Self>) {
        loop {
            self.world.sleep(Duration::from_millis(100)).await;
            self.shared.step(|_| ());
        }
    }

    /// Ends the session that holds this latch, as an operator would; whether there was one.
    pub(super) fn revoke_holder(&self, latch: &Latch) -> bool {
        let Some(session) = self.shared.step(|state| state.holder(latch.key())) else { return false };
        self.shared.step(|state| state.end(session, Ended::Revoked));
        true
    }

    /// Ends all sessions, as a store that has lost its memory of them.
    pub(super) fn forget_sessions(&self) {
        let sessions: Vec<u64> = self.shared.step(|state| state.sessions.keys().copied().collect());
        sessions.into_iter().for_each(|session| self.shared.step(|state| state.end(session, Ended::Revoked)));
    }

    /// Under which term the latch is held.
    pub(super) fn held(&self, latch: &Latch) -> Option<Term> {
        self.shared.step(|state| state.entry(latch.key())).and_then(|entry| entry.held)
    }

    /// Acts on evidence that the holder under that term is dead: takes its place, and gives it up at once. Whether
    /// anything was there to be ended.
    pub(super) fn evict(&self, latch: &Latch, over: &Term) -> bool {
        let defect = self.shared.defect;
        self.shared.step(|state| {
            let number = u64::MAX - state.count;
            state.open(number, self.world.now() + Duration::from_secs(60), watch::Sender::new(None));
            let taken = state.acquire(number, latch, Bytes::from_static(b"{}"), Some(over), defect);
            state.end(number, Ended::Closed);
            matches!(taken, Ok(Acquire::Won(_)))
        })
    }

    /// A foreign program writes or removes a key.
    pub(super) fn tamper(&self, key: &Key, value: Option<Bytes>) {
        self.shared.tamper(key, value);
    }

    /// What the store does with a request that has arrived.
    pub(super) async fn handle(&self, request: &Request) -> Answer {
        let (refuses, fails_after, before, after) = {
            let mut state = self.state();
            let State { condition, random, .. } = &mut *state;
            let mut chance = |thousandths: u64| random.next_u64() % 1000 < thousandths;
            let (refuses, fails_after) = (chance(condition.refuses), chance(condition.fails_after));
            let mut disk = || Duration::from_micros(random.next_u64() % (condition.disk_us / 2).max(1));
            (refuses, fails_after && request.is_write(), disk(), disk())
        };
        if refuses {
            self.counters.injected(Injected::StoreError);
            return Answer::Failed(Error::new(ErrorKind::Unavailable, "store").because("injected: not now"));
        }
        if request.is_write() && !before.is_zero() {
            self.world.sleep(before).await;
        }
        let answer = self.apply(request).await;
        if request.is_write() && !after.is_zero() {
            self.world.sleep(after).await;
        }
        if fails_after {
            self.counters.injected(Injected::StoreError);
            return Answer::Failed(Error::new(ErrorKind::Indeterminate, "store").because("injected: it may be there"));
        }
        answer
    }

    async fn apply(&self, request: &Request) -> Answer {
        let failed = Answer::Failed;
        match request {
            Request::Read(key) => self.handle.read(key).await.map_or_else(failed, Answer::Entry),
            Request::List(below) => self.handle.list(below).await.map_or_else(failed, Answer::Snapshot),
            Request::Commit(commit) => self.handle.commit(commit).await.map_or_else(failed, Answer::Outcome),
            Request::Changed(scope, seen) => self.changed(scope, seen).await,
            Request::Open { session, silence } => self.open(*session, *silence),
            Request::Renew(session) => self.renew(*session),
            Request::Ended(session) => self.ended(*session).await,
            Request::Acquire { session, latch, holder, over } => {
                let (holder, over, defect) = (holder.clone(), over.as_ref(), self.shared.defect);
                let acquired = self.shared.step(|state| state.acquire(*session, latch, holder, over, defect));
                acquired.map_or_else(failed, Answer::Acquire)
            }
            Request::Release { session, latch } => {
                self.shared.step(|state| state.release(*session, latch, self.shared.defect));
                Answer::Done
            }
            Request::Close(session) => {
                self.shared.step(|state| state.end(*session, Ended::Closed));
                Answer::Done
            }
        }
    }

    fn open(&self, session: u64, silence: Duration) -> Answer {
        let (ended, end) = watch::channel(None);
        self.state().sessions.insert(session, (silence, end));
        let expires = self.world.now() + silence + silence / MARGIN;
        self.shared.step(|state| state.open(session, expires, ended));
        Answer::Alive
    }

    fn end_of(&self, session: u64) -> Ended {
        let why = self.state().sessions.get(&session).and_then(|(_, end)| *end.borrow());
        why.unwrap_or(Ended::Expired)
    }

    fn renew(&self, session: u64) -> Answer {
        let silence = self.state().sessions.get(&session).map_or(Duration::ZERO, |(silence, _)| *silence);
        let expires = self.world.now() + silence + silence / MARGIN;
        let renewed = self.shared.step(|state| {
            let living = state.sessions.get_mut(&session)?;
            living.expires = expires;
            Some(())
        });
        renewed.map_or_else(|| Answer::Over(self.end_of(session)), |()| Answer::Alive)
    }

    async fn ended(&self, session: u64) -> Answer {
        let end = self.state().sessions.get(&session).map(|(_, end)| end.clone());
        let Some(mut end) = end else { return Answer::Over(Ended::Expired) };
        let over = async { end.wait_for(Option::is_some).await.map_or(Some(Ended::Expired), |why| *why) };
        match self.world.timeout(HOLD_MAX, over).await {
            Some(why) => Answer::Over(why.unwrap_or(Ended::Expired)),
            None => Answer::Alive,
        }
    }

    async fn changed(&self, scope: &Scope, seen: &Mark) -> Answer {
        let news = self.world.timeout(HOLD_MAX, self.shared.news(scope, seen)).await;
        // Nothing yet: whoever asks goes on from where it was.
        Answer::Change(news.unwrap_or(Change::Hint { mark: *seen }))
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("condition", &self.state().condition).finish_non_exhaustive()
    }
}
