//! Whether this version may take part: asked before a session is opened, and again once the latch is won.

use std::sync::PoisonError;

use super::runner::Runner;
use crate::backend::Acquire;
use crate::election::machine::Event;
use crate::formats::{self, Basis, Standing};
use crate::{Error, ErrorKind};

impl Runner {
    /// What the cluster writes; an error if this version may not take part in it.
    ///
    /// Asked before anything is taken, so that a process that is too old leaves no trace in the store, and
    /// keeps the latch from nobody, however often it tries.
    pub(super) async fn look_at_format(&self) -> Result<Standing, Error> {
        let committer = self.elector.committer();
        let read = formats::read(&**committer.backend(), committer.formats());
        self.bounded("read the cluster's format", ErrorKind::Unavailable, read).await
    }

    /// What came of an attempt. The latch is not won before the cluster's format is known under its term.
    // Race: the format is raised after we looked at it, and before we took the latch.
    // Closed by: it is read again after the taking; see `Basis` for what can happen after that.
    // Cost if missed: a leader that writes what nobody reads any more, or that cannot read what it leads.
    pub(super) async fn admitted(&self, attempt: impl Future<Output = Result<Acquire, Error>>) -> Event {
        let attempted = attempt.await;
        let Ok(Acquire::Won(won)) = &attempted else { return Event::Attempted(attempted) };
        match self.look_at_format().await {
            Ok(standing) => {
                *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = standing;
                Event::Attempted(attempted)
            }
            Err(error) => Event::Refused { won: won.clone(), error },
        }
    }

    /// What the leadership that was just won goes by.
    pub(super) fn basis(&self) -> Basis {
        let standing = *self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        Basis::read_under(&self.elector.latch, standing)
    }
}
