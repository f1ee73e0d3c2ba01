//! The other end of a link: runs a keyed task for an engine in another process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ha::seam::Seam;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use super::BATCHES_IN_FLIGHT;
use super::coordinator::Ack;
use super::keyed_task::KeyedTask;
use super::remote::{FromTask, Order, SIGN_OF_LIFE, SILENCE, Sealed, ToTask, broken};
use super::slot::{FRAME_BYTES_MAX, Link};
use crate::error::{EngineError, ErrorKind};
use crate::event::Message;
use crate::progress::Progress;
use crate::term::Term;
use crate::wire::{Frames, send};

/// The greatest fencing token that a worker has seen, in whatever way: it takes no word of an older leader.
#[derive(Debug, Default)]
pub struct Fence {
    seen: AtomicU64,
}

impl Fence {
    /// Takes a token in; whether none greater was seen.
    pub fn admit(&self, token: u64) -> bool {
        self.seen.fetch_max(token, Ordering::AcqRel) <= token
    }

    /// The greatest token seen; 0 before the first.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.seen.load(Ordering::Acquire)
    }

    fn check(&self, attempt: u64) -> Result<(), EngineError> {
        let token = Term::of_attempt(attempt).token;
        if self.admit(token) {
            return Ok(());
        }
        let what = format!("a word of the leader with token {token} came after one with token {}", self.seen());
        Err(EngineError::new(ErrorKind::Superseded, what))
    }
}

/// Waits for a task, and runs it until the engine at the other end is gone, or the task fails; the engine is told why.
///
/// A task writes the files that its plan names, with the rights of this process: serve leaders that you trust.
///
/// # Errors
/// * [`ErrorKind::Superseded`]: the engine belongs to an older leader than this worker has seen.
/// * [`ErrorKind::Elsewhere`]: the engine is out of reach, or said something that no engine says.
/// * anything else: the task failed.
///
/// # Cancel safety
/// Dropping the future ends the task where it stands, as a crash would.
pub async fn serve(link: Link, fence: &Fence) -> Result<(), EngineError> {
    let Link { mut frames, mut out, seam } = link;
    let first = frames.next::<Sealed<ToTask>>().await.map_err(broken)?;
    let Some(Sealed { attempt, word }) = first else { return Ok(()) };
    let ended = match accept(attempt, word, fence) {
        Ok(order) => run(*order, &mut frames, &mut out, fence, &seam).await,
        Err(error) => Err(error),
    };
    if let Err(error) = &ended {
        let word = FromTask::Failed(error.to_string());
        // Whoever is gone need not be told.
        let _ = seam.timeout(SIGN_OF_LIFE, send(&mut out, &Sealed { attempt, word }, FRAME_BYTES_MAX)).await;
    }
    ended
}

/// The order, if it is one that an engine gives.
fn accept(attempt: u64, word: ToTask, fence: &Fence) -> Result<Box<Order>, EngineError> {
    fence.check(attempt)?;
    let refuse = |what: String| Err(EngineError::new(ErrorKind::Elsewhere, what));
    let ToTask::Start(order) = word else { return refuse("the first word is no task".to_owned()) };
    if order.attempt != attempt {
        return refuse(format!("a task of attempt {} in the name of {attempt}", order.attempt));
    }
    order.plan.validate()?;
    if order.number >= order.plan.parallelism {
        return refuse(format!("task {} of {}", order.number, order.plan.parallelism));
    }
    match order.windows.flaw(order.plan.window_ms) {
        Some(flaw) => refuse(flaw),
        None => Ok(order),
    }
}

async fn run(
    order: Order,
    frames: &mut Frames<OwnedReadHalf>,
    out: &mut OwnedWriteHalf,
    fence: &Fence,
    seam: &Seam,
) -> Result<(), EngineError> {
    let Order { plan, number, attempt, windows } = order;
    let progress = Arc::new(Progress::default());
    let (to_task, messages) = mpsc::channel(BATCHES_IN_FLIGHT);
    let (acks, answers) = mpsc::channel(1);
    let task = KeyedTask::new(&plan, number, attempt, windows, Arc::clone(&progress));
    tokio::select! {
        biased;
        ended = task.run(messages, acks) => ended,
        heard = hear(frames, &to_task, attempt, fence, seam) => heard,
        told = tell(out, answers, attempt, &progress, seam) => told,
    }
}

async fn hear(
    frames: &mut Frames<OwnedReadHalf>,
    to_task: &mpsc::Sender<Message>,
    attempt: u64,
    fence: &Fence,
    seam: &Seam,
) -> Result<(), EngineError> {
    loop {
        let next = seam.timeout(SILENCE, frames.next::<Sealed<ToTask>>()).await;
        let silent = || EngineError::new(ErrorKind::Elsewhere, format!("the engine said nothing for {SILENCE:?}"));
        // A closed connection: the engine is gone, and the task with it.
        let Some(sealed) = next.ok_or_else(silent)?.map_err(broken)? else { return Ok(()) };
        // Race: this leader is deposed, and does not know it yet; its successor has already been seen here.
        // Closed by: each word is checked against the greatest token seen by any part of this worker.
        // Cost if missed: none for the output, whose files carry the attempt; but the worker's time, and a task that
        //     goes on for a leader that is none.
        fence.check(sealed.attempt)?;
        match sealed.word {
            _ if sealed.attempt != attempt => {
                let what = format!("a word of attempt {} for a task of attempt {attempt}", sealed.attempt);
                return Err(EngineError::new(ErrorKind::Elsewhere, what));
            }
            ToTask::Alive => {}
            ToTask::Message(message) => {
                if to_task.send(message).await.is_err() {
                    return Ok(());
                }
            }
            ToTask::Start(_) => {
                return Err(EngineError::new(ErrorKind::Elsewhere, "a second task on one connection"));
            }
        }
    }
}

async fn tell(
    out: &mut OwnedWriteHalf,
    mut answers: mpsc::Receiver<Ack>,
    attempt: u64,
    progress: &Progress,
    seam: &Seam,
) -> Result<(), EngineError> {
    let mut folded = false;
    loop {
        let word = tokio::select! {
            biased;
            () = progress.first_event(), if !folded => {
                folded = true;
                FromTask::Folded
            }
            answer = answers.recv() => match answer {
                Some(Ack::Keyed { checkpoint, windows, part }) => FromTask::Barrier { checkpoint, windows, part },
                Some(Ack::Source { .. }) => continue,
                None => return Ok(()),
            },
            () = seam.sleep(SIGN_OF_LIFE) => FromTask::Alive,
        };
        send(out, &Sealed { attempt, word }, FRAME_BYTES_MAX).await.map_err(broken)?;
    }
}
