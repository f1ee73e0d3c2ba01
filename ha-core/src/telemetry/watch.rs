//! What is measured from one moment to another. Without the feature none of it reads a clock, or is larger than nothing.

use super::{labels, record};
use crate::Error;
use crate::backend::Outcome;
#[cfg(feature = "metrics")]
use crate::seam::Moment;
use crate::seam::Seam;

/// Since when something takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(#[cfg(feature = "metrics")] Moment);

impl Stopwatch {
    #[cfg(feature = "metrics")]
    pub(crate) fn start(seam: &Seam) -> Self {
        Self(seam.now())
    }

    #[cfg(not(feature = "metrics"))]
    #[inline(always)]
    pub(crate) fn start(_: &Seam) -> Self {
        Self()
    }

    #[cfg(feature = "metrics")]
    pub(crate) fn seconds(self, seam: &Seam) -> f64 {
        seam.now().since(self.0).as_secs_f64()
    }

    #[cfg(not(feature = "metrics"))]
    #[inline(always)]
    pub(crate) fn seconds(self, _: &Seam) -> f64 {
        0.0
    }
}

/// A commit that is under way. One that is dropped before its verdict is counted as that: nobody will know.
#[derive(Debug)]
pub(crate) struct CommitUnderWay<'a> {
    seam: &'a Seam,
    began: Stopwatch,
    ended: bool,
}

impl<'a> CommitUnderWay<'a> {
    pub(crate) fn begin(seam: &'a Seam) -> Self {
        Self { seam, began: Stopwatch::start(seam), ended: false }
    }

    pub(crate) fn ended(mut self, outcome: &Result<Outcome, Error>) {
        self.ended = true;
        record::commit_over(labels::commit(outcome), self.began.seconds(self.seam));
    }
}

impl Drop for CommitUnderWay<'_> {
    fn drop(&mut self) {
        if !self.ended {
            record::commit_over("dropped", self.began.seconds(self.seam));
        }
    }
}

/// An outcome that is being found out.
#[derive(Debug)]
pub(crate) struct ResolutionUnderWay<'a> {
    seam: &'a Seam,
    began: Stopwatch,
    ended: bool,
}

impl<'a> ResolutionUnderWay<'a> {
    pub(crate) fn begin(seam: &'a Seam) -> Self {
        Self { seam, began: Stopwatch::start(seam), ended: false }
    }

    pub(crate) fn ended(mut self, outcome: &Result<Outcome, Error>) {
        self.ended = true;
        record::outcome_found_out(labels::resolution(outcome), self.began.seconds(self.seam));
    }
}

impl Drop for ResolutionUnderWay<'_> {
    fn drop(&mut self) {
        if !self.ended {
            record::outcome_found_out("dropped", self.began.seconds(self.seam));
        }
    }
}

/// What one store holds, as its part of what all stores of the process hold. Given back when it is dropped.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HeldStates {
    store: &'static str,
    states: i64,
    bytes: i64,
}

impl HeldStates {
    pub(crate) fn none(store: &'static str) -> Self {
        Self { store, states: 0, bytes: 0 }
    }

    /// From now on it holds states of these lengths.
    pub(crate) fn set(&mut self, lengths: impl Iterator<Item = u64>) {
        if !cfg!(feature = "metrics") {
            return;
        }
        let (mut states, mut bytes) = (0_i64, 0_i64);
        for length in lengths {
            states += 1;
            bytes = bytes.saturating_add(i64::try_from(length).unwrap_or(i64::MAX));
        }
        self.to(states, bytes);
    }

    /// One state more, or one less.
    pub(crate) fn change(&mut self, before: Option<u64>, after: Option<u64>) {
        if !cfg!(feature = "metrics") || before == after {
            return;
        }
        let length = |state: Option<u64>| state.map_or(0, |length| i64::try_from(length).unwrap_or(i64::MAX));
        let states = self.states + i64::from(after.is_some()) - i64::from(before.is_some());
        self.to(states, self.bytes.saturating_sub(length(before)).saturating_add(length(after)));
    }

    fn to(&mut self, states: i64, bytes: i64) {
        if (states, bytes) != (self.states, self.bytes) {
            record::held(self.store, states - self.states, bytes.saturating_sub(self.bytes));
            (self.states, self.bytes) = (states, bytes);
        }
    }
}

impl Drop for HeldStates {
    fn drop(&mut self) {
        self.to(0, 0);
    }
}
