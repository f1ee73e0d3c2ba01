//! One connection to one other process, for all latches that it holds.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;

use super::Memory;
use super::greeting;
use super::rule::{Next, Rule, Sighting};
use crate::evidence::Presence;
use crate::seam::{Seam, Task};

/// How long an attempt to connect may take, and then the greeting.
const CONNECT_MAX: Duration = Duration::from_secs(1);
const GREETING_MAX: Duration = Duration::from_secs(1);

/// How far the rule has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sight {
    /// How often the process was seen alive.
    pub(super) greetings: u64,
    /// It is connected at the moment.
    pub(super) connected: bool,
    /// There is evidence that it died after the last greeting.
    pub(super) dead: bool,
}

impl Sight {
    /// The first greeting that counts for a term that was seen just now.
    ///
    /// Race: another latch's term, which this process watched before, was held by the same one.
    /// Closed by: a connection that stands now counts, for the process behind it is this term's holder; one
    ///            that is lost already does not, and has to be made anew.
    /// Cost if missed: evidence for a term in which nobody saw its holder alive.
    pub(super) fn first_that_counts(self) -> u64 {
        if self.connected { self.greetings } else { self.greetings + 1 }
    }
}

/// Watches a process as long as somebody wants to know.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) sight: watch::Receiver<Sight>,
    _task: Task,
}

impl Line {
    pub(super) fn start(presence: Presence, memory: Arc<Memory>, seam: &Seam) -> Self {
        let (sender, sight) = watch::channel(Sight::default());
        let looking =
            Looking { presence, greeting: greeting::of(presence.identity), memory, seam: seam.clone(), sender };
        // On the runtime that is certain to have I/O, and that the application cannot starve.
        Self { sight, _task: seam.spawn_critical(looking.run()) }
    }
}

struct Looking {
    presence: Presence,
    greeting: String,
    memory: Arc<Memory>,
    seam: Seam,
    sender: watch::Sender<Sight>,
}

impl Looking {
    async fn run(self) {
        let mut rule = Rule::new();
        let mut connection = None;
        let mut next = Next::Connect { after: Duration::ZERO };
        loop {
            let seen = match (next, &connection) {
                (Next::Hold, Some(stream)) => greeting::end(stream).await,
                (Next::Hold, None) => Sighting::Other,
                (Next::Connect { after }, _) => self.connect(after, &mut connection).await,
                (Next::Seek { after } | Next::Evidence { after }, _) => {
                    self.connect(self.seam.jittered(after), &mut connection).await
                }
            };
            let before = *self.sender.borrow();
            next = rule.step(seen, self.seam.now());
            tracing::trace!(address = %self.presence.address, ?seen, ?next, "presence");
            self.show(before, next);
        }
    }

    fn show(&self, before: Sight, next: Next) {
        let identity = self.presence.identity;
        match next {
            Next::Hold => {
                self.memory.greeted(identity, before.dead);
                self.sender.send_replace(Sight { greetings: before.greetings + 1, connected: true, dead: false });
            }
            Next::Evidence { .. } => {
                self.memory.found_dead(identity, self.presence.address);
                self.sender.send_replace(Sight { connected: false, dead: true, ..before });
            }
            Next::Connect { .. } | Next::Seek { .. } if before.connected => {
                self.sender.send_replace(Sight { connected: false, ..before });
            }
            Next::Connect { .. } | Next::Seek { .. } => {}
        }
    }

    async fn connect(&self, after: Duration, connection: &mut Option<TcpStream>) -> Sighting {
        // What is lost is let go of first, so that it does not cost a descriptor while we wait.
        *connection = None;
        if !after.is_zero() {
            self.seam.sleep(after).await;
        }
        let address = self.presence.address;
        let stream = match self.seam.timeout(CONNECT_MAX, TcpStream::connect(address)).await {
            Some(Ok(stream)) => stream,
            Some(Err(error)) => {
                return match error.kind() {
                    std::io::ErrorKind::ConnectionRefused => Sighting::Refused,
                    std::io::ErrorKind::ConnectionReset => Sighting::HungUp,
                    // Also a fault of our own, such as no descriptor left: it says nothing of the other.
                    _ => Sighting::Other,
                };
            }
            None => return Sighting::Other,
        };
        // Race: nobody listens at a port of this host, and the kernel gives the same to us as our own: we
        //       are connected with ourselves.
        // Closed by: comparing the two ends. It tells as much as being thrown out.
        // Cost if missed: the handshake of the right process is waited for, and evidence void.
        if stream.local_addr().is_ok_and(|own| own == address) {
            return Sighting::HungUp;
        }
        match self.seam.timeout(GREETING_MAX, greeting::expect(&stream, &self.greeting)).await {
            Some(Sighting::Greeted) => {
                *connection = Some(stream);
                Sighting::Greeted
            }
            Some(other) => other,
            None => Sighting::Other,
        }
    }
}
