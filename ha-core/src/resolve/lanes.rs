use std::hash::{DefaultHasher, Hash, Hasher};

use tokio::sync::{Mutex, MutexGuard};

use crate::backend::{Commit, Key};

/// More than there are usually commits under way, so that strangers seldom share a lane.
const LANES: usize = 256;

/// Lets one commit per key pass at a time. Keys share a fixed number of lanes: two that share
/// one wait for each other, which costs time and nothing else.
#[derive(Debug)]
pub(super) struct Lanes(Vec<Mutex<()>>);

/// The lanes that a commit has entered; it leaves them when this is dropped.
pub(super) enum Entered<'a> {
    One { _lane: MutexGuard<'a, ()> },
    Many { _lanes: Vec<MutexGuard<'a, ()>> },
}

impl Lanes {
    pub(super) fn new() -> Self {
        Self((0..LANES).map(|_| Mutex::new(())).collect())
    }

    pub(super) async fn enter(&self, commit: &Commit) -> Entered<'_> {
        if let [only] = commit.writes.as_slice() {
            return Entered::One { _lane: self.0[lane_of(&only.key)].lock().await };
        }
        let mut numbers: Vec<usize> = commit.writes.iter().map(|w| lane_of(&w.key)).collect();
        // In one order for all, so that two commits cannot wait for each other.
        numbers.sort_unstable();
        numbers.dedup();
        let mut lanes = Vec::with_capacity(numbers.len());
        for number in numbers {
            lanes.push(self.0[number].lock().await);
        }
        Entered::Many { _lanes: lanes }
    }
}

fn lane_of(key: &Key) -> usize {
    // A hasher with fixed keys: the same lane in every run of one seed.
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    (hasher.finish() % LANES as u64) as usize
}
