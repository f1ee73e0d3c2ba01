use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event;

/// What is known of one key in one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aggregate {
    /// Number of events, at least 1.
    pub count: u64,
    /// Sum of their values; as many `i64` as a `u64` can count fit.
    pub sum: i128,
    /// The smallest value.
    pub min: i64,
    /// The greatest value.
    pub max: i64,
}

impl Aggregate {
    pub(crate) fn of(value: i64) -> Self {
        Self { count: 1, sum: i128::from(value), min: value, max: value }
    }

    pub(crate) fn fold(&mut self, value: i64) {
        // Saturating only for the sake of a hostile snapshot: no input is long enough to get here.
        self.count = self.count.saturating_add(1);
        self.sum = self.sum.saturating_add(i128::from(value));
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }
}

/// The keys of one window, ordered, so that output and snapshots are the same on every run.
pub(crate) type Keyed = BTreeMap<Box<str>, Aggregate>;

/// The open windows of a task (or of all tasks) by their start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Windows {
    by_start_ms: BTreeMap<u64, Keyed>,
}

impl Windows {
    pub(crate) fn fold(&mut self, window_start_ms: u64, key: &str, value: i64) {
        let keyed = self.by_start_ms.entry(window_start_ms).or_default();
        // Not `entry`: it wants an owned key, and nearly every key is there already.
        match keyed.get_mut(key) {
            Some(aggregate) => aggregate.fold(value),
            None => {
                keyed.insert(key.into(), Aggregate::of(value));
            }
        }
    }

    /// Takes out the earliest window if it ends at the watermark or before.
    pub(crate) fn pop_closed(&mut self, watermark_ms: u64, window_ms: u64) -> Option<(u64, Keyed)> {
        let earliest = self.by_start_ms.first_entry()?;
        if earliest.key().saturating_add(window_ms) > watermark_ms {
            return None;
        }
        Some(earliest.remove_entry())
    }

    /// Adds the windows of another task; no key is in both.
    pub(crate) fn merge(&mut self, other: Self) {
        for (start_ms, keyed) in other.by_start_ms {
            self.by_start_ms.entry(start_ms).or_default().extend(keyed);
        }
    }

    /// Gives every key to the task that owns it, whatever the number of tasks was before.
    pub(crate) fn partition(self, tasks: usize) -> Vec<Self> {
        let mut parts = vec![Self::default(); tasks];
        for (start_ms, keyed) in self.by_start_ms {
            for (key, aggregate) in keyed {
                let part = &mut parts[event::owner(&key, tasks)];
                part.by_start_ms.entry(start_ms).or_default().insert(key, aggregate);
            }
        }
        parts
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_start_ms.is_empty()
    }

    /// The first thing that no engine with this window size would have written, if there is one.
    pub(crate) fn flaw(&self, window_ms: u64) -> Option<String> {
        for (start_ms, keyed) in &self.by_start_ms {
            if *start_ms > event::TIME_MAX_MS || start_ms % window_ms != 0 {
                return Some(format!("no window starts at {start_ms} ms"));
            }
            for (key, aggregate) in keyed {
                let Aggregate { count, sum, min, max } = *aggregate;
                let (low, high) = (i128::from(count) * i128::from(min), i128::from(count) * i128::from(max));
                if key.is_empty() || count == 0 || min > max || sum < low || sum > high {
                    return Some(format!("the aggregate of key {key:?} at {start_ms} ms is impossible"));
                }
            }
        }
        None
    }
}
