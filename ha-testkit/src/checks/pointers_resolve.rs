use super::operation::{Fate, Operations};
use super::{Check, Place, Violation};
use crate::history::Event;

/// A pointer always leads to intact state.
///
/// No call ever finds state missing or corrupt, however often what it has listed is subsumed before it is loaded. A history in which somebody damaged the state on purpose is none that
/// this check is for.
#[derive(Debug, Clone, Copy)]
pub struct PointersResolve;

impl Check for PointersResolve {
    fn name(&self) -> &'static str {
        "pointers resolve"
    }

    fn promise(&self) -> &'static str {
        "A pointer always leads to intact state: it is written before its pointer, and deleted after it."
    }

    fn promised_in(&self) -> Place {
        Place { file: "README.md", words: "A pointer always leads to intact state" }
    }

    fn check(&self, history: &[Event]) -> Result<(), Violation> {
        let operations = Operations::of(history);
        for call in &operations.all {
            let Fate::NotApplied(kind @ ("StateMissing" | "Corrupt")) = call.fate() else { continue };
            let what = format!("what is stored cannot be read: {kind}");
            return Err(Violation::broken(self.name(), what, call.events()));
        }
        Ok(())
    }
}
