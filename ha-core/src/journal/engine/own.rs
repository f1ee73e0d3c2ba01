use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::backend::Ended;
use crate::journal::Testimony;
use crate::seam::{Deadline, Moment};

/// What a session's owner reads without the engine's lock.
#[derive(Debug)]
pub(in crate::journal) struct Cell {
    /// Nanoseconds after the clock's origin.
    valid_until: AtomicU64,
    ended: watch::Sender<Option<Ended>>,
}

impl Cell {
    pub(in crate::journal) fn new(valid_until: Moment) -> Self {
        Self { valid_until: AtomicU64::new(nanos(valid_until)), ended: watch::Sender::new(None) }
    }

    /// A renewal that was sent so long before that moment was applied while the session was alive.
    pub(super) fn extend(&self, until: Moment) {
        self.valid_until.fetch_max(nanos(until), Ordering::AcqRel);
    }

    /// Ends it, for the first reason that is given.
    pub(super) fn end(&self, why: Ended) {
        self.ended.send_if_modified(|ended| {
            let first = ended.is_none();
            ended.get_or_insert(why);
            first
        });
    }

    pub(in crate::journal) fn valid_until(&self) -> Deadline {
        // In this order: whoever reads a deadline of a session that ends meanwhile reads one that was true.
        if self.has_ended() {
            return Deadline::PAST;
        }
        Deadline::at(Moment::after_origin(Duration::from_nanos(self.valid_until.load(Ordering::Acquire))))
    }

    pub(in crate::journal) fn has_ended(&self) -> bool {
        self.ended.borrow().is_some()
    }

    pub(in crate::journal) async fn ended(&self) -> Ended {
        let mut ended = self.ended.subscribe();
        let result = ended.wait_for(Option::is_some).await;
        // The sender lives in `self`.
        result.map_or(Ended::Closed, |ended| ended.unwrap_or(Ended::Closed))
    }
}

fn nanos(moment: Moment) -> u64 {
    u64::try_from(moment.since_origin().as_nanos()).unwrap_or(u64::MAX)
}

/// A session of this handle that is not over.
#[derive(Debug)]
pub(in crate::journal) struct Own {
    pub(super) cell: Arc<Cell>,
    pub(super) label: String,
    pub(super) silence: Duration,
    /// Whether the journal knows it.
    pub(super) registered: bool,
    /// Whether an attempt that would have registered it has no known outcome.
    pub(super) doubted: bool,
    /// Whether an attempt on a latch is under way.
    pub(super) acquiring: bool,
    /// Rung when that is over.
    pub(super) settled: Arc<Notify>,
    /// Whether nothing of it reaches the journal, as if the network were cut.
    pub(in crate::journal) frozen: bool,
    /// What others see ending with this process. Kept through attempts that lose: the next one may win.
    pub(super) testimony: Option<Testimony>,
}

impl Own {
    pub(super) fn new(cell: Arc<Cell>, label: &str, silence: Duration) -> Self {
        Self {
            cell,
            label: label.into(),
            silence,
            registered: false,
            doubted: false,
            acquiring: false,
            settled: Arc::new(Notify::new()),
            frozen: false,
            testimony: None,
        }
    }

    /// Whether the journal may know it, now or later.
    pub(super) fn may_stand_in_the_journal(&self) -> bool {
        self.registered || self.doubted || self.acquiring
    }
}
