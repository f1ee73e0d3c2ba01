use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::journal::{Answer, Entry, Operation};
use crate::seam::Moment;
use crate::{Error, ErrorKind};

/// How many operations may wait. Whoever comes then is sent away, with nothing applied.
const WAITING_MAX: usize = 32 * 1024;
/// How many bytes of operations may wait.
const WAITING_BYTES_MAX: usize = 128 * 1024 * 1024;

/// What became of a submission. `None`: there was nothing to do, or it was only a barrier.
pub(super) type Reply = Result<Option<Answer>, Error>;

/// The place where the answer to one submission goes.
pub(super) struct Ticket {
    /// When it was submitted: what a renewal counts from.
    pub(super) sent: Moment,
    reply: oneshot::Sender<Reply>,
}

impl Ticket {
    pub(super) fn answer(self, reply: Reply) {
        // Whoever asked may have gone meanwhile: that changes nothing for the others.
        let _ = self.reply.send(reply);
    }
}

/// Something that waits to stand in an entry.
pub(super) struct Submission {
    /// `None`: a barrier, which only has to be behind all that was acknowledged before.
    pub(super) operation: Option<Operation>,
    /// Whether it may be left out when the state shows that it would change nothing.
    pub(super) advisory: bool,
    pub(super) ticket: Ticket,
}

impl Submission {
    pub(super) fn new(operation: Option<Operation>, advisory: bool, sent: Moment) -> (Self, oneshot::Receiver<Reply>) {
        let (reply, answer) = oneshot::channel();
        (Self { operation, advisory, ticket: Ticket { sent, reply } }, answer)
    }

    fn bytes(&self) -> usize {
        self.operation.as_ref().map_or(0, Operation::bytes_at_most)
    }
}

/// What waits for the next entry, renewals and barriers before all others.
#[derive(Default)]
pub(super) struct Queue {
    /// A barrier has to be behind what was acknowledged, not behind what waits.
    urgent: VecDeque<Submission>,
    rest: VecDeque<Submission>,
    bytes: usize,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.urgent.is_empty() && self.rest.is_empty()
    }

    /// Whether a caller can be let in.
    pub(super) fn admit(&self, operation: &'static str) -> Result<(), Error> {
        let waiting = self.urgent.len() + self.rest.len();
        if waiting < WAITING_MAX && self.bytes < WAITING_BYTES_MAX {
            return Ok(());
        }
        let why = format!("{waiting} operations with {} bytes wait for the device; try again later", self.bytes);
        Err(Error::new(ErrorKind::Unavailable, operation).because(why))
    }

    pub(super) fn push(&mut self, submission: Submission) {
        self.bytes += submission.bytes();
        match submission.operation {
            None | Some(Operation::Renew { .. }) => self.urgent.push_back(submission),
            Some(_) => self.rest.push_back(submission),
        }
    }

    /// What the next entry is made of, at most so many operations and bytes, but at least one that waits.
    pub(super) fn take(&mut self, operations_max: usize, bytes_max: usize) -> Vec<Submission> {
        let (mut taken, mut operations, mut bytes) = (Vec::new(), 0, 0);
        while operations < operations_max {
            let from = if self.urgent.is_empty() { &mut self.rest } else { &mut self.urgent };
            let Some(next) = from.front().map(Submission::bytes) else { break };
            if !taken.is_empty() && bytes + next > bytes_max {
                break;
            }
            let Some(submission) = from.pop_front() else { break };
            operations += usize::from(submission.operation.is_some());
            bytes += next;
            taken.push(submission);
        }
        self.bytes -= bytes;
        taken
    }
}

/// The entry that is being published.
pub(super) struct InFlight {
    pub(super) entry: Arc<Entry>,
    /// The number that it tries to get.
    pub(super) number: u64,
    /// One for each operation of the entry.
    pub(super) tickets: Vec<Ticket>,
    pub(super) barriers: Vec<Ticket>,
    /// How many of the operations are no mere advice.
    pub(super) wanted: usize,
    /// Whether the state went past the number without seeing its entry.
    pub(super) doubtful: bool,
}
