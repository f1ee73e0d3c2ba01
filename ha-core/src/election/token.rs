use std::fmt;

use serde::{Deserialize, Serialize};

/// What a leader shows to systems outside of the store, so that they can refuse a deposed one.
///
/// Strictly greater than that of every earlier term of the same latch, on every backend and
/// over every restart. Pass it along with each request; a receiver that remembers the greatest
/// it has seen, and refuses smaller ones, is fenced as well as the store itself.
///
/// The components of one process share its term, and so the token: see [`Grant::epoch`](super::Grant::epoch).
///
/// ```
/// use ha_core::election::FencingToken;
/// let (seen, offered) = (FencingToken::new(8), FencingToken::new(7));
/// assert!(offered < seen, "a deposed leader: refuse");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FencingToken(u64);

impl FencingToken {
    /// The token of that epoch.
    #[must_use]
    pub fn new(epoch: u64) -> Self {
        Self(epoch)
    }

    /// The epoch.
    #[must_use]
    pub fn epoch(self) -> u64 {
        self.0
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
