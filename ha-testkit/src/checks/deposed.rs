use super::operation::{Fate, Operations};
use super::{Check, Place, Violation};
use crate::history::{Call, Event};

/// A deposed leader is told that it is fenced, whatever is stored.
///
/// A write that was invoked after somebody showed a newer term, and that conflicts too, is answered as fenced: whoever
/// reads of a conflict goes on as a leader. Seen where a conflict is an answer of its own, which is so for the creation
/// of a result.
#[derive(Debug, Clone, Copy)]
pub struct DeposedAreTold;

impl Check for DeposedAreTold {
    fn name(&self) -> &'static str {
        "deposed are told"
    }

    fn promise(&self) -> &'static str {
        "A write of a deposed leader is answered as fenced, also where it conflicts with what is stored."
    }

    fn promised_in(&self) -> Place {
        Place { file: "ha-core/src/backend/mod.rs", words: "outranks [`Outcome::Conflict`]" }
    }

    fn check(&self, history: &[Event]) -> Result<(), Violation> {
        for call in &Operations::of(history).all {
            let (Call::PutResult { .. }, Fate::NotApplied("AlreadyExists")) = (call.call, call.fate()) else {
                continue;
            };
            if let Some(newer) = call.fenced.filter(|newer| newer.position < call.invoked.position) {
                let what = "a write under an old term is answered by a conflict".into();
                return Err(Violation::broken(self.name(), what, call.events().chain([newer.event])));
            }
        }
        Ok(())
    }
}
