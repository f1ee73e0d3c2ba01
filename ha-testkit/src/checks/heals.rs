use super::calm::calms;
use super::{Check, Place, Violation};
use crate::history::Event;

/// The cluster heals within a bound once there are no faults.
///
/// Each calm says the bound, and whoever runs the cluster notes when it was whole. A calm that new faults end before
/// the bound proves nothing, and so does a history without a calm; one that ends before it does not prove that the
/// cluster healed, and does not pass.
#[derive(Debug, Clone, Copy)]
pub struct Heals;

impl Check for Heals {
    fn name(&self) -> &'static str {
        "heals within a bound"
    }

    fn promise(&self) -> &'static str {
        "Once the faults stop, somebody leads, everybody knows who, and writes are acknowledged, within a bound."
    }

    fn promised_in(&self) -> Place {
        // `docs/proof.md#healing`. The bound of a simulation is `sim::HEALS_WITHIN`.
        let words = "Once the faults stop, somebody leads, every observer shows who, and writes are acknowledged, \
                     within a bound";
        Place { file: "docs/proof.md", words }
    }

    fn check(&self, history: &[Event]) -> Result<(), Violation> {
        for calm in calms(history) {
            let due = calm.due_ns();
            if calm.healed.is_some_and(|healed| healed.event.at_ns <= due) {
                continue;
            }
            let is_cut_short = calm.ended.is_some_and(|ended| ended.event.at_ns <= due);
            if is_cut_short {
                continue;
            }
            let what = match (calm.healed, history.last()) {
                (Some(_), _) => "the cluster healed too late",
                (None, Some(last)) if last.at_ns < due => "the history ends before the cluster has healed",
                _ => "the cluster did not heal in time",
            };
            let last = calm.healed.or(calm.ended).map(|at| at.event).or(history.last());
            return Err(Violation::broken(self.name(), what.into(), [calm.began.event].into_iter().chain(last)));
        }
        Ok(())
    }
}
