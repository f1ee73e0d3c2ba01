use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::queue::{InFlight, Submission};
use super::{DEVICE_PATIENCE, Engine};
use crate::journal::options::{ENTRY_BYTES_MAX, OPERATIONS_MAX};
use crate::journal::{ENTRY_FRAME_BYTES, Entry, Operation, Published, Why};
use crate::{Error, ErrorKind};

/// How many numbers in a row others may take before a batch is given up. It then certainly was not applied.
const LOST_MAX: usize = 10_000;
/// How often an entry that must be there is looked for, on a device whose reads may be old.
const LOOKS_MAX: u32 = 10;
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// A handle whose state is older reads on before it writes.
const FRESH: Duration = Duration::from_secs(1);

const SWEPT: &str = "the entry was swept before it was seen";

/// What is known after one attempt.
enum Attempt {
    /// Everybody was answered.
    Over,
    /// Another entry has the number.
    Lost,
}

/// Makes entries of what waits, until the handle is closed and nothing waits any more.
pub(super) async fn write(engine: Arc<Engine>) {
    loop {
        engine.catch_up().await;
        if let Some((entry, bytes)) = engine.next_batch() {
            engine.publish(&entry, &bytes).await;
            engine.batch_done();
            continue;
        }
        // What was refused without an entry is done as well: whoever waits for an empty queue hears of it.
        engine.batch_done();
        {
            let mut core = engine.core();
            if core.closed && core.queue.is_empty() {
                core.stopped = true;
                break;
            }
        }
        engine.signals.submitted.notified().await;
    }
    let _ = engine.seam.timeout(DEVICE_PATIENCE, engine.device.close()).await;
}

impl Engine {
    // Race: none; a handle that nobody waits on looks rarely. Others may have written and swept much meanwhile.
    // Closed by: reading on before the first number is tried, while nothing is in flight that could be in doubt.
    // Cost if missed: a swept number is made again for nothing, and the outcome is unknown.
    async fn catch_up(&self) {
        let is_old = {
            let core = self.core();
            !core.queue.is_empty() && core.broken.is_none() && self.seam.now().since(core.current) > FRESH
        };
        if is_old && let Err(error) = self.read_on().await {
            tracing::debug!(%error, "the journal could not be read on before a write");
        }
    }

    /// Puts all that waits into one entry and in flight; `None` if nothing does.
    fn next_batch(&self) -> Option<(Arc<Entry>, Bytes)> {
        loop {
            let id = (u128::from(self.seam.random_u64()) << 64) | u128::from(self.seam.random_u64());
            let now = self.seam.now();
            let mut core = self.core();
            let taken = core.queue.take(OPERATIONS_MAX, ENTRY_BYTES_MAX - ENTRY_FRAME_BYTES);
            if taken.is_empty() {
                return None;
            }
            let (mut operations, mut tickets, mut barriers, mut wanted) = (Vec::new(), Vec::new(), Vec::new(), 0);
            for submission in taken {
                if let Some(error) = core.broken.clone().or_else(|| core.held_up(&submission)) {
                    core.refuse(submission, Err(error), now);
                } else if submission.advisory && core.is_moot(submission.operation.as_ref()) {
                    core.refuse(submission, Ok(None), now);
                } else {
                    let Submission { operation, advisory, ticket } = submission;
                    wanted += usize::from(!advisory);
                    match operation {
                        Some(operation) => {
                            operations.push(operation);
                            tickets.push(ticket);
                        }
                        None => barriers.push(ticket),
                    }
                }
            }
            if tickets.is_empty() && barriers.is_empty() {
                continue;
            }
            let entry = Arc::new(Entry { journal: self.journal, id, operations });
            let (number, shared) = (core.next(), Arc::clone(&entry));
            core.in_flight = Some(InFlight { entry: shared, number, tickets, barriers, wanted, doubtful: false });
            drop(core);
            match entry.encode() {
                Ok(bytes) => return Some((entry, bytes)),
                Err(error) => {
                    self.core().fail_in_flight(&error, now);
                    self.batch_done();
                }
            }
        }
    }

    /// Publishes the entry in flight under the next number that is free, and answers those who wait for it.
    async fn publish(&self, entry: &Arc<Entry>, bytes: &Bytes) {
        for _ in 0..LOST_MAX {
            let Some(number) = self.next_number() else { return };
            let publishing = self.device.publish(number, entry.id, bytes);
            let published = self.seam.timeout(DEVICE_PATIENCE, publishing).await;
            let attempt = match published {
                Some(Ok(Published::Won { floor })) => self.won(number, floor, entry, bytes.len()).await,
                Some(Ok(Published::Taken)) => self.compare(number, None).await,
                Some(Err(error)) if !error.may_have_applied() => {
                    self.fail(&error);
                    Attempt::Over
                }
                Some(Err(error)) => self.compare(number, Some(error)).await,
                None => {
                    let why = format!("the device has not answered for {DEVICE_PATIENCE:?}");
                    self.compare(number, Some(unknown(number, why))).await
                }
            };
            if matches!(attempt, Attempt::Over) {
                return;
            }
        }
        let why = format!("others took {LOST_MAX} numbers in a row; try again");
        self.fail(&Error::new(ErrorKind::Unavailable, "publish").because(why));
    }

    /// The number to try next; `None` if there is nothing to publish (any more).
    fn next_number(&self) -> Option<u64> {
        let now = self.seam.now();
        let mut core = self.core();
        let in_flight = core.in_flight.as_ref()?;
        // Advice that others have acted on meanwhile is not given again.
        let only_advice = in_flight.wanted == 0 && in_flight.barriers.is_empty();
        if only_advice && in_flight.entry.operations.iter().all(|operation| core.is_moot(Some(operation))) {
            let InFlight { entry, tickets, .. } = core.in_flight.take()?;
            for (operation, ticket) in entry.operations.iter().zip(tickets) {
                let submission = Submission { operation: Some(operation.clone()), advisory: true, ticket };
                core.refuse(submission, Ok(None), now);
            }
            return None;
        }
        if in_flight.doubtful {
            let error = unknown(in_flight.number, SWEPT);
            core.fail_in_flight(&error, now);
            return None;
        }
        let next = core.next();
        let in_flight = core.in_flight.as_mut()?;
        in_flight.number = next;
        Some(next)
    }

    // Race: this writer stands still before its link; meanwhile others write on, make a snapshot and sweep. The
    //       number is free again, and the link succeeds under a number that nobody will ever read.
    // Closed by: the floor, looked up after the link. An entry at or below it counts for nothing, or was applied
    //       long ago: nobody can tell any more.
    // Cost if missed: an acknowledged write that is in no state.
    async fn won(&self, number: u64, floor: u64, entry: &Entry, bytes: usize) -> Attempt {
        if floor >= number {
            let why = format!("the number was swept meanwhile: the floor is {floor}");
            self.fail(&unknown(number, why));
            if let Err(error) = self.load_newest(false).await {
                tracing::warn!(%error, "the newest snapshot could not be loaded");
            }
            return Attempt::Over;
        }
        let now = self.seam.now();
        let mut core = self.core();
        match &core.in_flight {
            // The reader was faster.
            None => {}
            Some(in_flight) if in_flight.doubtful || core.next() != number => {
                let why = "the state went past the number without it";
                core.fail_in_flight(&unknown(number, why), now);
            }
            Some(_) => {
                if let Err(error) = core.apply(number, entry, bytes, now) {
                    core.fail_in_flight(&error, now);
                }
            }
        }
        Attempt::Over
    }

    // Race: the answer to a link was lost, or says that the number exists. The entry there may be ours.
    // Closed by: reading the number and comparing identities. Only another's entry allows going on with the next one.
    // Cost if missed: one commit applied twice, or a conflict with oneself.
    async fn compare(&self, number: u64, unknown_because: Option<Error>) -> Attempt {
        for look in 0..LOOKS_MAX {
            let read = self.read_on_from(number).await;
            let error = match (read, &unknown_because) {
                (Err(error), _) => unknown(number, &error).caused_by(error),
                (Ok(()), Some(error)) => error.clone(),
                (Ok(()), None) => unknown(number, "it is taken, and cannot be read"),
            };
            // It may exist although the device does not show it yet.
            let last = unknown_because.is_some() || look + 1 == LOOKS_MAX || self.core().broken.is_some();
            if let Some(attempt) = self.compared(number, &error, last) {
                return attempt;
            }
            self.seam.sleep(self.seam.jittered(LOOK_PAUSE)).await;
        }
        Attempt::Over
    }

    fn compared(&self, number: u64, error: &Error, last: bool) -> Option<Attempt> {
        let now = self.seam.now();
        let mut core = self.core();
        match &core.in_flight {
            None => return Some(Attempt::Over),
            Some(in_flight) if in_flight.doubtful => core.fail_in_flight(&unknown(number, SWEPT), now),
            Some(_) if core.next() > number => return Some(Attempt::Lost),
            Some(_) if !last => return None,
            Some(_) => core.fail_in_flight(error, now),
        }
        Some(Attempt::Over)
    }

    fn fail(&self, error: &Error) {
        self.core().fail_in_flight(error, self.seam.now());
    }
}

impl super::Core {
    /// Whether what a frozen session wants is kept from the journal.
    fn held_up(&self, submission: &Submission) -> Option<Error> {
        let session = match submission.operation.as_ref()? {
            Operation::Acquire { session, .. } | Operation::Renew { session } | Operation::Release { session, .. } => {
                session
            }
            Operation::End { .. } | Operation::Commit(_) => return None,
        };
        let frozen = self.own.get(session).is_some_and(|own| own.frozen);
        frozen.then(|| Error::new(ErrorKind::Unavailable, "publish").at(session).because("the session is frozen"))
    }

    /// Whether the state shows that the advice would change nothing.
    fn is_moot(&self, operation: Option<&Operation>) -> bool {
        let Some(Operation::End { session, why }) = operation else { return false };
        match (self.state.session(session), why) {
            (None, _) => true,
            (Some(record), Why::Silent { renewals }) => record.renewals != *renewals,
            (Some(_), _) => false,
        }
    }
}

fn unknown(number: u64, why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Indeterminate, "publish").at(format_args!("entry {number}")).because(why)
}
