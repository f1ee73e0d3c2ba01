use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use ha_core::Error;
use ha_core::backend::{Acquire, Ended, Latch, Session, Term};
use ha_core::seam::Deadline;

use super::client::Inner;
use super::line::Asked;
use crate::remote::Effect;
use crate::remote::cell::Cell;
use crate::remote::hex::Hex;
use crate::remote::wire::{Request, WireTerm};

/// A session that a host's handle has.
pub(super) struct HostedSession {
    inner: Arc<Inner>,
    id: String,
    cell: Arc<Cell>,
    /// Dropping it drops the session of the host.
    _opened: Asked,
}

impl HostedSession {
    pub(super) fn new(inner: &Arc<Inner>, id: String, cell: Arc<Cell>, opened: Asked) -> Self {
        Self { inner: Arc::clone(inner), id, cell, _opened: opened }
    }
}

#[async_trait]
impl Session for HostedSession {
    fn id(&self) -> &str {
        &self.id
    }

    async fn try_acquire(&self, latch: &Latch, holder: Bytes, over: Option<&Term>) -> Result<Acquire, Error> {
        let request = Request::Acquire {
            session: self.id.clone(),
            home: latch.home().to_string(),
            holder: Hex::new(&holder),
            over: over.map(WireTerm::new),
        };
        let answer = self.inner.call("acquire", request, Effect::Write).await?;
        answer.acquire().ok_or_else(|| self.inner.nonsense("acquire", Effect::Write))
    }

    async fn release(&self, latch: &Latch) -> Result<(), Error> {
        let request = Request::Release { session: self.id.clone(), home: latch.home().to_string() };
        let answer = self.inner.call("release", request, Effect::Write).await?;
        self.inner.done("release", answer)
    }

    fn valid_until(&self) -> Deadline {
        Deadline::at(self.cell.valid_until())
    }

    async fn ended(&self) -> Ended {
        self.cell.ended().await
    }

    async fn close(&self) -> Result<(), Error> {
        let answer = self.inner.call("close session", Request::CloseSession(self.id.clone()), Effect::Write).await?;
        self.inner.done("close session", answer)
    }
}

impl fmt::Debug for HostedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostedSession")
            .field("id", &self.id)
            .field("valid_until", &self.valid_until())
            .finish_non_exhaustive()
    }
}
