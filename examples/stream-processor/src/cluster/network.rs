//! How a member reaches a job manager: one seam with two implementations. [`InProcess`] puts messages into
//! mailboxes, as the demo does; [`Tcp`](super::tcp::Tcp) sends them over connections, at whose other end they are
//! put into mailboxes too. Nothing else in the cluster knows which it is.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::post::{Content, Mailboxes, Message};
use super::protocol::{Answer, Offer, Request, Submission};
use crate::{Fence, Slot};

/// Nobody answered, for this reason. What was asked may have been done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable(pub String);

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a worker's tasks run, and what it has seen of leaders.
#[derive(Debug, Clone)]
pub struct Place {
    /// The worker's threads.
    pub threads: Handle,
    /// The greatest fencing token that any part of the worker has seen.
    pub fence: Arc<Fence>,
}

/// The way to job managers. What is sent may not arrive, and an answer may be lost.
#[async_trait]
pub trait Network: fmt::Debug + Send + Sync {
    /// Asks the job manager at the address; for [`Request::Status`] and [`Request::Job`].
    ///
    /// # Errors
    /// [`Unreachable`]: ask again.
    async fn ask(&self, address: &str, request: Request) -> Result<Answer, Unreachable>;

    /// Hands a job and its artefact, a file, to the job manager at the address.
    ///
    /// # Errors
    /// [`Unreachable`]: it may be stored. Hand the same submission in again.
    async fn submit(&self, address: &str, submission: &Submission, artefact: &Path) -> Result<Answer, Unreachable>;

    /// Offers a place to the leader, and lets it be used until the leader is gone or done with it. Drop the future
    /// when another leads.
    ///
    /// # Errors
    /// [`Unreachable`]: the leader was not reached, or refused. Offer again.
    async fn serve(&self, address: &str, offer: Offer, place: &Place) -> Result<(), Unreachable>;
}

/// The network of members that live in one process.
#[derive(Debug, Clone, Default)]
pub struct InProcess {
    /// The mailboxes of its job managers.
    pub mailboxes: Mailboxes,
}

impl InProcess {
    async fn send<T>(&self, to: &str, message: Message, answer: oneshot::Receiver<T>) -> Result<T, Unreachable> {
        let nobody = || Unreachable(format!("nobody leads at {to}"));
        self.mailboxes.send(to, message).await.map_err(|_| nobody())?;
        answer.await.map_err(|_| nobody())
    }
}

#[async_trait]
impl Network for InProcess {
    async fn ask(&self, address: &str, request: Request) -> Result<Answer, Unreachable> {
        let (answer, answered) = oneshot::channel();
        self.send(address, Message::Ask { request, answer }, answered).await
    }

    async fn submit(&self, address: &str, submission: &Submission, artefact: &Path) -> Result<Answer, Unreachable> {
        let (answer, answered) = oneshot::channel();
        let content = Content::of_file(artefact.to_owned());
        let submission = Box::new(submission.clone());
        self.send(address, Message::Submit { submission, content, answer }, answered).await
    }

    async fn serve(&self, address: &str, offer: Offer, place: &Place) -> Result<(), Unreachable> {
        let (pool, taken) = oneshot::channel();
        let refused = |why: &dyn fmt::Display| Unreachable(why.to_string());
        let pool = self.send(address, Message::Offer { offer, pool }, taken).await?.map_err(|why| refused(&why))?;
        pool.add(Slot::Threads(place.threads.clone())).map_err(|_| refused(&"there are too many places"))?;
        // The threads stay with the leadership; whoever drops this has seen another one.
        std::future::pending().await
    }
}
