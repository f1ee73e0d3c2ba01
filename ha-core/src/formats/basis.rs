use std::sync::{Mutex, PoisonError};

use super::Standing;
use super::cluster::key;
use crate::backend::{Expect, Key, Latch};
use crate::names::layout;

/// What a leadership goes by when it writes: the cluster's format as it was read under its own term.
#[derive(Debug)]
pub(crate) struct Basis {
    /// Whether the record may change under this leadership by another's hand.
    changes: bool,
    standing: Mutex<Standing>,
}

impl Basis {
    /// Read after that latch was taken, and before anybody was granted it.
    // Race: the record is raised between the reading and a write that goes by it.
    // Closed by: under the one latch that guards the record only its leader raises it, and whoever led
    //            before is fenced: after the taking, nothing of another's can change it any more. (A
    //            read that is only monotonic will do: it sees our own taking, which came after.) Under
    //            any other latch each commit checks the record, in the same atomic step.
    // Cost if missed: a leader that is too old for the cluster writes on beside newer ones.
    pub(crate) fn read_under(latch: &Latch, standing: Standing) -> Self {
        Self { changes: *latch != Latch::below(&layout::leader()), standing: Mutex::new(standing) }
    }

    /// Nothing was read: an election of the application's own.
    pub(crate) fn unread(oldest: u32) -> Self {
        Self { changes: false, standing: Mutex::new(Standing { format: oldest, ..Standing::ABSENT }) }
    }

    pub(crate) fn standing(&self) -> Standing {
        // A copied value: nothing can be left half-way by a panic.
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, standing: Standing) {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = standing;
    }

    /// The format to write in, and what a commit under this leadership has to check.
    pub(crate) fn look(&self) -> (u32, Option<(Key, Expect)>) {
        let standing = self.standing();
        (standing.format, self.changes.then(|| (key(), standing.stands)))
    }

    /// Whether the record may change under this leadership by another's hand, so that commits check it.
    pub(crate) fn is_checked(&self) -> bool {
        self.changes
    }
}
