//! How a latch is looked at until something has come about, whatever the store does meanwhile.

use std::time::Duration;

use super::StepDown;
use crate::backend::{Entry, Key, Latch, Mark, Scope, Snapshot, Term};
use crate::names::layout;
use crate::seam::Moment;
use crate::{Error, ErrorKind};

/// How long a wait for a change lasts before the latch is looked at anyway.
const LOOK: Duration = Duration::from_secs(1);
/// The pause after a look that failed.
const PAUSE: Duration = Duration::from_millis(100);
/// How long one answer of the store is waited for.
const ANSWER_MAX: Duration = Duration::from_secs(10);

impl StepDown {
    /// A call that does not answer is given up.
    pub(super) async fn answered<T>(
        &self,
        kind: ErrorKind,
        operation: &'static str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let late = || Error::new(kind, operation).because(format!("the store has not answered within {ANSWER_MAX:?}"));
        self.writer.seam().timeout(ANSWER_MAX, call).await.unwrap_or_else(|| Err(late()))
    }

    /// The latch and the request beside it, as they stood at one moment; and where to go on from.
    pub(super) async fn look(&self, latch: &Latch) -> Result<(Look, Mark), Error> {
        let Snapshot { entries, mark } =
            self.answered(ErrorKind::Unavailable, "read latch", self.writer.backend().list(&latch.home())).await?;
        let at = |key: &Key| entries.iter().find(|entry| entry.key == *key);
        let look = Look {
            held: at(latch.key()).and_then(|entry| entry.held.clone()),
            asked: at(&layout::step_down(latch)).cloned(),
        };
        Ok((look, mark))
    }

    /// Looks at the latch at each change of it, until that is enough or the time is over: whether it was enough.
    ///
    /// # Errors
    /// One that another attempt will not mend; or the store did not answer, and the time is over.
    pub(super) async fn wait(
        &self,
        latch: &Latch,
        until: Moment,
        mut judge: impl AsyncFnMut(Look) -> Result<Seen, Error>,
    ) -> Result<bool, Error> {
        let (seam, backend) = (self.writer.seam(), self.writer.backend());
        let scope = Scope::Below(latch.home());
        loop {
            let judged = match self.look(latch).await {
                Ok((look, mark)) => judge(look).await.map(|seen| (seen, mark)),
                Err(error) => Err(error),
            };
            let left = until.since(seam.now());
            match judged {
                Ok((Seen::Enough, _)) => return Ok(true),
                Ok((Seen::LookAgain, _)) => {}
                Ok(_) if left.is_zero() => return Ok(false),
                Ok((Seen::Wait, mark)) => {
                    // What a failed watch would have told, the next look tells.
                    if let Some(Err(_)) = seam.timeout(left.min(LOOK), backend.changed(&scope, &mark)).await {
                        seam.sleep(seam.jittered(PAUSE)).await;
                    }
                }
                Err(error) if left.is_zero() || !is_passing(&error) => return Err(error),
                // An operator's request is not dropped because one answer was.
                Err(_) => seam.sleep(seam.jittered(PAUSE)).await,
            }
        }
    }
}

/// What stands beside a latch.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) held: Option<Term>,
    pub(super) asked: Option<Entry>,
}

/// What a look was good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Enough,
    /// Something was written: how it stands now is worth a look before anything is waited for.
    LookAgain,
    Wait,
}

/// Whether another attempt may succeed. What may have been written is looked at by that, too.
fn is_passing(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Indeterminate)
}
