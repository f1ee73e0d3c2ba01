//! The verdict over all samples.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use ha_testkit::ledger::Trend;

use crate::{Gauge, Sample};

/// What came of a soak.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    rows: Vec<Row>,
    samples: usize,
    cycles: u64,
    took: Duration,
}

#[derive(Debug, Clone, PartialEq)]
struct Row {
    gauge: Gauge,
    first: f64,
    last: f64,
    highest: f64,
    trend: Option<Trend>,
}

/// Judges samples in the order they were taken, over that time.
#[must_use]
pub fn report(samples: &[Sample], took: Duration) -> Report {
    let mut by_gauge: BTreeMap<Gauge, Vec<(f64, f64)>> = BTreeMap::new();
    for sample in samples {
        for (gauge, value) in &sample.gauges {
            by_gauge.entry(*gauge).or_default().push((sample.cycle as f64, *value as f64));
        }
    }
    let rows = by_gauge.into_iter().map(|(gauge, samples)| Row {
        gauge,
        first: samples.first().map_or(0.0, |sample| sample.1),
        last: samples.last().map_or(0.0, |sample| sample.1),
        highest: samples.iter().map(|sample| sample.1).fold(0.0, f64::max),
        trend: Trend::of(&samples, gauge.bound()),
    });
    let cycles = samples.last().map_or(0, |sample| sample.cycle);
    Report { rows: rows.collect(), samples: samples.len(), cycles, took }
}

impl Report {
    /// What grew.
    #[must_use]
    pub fn growing(&self) -> Vec<Gauge> {
        self.rows.iter().filter(|row| row.trend.is_some_and(|trend| trend.grows())).map(|row| row.gauge).collect()
    }

    /// Whether there were samples enough to say so, and nothing grew.
    #[must_use]
    pub fn is_steady(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row.trend.is_some_and(|trend| !trend.grows()))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (minutes, seconds) = (self.took.as_secs() / 60, self.took.as_secs() % 60);
        writeln!(f, "{} cycles, {} samples, {minutes} min {seconds} s", self.cycles, self.samples)?;
        writeln!(f, "| what | first | last | highest | later half: median | grew by | allowed | verdict |")?;
        writeln!(f, "|---|--:|--:|--:|--:|--:|--:|---|")?;
        for row in &self.rows {
            let shown = |number: f64| number / row.gauge.unit();
            let (first, last, highest) = (shown(row.first), shown(row.last), shown(row.highest));
            write!(f, "| {} | {first:.0} | {last:.0} | {highest:.0} | ", row.gauge)?;
            match row.trend {
                None => writeln!(f, "- | - | - | too few samples |")?,
                Some(trend) => {
                    let (level, growth, allowed) = (shown(trend.level), shown(trend.growth), shown(trend.allowed));
                    let verdict = if trend.grows() { "GROWS" } else { "steady" };
                    writeln!(f, "{level:.0} | {growth:+.1} | {allowed:.0} | {verdict} |")?;
                }
            }
        }
        Ok(())
    }
}
