use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What can go wrong with one message, one call or one write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Injected {
    RequestLost,
    AnswerLost,
    DeliveredLate,
    DeliveredTwice,
    WatchLost,
    StoreError,
}

impl Injected {
    fn name(self) -> &'static str {
        match self {
            Self::RequestLost => "request lost",
            Self::AnswerLost => "answer lost",
            Self::DeliveredLate => "delivered late",
            Self::DeliveredTwice => "delivered twice",
            Self::WatchLost => "watch lost",
            Self::StoreError => "store error",
        }
    }
}

/// How often what went wrong. Clones count together.
#[derive(Debug, Clone, Default)]
pub(super) struct Counters(Arc<Mutex<BTreeMap<Injected, u64>>>);

impl Counters {
    pub(super) fn injected(&self, kind: Injected) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default() += 1;
    }

    pub(super) fn by_name(&self) -> BTreeMap<String, u64> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|(kind, count)| (kind.name().to_owned(), *count)).collect()
    }
}
