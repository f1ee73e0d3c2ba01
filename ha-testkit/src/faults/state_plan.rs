use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// Which call to the state storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum StateCall {
    /// State is written in one piece.
    Put,
    /// A part of an upload is written.
    Part,
    /// An upload is completed: what was written becomes visible.
    Complete,
    /// State is read.
    Get,
    /// State is looked at: whether it is there, and how long it is.
    Head,
    /// State is deleted.
    Delete,
}

/// How a call to the state storage goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StateFault {
    /// It takes that much longer.
    Delay(Duration),
    /// It is neither carried out nor answered, for ever.
    Hang,
    /// It waits until [`StatePlan::let_go`], and is carried out then.
    Hold,
    /// Nothing is done; answered with an error.
    FailBefore,
    /// It is done, and answered with an error all the same.
    FailAfter,
    /// Nothing is done: no space is left.
    DiskFull,
    /// Only half of the bytes are written or read, and the answer is success.
    ShortBody,
    /// More and more bytes come behind those that are read, far more than were said; the answer is success. Of what is
    /// written, none is another.
    LongBody,
    /// One byte is another when it is written or read, and the answer is success.
    Corrupt,
}

/// Which calls to a state storage go wrong, and how. Clones are the same plan.
#[derive(Clone, Default)]
pub struct StatePlan(Arc<Inner>);

#[derive(Default)]
struct Inner {
    rules: Mutex<Vec<Rule>>,
    calls: Mutex<BTreeMap<StateCall, usize>>,
    let_go: watch::Sender<bool>,
    held: AtomicUsize,
    too_many: AtomicUsize,
}

struct Rule {
    call: StateCall,
    fault: StateFault,
    /// `None`: for ever.
    left: Option<usize>,
}

impl StatePlan {
    /// Nothing goes wrong.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The next such call goes wrong like this. Said several times, it holds for one after another.
    pub fn next(&self, call: StateCall, fault: StateFault) {
        self.add(Rule { call, fault, left: Some(1) });
    }

    /// Every such call goes wrong like this, until [`StatePlan::clear`].
    pub fn always(&self, call: StateCall, fault: StateFault) {
        self.add(Rule { call, fault, left: None });
    }

    fn add(&self, rule: Rule) {
        if rule.fault == StateFault::Hold {
            self.0.let_go.send_replace(false);
        }
        unpoisoned(&self.0.rules).push(rule);
    }

    /// Nothing goes wrong from now on. What is held stays held.
    pub fn clear(&self) {
        unpoisoned(&self.0.rules).clear();
    }

    /// Carries out what is held, and holds nothing from now on.
    pub fn let_go(&self) {
        self.clear();
        self.0.let_go.send_replace(true);
    }

    /// How many calls are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.0.held.load(SeqCst)
    }

    /// How many such calls were made.
    #[must_use]
    pub fn calls(&self, call: StateCall) -> usize {
        unpoisoned(&self.0.calls).get(&call).copied().unwrap_or(0)
    }

    /// How many bytes of bodies that are [too long](StateFault::LongBody) were taken beyond what was said.
    #[must_use]
    pub fn too_many(&self) -> usize {
        self.0.too_many.load(SeqCst)
    }

    pub(super) fn count_too_many(&self, bytes: usize) {
        self.0.too_many.fetch_add(bytes, SeqCst);
    }

    /// Counts a call and says what goes wrong with it.
    pub(super) fn choose(&self, call: StateCall) -> Option<StateFault> {
        *unpoisoned(&self.0.calls).entry(call).or_default() += 1;
        let mut rules = unpoisoned(&self.0.rules);
        let at = rules.iter().position(|rule| rule.call == call)?;
        let fault = rules[at].fault;
        if let Some(left) = &mut rules[at].left {
            *left -= 1;
            if *left == 0 {
                rules.remove(at);
            }
        }
        Some(fault)
    }

    pub(super) async fn until_let_go(&self) {
        struct Held<'a>(&'a AtomicUsize);
        impl Drop for Held<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, SeqCst);
            }
        }
        self.0.held.fetch_add(1, SeqCst);
        let _held = Held(&self.0.held);
        // The sender lives in `self`.
        let _ = self.0.let_go.subscribe().wait_for(|go| *go).await;
    }
}

fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing in here panics half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for StatePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rules, held) = (unpoisoned(&self.0.rules).len(), self.held());
        f.debug_struct("StatePlan").field("rules", &rules).field("held", &held).finish_non_exhaustive()
    }
}
