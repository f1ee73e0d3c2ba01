use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ha_core::backend::{Acquire, Outcome};
use ha_core::{Error, ErrorKind};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng};
use tokio::sync::watch;

/// Which call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Call {
    /// `commit`.
    Commit,
    /// `try_acquire` of a session.
    Acquire,
    /// `release` of a session.
    Release,
    /// `read`.
    Read,
    /// `list`.
    List,
    /// `changed`.
    Changed,
    /// `open_session`.
    OpenSession,
}

/// How it goes wrong. What is about writes makes a reading call fail as unavailable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It takes that much longer before anything is sent.
    Delay(Duration),
    /// It waits, before anything is sent, for [`Plan::let_go`].
    Held,
    /// It is never sent and never answered.
    Hang,
    /// Nothing is sent; answered `Unavailable`.
    FailBefore,
    /// It is applied, and its answer lost: `Indeterminate`.
    FailAfter,
    /// It is lost on the way: `Indeterminate`, and never applied.
    LostBefore,
    /// Two copies arrive, one right after the other; the first one's answer is given.
    DeliveredTwice,
    /// `Indeterminate` at once; it arrives when [`Plan::deliver_late`] says so.
    DeliveredLate,
    /// For `changed`: one wake-up is lost, and only the next one counts. Nothing for other calls.
    LoseWakeUp,
}

/// What came of a call that arrived late.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Delivered {
    /// Of a commit.
    Commit(Result<Outcome, Error>),
    /// Of an attempt on a latch.
    Acquire(Result<Acquire, Error>),
    /// Of a release.
    Release(Result<(), Error>),
    /// The session that it belonged to is gone, and so is the call.
    Gone,
}

pub(super) type Late = Pin<Box<dyn Future<Output = Delivered> + Send>>;

/// Which calls go wrong, and how. Clones are the same plan.
#[derive(Clone, Default)]
pub struct Plan(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    rules: Vec<Rule>,
    storm: Option<Storm>,
    calls: BTreeMap<Call, usize>,
    held_back: Vec<Late>,
    /// How often was let go what is held.
    gate: watch::Sender<u64>,
}

struct Rule {
    call: Call,
    /// Only calls about a key that begins like this.
    below: String,
    fault: Fault,
    /// `None`: for ever.
    left: Option<usize>,
}

struct Storm {
    random: StdRng,
    one_in: u32,
    faults: Vec<Fault>,
}

impl Plan {
    /// Nothing goes wrong.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Of the commits and session calls, one in `one_in` goes wrong, in one of these ways, as the
    /// seed has it.
    #[must_use]
    pub fn seeded(seed: u64, one_in: u32, faults: impl Into<Vec<Fault>>) -> Self {
        let plan = Self::none();
        let storm = Storm { random: StdRng::seed_from_u64(seed), one_in: one_in.max(1), faults: faults.into() };
        plan.inner().storm = Some(storm);
        plan
    }

    /// The next such call goes wrong like this. Said several times, it holds for one after another.
    pub fn next(&self, call: Call, fault: Fault) {
        self.next_below(call, "", fault);
    }

    /// As [`Plan::next`], for calls about a key that begins with this text.
    pub fn next_below(&self, call: Call, below: &str, fault: Fault) {
        self.inner().rules.push(Rule { call, below: below.into(), fault, left: Some(1) });
    }

    /// Every such call goes wrong like this, until [`Plan::clear`].
    pub fn always(&self, call: Call, fault: Fault) {
        self.inner().rules.push(Rule { call, below: String::new(), fault, left: None });
    }

    /// Nothing goes wrong from now on. What is held back stays held back.
    pub fn clear(&self) {
        let mut inner = self.inner();
        inner.rules.clear();
        inner.storm = None;
    }

    /// How many such calls were made.
    #[must_use]
    pub fn calls(&self, call: Call) -> usize {
        self.inner().calls.get(&call).copied().unwrap_or(0)
    }

    /// Lets every call go on that is [held](Fault::Held) now.
    pub fn let_go(&self) {
        self.inner().gate.send_modify(|times| *times += 1);
    }

    /// How many calls are held back.
    #[must_use]
    pub fn held_back(&self) -> usize {
        self.inner().held_back.len()
    }

    /// Lets everything that was held back arrive, in the order of sending.
    pub async fn deliver_late(&self) -> Vec<Delivered> {
        let held_back = std::mem::take(&mut self.inner().held_back);
        let mut delivered = Vec::with_capacity(held_back.len());
        for late in held_back {
            delivered.push(late.await);
        }
        delivered
    }

    /// Counts a call and says what goes wrong with it.
    pub(super) fn choose<'a>(&self, call: Call, keys: impl IntoIterator<Item = &'a str>) -> Option<Fault> {
        let mut inner = self.inner();
        *inner.calls.entry(call).or_default() += 1;
        let keys: Vec<&str> = keys.into_iter().collect();
        let about = |rule: &Rule| rule.below.is_empty() || keys.iter().any(|key| key.starts_with(&rule.below));
        let found = inner.rules.iter().position(|rule| rule.call == call && about(rule));
        if let Some(at) = found {
            let rule = &mut inner.rules[at];
            let fault = rule.fault;
            if let Some(left) = &mut rule.left {
                *left -= 1;
                if *left == 0 {
                    inner.rules.remove(at);
                }
            }
            return Some(fault);
        }
        let storm = inner.storm.as_mut().filter(|_| matches!(call, Call::Commit | Call::Acquire | Call::Release))?;
        let (hit, which) = (storm.random.next_u32() % storm.one_in == 0, storm.random.next_u32() as usize);
        let fault = storm.faults.get(which % storm.faults.len().max(1)).copied();
        fault.filter(|_| hit)
    }

    /// Waits for the next [`Plan::let_go`].
    pub(super) async fn held(&self) {
        let mut gate = self.inner().gate.subscribe();
        // The sender lives in `self`.
        let _ = gate.changed().await;
    }

    pub(super) fn hold_back(&self, late: Late) {
        self.inner().held_back.push(late);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here panics half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.inner();
        let (rules, held_back) = (inner.rules.len(), inner.held_back.len());
        f.debug_struct("Plan")
            .field("rules", &rules)
            .field("calls", &inner.calls)
            .field("held_back", &held_back)
            .finish()
    }
}

pub(super) fn unavailable(operation: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, operation).because("injected: nothing was sent")
}

pub(super) fn unknown(operation: &'static str) -> Error {
    Error::new(ErrorKind::Indeterminate, operation).because("injected: no answer came")
}
