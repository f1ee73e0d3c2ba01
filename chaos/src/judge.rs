//! From what happened to what must not have happened.

use std::collections::{BTreeMap, BTreeSet};

use ha_testkit::checks::{self, Check as _, PointersResolve, Violation};
use ha_testkit::history::{Call, Event, Outcome, What};
use ha_testkit::sim::workload::LATCH;

use crate::hindered::LateCommit;
use crate::world::{Allows, Window};

/// How many observers each worker has.
const OBSERVERS: usize = 2;
const COMPONENT: &str = "dispatcher";

/// All violations of the promises in that history.
pub(crate) fn judge(history: &[Event], windows: &[Window]) -> Vec<Violation> {
    let corrupt: Vec<&Window> = windows.iter().filter(|window| window.allows == Allows::Corrupt).collect();
    let found = checks::all().into_iter().filter_map(|check| {
        let is_about_corruption = check.name() == PointersResolve.name() && !corrupt.is_empty();
        match is_about_corruption {
            true => check.check(&without_corrupt(history, &corrupt)).err(),
            false => check.check(history).err(),
        }
    });
    found.collect()
}

/// The commits that were sent when a newer term than their own had begun for certain, and passed the fence all the same:
/// they were applied, or compared with what is stored, which comes after it. The history alone cannot tell: the call had
/// begun before.
pub(crate) fn passed_the_fence(history: &[Event], late: &[(String, LateCommit)]) -> Vec<String> {
    let begun_after = |commit: &LateCommit| {
        let before = history.iter().filter(|event| event.at_ns < commit.sent_ns);
        let mut terms = before.filter_map(|event| match &event.what {
            What::Granted { term, .. } | What::Believes { term, .. } => Some(term),
            What::Shown { leader: Some(leader), .. } => Some(&leader.term),
            _ => None,
        });
        terms.find(|term| term.latch == LATCH && term.epoch > commit.epoch)
    };
    let passed = late.iter().filter(|(_, commit)| commit.has_passed());
    let passed = passed.filter_map(|(whose, commit)| Some((whose, commit, begun_after(commit)?)));
    let told = passed.map(|(whose, commit, newer)| {
        format!(
            "{whose} stood still at a commit of the term {}, {newer} began, and it was not fenced: {}",
            commit.epoch, commit.outcome
        )
    });
    told.collect()
}

/// Without the calls that were told, while something of others stood in the place of an entry, that it does: docs/failure-model.md
/// promises that very error.
fn without_corrupt(history: &[Event], windows: &[&Window]) -> Vec<Event> {
    let mut excused = BTreeSet::new();
    for event in history {
        let What::Returned { op, outcome: Outcome::NotApplied { kind } } = &event.what else { continue };
        let is_within = windows.iter().any(|window| (window.from_ns..=window.to_ns).contains(&event.at_ns));
        if kind == "Corrupt" && is_within {
            excused.insert((event.process.as_str(), event.incarnation, *op));
        }
    }
    let of = |event: &Event| match event.what {
        What::Invoked { op, .. } | What::Returned { op, .. } => Some(op),
        _ => None,
    };
    let stays =
        |event: &&Event| of(event).is_none_or(|op| !excused.contains(&(event.process.as_str(), event.incarnation, op)));
    history.iter().filter(stays).cloned().collect()
}

/// Adds, for each window in which terms may end early, a permission for each term that may have lived then.
pub(crate) fn permit(history: &mut Vec<Event>, windows: &[Window]) {
    let mut begun: BTreeMap<u64, Begun> = BTreeMap::new();
    for event in history.iter() {
        let (term, holder) = match &event.what {
            What::Granted { term, .. } | What::Believes { term, .. } => (term, Some(&event.process)),
            What::Shown { leader: Some(leader), .. } => (&leader.term, None),
            _ => continue,
        };
        let new = || Begun { at_ns: event.at_ns, term: term.clone(), holder: None };
        let begun = begun.entry(term.epoch).or_insert_with(new);
        begun.holder = begun.holder.take().or_else(|| holder.cloned());
    }
    let ends: Vec<u64> = begun.values().skip(1).map(|begun| begun.at_ns).chain([u64::MAX]).collect();
    for window in windows {
        let Allows::EarlyEnd(by) = window.allows else { continue };
        for (Begun { at_ns, term, holder }, end) in begun.values().zip(&ends) {
            // Nobody may have noted whose it was.
            let is_meant = window.of.as_ref().zip(holder.as_ref()).is_none_or(|(of, holder)| of.contains(holder));
            if is_meant && *at_ns <= window.to_ns && *end >= window.from_ns {
                let (at_ns, process) = ((*at_ns).max(window.from_ns), "nemesis".to_owned());
                let what = What::EndedEarly { term: term.clone(), by };
                history.push(Event { at_ns, process, incarnation: 0, what });
            }
        }
    }
    // What is equal keeps its order.
    history.sort_by_key(|event| event.at_ns);
}

/// A term, and when it was first heard of.
struct Begun {
    at_ns: u64,
    term: ha_testkit::history::Term,
    holder: Option<String>,
}

/// When the cluster was whole for the first time after the calm: somebody leads and has published, all observers of all
/// workers show it, and a write under its term was acknowledged. The position of the event that made it so.
pub(crate) fn healed(history: &[Event], workers: usize) -> Option<usize> {
    let mut seen = Seen::default();
    for (position, event) in history.iter().enumerate() {
        seen.take(event);
        if seen.calm && seen.is_whole(workers) {
            return Some(position);
        }
    }
    None
}

#[derive(Default)]
struct Seen<'h> {
    calm: bool,
    /// Which epoch each process leads under.
    leads: BTreeMap<&'h str, u64>,
    shown: BTreeMap<(&'h str, &'h str), Option<u64>>,
    calls: BTreeMap<(&'h str, u32, u64), (u64, &'h Call)>,
    published: BTreeSet<u64>,
    written: BTreeSet<u64>,
}

impl<'h> Seen<'h> {
    fn take(&mut self, event: &'h Event) {
        let process = event.process.as_str();
        match &event.what {
            What::Calm { .. } => self.calm = true,
            What::Killed | What::Closed => {
                self.leads.remove(process);
                self.shown.retain(|(of, _), _| *of != process);
            }
            What::Granted { component, term } if component == COMPONENT => {
                self.leads.insert(process, term.epoch);
            }
            What::Revoked { component, term, .. }
                if component == COMPONENT && self.leads.get(process) == Some(&term.epoch) =>
            {
                self.leads.remove(process);
            }
            What::Shown { observer, component, leader } if component == COMPONENT => {
                let leader = leader.as_ref().filter(|leader| leader.term.latch == LATCH);
                self.shown.insert((process, observer), leader.map(|leader| leader.term.epoch));
            }
            What::Invoked { op, under: Some(term), call } => {
                if matches!(call, Call::Resign { .. }) {
                    self.leads.remove(process);
                }
                self.calls.insert((process, event.incarnation, *op), (term.epoch, call));
            }
            What::Returned { op, outcome: Outcome::Done(_) } => {
                let Some((epoch, call)) = self.calls.remove(&(process, event.incarnation, *op)) else { return };
                match call {
                    Call::Publish { component, .. } if component == COMPONENT => drop(self.published.insert(epoch)),
                    call if self.calm && call.is_write() => drop(self.written.insert(epoch)),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn is_whole(&self, workers: usize) -> bool {
        let Some(epoch) = self.leads.values().max() else { return false };
        let all_show = self.shown.values().all(|shown| shown == &Some(*epoch));
        all_show
            && self.shown.len() == workers * OBSERVERS
            && self.published.contains(epoch)
            && self.written.contains(epoch)
    }
}

#[cfg(test)]
mod tests {
    use ha_testkit::history::{Answer, EarlyEnd, Leader, Pending, Recording, Scribe, Term};

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn term(epoch: u64) -> Term {
        Term::new(LATCH, epoch)
    }

    fn granted(epoch: u64) -> What {
        What::Granted { component: COMPONENT.into(), term: term(epoch) }
    }

    fn shows(scribe: &Scribe, epoch: u64) {
        for observer in ["watch", "listener"] {
            let leader = Some(Leader { term: term(epoch), address: "jm-1-1:6123".into() });
            scribe.note(What::Shown { observer: observer.into(), component: COMPONENT.into(), leader });
        }
    }

    fn invoked(scribe: &Scribe, epoch: u64, call: Call) -> Pending {
        scribe.invoked(Some(term(epoch)), call)
    }

    #[test]
    fn a_cluster_is_whole_when_all_show_the_leader_and_it_has_written_in_the_calm() {
        let recording = Recording::timeless();
        let (one, two) = (recording.scribe("jm-1", 1), recording.scribe("jm-2", 1));
        let nothing = || Outcome::Done(Answer::Nothing);
        let put = || Call::PutPlan { job: "job".into(), plan: "plan".into() };
        let is_whole = || healed(&recording.events(), 2).is_some();
        one.note(granted(3));
        invoked(&one, 3, Call::Publish { component: COMPONENT.into(), address: "jm-1-1:6123".into() })
            .returned(nothing());
        invoked(&one, 3, put()).returned(nothing());
        recording.note("nemesis", 0, What::Calm { heals_within_ns: SECOND });
        shows(&one, 3);
        assert!(!is_whole(), "an observer is missing");
        shows(&two, 2);
        assert!(!is_whole(), "an observer shows an older leader");
        shows(&two, 3);
        assert!(!is_whole(), "nothing was written in the calm");
        let pending = invoked(&one, 3, put());
        one.note(What::Revoked { component: COMPONENT.into(), term: term(3), why: ha_testkit::history::Loss::Evicted });
        pending.returned(nothing());
        assert!(!is_whole(), "its leader has lost it");
        two.note(granted(4));
        invoked(&two, 4, Call::Publish { component: COMPONENT.into(), address: "jm-2-1:6123".into() })
            .returned(nothing());
        [&one, &two].into_iter().for_each(|scribe| shows(scribe, 4));
        invoked(&two, 4, put()).returned(nothing());
        assert_eq!(healed(&recording.events(), 2), Some(recording.events().len() - 1));
    }

    #[test]
    fn only_terms_that_lived_in_a_window_may_end_early() {
        let recording = Recording::timeless();
        for (at, epoch, holder) in [(1, 1, "jm-1"), (10, 2, "jm-1"), (20, 3, "jm-2"), (40, 4, "jm-1")] {
            recording.note_at(at * SECOND, holder, 1, granted(epoch));
        }
        let allows = Allows::EarlyEnd(EarlyEnd::Store);
        let permitted = |of: Option<&str>| -> Vec<(u64, u64)> {
            let of = of.map(|of| [of.to_owned()].into());
            let mut history = recording.events();
            permit(&mut history, &[Window { from_ns: 15 * SECOND, to_ns: 30 * SECOND, allows, of }]);
            let ended = history.iter().filter_map(|event| match &event.what {
                What::EndedEarly { term, by: EarlyEnd::Store } => Some((event.at_ns / SECOND, term.epoch)),
                _ => None,
            });
            ended.collect()
        };
        assert_eq!(permitted(None), [(15, 2), (20, 3)]);
        // Whoever's agent was not killed has no excuse.
        assert_eq!(permitted(Some("jm-2")), [(20, 3)]);
        assert_eq!(permitted(Some("jm-4")), []);
    }

    #[test]
    fn a_commit_that_was_sent_after_a_newer_term_had_begun_passes_no_fence() {
        let recording = Recording::timeless();
        recording.note_at(SECOND, "jm-1", 1, granted(3));
        recording.note_at(4 * SECOND, "jm-2", 1, granted(5));
        let history = recording.events();
        let passed = |sent_at, epoch, outcome: &str| {
            let outcome = outcome.to_owned();
            let commit = LateCommit { epoch, sent_ns: sent_at * SECOND, outcome };
            passed_the_fence(&history, &[("jm-1/1".into(), commit)]).len()
        };
        assert_eq!(passed(5, 3, LateCommit::APPLIED), 1);
        assert_eq!(passed(5, 3, LateCommit::CONFLICT), 1, "the fence comes first");
        assert_eq!(passed(5, 3, "fenced"), 0);
        assert_eq!(passed(5, 3, "Unavailable"), 0, "nothing is known");
        assert_eq!(passed(3, 3, LateCommit::APPLIED), 0, "its own term went on");
        assert_eq!(passed(5, 5, LateCommit::APPLIED), 0, "it is of the newer one");
    }

    #[test]
    fn what_is_corrupt_is_excused_only_while_something_of_others_stands_in_the_way() {
        let recording = Recording::timeless();
        let scribe = recording.scribe("jm-1", 1);
        recording.note_at(5 * SECOND, "jm-1", 1, What::Started);
        let read = scribe.invoked(None, Call::ReadPlan { job: "job".into() });
        read.returned(Outcome::NotApplied { kind: "Corrupt".into() });
        let window = |from_ns, to_ns| Window { from_ns, to_ns, allows: Allows::Corrupt, of: None };
        assert_eq!(judge(&recording.events(), &[window(4 * SECOND, 6 * SECOND)]), []);
        for windows in [vec![], vec![window(0, 4 * SECOND)]] {
            let found = judge(&recording.events(), &windows);
            assert_eq!(found.iter().map(|found| found.check).collect::<Vec<_>>(), [PointersResolve.name()]);
        }
    }
}
