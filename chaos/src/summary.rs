use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use ha_testkit::history::{Event, Outcome, What};

/// What happened in a run, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// From the first event to the last.
    pub lasted: Duration,
    /// How many events were judged.
    pub events: u64,
    /// How many calls were made.
    pub operations: u64,
    /// What became of them: done, not applied, unknown, and without a return.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// How often a leader was followed by another.
    pub fail_overs: u64,
    /// What went wrong, and how often.
    pub faults: BTreeMap<String, u64>,
    /// How many lives the workers had.
    pub lives: u64,
    /// From the last fault to a whole cluster.
    pub healed_after: Option<Duration>,
}

impl Summary {
    /// Counts a history.
    #[must_use]
    pub fn of(history: &[Event]) -> Self {
        let mut summary = Self { events: history.len() as u64, ..Self::default() };
        if let (Some(first), Some(last)) = (history.first(), history.last()) {
            summary.lasted = Duration::from_nanos(last.at_ns - first.at_ns);
        }
        let (mut terms, mut calm, mut returned) = (BTreeSet::new(), None, 0);
        for event in history {
            match &event.what {
                What::Started => summary.lives += 1,
                What::Invoked { .. } => summary.operations += 1,
                What::Returned { outcome, .. } => {
                    returned += 1;
                    let name = match outcome {
                        Outcome::Done(_) => "done",
                        Outcome::NotApplied { .. } => "not applied",
                        Outcome::Unknown { .. } => "unknown",
                    };
                    *summary.outcomes.entry(name).or_default() += 1;
                }
                What::Granted { term, .. } => drop(terms.insert(term.epoch)),
                What::Fault { name, on: true } => {
                    let kind = name.split(' ').next().unwrap_or_default();
                    *summary.faults.entry(kind.to_owned()).or_default() += 1;
                }
                What::Calm { .. } => calm = Some(event.at_ns),
                What::Healed => summary.healed_after = calm.map(|calm| Duration::from_nanos(event.at_ns - calm)),
                _ => {}
            }
        }
        *summary.outcomes.entry("never returned").or_default() += summary.operations - returned;
        summary.fail_overs = (terms.len() as u64).saturating_sub(1);
        summary
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seconds          {:.1}", self.lasted.as_secs_f64())?;
        writeln!(f, "events judged    {}", self.events)?;
        writeln!(f, "operations       {}", self.operations)?;
        for (name, count) in &self.outcomes {
            writeln!(f, "  {name:<20} {count}")?;
        }
        writeln!(f, "lives of workers {}", self.lives)?;
        writeln!(f, "fail-overs       {}", self.fail_overs)?;
        match self.healed_after {
            Some(after) => writeln!(f, "healed after     {:.3} s", after.as_secs_f64())?,
            None => writeln!(f, "healed after     never")?,
        }
        writeln!(f, "faults           {}", self.faults.values().sum::<u64>())?;
        self.faults.iter().try_for_each(|(name, count)| writeln!(f, "  {name:<20} {count}"))
    }
}
