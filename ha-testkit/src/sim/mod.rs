//! One seed decides a whole run.
//!
//! [`run`] gives a future a [`Seam`] on a runtime with one thread and a clock that stands still
//! while anybody is busy and jumps when all are asleep. Time, random numbers and the order of
//! tasks then follow from the seed; hours pass in milliseconds; a failing seed fails again.
//!
//! What the future does itself must follow from the seed too: no raw clock, no second thread, and
//! `select!` always `biased`.
//!
//! ```
//! use std::time::Duration;
//! let random = |seed| ha_testkit::sim::run(seed, async |seam| {
//!     let began = seam.now();
//!     seam.sleep(Duration::from_secs(3600)).await;
//!     (seam.random_u64(), seam.now().since(began))
//! });
//! assert_eq!(random(7), random(7));
//! assert_ne!(random(7).0, random(8).0);
//! ```
//!
//! # A whole cluster
//! [`simulate`] builds a world on it: three processes, each with its own services and its own seam (a clock that runs
//! at its own rate, random numbers of its own, tasks that can be dropped all at once, or kept from running), on the
//! contract's model behind a simulated network ([`Storage::Model`]) or on a journal over a simulated device
//! ([`Storage::Journal`]). The seed decides a plan of faults and the fate of each message; the processes contend,
//! lead, write, recover and follow; all of it is written down as a [history](crate::history) and judged by the
//! [checks](crate::checks). When the faults have stopped the cluster must be whole again within [`HEALS_WITHIN`],
//! and a last process must be able to read everything.
//!
//! What is ready at the same moment runs in an order that the seed draws, so that no order of waking is relied on.
//! `cargo xtask sim` runs many seeds; [`Summary`] counts what happened.
//!
//! # What is broken is found
//! [`mutants`] lists everything that can be broken on purpose, each defect of the model and each [`Sabotage`] of what
//! stands between the services and a storage, and says within how many seeds it is found, or why it cannot be seen
//! here and which case notices it instead. `cargo xtask sim --mutants` looks for each and prints the table;
//! `cargo test -p ha-testkit --test sim` does so too. Most are found by one of the first six seeds; the one that takes
//! longest, a conflict that outranks a broken guard, by the 15th.
//!
//! # What is not simulated
//! * Threads and sockets; so presence is off, for it is made of sockets. Evidence is simulated where it acts: on a
//!   journal's witness, and as a take-over of the latch on the model, true, false and stale.
//! * A storm on a journal: there are no messages. Its device loses answers, links late and fails one call in five while
//!   `store errors` lasts, and is slow, deaf or cut off.
//! * An operator's hand in a journal: it has no key to overwrite and no session to destroy but by writing an entry,
//!   which is what its own processes do.
//! * Several clusters in one store, several latches in one process, several versions of the library, planned
//!   hand-overs, and results that are kept once they are clean.
//! * A full disk, torn and corrupt files: they are cases of the journal's own suites.

mod backend;
mod command;
mod counters;
mod ended;
mod executor;
mod history;
mod leader;
mod life;
mod mutants;
mod nemesis;
mod network;
mod process;
mod reader;
mod regressions;
mod sabotage;
mod scenario;
mod session;
mod simulate;
mod store;
mod summary;
mod work;
pub mod workload;
mod world;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ha_core::seam::{BoxFuture, Clock, Moment, Rng, Seam, Tasks};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::Instant;

pub use command::command;
pub use history::History;
pub use mutants::{Broken, Mutant, Noticed, mutants};
pub use regressions::{REGRESSIONS, Regression};
pub use sabotage::Sabotage;
pub use scenario::{Clocks, Scenario, Storage};
pub use simulate::{Finding, HEALS_WITHIN, Ran, simulate};
pub use summary::Summary;

/// When a simulation begins by its wall clock: the start of 2026.
const BEGINS_UNIX_MS: u64 = 1_767_225_600_000;
/// When it begins by its monotonic clock. Not at the origin, which stands for what is long past.
const BEGINS: Duration = Duration::from_secs(3600);

/// Runs the future as that seed has it.
///
/// # Panics
/// As the future does; the seed is then printed.
pub fn run<T>(seed: u64, body: impl AsyncFnOnce(Seam) -> T) -> T {
    let _seed = PrintedOnPanic(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime of one thread, without sockets");
    runtime.block_on(async {
        let tasks = Arc::new(SimTasks(Handle::current()));
        let random = Arc::new(SimRng(Mutex::new(StdRng::seed_from_u64(seed))));
        body(Seam::new(Arc::new(SimClock::new()), random, tasks)).await
    })
}

struct PrintedOnPanic(u64);

impl Drop for PrintedOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the simulation failed with seed {}; it fails again with the same one", self.0);
        }
    }
}

#[derive(Debug)]
struct SimClock {
    began: Instant,
    /// The last answer: what is dropped after the runtime has ended still asks for the time.
    last: AtomicU64,
}

impl SimClock {
    fn new() -> Self {
        Self { began: paused_now(), last: AtomicU64::new(0) }
    }

    fn elapsed(&self) -> Duration {
        if Handle::try_current().is_ok() {
            let elapsed = paused_now().saturating_duration_since(self.began);
            self.last.fetch_max(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        Duration::from_nanos(self.last.load(Ordering::Relaxed))
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the seam of the simulation; the runtime's clock is paused")]
fn paused_now() -> Instant {
    Instant::now()
}

#[async_trait]
impl Clock for SimClock {
    fn now(&self) -> Moment {
        Moment::after_origin(BEGINS + self.elapsed())
    }

    fn unix_ms(&self) -> u64 {
        BEGINS_UNIX_MS + u64::try_from(self.elapsed().as_millis()).unwrap_or(0)
    }

    async fn sleep_until(&self, at: Moment) {
        loop {
            let left = at.since(self.now());
            if left.is_zero() {
                return;
            }
            #[expect(clippy::disallowed_methods, reason = "this is the seam of the simulation")]
            tokio::time::sleep(left).await;
        }
    }
}

struct SimRng(Mutex<StdRng>);

impl Rng for SimRng {
    fn next_u64(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next_u64()
    }
}

impl fmt::Debug for SimRng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimRng")
    }
}

/// Critical or not, every task runs on the one runtime.
#[derive(Debug)]
struct SimTasks(Handle);

impl Tasks for SimTasks {
    fn spawn(&self, future: BoxFuture) -> AbortHandle {
        #[expect(clippy::disallowed_methods, reason = "this is the seam of the simulation")]
        self.0.spawn(future).abort_handle()
    }

    fn spawn_critical(&self, future: BoxFuture) -> AbortHandle {
        self.spawn(future)
    }
}
