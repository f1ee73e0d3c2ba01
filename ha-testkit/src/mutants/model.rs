use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ha_core::backend::{
    Backend, Change, Commit, EarlyEnd, Ended, Entry, Evidence, Key, Mark, Outcome, Prefix, Profile, Scope, Session,
    SessionOptions, Snapshot,
};
use ha_core::seam::Seam;
use ha_core::{Error, ErrorKind};
use tokio::sync::watch;

use super::Defect;
use super::session::ModelSession;
use super::state::State;

/// Between two steps that should be one, others get their turn up to that often.
const GAP_MAX: u64 = 64;

pub(crate) struct Shared {
    pub(crate) seam: Seam,
    pub(crate) defect: Defect,
    state: Mutex<State>,
    changed: watch::Sender<u64>,
    /// How long a gap between two steps lasts at most, where time is simulated.
    gap_us: Option<u64>,
}

impl Shared {
    pub(crate) fn new(seam: Seam, defect: Defect) -> Arc<Self> {
        Self::with_gaps(seam, defect, None)
    }

    /// One whose steps that should be one lie up to that many microseconds apart.
    pub(crate) fn with_gaps(seam: Seam, defect: Defect, gap_us: Option<u64>) -> Arc<Self> {
        Arc::new(Self { seam, defect, state: Mutex::default(), changed: watch::Sender::new(0), gap_us })
    }

    /// One step on the state; whoever waits looks again after it.
    pub(crate) fn step<T>(&self, step: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        state.end_expired(self.seam.now());
        let output = step(&mut state);
        let count = state.count;
        drop(state);
        self.changed.send_if_modified(|seen| count != std::mem::replace(seen, count));
        output
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn end(&self, session: &str, why: Ended) {
        self.step(|state| state.end(number(session), why));
    }

    pub(super) fn set_frozen(&self, session: &str, frozen: Option<()>) {
        self.step(|state| {
            let living = state.sessions.get_mut(&number(session)).expect("a living session");
            living.frozen = frozen.is_some();
        });
    }

    pub(super) fn slow_answers(&self, by: Duration) {
        self.step(|state| state.answers_take = by);
    }

    pub(crate) fn tamper(&self, key: &Key, value: Option<Bytes>) {
        self.step(|state| state.tamper(key, value, self.defect));
    }

    async fn gap(&self) {
        if let Some(gap_us) = self.gap_us {
            // Most are short; in some a leader is deposed.
            let most = if self.seam.random_u64().is_multiple_of(8) { gap_us * 200 } else { gap_us };
            return self.seam.sleep(Duration::from_micros(self.seam.random_u64() % most)).await;
        }
        for _ in 0..self.seam.random_u64() % GAP_MAX {
            tokio::task::yield_now().await;
        }
    }

    /// Waits until something in the scope differs from what was seen. Whoever ends silent sessions wakes it.
    pub(crate) async fn news(&self, scope: &Scope, seen: &Mark) -> Change {
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            if self.step(|state| state.has_news(*seen, |key| self.contains(scope, key))) {
                return Change::Snapshot(self.snapshot(scope));
            }
            // The sender lives in `self`.
            let _ = changed.changed().await;
        }
    }

    fn contains(&self, scope: &Scope, key: &Key) -> bool {
        match scope {
            Scope::Below(prefix) if self.defect == Defect::PrefixWithoutSeparator => {
                key.as_str().starts_with(prefix.as_str().trim_end_matches('/'))
            }
            scope => scope.contains(key),
        }
    }

    fn snapshot(&self, scope: &Scope) -> Snapshot {
        let from = match scope {
            Scope::Key(key) => key.as_str(),
            Scope::Below(prefix) => prefix.as_str().trim_end_matches('/'),
        };
        self.step(|state| {
            // Whatever the scope contains begins like that, and stands together.
            let from_there = state.entries.range::<str, _>((Bound::Included(from), Bound::Unbounded));
            let keys = from_there.map(|(key, _)| key).take_while(|key| key.as_str().starts_with(from));
            let within = keys.filter(|key| self.contains(scope, key));
            Snapshot { entries: within.filter_map(|key| state.entry(key)).collect(), mark: state.mark() }
        })
    }
}

fn number(session: &str) -> u64 {
    let number = session.strip_prefix("model-").and_then(|number| number.parse().ok());
    number.expect("the name of a session of the model")
}

/// One process's handle on a model.
pub(crate) struct Handle {
    shared: Arc<Shared>,
    closed: watch::Sender<Option<()>>,
    sessions: Mutex<Vec<u64>>,
}

impl Handle {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared), closed: watch::Sender::new(None), sessions: Mutex::default() }
    }

    fn check_open(&self, operation: &'static str) -> Result<(), Error> {
        match *self.closed.borrow() {
            Some(()) => Err(Error::new(ErrorKind::Closed, operation)),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("defect", &self.shared.defect).finish_non_exhaustive()
    }
}

#[async_trait]
impl Backend for Handle {
    fn profile(&self) -> Profile {
        let profile = Profile::new("model", 256 * 1024, 32, 512 * 1024).with_evidence(Evidence::Own);
        profile.with_early_ends([EarlyEnd::Evidence, EarlyEnd::Operator])
    }

    async fn read(&self, key: &Key) -> Result<Option<Entry>, Error> {
        self.check_open("read")?;
        Ok(self.shared.step(|state| state.entry(key)))
    }

    async fn list(&self, below: &Prefix) -> Result<Snapshot, Error> {
        self.check_open("list")?;
        Ok(self.shared.snapshot(&Scope::Below(below.clone())))
    }

    async fn changed(&self, scope: &Scope, seen: &Mark) -> Result<Change, Error> {
        let mut changed = self.shared.changed.subscribe();
        let mut closed = self.closed.subscribe();
        loop {
            self.check_open("changed")?;
            changed.mark_unchanged();
            let snapshot = self.shared.snapshot(scope);
            // Any change anywhere wakes every watcher: allowed, if wasteful.
            if snapshot.mark != *seen {
                return Ok(Change::Snapshot(snapshot));
            }
            // Silence ends without anybody's doing, so a watcher looks again now and then.
            let again = self.shared.seam.sleep(Duration::from_millis(20));
            tokio::select! {
                biased;
                _ = closed.changed() => {}
                _ = changed.changed() => {}
                () = again => {}
            }
        }
    }

    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        self.check_open("commit")?;
        commit.validate(&self.profile())?;
        let defect = self.shared.defect;
        let fenced = |state: &State| commit.guard.as_ref().is_some_and(|fence| state.is_fenced(fence));
        if defect == Defect::FenceBeforeTheWrite {
            if self.shared.step(|state| fenced(state)) {
                return Ok(Outcome::Fenced);
            }
            self.shared.gap().await;
        }
        let refused = |state: &State| {
            let writes = commit.writes.iter().map(|write| (&write.key, write.expect));
            let unmet = state.unmet(writes.chain(commit.checks.iter().map(|(key, expect)| (key, *expect))));
            match defect {
                Defect::FenceIgnored | Defect::FenceBeforeTheWrite => unmet,
                Defect::ConflictOutranksFenced => unmet.or_else(|| fenced(state).then_some(Outcome::Fenced)),
                _ if fenced(state) => Some(Outcome::Fenced),
                _ => unmet,
            }
        };
        if defect == Defect::CommitNotAtomic {
            if let Some(refusal) = self.shared.step(|state| refused(state)) {
                return Ok(refusal);
            }
            let mut revisions = Vec::new();
            for write in &commit.writes {
                revisions.push(self.shared.step(|state| state.write(write, defect)));
                self.shared.gap().await;
            }
            return Ok(Outcome::Applied { revisions });
        }
        Ok(self.shared.step(|state| {
            if defect == Defect::AppliedTwice {
                let again = std::mem::replace(&mut state.again, commit.writes.clone());
                for write in &again {
                    state.write(write, defect);
                }
            }
            if let Some(refusal) = refused(state) {
                return refusal;
            }
            Outcome::Applied { revisions: commit.writes.iter().map(|write| state.write(write, defect)).collect() }
        }))
    }

    async fn open_session(&self, options: &SessionOptions) -> Result<Box<dyn Session>, Error> {
        self.check_open("open session")?;
        if options.silence < Duration::from_millis(100) || options.silence > Duration::from_secs(86_400) {
            return Err(Error::new(ErrorKind::Invalid, "open session").because("a silence of 100 ms to a day"));
        }
        let session = ModelSession::open(&self.shared, options.silence);
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).push(session.number());
        // Again: it may have been closed since the first look, and then nobody ends the session.
        self.check_open("open session")?;
        Ok(Box::new(session))
    }

    async fn close(&self) -> Result<(), Error> {
        self.closed.send_replace(Some(()));
        let sessions = std::mem::take(&mut *self.sessions.lock().unwrap_or_else(PoisonError::into_inner));
        self.shared.step(|state| sessions.into_iter().for_each(|id| state.end(id, Ended::Closed)));
        Ok(())
    }
}
