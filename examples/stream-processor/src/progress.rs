use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Notify;

/// How far an engine is, to be read from anywhere at any time, also after the engine is gone.
#[derive(Debug, Default)]
pub struct Progress {
    records: AtomicU64,
    first_event: AtomicBool,
    exhausted: AtomicBool,
    ended: AtomicBool,
    moved: Notify,
}

impl Progress {
    pub(crate) fn at(records: u64) -> Self {
        Self { records: AtomicU64::new(records), ..Self::default() }
    }

    /// Records that the source has read, counted from the start of the *input*, not of this attempt.
    ///
    /// Blank, rejected and late records count too: it is the same measure as [`crate::Snapshot::events`]. Not all of
    /// them need to have reached their task.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.records.load(Ordering::Acquire)
    }

    /// Whether the source has read its input to the end. From then on a triggered snapshot is final.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.exhausted.load(Ordering::Acquire)
    }

    /// Returns once a task has folded the first event since this engine was started: recovery is over.
    ///
    /// Never returns if there is no event left; [`crate::Engine::finished`] does then.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn first_event(&self) {
        self.until(|progress| progress.first_event.load(Ordering::Acquire)).await;
    }

    /// Returns once [`Self::events`] is at least `events`, or when there will be no further one.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn reached(&self, events: u64) {
        self.until(|progress| {
            progress.events() >= events || progress.is_exhausted() || progress.ended.load(Ordering::Acquire)
        })
        .await;
    }

    async fn until(&self, holds: impl Fn(&Self) -> bool) {
        loop {
            // Registered before looking, so that a change between looking and waiting still wakes.
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            if holds(self) {
                return;
            }
            moved.await;
        }
    }

    pub(crate) fn read_to(&self, records: u64) {
        self.records.store(records, Ordering::Release);
        self.moved.notify_waiters();
    }

    pub(crate) fn folded(&self) {
        // Looked at first: every batch comes along here, and only one has anything to say.
        if !self.first_event.load(Ordering::Relaxed) && !self.first_event.swap(true, Ordering::AcqRel) {
            self.moved.notify_waiters();
        }
    }

    pub(crate) fn exhaust(&self) {
        self.exhausted.store(true, Ordering::Release);
        self.moved.notify_waiters();
    }

    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.moved.notify_waiters();
    }
}
