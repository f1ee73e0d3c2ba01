use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ha_core::seam::{BoxFuture, Clock, Moment, Rng, Seam, Tasks};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng};
use tokio::task::AbortHandle;

use super::executor::{Executor, Owner};

/// How fast a process's clock runs, in millionths more (or less) than the world's.
pub(super) type RatePpm = i64;

/// The seam of one life of a process: a clock that runs at a rate of its own, random numbers of its own, and tasks
/// that end with it.
pub(super) fn seam_of(world: &Seam, executor: &Executor, owner: Owner, rate: RatePpm, seed: u64) -> Seam {
    let clock = SkewedClock { world: world.clone(), began: world.now(), rate, ahead: Duration::from_secs(seed % 90) };
    let random = OwnRng(Mutex::new(StdRng::seed_from_u64(seed)));
    let tasks = OwnTasks { executor: executor.clone(), owner };
    Seam::new(Arc::new(clock), Arc::new(random), Arc::new(tasks))
}

/// Readings of two processes cannot be compared: each is ahead by something, and runs at its own rate.
#[derive(Debug)]
struct SkewedClock {
    world: Seam,
    began: Moment,
    rate: RatePpm,
    ahead: Duration,
}

impl SkewedClock {
    fn scaled(duration: Duration, by_millionths: i64) -> Duration {
        let nanos = i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX);
        let scaled = nanos * i128::from(1_000_000 + by_millionths) / 1_000_000;
        Duration::from_nanos(u64::try_from(scaled).unwrap_or(0))
    }
}

#[async_trait]
impl Clock for SkewedClock {
    fn now(&self) -> Moment {
        let elapsed = Self::scaled(self.world.now().since(self.began), self.rate);
        Moment::after_origin(self.began.since_origin() + self.ahead + elapsed)
    }

    fn unix_ms(&self) -> u64 {
        self.world.unix_ms() + u64::try_from(self.ahead.as_millis()).unwrap_or(0)
    }

    async fn sleep_until(&self, at: Moment) {
        loop {
            let left = at.since(self.now());
            if left.is_zero() {
                return;
            }
            // At least something: the division must not leave a sleeper awake for ever.
            let in_the_world = Self::scaled(left, -self.rate).max(Duration::from_micros(1));
            self.world.sleep(in_the_world).await;
        }
    }
}

struct OwnRng(Mutex<StdRng>);

impl Rng for OwnRng {
    fn next_u64(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next_u64()
    }
}

impl fmt::Debug for OwnRng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnRng")
    }
}

#[derive(Debug)]
struct OwnTasks {
    executor: Executor,
    owner: Owner,
}

impl Tasks for OwnTasks {
    fn spawn(&self, future: BoxFuture) -> AbortHandle {
        self.executor.spawn_abortable(self.owner, future)
    }

    fn spawn_critical(&self, future: BoxFuture) -> AbortHandle {
        self.spawn(future)
    }
}
