use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use ha_core::backend::{Key, Latch};

/// The greatest epoch that this process has seen of each latch that it tried for.
///
/// Of each apart: an epoch that somebody has spoiled is the trouble of one latch.
#[derive(Debug, Default)]
pub(crate) struct Epochs(Mutex<BTreeMap<Key, u64>>);

impl Epochs {
    /// Remembers an epoch, and says which is the greatest of that latch so far.
    pub(super) fn saw(&self, latch: &Latch, epoch: u64) -> u64 {
        let mut greatest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let greatest = greatest.entry(latch.key().clone()).or_default();
        *greatest = epoch.max(*greatest);
        *greatest
    }
}
