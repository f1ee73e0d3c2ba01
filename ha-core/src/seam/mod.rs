//! The one place where time, randomness and tasks enter the library.
//!
//! Everything else asks a [`Seam`]. In production it is [`Seam::system`]; a simulation supplies
//! its own [`Clock`], [`Rng`] and [`Tasks`], and then one seed decides a whole run. Raw clocks,
//! sleeps and generators are banned elsewhere by `clippy.toml`.

mod moment;
mod system;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::AbortHandle;
use uuid::Uuid;

use crate::backend::WriteId;

pub use moment::{Deadline, Moment};

/// A future that owns all it needs, ready to be spawned.
pub type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send + 'static>>;

/// A source of time.
///
/// # To ensure correctness
/// [`now`](Clock::now) never goes back and counts the time that the machine was suspended: a
/// leader that slept through its deadline must see on waking that it is past.
#[async_trait]
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The present moment of the monotonic clock.
    fn now(&self) -> Moment;
    /// Milliseconds since 1970 by the wall clock: for people to read, never for a decision.
    fn unix_ms(&self) -> u64;
    /// Returns at `at` or soon after, never before. Cancel safe.
    async fn sleep_until(&self, at: Moment);
}

/// A source of random numbers.
pub trait Rng: fmt::Debug + Send + Sync + 'static {
    /// The next 64 random bits.
    fn next_u64(&self) -> u64;
}

/// A place where tasks run.
pub trait Tasks: fmt::Debug + Send + Sync + 'static {
    /// Runs a task beside the application's own.
    fn spawn(&self, future: BoxFuture) -> AbortHandle;
    /// Runs a task where an application that starves its runtime cannot starve it. Such a task neither
    /// blocks nor calls back into the application; what it logs reaches the application's subscriber on that
    /// very thread, so a subscriber that blocks there starves it all the same.
    fn spawn_critical(&self, future: BoxFuture) -> AbortHandle;
    /// Does what computes for long and waits for nothing, beside all tasks. By default at once and here, which is
    /// right where there is one thread.
    fn compute(&self, work: Box<dyn FnOnce() + Send>) {
        work();
    }
}

/// Time, randomness and tasks, handed down to everything that needs them. Clones are the same seam.
///
/// ```
/// # use ha_core::seam::Seam;
/// # use std::time::Duration;
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let seam = Seam::system();
/// let before = seam.now();
/// seam.sleep(Duration::from_millis(1)).await;
/// assert!(seam.now() >= before + Duration::from_millis(1));
/// # });
/// ```
#[derive(Clone)]
pub struct Seam {
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    tasks: Arc<dyn Tasks>,
}

impl Seam {
    /// The machine's clock that counts suspended time, a strong generator seeded by the
    /// operating system, and tasks on the caller's runtime, the critical ones on one thread of
    /// their own that ends with the last clone.
    #[must_use]
    pub fn system() -> Self {
        Self::new(
            Arc::new(system::SystemClock),
            Arc::new(system::SystemRng::new()),
            Arc::new(system::SystemTasks::new()),
        )
    }

    /// A seam made of these three.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, rng: Arc<dyn Rng>, tasks: Arc<dyn Tasks>) -> Self {
        Self { clock, rng, tasks }
    }

    /// The same seam, with its tasks behind something that counts them, say.
    #[must_use]
    pub fn with_tasks(self, around: impl FnOnce(Arc<dyn Tasks>) -> Arc<dyn Tasks>) -> Self {
        Self { tasks: around(self.tasks), ..self }
    }

    /// The same seam, with its clock behind something that counts who waits, say.
    #[must_use]
    pub fn with_clock(self, around: impl FnOnce(Arc<dyn Clock>) -> Arc<dyn Clock>) -> Self {
        Self { clock: around(self.clock), ..self }
    }

    /// The present moment. Reads a clock, nothing else: no lock, no runtime.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.clock.now()
    }

    /// The wall clock in milliseconds since 1970, for records that people read.
    #[must_use]
    pub fn unix_ms(&self) -> u64 {
        self.clock.unix_ms()
    }

    /// Returns at `at` or soon after, never before.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn sleep_until(&self, at: Moment) {
        self.clock.sleep_until(at).await;
    }

    /// Returns after `duration` or soon after that.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn sleep(&self, duration: Duration) {
        self.clock.sleep_until(self.now() + duration).await;
    }

    /// Waits for the future, at most that long; `None` if it took longer and was dropped.
    ///
    /// # Cancel safety
    /// As the future's own.
    pub async fn timeout<F: Future>(&self, at_most: Duration, future: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = self.sleep(at_most) => None,
        }
    }

    /// 64 random bits.
    #[must_use]
    pub fn random_u64(&self) -> u64 {
        self.rng.next_u64()
    }

    /// A duration between half of `around` and one and a half times of it, so that many who
    /// wait for the same thing do not come back at once.
    #[must_use]
    pub fn jittered(&self, around: Duration) -> Duration {
        let thousandths = 500 + self.random_u64() % 1001;
        around.mul_f64(thousandths as f64 / 1000.0)
    }

    /// A random (version 4) UUID.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        let (high, low) = (self.random_u64(), self.random_u64());
        uuid::Builder::from_random_bytes(Uuid::from_u64_pair(high, low).into_bytes()).into_uuid()
    }

    /// A fresh identity for one commit.
    #[must_use]
    pub fn write_id(&self) -> WriteId {
        WriteId::from_bits(self.random_u64(), self.random_u64())
    }

    /// Runs a task beside the application's own. Dropping the [`Task`] ends it.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> Task {
        Task(Some(self.tasks.spawn(Box::pin(future))))
    }

    /// Runs a task that must go on even if the application blocks its whole runtime.
    /// Dropping the [`Task`] ends it.
    pub fn spawn_critical(&self, future: impl Future<Output = ()> + Send + 'static) -> Task {
        Task(Some(self.tasks.spawn_critical(Box::pin(future))))
    }

    /// Computes something that takes long, on a thread that ends with it: no task waits for its turn meanwhile.
    /// `None` if the work panicked, or the system gives no thread.
    ///
    /// # Cancel safety
    /// After a drop it is computed all the same, for nothing.
    pub async fn compute<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        // Whoever wanted it may have gone meanwhile.
        self.tasks.compute(Box::new(move || drop(answer.send(work()))));
        answered.await.ok()
    }
}

impl fmt::Debug for Seam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seam").field("clock", &self.clock).field("tasks", &self.tasks).finish_non_exhaustive()
    }
}

/// A running task, ended when this value is dropped.
#[derive(Debug)]
#[must_use = "dropping a Task ends it"]
pub struct Task(Option<AbortHandle>);

impl Task {
    /// Lets the task run to its own end.
    pub fn detach(mut self) {
        self.0 = None;
    }

    /// Whether the task has come to its end.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.as_ref().is_none_or(AbortHandle::is_finished)
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(handle) = self.0.take() {
            handle.abort();
        }
    }
}
