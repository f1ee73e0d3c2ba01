use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ha::retrieval::LeaderWatch;
use ha::seam::Seam;
use ha::state::chunks_from_reader;
use tokio::io::AsyncReadExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore, oneshot};
use tokio::task::JoinSet;

use super::{FRAME_BYTES_MAX, TURN_MAX};
use crate::cluster::post::{Content, Mailboxes, Message};
use crate::cluster::protocol::{Answer, Offer, Refusal, Request, Submission};
use crate::wire::{Frames, WireError, send};
use crate::{Link, Slot};

/// Connections that are served at once. Workers whose offer was taken do not count: the slot pool bounds them.
const CONNECTIONS_MAX: usize = 256;
/// How long the server rests when it cannot take a connection in (no file handles, say).
const REST: Duration = Duration::from_millis(50);

/// The door of one job manager, open whether it leads or not. Whoever knocks at one that does not is told who does.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    door: Door,
}

#[derive(Debug, Clone)]
struct Door {
    address: String,
    mailboxes: Mailboxes,
    /// Who leads, to send others there.
    leader: LeaderWatch,
    seam: Seam,
}

impl Server {
    /// Listens at the address; port 0 is any that is free.
    ///
    /// # Errors
    /// The address cannot be had.
    pub async fn listen(at: &str) -> io::Result<(TcpListener, SocketAddr)> {
        let listener = TcpListener::bind(at).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    }

    /// Serves what comes to the listener to the mailbox of that address.
    #[must_use]
    pub fn new(listener: TcpListener, address: String, mailboxes: Mailboxes, leader: LeaderWatch, seam: Seam) -> Self {
        Self { listener, door: Door { address, mailboxes, leader, seam } }
    }

    /// Serves for as long as it is polled.
    pub async fn run(self) {
        let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            let Ok(permit) = Arc::clone(&free).acquire_owned().await else { return };
            let accepted = tokio::select! {
                biased;
                Some(_ended) = connections.join_next() => continue,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let door = self.door.clone();
                    connections.spawn(async move {
                        if let Err(error) = door.serve(stream).await {
                            tracing::debug!(%peer, %error, "a connection was given up");
                        }
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot take a connection in");
                    self.door.seam.sleep(REST).await;
                }
            }
        }
    }
}

impl Door {
    async fn serve(&self, stream: TcpStream) -> Result<(), WireError> {
        stream.set_nodelay(true)?;
        let (input, mut out) = stream.into_split();
        let mut frames = Frames::new(input, FRAME_BYTES_MAX);
        let Some(first) = self.seam.timeout(TURN_MAX, frames.next::<Request>()).await else { return Ok(()) };
        match first {
            Ok(None) => Ok(()),
            Ok(Some(Request::Submit(submission))) => self.submit(submission, frames, out).await,
            Ok(Some(Request::Offer(offer))) => self.offer(offer, frames, out).await,
            Ok(Some(request)) => {
                let (answer, answered) = oneshot::channel();
                let said = self.ask(Message::Ask { request, answer }, answered).await;
                self.say(&mut out, &said).await
            }
            Err(error) => {
                self.say(&mut out, &Answer::Refused(Refusal::Invalid(error.to_string()))).await?;
                Err(error)
            }
        }
    }

    /// Puts the message into the mailbox, and waits for the answer; without a mailbox, or when it goes, we do not lead.
    async fn ask(&self, message: Message, answered: oneshot::Receiver<Answer>) -> Answer {
        if self.mailboxes.send(&self.address, message).await.is_err() {
            return self.not_leader();
        }
        answered.await.unwrap_or_else(|_| self.not_leader())
    }

    fn not_leader(&self) -> Answer {
        let view = self.leader.clone().view();
        // Our own address is news of a leadership that has just begun or ended: try again here.
        Answer::NotLeader(view.leader().map(|leader| leader.address.clone()))
    }

    async fn say(&self, out: &mut OwnedWriteHalf, answer: &Answer) -> Result<(), WireError> {
        self.seam.timeout(TURN_MAX, send(out, answer, FRAME_BYTES_MAX)).await.unwrap_or_else(too_slow)
    }

    async fn submit(
        &self,
        submission: Box<Submission>,
        frames: Frames<OwnedReadHalf>,
        out: OwnedWriteHalf,
    ) -> Result<(), WireError> {
        let length = submission.artefact.length();
        // Shared with the content, which asks for the bytes when they are wanted.
        let out = Arc::new(Mutex::new(out));
        let asking = Arc::clone(&out);
        let content = Content::new(async move {
            let sent = send(&mut *asking.lock().await, &Answer::SendArtefact, FRAME_BYTES_MAX).await;
            sent.map_err(|error| io::Error::other(error.to_string()))?;
            let (begun, rest) = frames.into_parts();
            Ok(chunks_from_reader(io::Cursor::new(Bytes::from(begun)).chain(rest).take(length)))
        });
        let (answer, answered) = oneshot::channel();
        let said = self.ask(Message::Submit { submission, content, answer }, answered).await;
        self.say(&mut *out.lock().await, &said).await
    }

    async fn offer(
        &self,
        offer: Offer,
        frames: Frames<OwnedReadHalf>,
        mut out: OwnedWriteHalf,
    ) -> Result<(), WireError> {
        let (pool, taken) = oneshot::channel();
        let sent = self.mailboxes.send(&self.address, Message::Offer { offer, pool }).await;
        let taken = if sent.is_ok() { taken.await.ok() } else { None };
        let pool = match taken {
            Some(Ok(pool)) => pool,
            Some(Err(why)) => return self.say(&mut out, &Answer::Refused(why)).await,
            None => return self.say(&mut out, &self.not_leader()).await,
        };
        self.say(&mut out, &Answer::Registered).await?;
        // If there are too many, the connection is closed by this; the worker offers again.
        drop(pool.add(Slot::Elsewhere(Link::over(frames, out, self.seam.clone()))));
        Ok(())
    }
}

fn too_slow<T>() -> Result<T, WireError> {
    Err(WireError::Io(io::ErrorKind::TimedOut.into()))
}
