use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::device::SnapshotName;
use super::entry::Entry;
use super::operation::{Answer, Operation, Registration, Why};
use super::options::JournalOptions;
use crate::backend::{self, Acquire, Change, Key, Mark, Scope, Snapshot};
use crate::space::{Space, Waiters};
use crate::{Error, ErrorKind};

/// What a journal's entries amount to, up to a number. Equal entries make equal states on every machine: nothing here
/// knows a clock, a random number or who asks.
pub(crate) struct State {
    pub(super) journal: u128,
    pub(super) options: JournalOptions,
    pub(super) position: u64,
    pub(super) space: Space,
    /// The same sessions as those of the space.
    pub(super) sessions: BTreeMap<Arc<str>, SessionRecord>,
    /// The last point, and the one before it; 0 if there was none.
    pub(super) points: [u64; 2],
    /// The bytes of the entries after the last point.
    pub(super) bytes_since_point: u64,
}

/// A session that has won a latch and is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionRecord {
    /// What it registered with.
    pub(crate) registration: Registration,
    /// How often it has renewed itself.
    pub(crate) renewals: u64,
}

impl SessionRecord {
    /// How long the others wait in silence.
    pub(crate) fn silence(&self) -> Duration {
        Duration::from_millis(self.registration.silence_ms)
    }
}

impl State {
    /// The state of that journal before its first entry.
    pub(crate) fn new(journal: u128, options: JournalOptions) -> Self {
        let (space, sessions) = (Space::default(), BTreeMap::new());
        Self { journal, options, position: 0, space, sessions, points: [0; 2], bytes_since_point: 0 }
    }

    /// The last number that was applied; 0 if there is none.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Applies the entry of the next number, which has so many bytes when it is encoded, and answers each of its
    /// operations.
    ///
    /// # Errors
    /// [`ErrorKind::IllegalState`]: another number is next. Nothing changed.
    pub(crate) fn apply(&mut self, number: u64, entry: &Entry, bytes: usize) -> Result<Vec<Answer>, Error> {
        let next = self.position + 1;
        if number != next {
            let why = format!("the entry {number} was to be applied, and {next} is next");
            return Err(Error::new(ErrorKind::IllegalState, "replay").because(why));
        }
        let answers = entry.operations.iter().map(|operation| self.evaluate(operation)).collect();
        self.position = number;
        self.bytes_since_point = self.bytes_since_point.saturating_add(bytes as u64);
        if number - self.points[0] >= self.options.point_entries.max(1)
            || self.bytes_since_point >= self.options.point_bytes.max(self.space.bytes())
        {
            self.points = [number, self.points[0]];
            self.bytes_since_point = 0;
        }
        Ok(answers)
    }

    fn evaluate(&mut self, operation: &Operation) -> Answer {
        match operation {
            Operation::Commit(commit) => Answer::Commit(self.space.commit(commit)),
            Operation::Acquire { session, registers, latch, holder, over } => {
                let registers = registers.as_ref().filter(|_| !self.space.is_open(session));
                if registers.is_some() {
                    self.space.open(Arc::clone(session));
                }
                let answer = self.space.acquire(session, latch, holder.clone(), over.as_ref());
                if let Some(registration) = registers {
                    if matches!(answer, Ok(Acquire::Won(_))) {
                        let record = SessionRecord { registration: registration.clone(), renewals: 0 };
                        self.sessions.insert(Arc::clone(session), record);
                    } else {
                        // It has taken nothing, so its end is no change: losing leaves no trace.
                        self.space.end(session);
                    }
                }
                Answer::Acquire(answer)
            }
            Operation::Renew { session } => {
                let record = self.sessions.get_mut(session);
                Answer::Renewed(record.map(|record| record.renewals += 1).is_some())
            }
            Operation::Release { session, latch } => {
                self.space.release(session, latch);
                Answer::Released
            }
            Operation::End { session, why } => Answer::Ended(self.end(session, *why)),
        }
    }

    fn end(&mut self, session: &str, why: Why) -> bool {
        if let Why::Silent { renewals } = why {
            // Race: the session renews itself between the judge's last look and this operation.
            // Closed by: the judge says which renewal it heard last, and a later one stands before this in the journal.
            // Cost if missed: a session that was acknowledged as alive loses its latches within its silence.
            if self.sessions.get(session).is_none_or(|record| record.renewals != renewals) {
                return false;
            }
        }
        self.sessions.remove(session).is_some() && self.space.end(session)
    }

    /// What stands at the key.
    pub(crate) fn read(&self, key: &Key) -> Option<backend::Entry> {
        self.space.read(key)
    }

    /// All entries of the scope.
    pub(crate) fn snapshot(&self, scope: &Scope) -> Snapshot {
        self.space.snapshot(scope)
    }

    /// What differs in the scope from what was seen; `None` if nothing does.
    pub(crate) fn news(&self, scope: &Scope, seen: Mark) -> Option<Change> {
        self.space.news(scope, seen)
    }

    /// Those who wait for changes.
    pub(crate) fn waiters(&mut self) -> &mut Waiters {
        self.space.waiters()
    }

    /// What is known of a session; `None` if it is over, or has won nothing yet.
    pub(crate) fn session(&self, id: &str) -> Option<&SessionRecord> {
        self.sessions.get(id)
    }

    /// All sessions, in the order of their ids.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = (&Arc<str>, &SessionRecord)> {
        self.sessions.iter()
    }

    /// The latches that a session holds.
    pub(crate) fn held_by(&self, id: &str) -> Vec<Key> {
        self.space.held_by(id)
    }

    /// How a snapshot of this state is named, if the number applied last is a point: then one is to be made.
    pub(crate) fn point(&self) -> Option<SnapshotName> {
        let at_point = self.position > 0 && self.points[0] == self.position;
        at_point.then_some(SnapshotName { number: self.points[0], floor: self.points[1] })
    }

    /// How the snapshot of the last point is named, if there was any.
    #[cfg(test)]
    pub(crate) fn last_point(&self) -> Option<SnapshotName> {
        (self.points[0] > 0).then_some(SnapshotName { number: self.points[0], floor: self.points[1] })
    }

    /// Becomes that state, which was loaded from a snapshot. Whoever waits is woken and goes on with the new one.
    pub(crate) fn replace(&mut self, mut loaded: Self) {
        loaded.space.succeed(&mut self.space);
        *self = loaded;
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("position", &self.position)
            .field("points", &self.points)
            .field("space", &self.space)
            .finish_non_exhaustive()
    }
}
