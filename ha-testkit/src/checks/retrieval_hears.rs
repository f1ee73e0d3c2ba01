use std::collections::{BTreeMap, BTreeSet};

use super::calm::calms;
use super::operation::{Operation, Operations};
use super::{Check, Place, Violation};
use crate::history::{Call, Event, Leader, Term, What};

/// Retrieval never goes deaf: some time after the faults have stopped, every observer shows the last leader.
///
/// It is looked at when the cluster was said to have healed, and at the end of a history that lasts so much longer than
/// the last publication, the calm and the observer's own beginning as the calm takes to heal. A history in which no calm
/// or no publication is noted shows nothing of this.
#[derive(Debug, Clone, Copy)]
pub struct RetrievalHears;

impl Check for RetrievalHears {
    fn name(&self) -> &'static str {
        "retrieval is never deaf"
    }

    fn promise(&self) -> &'static str {
        "Once the faults stop, every observer shows the last leader within a bound."
    }

    fn promised_in(&self) -> Place {
        let words = "losing or doubling one costs time, not correctness";
        Place { file: "ha-core/src/backend/mod.rs", words }
    }

    fn check(&self, history: &[Event]) -> Result<(), Violation> {
        let operations = Operations::of(history);
        for calm in calms(history) {
            let mut moments: Vec<(usize, u64)> = calm.healed.map(|at| (at.position, u64::MAX)).into_iter().collect();
            if let (None, Some(last)) = (calm.ended, history.last()) {
                // What began after this had not enough time.
                let since = last.at_ns.checked_sub(calm.heals_within_ns).filter(|at| *at >= calm.began.event.at_ns);
                moments.extend(since.map(|since| (history.len() - 1, since)));
            }
            for (position, since_ns) in moments {
                let seen = &history[..=position];
                for (component, publish, leader) in leaders(seen, &operations, since_ns) {
                    if let Some((observer, shown)) = deaf(seen, component, &leader, since_ns) {
                        let what = format!("{observer} does not show the leader of {component} at {}", leader.address);
                        let events = publish.events().chain([calm.began.event, shown, &history[position]]);
                        return Err(Violation::broken(self.name(), what, events));
                    }
                }
            }
        }
        Ok(())
    }
}

/// The leaders that stand at the end of these events, and have since that time.
fn leaders<'a, 'h>(
    seen: &'h [Event],
    operations: &'a Operations<'h>,
    since_ns: u64,
) -> Vec<(&'h str, &'a Operation<'h>, Leader)> {
    let mut published: BTreeMap<&str, (&Term, &Operation<'_>, &str)> = BTreeMap::new();
    for publish in operations.all.iter().filter(|call| call.invoked.position < seen.len()) {
        let (Call::Publish { component, address }, Some(term)) = (publish.call, publish.under) else { continue };
        let newest = published.get(component.as_str()).is_none_or(|(newest, ..)| newest.epoch <= term.epoch);
        if publish.can_apply() && newest {
            published.insert(component, (term, publish, address));
        }
    }
    let stands = published.into_iter().filter(|(component, (term, publish, _))| {
        let was_in_time =
            publish.returned.is_some_and(|(at, _)| at.position < seen.len() && at.event.at_ns <= since_ns);
        let newer = operations.terms.first_after(term).is_some_and(|at| at.position < seen.len());
        publish.is_done() && was_in_time && !newer && !is_over(seen, component, publish)
    });
    stands.map(|(of, (term, publish, at))| (of, publish, Leader { term: term.clone(), address: at.into() })).collect()
}

/// Whether the leader that published this has ended or lost its leadership, or lets go of it.
fn is_over(seen: &[Event], component: &str, publish: &Operation<'_>) -> bool {
    let (leader, term) = (publish.invoked.event, publish.under);
    let mut is_paused = false;
    // What was given up before it was led anew: a component that resigns may get the term again.
    let since = &seen[publish.invoked.position..];
    for event in since.iter().filter(|event| event.process == leader.process) {
        match &event.what {
            What::Killed | What::Closed if event.incarnation == leader.incarnation => return true,
            What::Paused => is_paused = true,
            What::Resumed => is_paused = false,
            What::Revoked { component: of, term: lost, .. } if of == component && Some(lost) == term => return true,
            What::Invoked { under, call: Call::Resign { component: of }, .. }
                if of == component && under.as_ref() == term =>
            {
                return true;
            }
            _ => {}
        }
    }
    is_paused
}

/// An observer that had enough time, and shows something else; with what it shows.
fn deaf<'h>(seen: &'h [Event], component: &str, leader: &Leader, since_ns: u64) -> Option<(&'h str, &'h Event)> {
    let mut first: BTreeMap<(&str, u32, &str), u64> = BTreeMap::new();
    let mut last: BTreeMap<(&str, u32, &str), &Event> = BTreeMap::new();
    let mut paused: BTreeSet<&str> = BTreeSet::new();
    for event in seen {
        let life = (event.process.as_str(), event.incarnation);
        match &event.what {
            What::Shown { observer, component: of, .. } if of == component => {
                first.entry((life.0, life.1, observer)).or_insert(event.at_ns);
                last.insert((life.0, life.1, observer), event);
            }
            What::Unwatched { observer } => drop(last.remove(&(life.0, life.1, observer.as_str()))),
            What::Killed | What::Closed => last.retain(|of, _| (of.0, of.1) != life),
            What::Paused => drop(paused.insert(life.0)),
            What::Resumed => drop(paused.remove(life.0)),
            _ => {}
        }
    }
    let listens = last.into_iter().filter(|(of, _)| !paused.contains(of.0) && first[of] <= since_ns);
    let shows_other =
        |event: &Event| !matches!(&event.what, What::Shown { leader: Some(shown), .. } if shown == leader);
    listens.filter(|(_, event)| shows_other(event)).map(|((_, _, observer), event)| (observer, event)).next()
}
