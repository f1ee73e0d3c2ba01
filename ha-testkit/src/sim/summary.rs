use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::simulate::Ran;
use crate::checks::exercised;
use crate::history::{Outcome, What};

/// What happened in many worlds, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// How many worlds.
    pub seeds: u64,
    /// How long they took by their own clocks.
    pub simulated: Duration,
    /// How many calls were made.
    pub operations: u64,
    /// What became of them: done, not applied, unknown, and without a return.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// What went wrong, and how often.
    pub faults: BTreeMap<String, u64>,
    /// How often the checks had something to judge.
    pub exercised: BTreeMap<&'static str, u64>,
    /// How often a leader was followed by another.
    pub fail_overs: u64,
    /// How many events were judged.
    pub events: u64,
    /// The longest time from the last fault to a whole cluster.
    pub slowest_healing: Duration,
}

impl Summary {
    /// Counts one world.
    pub fn add(&mut self, ran: &Ran) {
        self.seeds += 1;
        self.simulated += ran.simulated;
        self.events += ran.history.len() as u64;
        for (name, count) in &ran.injected {
            *self.faults.entry(name.clone()).or_default() += count;
        }
        for (name, times) in exercised(&ran.history) {
            *self.exercised.entry(name).or_default() += times;
        }
        let (mut terms, mut calm) = (BTreeSet::new(), None);
        let (mut invoked, mut returned) = (0, 0);
        for event in &ran.history {
            match &event.what {
                What::Invoked { .. } => invoked += 1,
                What::Returned { outcome, .. } => {
                    returned += 1;
                    *self.outcomes.entry(named(outcome)).or_default() += 1;
                }
                What::Granted { term, .. } => drop(terms.insert(term.clone())),
                What::Fault { name, on: true } => *self.faults.entry(name.clone()).or_default() += 1,
                What::Calm { .. } => calm = Some(event.at_ns),
                What::Healed => {
                    let took = calm.map_or(0, |calm| event.at_ns - calm);
                    self.slowest_healing = self.slowest_healing.max(Duration::from_nanos(took));
                }
                _ => {}
            }
        }
        self.operations += invoked;
        *self.outcomes.entry("never returned").or_default() += invoked - returned;
        self.fail_overs += (terms.len() as u64).saturating_sub(1);
    }

    /// Counts what another has counted.
    pub fn join(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.simulated += other.simulated;
        self.operations += other.operations;
        self.fail_overs += other.fail_overs;
        self.events += other.events;
        self.slowest_healing = self.slowest_healing.max(other.slowest_healing);
        other.outcomes.into_iter().for_each(|(name, count)| *self.outcomes.entry(name).or_default() += count);
        other.exercised.into_iter().for_each(|(name, times)| *self.exercised.entry(name).or_default() += times);
        other.faults.into_iter().for_each(|(name, count)| *self.faults.entry(name).or_default() += count);
    }
}

fn named(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Done(_) => "done",
        Outcome::NotApplied { .. } => "not applied",
        Outcome::Unknown { .. } => "unknown",
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours = self.simulated.as_secs_f64() / 3600.0;
        writeln!(f, "seeds            {}", self.seeds)?;
        writeln!(f, "simulated hours  {hours:.1}")?;
        writeln!(f, "events judged    {}", self.events)?;
        writeln!(f, "operations       {}", self.operations)?;
        for (name, count) in &self.outcomes {
            writeln!(f, "  {name:<20} {count}")?;
        }
        writeln!(f, "exercised")?;
        for (name, times) in &self.exercised {
            writeln!(f, "  {name:<34} {times}")?;
        }
        writeln!(f, "fail-overs       {}", self.fail_overs)?;
        writeln!(f, "slowest healing  {:.1} s", self.slowest_healing.as_secs_f64())?;
        writeln!(f, "faults injected  {}", self.faults.values().sum::<u64>())?;
        self.faults.iter().try_for_each(|(name, count)| writeln!(f, "  {name:<20} {count}"))
    }
}
