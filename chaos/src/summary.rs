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
    /// How often they met nothing that they could hinder; none of these for those that always met something.
    pub met_nothing: BTreeMap<String, u64>,
    /// What became of commits that were sent by processes that had stood still just before.
    pub late_commits: BTreeMap<String, u64>,
    /// How many calls were acknowledged, and how many terms were led in, while there were faults.
    pub amid_faults: (u64, u64),
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
                    summary.amid_faults.0 += u64::from(calm.is_none() && name == "done");
                }
                What::Granted { term, .. } => {
                    let is_new = terms.insert(term.epoch);
                    summary.amid_faults.1 += u64::from(calm.is_none() && is_new);
                }
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

    /// Why a run of so long that finds nothing proves nothing: there was no trouble, or nothing was going on. Empty if it
    /// proves something.
    #[must_use]
    pub fn too_little(&self, trouble: Duration) -> Vec<String> {
        let mut why = Vec::new();
        let idle = |name: &str| self.met_nothing.get(name).copied().unwrap_or(0);
        if self.faults.iter().all(|(name, count)| *count <= idle(name)) {
            why.push("no fault met anything: nothing was tried".to_owned());
        }
        // Once or twice is chance: a standby may have nothing on its way.
        let never = self.faults.iter().filter(|(name, count)| **count >= 4 && **count <= idle(name));
        why.extend(never.map(|(name, count)| format!("{name} was there {count} times, and met nothing")));
        let (done, terms) = self.amid_faults;
        if terms == 0 {
            why.push("nobody led while there were faults".to_owned());
        }
        if done < trouble.as_secs() {
            why.push(format!("{done} calls were acknowledged amid faults, in {trouble:?}: less than one in a second"));
        }
        why
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
        for (outcome, count) in &self.late_commits {
            writeln!(f, "late commits     {count} {outcome}")?;
        }
        writeln!(f, "lives of workers {}", self.lives)?;
        writeln!(f, "fail-overs       {}", self.fail_overs)?;
        match self.healed_after {
            Some(after) => writeln!(f, "healed after     {:.3} s", after.as_secs_f64())?,
            None => writeln!(f, "healed after     never")?,
        }
        writeln!(f, "faults           {}", self.faults.values().sum::<u64>())?;
        self.faults.iter().try_for_each(|(name, count)| match self.met_nothing.get(name) {
            Some(idle) => writeln!(f, "  {name:<20} {count}, {idle} of them met nothing"),
            None => writeln!(f, "  {name:<20} {count}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use ha_testkit::history::{Answer, Call, Recording, Term};

    use super::*;

    fn run(faults: &[&str], calls: u64, leads: bool) -> Summary {
        let recording = Recording::timeless();
        let scribe = recording.scribe("jm-1", 1);
        for name in faults {
            recording.note("nemesis", 0, What::Fault { name: (*name).into(), on: true });
        }
        if leads {
            scribe.note(What::Granted { component: "dispatcher".into(), term: Term::new("leader", 1) });
        }
        for _ in 0..calls {
            scribe.invoked(None, Call::ReadPlan { job: "job".into() }).returned(Outcome::Done(Answer::Value(None)));
        }
        recording.note("nemesis", 0, What::Calm { heals_within_ns: 1 });
        // What happens in the calm is no proof of what happens amid faults.
        scribe.note(What::Granted { component: "dispatcher".into(), term: Term::new("leader", 2) });
        scribe.invoked(None, Call::ReadPlan { job: "job".into() }).returned(Outcome::Done(Answer::Value(None)));
        Summary::of(&recording.events())
    }

    #[test]
    fn a_run_in_which_nothing_happened_proves_nothing() {
        let minute = Duration::from_secs(60);
        assert_eq!(run(&["kill jm-1"], 60, true).too_little(minute), Vec::<String>::new());
        for (summary, says) in [
            (run(&[], 60, true), "no fault"),
            (run(&["kill jm-1"], 60, false), "nobody led"),
            (run(&["kill jm-1"], 59, true), "less than one"),
            (Summary::of(&[]), "no fault"),
        ] {
            let why = summary.too_little(minute).join("; ");
            assert!(why.contains(says), "{why}");
        }
        let four = ["kill jm-1", "half-open jm-1", "half-open jm-1", "half-open jm-2", "half-open jm-1"];
        let mut summary = run(&four, 60, true);
        summary.met_nothing.insert("half-open".into(), 3);
        assert!(summary.too_little(minute).is_empty());
        summary.met_nothing.insert("half-open".into(), 4);
        assert!(summary.too_little(minute).join("").contains("half-open was there 4 times"));
        summary.met_nothing.insert("kill".into(), 1);
        assert!(summary.too_little(minute).join("").contains("nothing was tried"));
    }
}
