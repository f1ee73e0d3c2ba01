use ha_core::Error;
use ha_core::backend::{Acquire, Change, Entry, Holder, Key, Mark, Outcome, Revision, Snapshot};
use serde::{Deserialize, Serialize};

use super::errors::WireError;
use super::hex::Hex;
use super::wire::{Welcome, WireEnded, WireEntry, WireScope, WireSnapshot, WireTerm, entries, key};

/// What is said to a [request](super::wire::Request).
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Welcome(Welcome),
    Entry(Option<WireEntry>),
    Snapshot(WireSnapshot),
    Delta { entries: Vec<WireEntry>, removed: Vec<String>, mark: u64 },
    Hint(u64),
    Applied(Vec<u64>),
    Conflict { key: String, found: Option<WireEntry> },
    Fenced,
    Opened(String),
    Alive,
    Over(WireEnded),
    Won(WireTerm),
    Held { by: WireTerm, value: Hex, wait: WireScope, seen: u64 },
    Done,
    Failed(WireError),
}

impl Answer {
    /// What a read has found.
    pub(crate) fn read(self) -> Option<Option<Entry>> {
        match self {
            Self::Entry(None) => Some(None),
            Self::Entry(Some(entry)) => entry.entry().map(Some),
            _ => None,
        }
    }

    /// What a list has found.
    pub(crate) fn list(self) -> Option<Snapshot> {
        match self {
            Self::Snapshot(snapshot) => snapshot.snapshot(),
            _ => None,
        }
    }

    pub(crate) fn changed(change: &Change) -> Self {
        match change {
            Change::Snapshot(snapshot) => Self::Snapshot(WireSnapshot::new(snapshot)),
            Change::Delta { entries, removed, mark } => Self::Delta {
                entries: entries.iter().map(WireEntry::new).collect(),
                removed: removed.iter().map(Key::to_string).collect(),
                mark: mark.native(),
            },
            other => Self::Hint(other.mark().native()),
        }
    }

    pub(crate) fn change(self) -> Option<Change> {
        Some(match self {
            Self::Snapshot(snapshot) => Change::Snapshot(snapshot.snapshot()?),
            Self::Delta { entries: written, removed, mark } => Change::Delta {
                entries: entries(written)?,
                removed: removed.iter().map(|text| key(text)).collect::<Option<_>>()?,
                mark: Mark::from_native(mark),
            },
            Self::Hint(mark) => Change::Hint { mark: Mark::from_native(mark) },
            _ => return None,
        })
    }

    pub(crate) fn committed(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Applied { revisions } => Self::Applied(revisions.iter().map(|r| r.native()).collect()),
            Outcome::Conflict { key, found } => {
                Self::Conflict { key: key.to_string(), found: found.as_ref().map(WireEntry::new) }
            }
            Outcome::Fenced => Self::Fenced,
        }
    }

    /// The outcome, if it fits a commit with that many writes.
    pub(crate) fn outcome(self, writes: usize) -> Option<Outcome> {
        Some(match self {
            Self::Applied(natives) if natives.len() == writes => {
                Outcome::Applied { revisions: natives.into_iter().map(Revision::from_native).collect() }
            }
            Self::Conflict { key: at, found } => {
                let found = match found {
                    Some(entry) => Some(entry.entry()?),
                    None => None,
                };
                Outcome::Conflict { key: key(&at)?, found }
            }
            Self::Fenced => Outcome::Fenced,
            _ => return None,
        })
    }

    pub(crate) fn acquired(acquire: &Acquire) -> Self {
        match acquire {
            Acquire::Won(term) => Self::Won(WireTerm::new(term)),
            Acquire::Held { by, wait, seen } => Self::Held {
                by: WireTerm::new(&by.term),
                value: Hex::new(&by.value),
                wait: WireScope::new(wait),
                seen: seen.native(),
            },
        }
    }

    pub(crate) fn acquire(self) -> Option<Acquire> {
        Some(match self {
            Self::Won(term) => Acquire::Won(term.term()),
            Self::Held { by, value, wait, seen } => Acquire::Held {
                by: Holder { term: by.term(), value: value.bytes()? },
                wait: wait.scope()?,
                seen: Mark::from_native(seen),
            },
            _ => return None,
        })
    }

    pub(crate) fn failed(error: &Error) -> Self {
        Self::Failed(WireError::new(error))
    }
}
