use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use rand::rngs::{StdRng, SysRng};
use rand::{Rng as _, SeedableRng};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::{BoxFuture, Clock, Moment, Rng, Tasks};

/// The longest single sleep. The runtime's timer stands still while the machine is suspended and
/// our clock does not, so after waking a sleeper looks at the clock within this time.
const SLEEP_MAX: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Moment {
        // CLOCK_BOOTTIME: monotonic, and it counts suspended time. CLOCK_MONOTONIC would let a
        // laptop's leader wake up after an hour and believe that no time had passed.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let id = ClockId::Boottime;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let id = ClockId::Monotonic;
        let time = clock_gettime(id);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
        Moment::after_origin(Duration::new(seconds, nanos))
    }

    fn unix_ms(&self) -> u64 {
        #[expect(clippy::disallowed_methods, reason = "this is the seam")]
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    async fn sleep_until(&self, at: Moment) {
        loop {
            let left = at.since(self.now());
            if left.is_zero() {
                return;
            }
            #[expect(clippy::disallowed_methods, reason = "this is the seam")]
            tokio::time::sleep(left.min(SLEEP_MAX)).await;
        }
    }
}

pub(super) struct SystemRng(Mutex<StdRng>);

impl SystemRng {
    pub(super) fn new() -> Self {
        // Without entropy the machine cannot make identities; the time of the start is the best
        // that is left, and two processes would have to start in the same nanosecond to collide.
        let rng = StdRng::try_from_rng(&mut SysRng).unwrap_or_else(|_| {
            let nanos = SystemClock.now().since_origin().as_nanos() as u64;
            StdRng::seed_from_u64(nanos ^ (u64::from(std::process::id()) << 32))
        });
        Self(Mutex::new(rng))
    }
}

impl Rng for SystemRng {
    fn next_u64(&self) -> u64 {
        // A panic inside the generator cannot leave it in a state worse than another number.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next_u64()
    }
}

impl fmt::Debug for SystemRng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The state would tell every identity that is still to come.
        f.write_str("SystemRng")
    }
}

/// Tasks on the caller's runtime, or on a thread that this value owns where there is none;
/// critical ones on another thread of their own.
pub(super) struct SystemTasks {
    critical: OnceLock<CriticalThread>,
    /// For callers without a runtime. Their tasks may call back into the application, and what
    /// blocks there must not keep the critical ones from running.
    ordinary: OnceLock<CriticalThread>,
}

struct CriticalThread {
    handle: Handle,
    // Dropping the sender ends the thread's runtime, and with it all tasks on it. The thread is
    // not joined: the last clone of a seam may be dropped by a task on that very thread.
    _stop: oneshot::Sender<()>,
}

impl SystemTasks {
    pub(super) fn new() -> Self {
        Self { critical: OnceLock::new(), ordinary: OnceLock::new() }
    }

    fn critical(&self) -> &Handle {
        &self.critical.get_or_init(|| CriticalThread::start("ha-critical")).handle
    }

    fn ordinary(&self) -> &Handle {
        &self.ordinary.get_or_init(|| CriticalThread::start("ha-tasks")).handle
    }
}

impl CriticalThread {
    fn start(name: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a current-thread runtime needs only a few file descriptors; without them no service can start");
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name(name.into())
            .spawn(move || {
                // Resolves when the sender is dropped; the error says just that.
                let _ = runtime.block_on(stopped);
            })
            .expect("a thread for renewals; without it leadership cannot be kept");
        Self { handle, _stop: stop }
    }
}

impl Tasks for SystemTasks {
    fn spawn(&self, future: BoxFuture) -> AbortHandle {
        // Outside of a runtime (a plain thread drops a handle, say) a thread of our own serves.
        let handle = Handle::try_current().unwrap_or_else(|_| self.ordinary().clone());
        #[expect(clippy::disallowed_methods, reason = "this is the seam")]
        handle.spawn(future).abort_handle()
    }

    fn spawn_critical(&self, future: BoxFuture) -> AbortHandle {
        #[expect(clippy::disallowed_methods, reason = "this is the seam")]
        self.critical().spawn(future).abort_handle()
    }

    fn compute(&self, work: Box<dyn FnOnce() + Send>) {
        // Without a thread the work is dropped, and whoever waits for it hears that.
        let _ = std::thread::Builder::new().name("ha-compute".into()).spawn(work);
    }
}

impl fmt::Debug for SystemTasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemTasks").field("critical_started", &self.critical.get().is_some()).finish()
    }
}
