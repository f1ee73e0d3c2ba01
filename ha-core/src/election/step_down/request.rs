use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::backend::Term;
use crate::record::Body;

/// What an operator writes beside a latch: whoever leads under exactly this term is to give it up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StepDownRequest {
    pub(crate) epoch: u64,
    /// The backend's own name of the term: an epoch alone could be another's after all data were lost.
    pub(crate) native: String,
    /// Who asks, for people.
    pub(crate) by: String,
    /// By the wall clock of who asks, for people.
    pub(crate) at_unix_ms: u64,
    pub(crate) stay_away_ms: u64,
}

impl Body for StepDownRequest {
    const KIND: &'static str = "step_down_request";
}

impl StepDownRequest {
    pub(crate) fn is_for(&self, term: &Term) -> bool {
        self.epoch == term.epoch && self.native == *term.native
    }

    pub(crate) fn stay_away(&self) -> Duration {
        Duration::from_millis(self.stay_away_ms)
    }
}
