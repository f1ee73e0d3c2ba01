use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ha_core::backend::Ended;
use ha_core::seam::Moment;
use tokio::sync::watch;

/// What a session's owner reads without I/O.
#[derive(Debug)]
pub(crate) struct Cell {
    /// Nanoseconds after the clock's origin.
    valid_until: AtomicU64,
    ended: watch::Sender<Option<Ended>>,
}

impl Cell {
    /// One that is past until it is told a deadline.
    pub(crate) fn new() -> Self {
        Self { valid_until: AtomicU64::new(0), ended: watch::Sender::new(None) }
    }

    pub(crate) fn valid_until(&self) -> Moment {
        Moment::after_origin(Duration::from_nanos(self.valid_until.load(Ordering::Acquire)))
    }

    /// The store acknowledged a renewal that holds up to there.
    pub(crate) fn valid_up_to(&self, until: Moment) {
        let nanos = u64::try_from(until.since_origin().as_nanos()).unwrap_or(u64::MAX);
        // Under the lock that the end is written under, so that what is over stays past.
        self.ended.send_if_modified(|ended| {
            if ended.is_none() {
                self.valid_until.fetch_max(nanos, Ordering::AcqRel);
            }
            false
        });
    }

    pub(crate) fn end(&self, why: Ended) {
        self.ended.send_if_modified(|ended| {
            self.valid_until.store(0, Ordering::Release);
            let first = ended.is_none();
            ended.get_or_insert(why);
            first
        });
    }

    pub(crate) fn is_over(&self) -> bool {
        self.ended.borrow().is_some()
    }

    pub(crate) async fn ended(&self) -> Ended {
        let mut ended = self.ended.subscribe();
        let result = ended.wait_for(Option::is_some).await;
        // The sender lives in `self`.
        result.map_or(Ended::Closed, |ended| ended.unwrap_or(Ended::Closed))
    }
}
