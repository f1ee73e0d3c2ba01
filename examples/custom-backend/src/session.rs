//! A session as its owner has it.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use ha_core::Error;
use ha_core::backend::{Acquire, Ended, Latch, Session, SessionOptions, Term};
use ha_core::seam::{Deadline, Moment, Task};
use tokio::sync::watch;

use crate::RedbStore;
use crate::core::Core;
use crate::latch;
use crate::sessions::Living;
use crate::writer::Writer;

/// What people call a session, and what its terms are recognised by.
pub(crate) fn name(id: u64) -> String {
    format!("session-{id:016x}")
}

pub(crate) struct RedbSession {
    store: RedbStore,
    id: u64,
    name: String,
    ended: watch::Receiver<Option<Ended>>,
    _renewal: Task,
}

impl RedbSession {
    /// Opens a session, unless its handle is found closed under the lock.
    pub(crate) fn open(
        store: &RedbStore,
        handle: u64,
        options: &SessionOptions,
        is_closed: impl FnOnce() -> bool,
    ) -> Option<Self> {
        let seam = &store.core.seam;
        let (id, sent) = (seam.random_u64(), seam.now());
        let (sender, ended) = watch::channel(None);
        {
            let mut sessions = store.core.sessions();
            // Race: the handle is closed between the caller's look and this line.
            // Closed by: a second look, under the lock under which `close` ends the sessions.
            // Cost if missed: a session that nobody ends, and that keeps what it takes.
            if is_closed() {
                return None;
            }
            let (silence, now) = (options.silence, seam.now());
            let (valid_until, expires) = (sent + silence, now + silence);
            let (frozen, taken) = (false, Default::default());
            sessions.open(id, Living { handle, silence, valid_until, expires, frozen, taken, ended: sender });
        }
        let renewal = renew(Arc::clone(&store.core), store.writer.clone(), id, sent + options.silence / 3);
        let renewal = seam.spawn_critical(renewal);
        Some(Self { store: store.clone(), id, name: name(id), ended, _renewal: renewal })
    }
}

// guide: renewal
/// Renews a session until it is over, and has its latches freed then.
async fn renew(core: Arc<Core>, writer: Writer, id: u64, first: Moment) {
    let mut due = first;
    loop {
        core.seam.sleep_until(due).await;
        let sent = core.seam.now();
        let next = core.sessions().renew(id, sent, core.seam.now());
        match next {
            Some(next) => due = next,
            None => return writer.poke(),
        }
    }
}
// guide: end

#[async_trait]
impl Session for RedbSession {
    fn id(&self) -> &str {
        &self.name
    }

    // guide: attempt
    async fn try_acquire(&self, latch: &Latch, holder: Bytes, over: Option<&Term>) -> Result<Acquire, Error> {
        let (core, id, latch, over) = (Arc::clone(&self.store.core), self.id, latch.clone(), over.cloned());
        let attempt = self
            .store
            .writer
            .write("acquire", move |tables| latch::acquire(tables, &core, id, &latch, &holder, over.as_ref()));
        attempt.await?
    }
    // guide: end

    async fn release(&self, latch: &Latch) -> Result<(), Error> {
        let (id, latch) = (self.id, latch.clone());
        self.store.writer.write("release", move |tables| latch::release(tables, id, &latch)).await
    }

    fn valid_until(&self) -> Deadline {
        self.store.core.sessions().valid_until(self.id)
    }

    async fn ended(&self) -> Ended {
        let mut ended = self.ended.clone();
        let result = ended.wait_for(Option::is_some).await;
        // The sender goes away with the session, after it has said why.
        result.map_or(Ended::Closed, |ended| ended.unwrap_or(Ended::Closed))
    }

    async fn close(&self) -> Result<(), Error> {
        self.store.core.sessions().end(self.id, Ended::Closed);
        self.store.writer.write("close session", |_| Ok(())).await
    }
}

// guide: drop
impl Drop for RedbSession {
    fn drop(&mut self) {
        // Nobody is left who could write under this session: that is evidence, not silence.
        self.store.core.sessions().end(self.id, Ended::Closed);
        self.store.writer.poke();
    }
}
// guide: end

impl fmt::Debug for RedbSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbSession").field("name", &self.name).field("valid_until", &self.valid_until()).finish()
    }
}
