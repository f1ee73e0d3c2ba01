//! Time that a hand moves, random numbers that follow from nothing but their order, and tasks on the one runtime.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use ha_core::seam::{BoxFuture, Clock, Moment, Rng, Seam, Tasks};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// When everything begins. Not at the origin, which stands for what is long past.
const BEGINS: Duration = Duration::from_secs(3600);

/// The clock of one process.
#[derive(Debug, Clone)]
pub(crate) struct Hand(Arc<watch::Sender<Duration>>);

impl Hand {
    pub(crate) fn new(at: Duration) -> Self {
        Self(Arc::new(watch::Sender::new(at)))
    }

    /// How long it is since the beginning.
    pub(crate) fn reads(&self) -> Duration {
        *self.0.borrow()
    }

    pub(crate) fn set(&self, at: Duration) {
        assert!(at >= self.reads(), "time does not go back");
        self.0.send_replace(at);
    }

    pub(crate) fn moment(at: Duration) -> Moment {
        Moment::after_origin(BEGINS + at)
    }

    pub(crate) fn seam(&self, seed: u64) -> Seam {
        Seam::new(Arc::new(self.clone()), Arc::new(Counted(AtomicU64::new(seed))), Arc::new(Here))
    }
}

#[async_trait]
impl Clock for Hand {
    fn now(&self) -> Moment {
        Self::moment(self.reads())
    }

    fn unix_ms(&self) -> u64 {
        0
    }

    async fn sleep_until(&self, at: Moment) {
        // The sender lives in `self`.
        let _ = self.0.subscribe().wait_for(|reads| Self::moment(*reads) >= at).await;
    }
}

#[derive(Debug)]
struct Counted(AtomicU64);

impl Rng for Counted {
    fn next_u64(&self) -> u64 {
        let count = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        let mixed = (count ^ (count >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed ^ (mixed >> 27)
    }
}

#[derive(Debug)]
struct Here;

impl Tasks for Here {
    fn spawn(&self, future: BoxFuture) -> AbortHandle {
        #[expect(clippy::disallowed_methods, reason = "this is a seam")]
        Handle::current().spawn(future).abort_handle()
    }

    fn spawn_critical(&self, future: BoxFuture) -> AbortHandle {
        self.spawn(future)
    }
}

/// Lets every task go on until it waits for the hand, or for an answer.
pub(crate) async fn settle() {
    for _ in 0..48 {
        tokio::task::yield_now().await;
    }
}
