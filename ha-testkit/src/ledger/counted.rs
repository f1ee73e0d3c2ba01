use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use ha_core::seam::{BoxFuture, Clock, Moment, Seam, Tasks};
use tokio::task::AbortHandle;

/// How many tasks, timers and computations of a seam are alive. Clones are the same counters.
#[derive(Clone, Default)]
pub struct Counts(Arc<Inner>);

#[derive(Default)]
struct Inner {
    tasks: AtomicUsize,
    timers: AtomicUsize,
    computing: AtomicUsize,
}

/// A seam that counts, around that one.
///
/// ```
/// use ha_core::seam::Seam;
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let (seam, counts) = ha_testkit::ledger::counted(Seam::system());
/// let task = seam.spawn(std::future::pending());
/// assert_eq!(counts.tasks(), 1);
/// drop(task);
/// counts.until(&seam, |counts| counts.tasks() == 0).await;
/// # });
/// ```
#[must_use]
pub fn counted(seam: Seam) -> (Seam, Counts) {
    let counts = Counts::default();
    let (for_tasks, for_clock) = (counts.clone(), counts.clone());
    let seam = seam.with_tasks(|inner| Arc::new(CountedTasks { inner, counts: for_tasks }));
    let seam = seam.with_clock(|inner| Arc::new(CountedClock { inner, counts: for_clock }));
    (seam, counts)
}

impl Counts {
    /// The tasks that were spawned and are neither over nor dropped, critical ones among them.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.0.tasks.load(SeqCst)
    }

    /// Those who sleep at this moment.
    #[must_use]
    pub fn timers(&self) -> usize {
        self.0.timers.load(SeqCst)
    }

    /// What computes beside all tasks.
    #[must_use]
    pub fn computing(&self) -> usize {
        self.0.computing.load(SeqCst)
    }

    /// Waits until the counters are as wanted: a task that was ended is gone a moment later.
    ///
    /// # Panics
    /// If they do not become so within twenty seconds of that seam; the text says how they are.
    pub async fn until(&self, seam: &Seam, wanted: impl Fn(&Self) -> bool) {
        let deadline = seam.now() + Duration::from_secs(20);
        while !wanted(self) {
            assert!(seam.now() < deadline, "left alive: {self:?}");
            // Its own timer must not be counted with the others: it is over before the next look.
            seam.sleep(Duration::from_millis(1)).await;
        }
    }
}

impl fmt::Debug for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tasks, {} timers, {} computations", self.tasks(), self.timers(), self.computing())
    }
}

/// Counts as long as it lives.
struct Alive(Arc<Inner>, fn(&Inner) -> &AtomicUsize);

impl Alive {
    fn new(counts: &Counts, of: fn(&Inner) -> &AtomicUsize) -> Self {
        of(&counts.0).fetch_add(1, SeqCst);
        Self(Arc::clone(&counts.0), of)
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        (self.1)(&self.0).fetch_sub(1, SeqCst);
    }
}

/// A task and its place in the counters: both go at the same moment, whoever drops them.
struct CountedTask {
    // Dropped first: as long as anything of the task lives, it counts.
    future: BoxFuture,
    _alive: Alive,
}

impl Future for CountedTask {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.future.as_mut().poll(context)
    }
}

#[derive(Debug)]
struct CountedTasks {
    inner: Arc<dyn Tasks>,
    counts: Counts,
}

impl CountedTasks {
    fn task(&self, future: BoxFuture) -> BoxFuture {
        Box::pin(CountedTask { future, _alive: Alive::new(&self.counts, |counts| &counts.tasks) })
    }
}

#[deny(clippy::missing_trait_methods)]
impl Tasks for CountedTasks {
    fn spawn(&self, future: BoxFuture) -> AbortHandle {
        self.inner.spawn(self.task(future))
    }

    fn spawn_critical(&self, future: BoxFuture) -> AbortHandle {
        self.inner.spawn_critical(self.task(future))
    }

    fn compute(&self, work: Box<dyn FnOnce() + Send>) {
        let alive = Alive::new(&self.counts, |counts| &counts.computing);
        self.inner.compute(Box::new(move || {
            let _alive = alive;
            work();
        }));
    }
}

#[derive(Debug)]
struct CountedClock {
    inner: Arc<dyn Clock>,
    counts: Counts,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Clock for CountedClock {
    fn now(&self) -> Moment {
        self.inner.now()
    }

    fn unix_ms(&self) -> u64 {
        self.inner.unix_ms()
    }

    async fn sleep_until(&self, at: Moment) {
        let _alive = Alive::new(&self.counts, |counts| &counts.timers);
        self.inner.sleep_until(at).await;
    }
}
