//! A clock for each worker: all machines have their own, and no two run alike.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ha::seam::{Clock, Moment, Seam};
use serde::{Deserialize, Serialize};

/// Two clocks are at most twice this apart, in millionths: less than the 64th that backends allow for.
const PPM_MAX: u64 = 7_000;
/// How far the origins of two clocks may be apart, in seconds: machines are not started at the same time.
const AHEAD_MAX_SECONDS: u64 = 30 * 24 * 3600;
/// How wrong a wall clock may be, in milliseconds, in either direction.
const WRONG_MAX_MS: u64 = 90_000;

/// How the clock of a worker differs from that of the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Skew {
    /// How much longer ago its origin is, in seconds.
    ahead_seconds: u64,
    /// How much faster it runs, in millionths.
    ppm: i64,
    /// How much later its wall clock shows.
    wall_ms: i64,
}

impl Skew {
    /// That of the worker with that number, as the seed has it.
    pub(crate) fn of(seed: u64, number: usize) -> Self {
        // SplitMix64: neighbours have nothing in common.
        let mut state =
            seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut up_to = |most: u64| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed ^ (mixed >> 31)) % (most + 1)
        };
        let mut either = |most: u64| up_to(2 * most) as i64 - most as i64;
        let (ppm, wall_ms) = (either(PPM_MAX), either(WRONG_MAX_MS));
        Self { ahead_seconds: up_to(AHEAD_MAX_SECONDS), ppm, wall_ms }
    }

    /// The same time, tasks and random numbers by that clock, and what translates its moments.
    pub(crate) fn apply(self, machine: &Seam) -> (Seam, Translation) {
        let translation = Translation { began: machine.now(), skew: self };
        let clock = Skewed { machine: machine.clone(), translation };
        (machine.clone().with_clock(|_| Arc::new(clock)), translation)
    }
}

/// Between the moments of a worker's clock and those of the machine's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Translation {
    /// When both were set beside each other, by the machine's.
    began: Moment,
    skew: Skew,
}

impl Translation {
    fn origin(&self) -> Duration {
        self.began.since_origin() + Duration::from_secs(self.skew.ahead_seconds)
    }

    fn to_workers(self, machines: Moment) -> Moment {
        let passed = machines.since(self.began).as_nanos() as i128;
        let passed = passed + passed * i128::from(self.skew.ppm) / 1_000_000;
        Moment::after_origin(self.origin() + nanos(passed))
    }

    /// By the machine's clock. What is before the worker began is its beginning.
    pub(crate) fn to_machines(self, workers: Moment) -> Moment {
        if workers == Moment::NEVER {
            return Moment::NEVER;
        }
        let passed = workers.since_origin().saturating_sub(self.origin()).as_nanos() as i128;
        self.began + nanos(passed * 1_000_000 / i128::from(1_000_000 + self.skew.ppm))
    }
}

fn nanos(nanos: i128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(if nanos < 0 { 0 } else { u64::MAX }))
}

#[derive(Debug)]
struct Skewed {
    machine: Seam,
    translation: Translation,
}

#[async_trait]
impl Clock for Skewed {
    fn now(&self) -> Moment {
        self.translation.to_workers(self.machine.now())
    }

    fn unix_ms(&self) -> u64 {
        self.machine.unix_ms().saturating_add_signed(self.translation.skew.wall_ms)
    }

    async fn sleep_until(&self, at: Moment) {
        // Rounding may have made it a little too early.
        while self.now() < at {
            let until = self.translation.to_machines(at) + Duration::from_nanos(2);
            self.machine.sleep_until(until).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_differ_within_the_bound_and_are_translated_back() {
        let all: Vec<Skew> = (0..50).flat_map(|seed| (0..4).map(move |number| Skew::of(seed, number))).collect();
        assert!(all.iter().all(|skew| skew.ppm.unsigned_abs() <= PPM_MAX));
        assert!(all.iter().any(|skew| skew.ppm > 5000) && all.iter().any(|skew| skew.ppm < -5000));
        assert_eq!(Skew::of(7, 2), Skew::of(7, 2));
        assert_ne!(Skew::of(7, 2), Skew::of(7, 3));
        for skew in all {
            let began = Moment::after_origin(Duration::from_secs(1000));
            let translation = Translation { began, skew };
            let at = began + Duration::from_secs(3600);
            let back = translation.to_machines(translation.to_workers(at));
            assert!(at.since(back) < Duration::from_micros(1) && back.since(at) < Duration::from_micros(1), "{skew:?}");
        }
        let same = Translation { began: Moment::after_origin(Duration::from_secs(9)), skew: Skew::default() };
        assert_eq!(same.to_machines(Moment::NEVER), Moment::NEVER);
    }

    #[test]
    fn a_fast_clock_shows_more_time_and_its_sleeps_are_shorter() {
        ha_testkit::run::block_on(async {
            let machine = Seam::system();
            let (fast, translation) = Skew { ahead_seconds: 5, ppm: 500_000, wall_ms: -7 }.apply(&machine);
            let (began, machines) = (fast.now(), machine.now());
            assert!(began.since(machines) >= Duration::from_millis(4900), "{began:?} {machines:?}");
            fast.sleep(Duration::from_millis(300)).await;
            assert!(fast.now() >= began + Duration::from_millis(300));
            assert!(machine.now() >= machines + Duration::from_millis(190));
            assert!(machine.now() >= translation.to_machines(began + Duration::from_millis(300)));
        });
    }
}
