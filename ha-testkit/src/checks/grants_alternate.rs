use std::collections::BTreeMap;

use super::{Check, Place, Violation};
use crate::history::{Event, Term, What};

/// Grant and revoke alternate for each contender, beginning with a grant; a revocation is that of the term that was
/// granted.
#[derive(Debug, Clone, Copy)]
pub struct GrantsAlternate;

impl Check for GrantsAlternate {
    fn name(&self) -> &'static str {
        "grants alternate"
    }

    fn promise(&self) -> &'static str {
        "A contender is granted and revoked leadership strictly in turns, beginning with a grant."
    }

    fn promised_in(&self) -> Place {
        Place { file: "ha-core/src/election/contender.rs", words: "strictly alternate, beginning with a grant" }
    }

    fn check(&self, history: &[Event]) -> Result<(), Violation> {
        let mut last: BTreeMap<(&str, u32, &str), &Event> = BTreeMap::new();
        for event in history {
            let (component, term, is_grant) = match &event.what {
                What::Granted { component, term } => (component, term, true),
                What::Revoked { component, term, .. } => (component, term, false),
                _ => continue,
            };
            let contender = (event.process.as_str(), event.incarnation, component.as_str());
            let before = last.insert(contender, event);
            let held = before.and_then(granted);
            let wrong = match (is_grant, held) {
                (true, Some(_)) => "was granted twice",
                (false, None) => "was revoked without a grant",
                (false, Some(held)) if held != term => "was revoked another term than it was granted",
                _ => continue,
            };
            let what = format!("{component} {wrong}");
            return Err(Violation::broken(self.name(), what, before.into_iter().chain([event])));
        }
        Ok(())
    }
}

fn granted(event: &Event) -> Option<&Term> {
    match &event.what {
        What::Granted { term, .. } => Some(term),
        _ => None,
    }
}
