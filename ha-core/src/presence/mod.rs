//! Presence: the evidence detector for backends that have none of their own.
//!
//! Every contender serves a tiny socket ([`server`]) and stores where in the latch that it takes. A standby
//! connects to it ([`line`]) and is told an identity. [`rule`] says when what becomes of that connection is
//! evidence, [`suspicions`] remembers when it was wrong. The argument for all of it is written down in
//! `docs/decisions/0009-presence.md`.
//!
//! A process that forks without starting another program leaves its sockets to its child: as long as that
//! lives nobody is refused, and silence decides.

mod greeting;
mod line;
mod rule;
mod server;
mod suspicions;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;

use crate::backend::Latch;
use crate::evidence::{Detector, Identity, Presence, PresenceStats, Serving, Suspect};
use crate::seam::Seam;
use crate::telemetry::record as measured;

#[cfg(feature = "fuzzing")]
pub(crate) use greeting::hears;
use line::{Line, Sight};
use server::Server;
use suspicions::Suspicions;

/// The presence of one process, and its looks at that of others.
pub(crate) struct PresenceDetector {
    bind: SocketAddr,
    advertise: Option<SocketAddr>,
    identity: Identity,
    seam: Seam,
    memory: Arc<Memory>,
    parts: Mutex<Parts>,
}

#[derive(Debug, Default)]
struct Parts {
    /// Lives with the latches that are held, or tried for, on it.
    server: Weak<Server>,
    closed: bool,
    /// It was said that nothing can be served; once is enough.
    warned: bool,
    /// One connection to a process, however many latches it holds.
    lines: BTreeMap<Presence, Weak<Line>>,
}

/// What lines and the detector both write down.
#[derive(Debug)]
struct Memory {
    suspicions: Mutex<Suspicions>,
    handshakes: AtomicU64,
    evidence: AtomicU64,
    takeovers: AtomicU64,
    wrong: AtomicU64,
    seam: Seam,
}

impl Memory {
    fn suspicions(&self) -> MutexGuard<'_, Suspicions> {
        self.suspicions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn greeted(&self, identity: Identity, was_dead: bool) {
        self.handshakes.fetch_add(1, Ordering::Relaxed);
        measured::presence_seen();
        if was_dead {
            self.suspicions().disarm(identity, self.seam.now());
            self.wrong(identity, "answers", "it answers");
        }
    }

    fn found_dead(&self, identity: Identity, address: SocketAddr) {
        self.evidence.fetch_add(1, Ordering::Relaxed);
        measured::evidence_found();
        tracing::info!(%identity, %address, "evidence that a holder is dead: its connection ended, and nobody listens");
    }

    fn wrong(&self, identity: Identity, label: &'static str, proof: &'static str) {
        self.wrong.fetch_add(1, Ordering::Relaxed);
        measured::suspicion_wrong(label);
        tracing::warn!(%identity, proof, "evidence of a death was wrong; this process waits for silence for a while");
    }

    fn is_armed(&self, identity: Identity) -> bool {
        self.suspicions().is_armed(identity, self.seam.now())
    }
}

impl PresenceDetector {
    pub(crate) fn new(bind: SocketAddr, advertise: Option<SocketAddr>, silence: Duration, seam: Seam) -> Arc<Self> {
        let memory = Memory {
            suspicions: Mutex::new(Suspicions::new(silence)),
            handshakes: AtomicU64::new(0),
            evidence: AtomicU64::new(0),
            takeovers: AtomicU64::new(0),
            wrong: AtomicU64::new(0),
            seam: seam.clone(),
        };
        let identity = Identity::from_bits(seam.random_u64(), seam.random_u64());
        let (memory, parts) = (Arc::new(memory), Mutex::default());
        Arc::new(Self { bind, advertise, identity, seam, memory, parts })
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self, presence: Presence) -> Arc<Line> {
        let mut parts = self.parts();
        if let Some(line) = parts.lines.get(&presence).and_then(Weak::upgrade) {
            return line;
        }
        parts.lines.retain(|_, line| line.strong_count() > 0);
        let line = Arc::new(Line::start(presence, Arc::clone(&self.memory), &self.seam));
        parts.lines.insert(presence, Arc::downgrade(&line));
        line
    }
}

impl Detector for PresenceDetector {
    fn serve(&self) -> Option<Arc<dyn Serving>> {
        let mut parts = self.parts();
        if parts.closed {
            return None;
        }
        // One that broke lives on with those who lead on it, until they have taken it back.
        if let Some(server) = parts.server.upgrade().filter(|server| server.is_well()) {
            return Some(Arc::new(server.show()));
        }
        match Server::start(self.bind, self.advertise, self.identity, &self.seam) {
            Ok(server) => {
                tracing::debug!(presence = ?server.presence(), "this process is seen to live");
                (parts.server, parts.warned) = (Arc::downgrade(&server), false);
                return Some(Arc::new(server.show()));
            }
            // Asked again at the next attempt.
            Err(error) if !std::mem::replace(&mut parts.warned, true) => tracing::warn!(
                bind = %self.bind, %error,
                "presence cannot be served; a crash of this process is found out by silence"
            ),
            Err(_) => {}
        }
        None
    }

    fn watch(&self, presence: Presence) -> Box<dyn Suspect> {
        let line = self.line(presence);
        let counts_from = line.sight.borrow().first_that_counts();
        Box::new(Watched { identity: presence.identity, line, counts_from, memory: Arc::clone(&self.memory) })
    }

    fn evicted(&self, identity: Identity, latch: &Latch, epoch: u64, by_us: bool) {
        self.memory.suspicions().evicted(identity, latch, epoch);
        if by_us {
            self.memory.takeovers.fetch_add(1, Ordering::Relaxed);
            measured::taken_over();
            tracing::info!(%latch, epoch, %identity, "took the place of a dead holder on evidence");
        }
    }

    fn holds(&self, identity: Identity, latch: &Latch, epoch: u64, took_over_from: Option<Identity>) {
        let now = self.seam.now();
        if self.memory.suspicions().holds(identity, latch, epoch, now) {
            self.memory.wrong(identity, "took_again", "it took the latch again");
        }
        if took_over_from == Some(self.identity) && self.memory.suspicions().accused(identity, latch, epoch, now) {
            self.memory.wrong(identity, "accused_us", "it took this process for dead");
        }
    }

    fn stats(&self) -> PresenceStats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let disarmed = self.memory.suspicions().disarmed(self.seam.now());
        let server = {
            let parts = self.parts();
            parts.server.upgrade().filter(|server| server.is_well() && !parts.closed)
        };
        PresenceStats {
            address: server.map(|server| server.presence().address),
            handshakes: count(&self.memory.handshakes),
            evidence: count(&self.memory.evidence),
            takeovers: count(&self.memory.takeovers),
            wrong_suspicions: count(&self.memory.wrong),
            disarmed: u64::try_from(disarmed).unwrap_or(u64::MAX),
        }
    }

    fn close(&self) {
        // The socket closes with the last latch that is still being let go of.
        self.parts().closed = true;
    }
}

impl fmt::Debug for PresenceDetector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresenceDetector")
            .field("bind", &self.bind)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// A line, looked at for one term.
#[derive(Debug)]
struct Watched {
    identity: Identity,
    line: Arc<Line>,
    counts_from: u64,
    memory: Arc<Memory>,
}

impl Watched {
    fn counts(&self, sight: Sight) -> bool {
        sight.dead && sight.greetings >= self.counts_from
    }
}

#[async_trait]
impl Suspect for Watched {
    fn is_dead(&self) -> bool {
        let now = *self.line.sight.borrow();
        self.counts(now) && self.memory.is_armed(self.identity)
    }

    async fn dead(&self) {
        let mut sight = self.line.sight.clone();
        let mut held_back = None;
        loop {
            let now = *sight.borrow_and_update();
            if self.counts(now) && held_back != Some(now.greetings) {
                if self.memory.is_armed(self.identity) {
                    return;
                }
                held_back = Some(now.greetings);
                tracing::info!(identity = %self.identity, "evidence of a death is not acted on: it was wrong before");
            }
            if sight.changed().await.is_err() {
                // The task went down with its runtime; silence decides.
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(test)]
mod tests;
