//! How figures are printed: median, p90 and worst of ours and of bare, the ratio of the medians last.

use std::time::Duration;

/// How long each of many took.
#[derive(Debug, Default, Clone)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn add(&mut self, took: Duration) {
        self.0.push(took);
    }

    /// The time that this share, in percent, took at most.
    pub(crate) fn at(&self, percent: usize) -> Duration {
        let mut times = self.0.clone();
        times.sort_unstable();
        let last = times.len().saturating_sub(1);
        times.get((times.len() * percent / 100).min(last)).copied().unwrap_or_default()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    fn shown(&self) -> String {
        format!("{:>8} {:>8} {:>8}", ms(self.at(50)), ms(self.at(90)), ms(self.at(100)))
    }
}

pub(crate) fn ms(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64() * 1e3)
}

/// Begins a table.
pub(crate) fn head(what: &str) {
    println!("\n{what}");
    println!("{:<52} {:^26} {:^26} {:>6}", "milliseconds: median, p90, worst", "ours", "bare", "ratio");
}

/// One line of a table.
pub(crate) fn line(what: &str, ours: &Times, bare: &Times) {
    let ratio = ours.at(50).as_secs_f64() / bare.at(50).as_secs_f64();
    println!("{what:<52} {} {} {ratio:>5.2}x", ours.shown(), bare.shown());
}

/// A line for what stands for itself.
pub(crate) fn alone(what: &str, ours: &Times) {
    println!("{what:<52} {}", ours.shown());
}

/// What else the machine does, as far as it tells.
pub(crate) fn machine() {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    println!("{cores} cores, load {}", if load.is_empty() { "unknown" } else { load });
}
