use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ha_core::Error;
use ha_core::backend::{Acquire, Ended, Latch, Session, SessionOptions, Term};
use ha_core::seam::{Deadline, Moment, Task};
use tokio::sync::watch;

use crate::store::{Living, Patience, Shared};

/// What a session's owner reads without the store's lock.
#[derive(Debug)]
pub(crate) struct Cell {
    /// Nanoseconds after the clock's origin.
    valid_until: AtomicU64,
    ended: watch::Sender<Option<Ended>>,
}

impl Cell {
    fn new(valid_until: Moment) -> Self {
        let cell = Self { valid_until: AtomicU64::new(0), ended: watch::Sender::new(None) };
        cell.set_valid_until(valid_until);
        cell
    }

    fn set_valid_until(&self, moment: Moment) {
        let nanos = u64::try_from(moment.since_origin().as_nanos()).unwrap_or(u64::MAX);
        self.valid_until.store(nanos, Ordering::Release);
    }

    pub(crate) fn end(&self, why: Ended) {
        self.set_valid_until(Moment::ORIGIN);
        self.ended.send_if_modified(|ended| {
            let first = ended.is_none();
            ended.get_or_insert(why);
            first
        });
    }

    fn valid_until(&self) -> Deadline {
        Deadline::at(Moment::after_origin(Duration::from_nanos(self.valid_until.load(Ordering::Acquire))))
    }
}

pub(crate) struct EmbeddedSession {
    shared: Arc<Shared>,
    number: u64,
    id: Arc<str>,
    cell: Arc<Cell>,
    /// None where sessions never end by silence.
    _renewal: Option<Task>,
}

impl EmbeddedSession {
    /// Opens a session, unless its handle is found closed under the lock.
    pub(crate) fn open(
        shared: &Arc<Shared>,
        handle: u64,
        options: &SessionOptions,
        closed: impl FnOnce() -> bool,
    ) -> Option<Self> {
        let sent = shared.seam.now();
        let number = shared.seam.random_u64();
        let silence = match shared.patience {
            Patience::OfTheSession => options.silence,
            Patience::Endless => Duration::MAX,
        };
        let cell = Arc::new(Cell::new(sent + silence));
        let id: Arc<str> = format!("session-{number}").into();
        let expires = shared.seam.now() + silence;
        let (label, frozen) = (options.label.clone(), false);
        let living = Living { id: Arc::clone(&id), label, cell: Arc::clone(&cell), handle, frozen, expires };
        {
            let mut state = shared.state();
            if closed() {
                return None;
            }
            state.open(number, living);
        }
        let renewal = match shared.patience {
            Patience::OfTheSession => {
                let renewal = renew(Arc::downgrade(shared), number, Arc::clone(&cell), silence);
                Some(shared.seam.spawn_critical(renewal))
            }
            Patience::Endless => None,
        };
        Some(Self { id, number, cell, _renewal: renewal, shared: Arc::clone(shared) })
    }
}

/// Renews a session until it is over. Three renewals fit into one silence.
async fn renew(shared: Weak<Shared>, number: u64, cell: Arc<Cell>, silence: Duration) {
    loop {
        let Some(seam) = shared.upgrade().map(|shared| shared.seam.clone()) else { return };
        seam.sleep(silence / 3).await;
        let Some(shared) = shared.upgrade() else { return };
        // Race: the store's clock may be read long after the renewal was sent.
        // Closed by: the owner counts from the sending, the store from the arrival.
        // Cost if missed: the store could give the latch away while the owner thinks it holds it.
        let sent = seam.now();
        let mut state = shared.state();
        if !state.sessions.contains_key(&number) {
            return;
        }
        if state.renew(number, seam.now() + silence) {
            cell.set_valid_until(sent + silence);
        }
    }
}

#[async_trait]
impl Session for EmbeddedSession {
    fn id(&self) -> &str {
        &self.id
    }

    async fn try_acquire(&self, latch: &Latch, holder: Bytes, over: Option<&Term>) -> Result<Acquire, Error> {
        let mut state = self.shared.state();
        state.space.acquire(&self.id, latch, holder, over).map_err(|refusal| refusal.to_error(latch))
    }

    async fn release(&self, latch: &Latch) -> Result<(), Error> {
        self.shared.state().space.release(&self.id, latch);
        Ok(())
    }

    fn valid_until(&self) -> Deadline {
        self.cell.valid_until()
    }

    async fn ended(&self) -> Ended {
        let mut ended = self.cell.ended.subscribe();
        let result = ended.wait_for(Option::is_some).await;
        // The sender lives in the cell that `self` holds.
        result.map_or(Ended::Closed, |ended| ended.unwrap_or(Ended::Closed))
    }

    async fn close(&self) -> Result<(), Error> {
        self.shared.state().end(self.number, Ended::Closed);
        Ok(())
    }
}

impl Drop for EmbeddedSession {
    fn drop(&mut self) {
        // Nobody is left who could write under this session: that is evidence, not silence.
        self.shared.state().end(self.number, Ended::Closed);
    }
}

impl fmt::Debug for EmbeddedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedSession")
            .field("id", &self.id)
            .field("valid_until", &self.cell.valid_until())
            .finish_non_exhaustive()
    }
}
