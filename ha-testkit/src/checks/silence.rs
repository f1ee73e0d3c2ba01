use super::operation::{At, Operations};
use super::{Check, Place, Violation};
use crate::history::{Call, Event, Term, What};

/// Silence never gives the latch away before its holder's `valid_until`.
///
/// If a newer term begins before the moment up to which a leader believed in its own, then something other than
/// silence ended that: the leader gave it up, its process ended, somebody acted on evidence, an operator or the store
/// itself ended it. Whoever did so has noted it. A loss that the leader was only told of explains nothing.
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
        for believer in history {
            let What::Believes { term, until_ns } = &believer.what else { continue };
            let Some(newer) = operations.terms.first_after(term) else { continue };
            if newer.event.at_ns >= *until_ns || was_ended(history, newer, believer, term) {
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

/// Whether something other than silence ended the term before that.
fn was_ended(history: &[Event], before: At<'_>, holder: &Event, term: &Term) -> bool {
    let is_later_life = |event: &Event| event.process == holder.process && event.incarnation > holder.incarnation;
    history[..before.position].iter().any(|event| {
        let is_holder = event.process == holder.process && event.incarnation == holder.incarnation;
        match &event.what {
            What::EndedEarly { term: ended, .. } => ended == term,
            What::Revoked { term: revoked, why, .. } => is_holder && revoked == term && why.is_own_doing(),
            What::Invoked { under, call: Call::Resign { .. }, .. } => is_holder && under.as_ref() == Some(term),
            What::Killed | What::Closed => is_holder,
            What::Started => is_later_life(event),
            _ => false,
        }
    })
}
