//! Mailboxes by address: how messages reach a job manager, whatever brought them.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use ha::state::{Chunks, chunks_from_reader};
use tokio::sync::{mpsc, oneshot};

use super::protocol::{Answer, Offer, Refusal, Request, Submission};
use super::slots::SlotPool;

/// Messages that wait in one mailbox before senders have to wait.
const MAILBOX: usize = 64;

/// What is sent to a job manager that leads. A sender whose answer is dropped knows that the leader is gone.
#[derive(Debug)]
pub enum Message {
    /// A client hands in a job. Answered once it is stored durably, or refused.
    Submit {
        /// The job.
        submission: Box<Submission>,
        /// Its artefact.
        content: Content,
        /// Told what becomes of it.
        answer: oneshot::Sender<Answer>,
    },
    /// A worker offers a place for tasks.
    Offer {
        /// The offer.
        offer: Offer,
        /// Told where to put the place.
        pool: oneshot::Sender<Result<Arc<SlotPool>, Refusal>>,
    },
    /// Any other request.
    Ask {
        /// The request.
        request: Request,
        /// Told the answer.
        answer: oneshot::Sender<Answer>,
    },
}

type Opening = Pin<Box<dyn Future<Output = io::Result<Chunks<'static>>> + Send>>;

/// The bytes of an artefact, which nobody sends before they are asked for.
pub struct Content(Opening);

impl Content {
    /// Bytes that the future opens.
    pub fn new(opening: impl Future<Output = io::Result<Chunks<'static>>> + Send + 'static) -> Self {
        Self(Box::pin(opening))
    }

    /// The bytes of a file.
    #[must_use]
    pub fn of_file(path: PathBuf) -> Self {
        Self::new(async move { Ok(chunks_from_reader(tokio::fs::File::open(path).await?)) })
    }

    /// Asks for the bytes.
    ///
    /// # Errors
    /// They cannot be had: the file cannot be opened, or the client is gone.
    pub async fn open(self) -> io::Result<Chunks<'static>> {
        self.0.await
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").finish_non_exhaustive()
    }
}

/// Mailboxes by address. Clones are the same ones.
#[derive(Debug, Clone, Default)]
pub struct Mailboxes {
    senders: Arc<Mutex<BTreeMap<String, mpsc::Sender<Message>>>>,
}

/// Nobody has a mailbox under the address (any more).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoMailbox;

/// A bound address, free again when this is dropped.
#[derive(Debug)]
pub struct Mailbox {
    mailboxes: Mailboxes,
    address: String,
    receiver: mpsc::Receiver<Message>,
}

impl Mailboxes {
    /// Binds an address. An earlier mailbox of the same address receives nothing any more.
    #[must_use]
    pub fn bind(&self, address: &str) -> Mailbox {
        let (sender, receiver) = mpsc::channel(MAILBOX);
        self.with(|senders| senders.insert(address.to_owned(), sender));
        Mailbox { mailboxes: self.clone(), address: address.to_owned(), receiver }
    }

    /// Sends a message to an address.
    ///
    /// # Errors
    /// [`NoMailbox`]: nobody is bound there (any more).
    ///
    /// # Cancel safety
    /// After a drop it may have been sent.
    pub async fn send(&self, address: &str, message: Message) -> Result<(), NoMailbox> {
        let sender = self.with(|senders| senders.get(address).cloned()).ok_or(NoMailbox)?;
        sender.send(message).await.map_err(|_| NoMailbox)
    }

    fn with<T>(&self, f: impl FnOnce(&mut BTreeMap<String, mpsc::Sender<Message>>) -> T) -> T {
        f(&mut self.senders.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Mailbox {
    /// The next message.
    ///
    /// # Cancel safety
    /// No message is lost by dropping the future.
    pub async fn next(&mut self) -> Message {
        match self.receiver.recv().await {
            Some(message) => message,
            // Another mailbox was bound under the address: nothing comes here any more.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        // Only if it is still ours: a successor may have bound the address. Only ours is closed by this.
        self.receiver.close();
        self.mailboxes.with(|senders| {
            if senders.get(&self.address).is_some_and(mpsc::Sender::is_closed) {
                senders.remove(&self.address);
            }
        });
    }
}
