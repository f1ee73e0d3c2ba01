use super::sabotage::Sabotage;
use super::scenario::{Scenario, Storage};
use crate::mutants::Defect;

/// Something that is broken on purpose, and where it is noticed.
///
/// Services that are set up wrongly have cases of their own (`tests/mutants.rs`), and are here under other names:
/// `DeafForEver` is [`Sabotage::Deaf`], `BlindToItsDeadline` is [`Sabotage::EndlessDeadline`]. `OneClusterForAll` cannot
/// be seen here, for there is one cluster in a world; the case X-25 notices it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Mutant {
    /// What is broken.
    pub broken: Broken,
    /// Where that is noticed.
    pub noticed: Noticed,
}

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// The store.
    Store(Defect),
    /// What stands between the services and their backend, over that storage.
    Between(Sabotage, Storage),
}

/// Where a mutant is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noticed {
    /// By the simulation: by one of the seeds from 0 on, so many at most.
    Within(u64),
    /// Not by the simulation.
    Elsewhere {
        /// Why it cannot be seen there.
        why: &'static str,
        /// The case of the conformance suites that fails.
        case: &'static str,
    },
}

impl Mutant {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        match self.broken {
            Broken::Store(defect) => format!("{defect:?}"),
            Broken::Between(sabotage, storage) => format!("{sabotage:?} ({})", storage.name()),
        }
    }

    /// The world of that seed with this broken in it.
    #[must_use]
    pub fn scenario(&self, seed: u64) -> Scenario {
        match self.broken {
            Broken::Store(defect) => Scenario::of(seed).with_defect(defect),
            Broken::Between(sabotage, storage) => Scenario::of(seed).on(storage).with_sabotage(sabotage),
        }
    }
}

/// All mutants: each defect of the model, and each sabotage on each storage.
#[must_use]
pub fn mutants() -> Vec<Mutant> {
    let defects = Defect::ALL.iter().filter_map(|defect| Some((Broken::Store(*defect), of_defect(*defect)?)));
    let sabotages = Sabotage::ALL.iter().flat_map(|sabotage| {
        [Storage::Model, Storage::Journal].map(|storage| (Broken::Between(*sabotage, storage), of_sabotage(*sabotage)))
    });
    defects.chain(sabotages).map(|(broken, noticed)| Mutant { broken, noticed }).collect()
}

/// Without a rest: whoever adds a defect says here where it is noticed.
fn of_defect(defect: Defect) -> Option<Noticed> {
    use Noticed::{Elsewhere, Within};
    Some(match defect {
        Defect::None => return None,
        Defect::FenceIgnored => Within(30),
        Defect::FenceBeforeTheWrite => Within(30),
        Defect::ConflictOutranksFenced => Within(100),
        Defect::RevisionReused => Within(60),
        Defect::EpochRestartsAfterRelease => Within(60),
        Defect::EpochRestartsAfterKeyRemoval => Within(30),
        Defect::CommitNotAtomic => Within(30),
        Defect::AppliedTwice => Within(10),
        Defect::PrefixWithoutSeparator => Within(30),
        Defect::DeadlineFromTheAnswer => Within(60),
        Defect::TakeOverOfAnyTerm => Within(30),
        Defect::ReleaseByAnybody => Within(30),
        Defect::ForeignEditIgnored => Within(30),
        Defect::IdenticalWriteSwallowed => Elsewhere {
            why: "records carry the id of their write, so the services never write the same bytes twice",
            case: "B-07",
        },
        Defect::WakeUpLost => Elsewhere {
            why: "a lost hint costs time only: whatever is followed is read again once in each silence",
            case: "B-67",
        },
        Defect::LatchTakenAgain => {
            Elsewhere { why: "the services open another session for each attempt after a loss", case: "B-34" }
        }
        Defect::AnotherClusterVisible => Elsewhere { why: "there is one cluster in a world", case: "B-64" },
    })
}

fn of_sabotage(sabotage: Sabotage) -> Noticed {
    Noticed::Within(match sabotage {
        // It would be found nowhere, and is none of `Sabotage::ALL`.
        Sabotage::None => 0,
        Sabotage::Unfenced | Sabotage::UnknownIsNotApplied | Sabotage::UnknownIsApplied => 30,
        Sabotage::EndlessDeadline => 30,
        Sabotage::OldLists | Sabotage::OldReads | Sabotage::Deaf => 10,
    })
}
