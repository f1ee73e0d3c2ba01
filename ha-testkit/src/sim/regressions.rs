use super::scenario::{Scenario, Storage};

/// A seed that once found something, and what.
#[derive(Debug, Clone, Copy)]
pub struct Regression {
    /// The seed.
    pub seed: u64,
    /// On what.
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

/// Seeds that once failed. They run with every `cargo test`. A seed finds the same thing again only as long as the
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
];
