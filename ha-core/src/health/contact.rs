use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{LastError, StoreHealth, millis};
use crate::seam::{Moment, Seam};
use crate::{Error, ErrorKind};

/// How the last calls of a backend went.
#[derive(Debug)]
pub(crate) struct Contact {
    seam: Seam,
    silence: Duration,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    reached: Option<Moment>,
    /// Since when it fails; `None` after an answer.
    failing_since: Option<Moment>,
    failures: u64,
    last_error: Option<(&'static str, ErrorKind, Moment)>,
    /// When the calls that are under way began, but waits for a change, which may take for ever.
    under_way: BTreeMap<u64, Moment>,
    next: u64,
}

impl Contact {
    pub(super) fn new(silence: Duration, seam: Seam) -> Arc<Self> {
        Arc::new(Self { seam, silence, seen: Mutex::default() })
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // Nothing in here can panic half-way, so a poisoned lock protects sound data.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call begins. It is told of how it ends, or dropped.
    pub(super) fn begin(&self, operation: &'static str) -> Call<'_> {
        let began = self.seam.now();
        let mut seen = self.seen();
        let number = seen.next;
        seen.next += 1;
        seen.under_way.insert(number, began);
        Call { contact: self, operation, number, began }
    }

    /// The outcome of a call: of one that [`Contact::begin`] began, or of a wait.
    pub(super) fn note<T>(&self, operation: &'static str, outcome: &Result<T, Error>) {
        let now = self.seam.now();
        match outcome {
            Ok(_) => self.seen().answered(now),
            Err(error) => match error.kind() {
                // Our own handle's end says nothing of the store.
                ErrorKind::Closed => {}
                kind @ (ErrorKind::Unavailable | ErrorKind::Indeterminate) => self.seen().failed(operation, kind, now),
                kind => {
                    let mut seen = self.seen();
                    seen.answered(now);
                    seen.last_error = Some((operation, kind, now));
                }
            },
        }
    }

    pub(crate) fn health(&self, now: Moment) -> StoreHealth {
        let seen = self.seen();
        let oldest = seen.under_way.values().min().copied();
        let since = [seen.failing_since, oldest].into_iter().flatten().min();
        StoreHealth {
            reached_ms_ago: seen.reached.map(|at| millis(now.since(at))),
            last_error: seen
                .last_error
                .map(|(operation, kind, at)| LastError::new(operation, kind, millis(now.since(at)))),
            failures_in_a_row: seen.failures,
            is_failing: since.is_some_and(|since| now.since(since) > self.silence),
        }
    }
}

impl Seen {
    fn answered(&mut self, now: Moment) {
        self.reached = Some(now);
        self.failing_since = None;
        self.failures = 0;
    }

    fn failed(&mut self, operation: &'static str, kind: ErrorKind, now: Moment) {
        self.failing_since.get_or_insert(now);
        self.failures += 1;
        self.last_error = Some((operation, kind, now));
    }
}

/// A call that is under way.
#[derive(Debug)]
pub(super) struct Call<'a> {
    contact: &'a Contact,
    operation: &'static str,
    number: u64,
    began: Moment,
}

impl Call<'_> {
    pub(super) fn ended<T>(self, outcome: &Result<T, Error>) {
        self.contact.seen().under_way.remove(&self.number);
        self.contact.note(self.operation, outcome);
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let mut seen = self.contact.seen();
        if seen.under_way.remove(&self.number).is_none() {
            return;
        }
        // Nobody waits for it any more. After that long this was patience that came to its end, and no change of mind.
        let now = self.contact.seam.now();
        if now.since(self.began) >= self.contact.silence / 2 {
            seen.failing_since.get_or_insert(self.began);
            seen.failures += 1;
            seen.last_error = Some((self.operation, ErrorKind::Unavailable, now));
        }
    }
}
