//! A keyed task in another process, as the engine sees it: it takes messages and answers barriers as one of its own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use ha::seam::Seam;

use super::coordinator::Ack;
use super::slot::{FRAME_BYTES_MAX, Link};
use crate::error::{EngineError, ErrorKind};
use crate::event::Message;
use crate::plan::ExecutionPlan;
use crate::progress::Progress;
use crate::sink::Part;
use crate::window::Windows;
use crate::wire::{Frames, WireError, send};

/// How often each side says that it is there when it has nothing else to say.
pub(super) const SIGN_OF_LIFE: Duration = Duration::from_secs(3);
/// How long the other side may say nothing: a host that is gone closes no connection.
pub(super) const SILENCE: Duration = Duration::from_secs(30);

/// What a task is to do.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Order {
    pub(super) plan: ExecutionPlan,
    pub(super) number: u32,
    pub(super) attempt: u64,
    pub(super) windows: Windows,
}

/// Every frame says for which attempt it is, whose higher bits are the leader's fencing token: neither side takes a
/// word of an older term.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sealed<T> {
    pub(super) attempt: u64,
    pub(super) word: T,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToTask {
    /// The first word, and only that.
    Start(Box<Order>),
    Message(Message),
    Alive,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum FromTask {
    /// The first event was folded.
    Folded,
    Barrier {
        checkpoint: u64,
        windows: Windows,
        part: Option<Part>,
    },
    /// The last word: why the task has ended.
    Failed(String),
    Alive,
}

/// Has the task run at the other end until the engine is dropped, or something fails.
pub(super) async fn run(
    link: Link,
    order: Order,
    messages: mpsc::Receiver<Message>,
    acks: mpsc::Sender<Ack>,
    progress: Arc<Progress>,
) -> Result<(), EngineError> {
    let Link { mut frames, mut out, seam } = link;
    let terms = Terms {
        attempt: order.attempt,
        number: order.number,
        window_ms: order.plan.window_ms,
        asked: Mutex::default(),
    };
    tokio::select! {
        biased;
        heard = hear(&mut frames, &terms, &acks, &progress, &seam) => heard,
        told = tell(&mut out, order, messages, &terms, &seam) => told,
    }
}

/// What the task was given, to judge its answers by.
struct Terms {
    attempt: u64,
    number: u32,
    window_ms: u64,
    /// Barriers that were sent and not answered. As many as were triggered, each of which waits for its answers.
    asked: Mutex<VecDeque<u64>>,
}

async fn tell(
    out: &mut OwnedWriteHalf,
    order: Order,
    mut messages: mpsc::Receiver<Message>,
    terms: &Terms,
    seam: &Seam,
) -> Result<(), EngineError> {
    let attempt = order.attempt;
    let mut word = ToTask::Start(Box::new(order));
    loop {
        let sent = seam.timeout(SILENCE, send(out, &Sealed { attempt, word }, FRAME_BYTES_MAX)).await;
        sent.ok_or_else(silent)?.map_err(broken)?;
        word = match seam.timeout(SIGN_OF_LIFE, messages.recv()).await {
            Some(Some(message)) => {
                if let Message::Barrier { checkpoint, .. } = &message {
                    terms.asked().push_back(*checkpoint);
                }
                ToTask::Message(message)
            }
            // The engine is being dropped; the connection goes with this, and the task at its other end.
            Some(None) => return Ok(()),
            None => ToTask::Alive,
        };
    }
}

async fn hear(
    frames: &mut Frames<OwnedReadHalf>,
    terms: &Terms,
    acks: &mpsc::Sender<Ack>,
    progress: &Progress,
    seam: &Seam,
) -> Result<(), EngineError> {
    loop {
        let next = seam.timeout(SILENCE, frames.next::<Sealed<FromTask>>()).await.ok_or_else(silent)?;
        let Some(Sealed { attempt, word }) = next.map_err(broken)? else {
            return Err(EngineError::new(ErrorKind::Elsewhere, "it is gone: its connection was closed"));
        };
        if attempt != terms.attempt {
            let what = format!("it answers for attempt {attempt}, this is {}", terms.attempt);
            return Err(EngineError::new(ErrorKind::Elsewhere, what));
        }
        match word {
            FromTask::Alive => {}
            FromTask::Folded => progress.folded(),
            FromTask::Barrier { checkpoint, windows, part } => {
                if let Some(flaw) = terms.flaw(checkpoint, &windows, part.as_ref()) {
                    return Err(EngineError::new(ErrorKind::Elsewhere, flaw));
                }
                if acks.send(Ack::Keyed { checkpoint, windows, part }).await.is_err() {
                    return Ok(());
                }
            }
            FromTask::Failed(what) => {
                let what: String = what.chars().filter(|c| !c.is_control()).take(1000).collect();
                return Err(EngineError::new(ErrorKind::Elsewhere, what));
            }
        }
    }
}

impl Terms {
    fn asked(&self) -> MutexGuard<'_, VecDeque<u64>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What no task with this order would answer.
    fn flaw(&self, checkpoint: u64, windows: &Windows, part: Option<&Part>) -> Option<String> {
        // Each barrier is answered once, in order: answers are counted, and a second one would stand for the answer of
        // another task, whose windows the snapshot would miss.
        let asked = self.asked().pop_front();
        if asked != Some(checkpoint) {
            return Some(format!("it answered barrier {checkpoint}, and was asked for {asked:?}"));
        }
        if let Some(part) = part
            && (part.attempt, part.task, part.checkpoint) != (self.attempt, self.number, checkpoint)
        {
            return Some(format!("it closed {part:?} at barrier {checkpoint}, as task {}", self.number));
        }
        windows.flaw(self.window_ms)
    }
}

fn silent() -> EngineError {
    EngineError::new(ErrorKind::Elsewhere, format!("nothing was heard from it for {SILENCE:?}"))
}

pub(super) fn broken(cause: WireError) -> EngineError {
    EngineError::new(ErrorKind::Elsewhere, cause.to_string())
}
