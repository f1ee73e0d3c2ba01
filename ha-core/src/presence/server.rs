//! The socket at which this process is seen to live.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::greeting;
use crate::evidence::{Identity, Presence, Serving};
use crate::seam::{Seam, Task};

/// How many connections are held; the oldest goes when another comes. Nobody is told anything by that: who is
/// sent away connects again. It needs no clock, and what the other side has long forgotten goes first.
const CONNECTIONS_MAX: usize = 128;
/// The first pause after an accept that failed; it doubles up to the last.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How long a greeting may take to be sent.
const GREETING_MAX: Duration = Duration::from_secs(1);

/// Greets whoever connects, holds the connection, and does nothing else. Ends when it is dropped.
#[derive(Debug)]
pub(super) struct Server {
    presence: Presence,
    broken: watch::Receiver<bool>,
    _accepting: Task,
    // Race: the task that accepts ends by itself, with its runtime or by a panic, while this process lives
    //       and leads.
    // Closed by: a second descriptor of the same socket. Whoever connects is let in by the kernel and told
    //            nothing, which is silence; nobody is refused before this value is dropped.
    // Cost if missed: a leader change for nothing.
    _listener: std::net::TcpListener,
}

/// One latch's part in the server of its process.
// Race: the socket breaks while this process leads on several latches; one of them has taken it back in the
//       store, others have not yet.
// Closed by: each latch lets go of its own part; the socket ends with the last of them.
// Cost if missed: a leader change for nothing on every latch that was slower.
#[derive(Debug)]
pub(super) struct Shown {
    presence: Presence,
    broken: watch::Receiver<bool>,
    server: Mutex<Option<Arc<Server>>>,
}

impl Server {
    /// Begins to serve.
    ///
    /// # Errors
    /// The address is taken or not of this host, or there are no descriptors left.
    pub(super) fn start(
        bind: SocketAddr,
        advertise: Option<SocketAddr>,
        identity: Identity,
        seam: &Seam,
    ) -> std::io::Result<Arc<Self>> {
        let listener = std::net::TcpListener::bind(bind)?;
        listener.set_nonblocking(true)?;
        let accepting = listener.try_clone()?;
        let bound = listener.local_addr()?;
        let mut address = advertise.unwrap_or(bound);
        if address.port() == 0 {
            address.set_port(bound.port());
        }
        let (sender, broken) = watch::channel(false);
        let accepting = seam.spawn_critical(accept(accepting, greeting::of(identity), sender, seam.clone()));
        let presence = Presence { address, identity };
        Ok(Arc::new(Self { presence, broken, _accepting: accepting, _listener: listener }))
    }

    /// Whether it serves as far as it knows.
    pub(super) fn is_well(&self) -> bool {
        !*self.broken.borrow()
    }

    pub(super) fn presence(&self) -> Presence {
        self.presence
    }

    /// A part in it for one more latch.
    pub(super) fn show(self: &Arc<Self>) -> Shown {
        Shown { presence: self.presence, broken: self.broken.clone(), server: Mutex::new(Some(Arc::clone(self))) }
    }

    #[cfg(test)]
    pub(super) fn break_for_test(&self) {
        rustix::net::shutdown(&self._listener, rustix::net::Shutdown::Both)
            .expect("a listening socket can be shut down");
    }
}

#[async_trait]
impl Serving for Shown {
    fn presence(&self) -> Presence {
        self.presence
    }

    async fn broken(&self) {
        let mut broken = self.broken.clone();
        if broken.wait_for(|broken| *broken).await.is_err() {
            // The task ended by itself: the socket is still there, and nobody is refused.
            std::future::pending::<()>().await;
        }
    }

    fn close(&self) {
        drop(self.server.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

async fn accept(listener: std::net::TcpListener, greeting: String, broken: watch::Sender<bool>, seam: Seam) {
    // On the thread whose runtime drives it.
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(%error, "presence cannot be served; a crash of this process is found out by silence");
            return;
        }
    };
    let greeting: Arc<str> = greeting.into();
    let mut held: VecDeque<Task> = VecDeque::new();
    let mut pause = PAUSE_MIN;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                pause = PAUSE_MIN;
                held.retain(|connection| !connection.is_finished());
                if held.len() >= CONNECTIONS_MAX {
                    held.pop_front();
                }
                held.push_back(seam.spawn_critical(hold(stream, Arc::clone(&greeting), seam.clone())));
            }
            Err(error) => {
                if is_final(&error) && !broken.send_replace(true) {
                    tracing::warn!(%error, "the socket that shows this process alive was closed from outside");
                }
                // Without descriptors, say: those who are connected stay, the others are let in later.
                tracing::debug!(%error, "presence: a connection was not accepted; trying again");
                seam.sleep(seam.jittered(pause)).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

/// Whether the socket listens no more, or is none: whoever connects may be refused.
fn is_final(error: &std::io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::INVAL | Errno::BADF | Errno::NOTSOCK))
}

/// Whoever says something is not one of us, and is sent away: it could keep us busy for ever.
async fn hold(stream: TcpStream, greeting: Arc<str>, seam: Seam) {
    if seam.timeout(GREETING_MAX, greeting::send(&stream, &greeting)).await == Some(true) {
        greeting::end(&stream).await;
    }
}
