//! How benchmarks print their figures: median, p90 and worst of ours and of bare, the ratio of the medians last.
//!
//! Ours and bare are measured in the same run, in turn, so that a machine whose speed drifts slows both. What counts
//! is the ratio.
//!
//! ```
//! use std::time::Duration;
//! use ha_testkit::bench::{self, Times};
//! let (mut ours, mut bare) = (Times::new(), Times::new());
//! ours.add(Duration::from_secs(3));
//! bare.add(Duration::from_secs(2));
//! bench::head("One write");
//! bench::line("write (goal 1.5x)", &ours, &bare);
//! assert_eq!(ours.ratio(&bare), 1.5);
//! ```

#[cfg(unix)]
pub mod cluster;
pub mod plans;

use std::time::Duration;

/// What ends a benchmark: whatever goes wrong.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// How long each of many took.
#[derive(Debug, Default, Clone)]
pub struct Times(Vec<Duration>);

impl Times {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds one.
    pub fn add(&mut self, took: Duration) {
        self.0.push(took);
    }

    /// The time that this share, in percent, took at most; zero if there is none.
    #[must_use]
    pub fn at(&self, percent: usize) -> Duration {
        let mut times = self.0.clone();
        times.sort_unstable();
        let last = times.len().saturating_sub(1);
        times.get((times.len() * percent / 100).min(last)).copied().unwrap_or_default()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// How many times as long the median took as that of the others.
    #[must_use]
    pub fn ratio(&self, bare: &Self) -> f64 {
        self.at(50).as_secs_f64() / bare.at(50).as_secs_f64()
    }

    fn shown(&self) -> String {
        format!("{:>8} {:>8} {:>8}", ms(self.at(50)), ms(self.at(90)), ms(self.at(100)))
    }
}

/// Milliseconds, for people.
#[must_use]
pub fn ms(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64() * 1e3)
}

/// Begins a table.
pub fn head(what: &str) {
    println!("\n{what}");
    println!("{:<52} {:^26} {:^26} {:>6}", "milliseconds: median, p90, worst", "ours", "bare", "ratio");
}

/// One line of a table: ours beside bare.
pub fn line(what: &str, ours: &Times, bare: &Times) {
    let ratio = ours.ratio(bare);
    println!("{what:<52} {} {} {ratio:>5.2}x", ours.shown(), bare.shown());
}

/// A line for what stands for itself.
pub fn alone(what: &str, ours: &Times) {
    println!("{what:<52} {}", ours.shown());
}

/// Prints what the machine is and what else it does, as far as it tells.
pub fn machine() {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    println!("{cores} cores, load {}", if load.is_empty() { "unknown" } else { load });
}
