//! Who waits for a change hears of it here.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ha_core::backend::{Key, Scope};
use tokio::sync::watch;

/// How many changes are remembered. Whoever has slept through more is told everything.
const LOG_MAX: usize = 4096;

/// The last changes, and a bell that rings after each transaction.
///
/// Every waiter wakes for every transaction and looks whether its scope is concerned: right for tens of
/// waiters. For thousands, keep them by key, as the in-process backend of this library does.
pub(crate) struct News {
    log: Mutex<Log>,
    bell: watch::Sender<()>,
}

struct Log {
    /// Changes up to this one are forgotten.
    floor: u64,
    /// All changes up to this one are known.
    last: u64,
    changes: VecDeque<(u64, Key)>,
}

/// What is known about a stretch of changes.
pub(crate) enum Heard {
    /// These keys of the scope have changed, and no others.
    Keys(BTreeSet<Key>),
    /// Too long ago to say.
    Forgotten,
    /// A transaction is committed and not yet announced; it will be in a moment.
    NotYet,
}

impl News {
    /// Nothing has changed since that sequence.
    pub(crate) fn since(sequence: u64) -> Self {
        let log = Log { floor: sequence, last: sequence, changes: VecDeque::new() };
        Self { log: Mutex::new(log), bell: watch::Sender::new(()) }
    }

    /// Remembers the changes of a transaction that is committed, and wakes everybody.
    pub(crate) fn announce(&self, changes: Vec<(u64, Key)>) {
        let mut log = self.log();
        log.last = changes.last().map_or(log.last, |(sequence, _)| *sequence);
        log.changes.extend(changes);
        while log.changes.len() > LOG_MAX {
            log.floor = log.changes.pop_front().map_or(log.floor, |(sequence, _)| sequence);
        }
        drop(log);
        self.ring();
    }

    pub(crate) fn ring(&self) {
        self.bell.send_replace(());
    }

    /// Hears the bell from now on.
    pub(crate) fn listen(&self) -> watch::Receiver<()> {
        self.bell.subscribe()
    }

    /// How many listen.
    pub(crate) fn waiting(&self) -> usize {
        self.bell.receiver_count()
    }

    /// Which keys of the scope the changes after `seen` up to `until` have touched.
    pub(crate) fn between(&self, seen: u64, until: u64, scope: &Scope) -> Heard {
        let log = self.log();
        if seen < log.floor || seen > until {
            return Heard::Forgotten;
        }
        // Race: the reader sees a transaction before its changes are announced.
        // Closed by: waiting for the announcement, which follows without I/O.
        // Cost if missed: a mark beyond changes that nobody was told of.
        if until > log.last {
            return Heard::NotYet;
        }
        let newest_first = log.changes.iter().rev().skip_while(|(sequence, _)| *sequence > until);
        let since = newest_first.take_while(|(sequence, _)| *sequence > seen);
        Heard::Keys(since.map(|(_, key)| key).filter(|key| scope.contains(key)).cloned().collect())
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        // Nothing in here panics half-way through a change.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
