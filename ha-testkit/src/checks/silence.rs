use super::operation::{At, Operations};
use super::{Check, Place, Violation};
use crate::history::{Call, Event, Loss, Term, What};

/// Silence never gives the latch away before its holder's `valid_until`.
///
/// If a newer term begins before the moment up to which a leader believed in its own, then something other than
/// silence ended that: the leader gave it up, its process ended, somebody acted on evidence, an operator or the store
/// itself ended it. Whoever did so has noted it. A loss that the leader was only told of explains nothing, and neither
/// does the resignation of one component while another one of its process keeps the term.
#[derive(Debug, Clone, Copy)]
pub struct SilenceIsPatient;

impl Check for SilenceIsPatient {
    fn name(&self) -> &'static str {
        "silence is patient"
    }

    fn promise(&self) -> &'static str {
        "Silence never gives the latch to another before the leader's own `valid_until`."
    }

    fn promised_in(&self) -> Place {
        let words = "Silence never gives the latch to another before the leader's own `valid_until`";
        Place { file: "README.md", words }
    }

    fn check(&self, history: &[Event]) -> Result<(), Violation> {
        let operations = Operations::of(history);
        let ends: Vec<At<'_>> = history.iter().enumerate().map(|(position, event)| At { position, event }).collect();
        let ends: Vec<At<'_>> = ends.into_iter().filter(|at| may_end(at.event)).collect();
        let kept = Kept::of(history);
        for (position, believer) in history.iter().enumerate() {
            let What::Believes { term, until_ns } = &believer.what else { continue };
            let Some(newer) = operations.terms.first_after(term) else { continue };
            let before = &ends[..ends.partition_point(|end| end.position < newer.position)];
            if newer.event.at_ns >= *until_ns || was_ended(before, At { position, event: believer }, term, &kept) {
                continue;
            }
            let early = until_ns - newer.event.at_ns;
            let what =
                format!("the latch of {term} was given away {early} ns too early, and nobody had ended the term");
            return Err(Violation::broken(self.name(), what, [believer, newer.event]));
        }
        Ok(())
    }
}

fn may_end(event: &Event) -> bool {
    let resigns = matches!(event.what, What::Invoked { call: Call::Resign { .. }, .. });
    let ends = matches!(event.what, What::Killed | What::Closed | What::Started);
    resigns || ends || matches!(event.what, What::EndedEarly { .. } | What::Revoked { .. })
}

/// Whether something other than silence ended the term by one of these. Who resigned before the belief does not count:
/// another component of the process kept the latch, for it was believed in.
fn was_ended(ends: &[At<'_>], believer: At<'_>, term: &Term, kept: &Kept<'_>) -> bool {
    let holder = believer.event;
    let is_later_life = |event: &Event| event.process == holder.process && event.incarnation > holder.incarnation;
    ends.iter().any(|At { position, event }| {
        let is_holder = event.process == holder.process && event.incarnation == holder.incarnation;
        let is_later = *position > believer.position;
        match &event.what {
            What::EndedEarly { term: ended, .. } => ended == term,
            What::Revoked { component, term: revoked, why } => {
                let resigned = *why == Loss::Resigned;
                let ended = why.is_own_doing() && !(resigned && kept.by_another(event, component, term, *position));
                is_holder && is_later && revoked == term && ended
            }
            What::Invoked { under, call: Call::Resign { component }, .. } => {
                let is_its = is_holder && is_later && under.as_ref() == Some(term);
                is_its && !kept.by_another(event, component, term, *position)
            }
            What::Killed | What::Closed => is_holder,
            What::Started => is_later_life(event),
            _ => false,
        }
    })
}

/// From when to when each component of each life held a term, by what it was told and what it gave up.
struct Kept<'h> {
    holds: Vec<Hold<'h>>,
}

struct Hold<'h> {
    life: (&'h str, u32),
    component: &'h str,
    term: &'h Term,
    from: usize,
    until: Option<usize>,
}

impl<'h> Kept<'h> {
    fn of(history: &'h [Event]) -> Self {
        let mut holds: Vec<Hold<'h>> = Vec::new();
        for (position, event) in history.iter().enumerate() {
            let life = (event.process.as_str(), event.incarnation);
            let (component, term) = match &event.what {
                What::Granted { component, term } => {
                    holds.push(Hold { life, component, term, from: position, until: None });
                    continue;
                }
                What::Revoked { component, term, .. } => (component, term),
                What::Invoked { under: Some(term), call: Call::Resign { component }, .. } => (component, term),
                _ => continue,
            };
            let mut open = holds.iter_mut().rev().filter(|hold| hold.until.is_none() && hold.life == life);
            if let Some(hold) = open.find(|hold| hold.component == component && hold.term == term) {
                hold.until = Some(position);
            }
        }
        Self { holds }
    }

    /// Whether another component of whoever resigned there held the term at that moment.
    fn by_another(&self, resigned: &Event, component: &str, term: &Term, at: usize) -> bool {
        let life = (resigned.process.as_str(), resigned.incarnation);
        let same = self.holds.iter().filter(|hold| hold.life == life && hold.term == term);
        same.filter(|hold| hold.component != component)
            .any(|hold| hold.from < at && hold.until.is_none_or(|over| over > at))
    }
}
