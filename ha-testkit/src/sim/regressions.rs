use super::scenario::{Scenario, Storage};

/// A seed that once found something, and what.
#[derive(Debug, Clone, Copy)]
pub struct Regression {
    /// The seed.
    pub seed: u64,
    /// On which storage.
    pub storage: Storage,
    /// What it found.
    pub found: &'static str,
}

impl Regression {
    /// The world that it stands for.
    #[must_use]
    pub fn scenario(&self) -> Scenario {
        Scenario::of(self.seed).on(self.storage)
    }
}

/// Seeds that once failed. They run with every `cargo test`, and with `cargo xtask sim --regressions`.
///
/// # How a seed is added
/// 1. A failing run prints the seed, the storage and the command that shows it again: `cargo xtask sim --seed S
///    --backend B --history FILE` writes everything that happened.
/// 2. Find the cause, and give it a test of its own, as small as it can be: that one stays right for ever.
/// 3. Add the seed here with one sentence of what it found, and mend what was wrong in the same change.
///
/// A seed finds the same thing again only as long as the
/// world decides the same things in the same order; what it found has a test of its own besides.
pub const REGRESSIONS: &[Regression] = &[
    Regression {
        seed: 13,
        storage: Storage::Journal,
        found: "two clean-ups of one result at once were both told that they had removed it: a removal whose answer was \
                lost counts as applied where nothing is left",
    },
    Regression {
        seed: 8,
        storage: Storage::Model,
        found: "a component that had resigned was granted the same term again, which another component had kept",
    },
    Regression {
        seed: 688,
        storage: Storage::Model,
        found: "a plan was told as not applied and its state deleted, for one of two copies of its commit was refused; \
                the other copy was applied, and the plan led to nothing",
    },
    Regression {
        seed: 826,
        storage: Storage::Model,
        found: "an address was shown whose publication was told as refused, for the same reason",
    },
    Regression {
        seed: 1136,
        storage: Storage::Model,
        found: "a counter had an id less than was taken, for the same reason",
    },
    Regression {
        seed: 533,
        storage: Storage::Journal,
        found: "the check of recovered stores took a checkpoint for one of the same id, of an earlier run of the job",
    },
    Regression {
        seed: 2100,
        storage: Storage::Model,
        found: "a deposed leader that was in doubt about an add listed what the next one subsumed just then, and said \
                that state was missing",
    },
];
