//! The network of the cluster: mailboxes by address. Everything runs in one process here, so a
//! connection is a channel; what is sent, and that it may not arrive, is as it would be on a wire.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ha::JobId;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

/// Messages that wait in one mailbox before senders have to wait.
const MAILBOX: usize = 64;

/// What is sent to a job manager.
#[derive(Debug)]
pub enum Message {
    /// A client hands in a job. Answered once the plan is stored durably.
    Submit {
        /// The job's id.
        job: JobId,
        /// Its plan, encoded.
        plan: Vec<u8>,
        /// Told when the plan is stored.
        accepted: oneshot::Sender<()>,
    },
    /// A worker offers itself to the job master that leads under this session id.
    Offer {
        /// The worker.
        worker: usize,
        /// Whom the offer is meant for; others refuse it.
        session_id: Uuid,
        /// Where its tasks run.
        slot: Handle,
    },
}

/// Mailboxes by address. Clones are the same network.
#[derive(Debug, Clone, Default)]
pub struct Network {
    mailboxes: Arc<Mutex<BTreeMap<String, mpsc::Sender<Message>>>>,
}

/// Nobody is reached under an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable;

/// A bound address, free again when this is dropped.
#[derive(Debug)]
pub struct Mailbox {
    network: Network,
    address: String,
    receiver: mpsc::Receiver<Message>,
}

impl Network {
    /// Binds an address. An earlier mailbox of the same address receives nothing any more.
    #[must_use]
    pub fn bind(&self, address: String) -> Mailbox {
        let (sender, receiver) = mpsc::channel(MAILBOX);
        self.with(|mailboxes| mailboxes.insert(address.clone(), sender));
        Mailbox { network: self.clone(), address, receiver }
    }

    /// Sends a message to an address.
    ///
    /// # Errors
    /// [`Unreachable`]: nobody is bound there (any more).
    ///
    /// # Cancel safety
    /// After a drop it may have been sent.
    pub async fn send(&self, address: &str, message: Message) -> Result<(), Unreachable> {
        let sender = self.with(|mailboxes| mailboxes.get(address).cloned()).ok_or(Unreachable)?;
        sender.send(message).await.map_err(|_| Unreachable)
    }

    fn with<T>(&self, f: impl FnOnce(&mut BTreeMap<String, mpsc::Sender<Message>>) -> T) -> T {
        f(&mut self.mailboxes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Mailbox {
    /// The address.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

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
        self.network.with(|mailboxes| {
            // Only if it is still ours: a successor may have bound the address.
            let ours = mailboxes.get(&self.address).is_some_and(mpsc::Sender::is_closed);
            self.receiver.close();
            if ours || mailboxes.get(&self.address).is_some_and(mpsc::Sender::is_closed) {
                mailboxes.remove(&self.address);
            }
        });
    }
}
