//! Sessions: how a process is counted as alive, and the latches that it holds meanwhile.

mod acquire;
mod cell;
mod check;
mod epochs;
mod liveness;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use ha_core::Error;
use ha_core::backend::{Acquire, Ended, Latch, Session, SessionOptions, Term};
use ha_core::seam::{Deadline, Task};

use crate::backend::Inner;
pub(crate) use epochs::Epochs;
pub(crate) use liveness::Living;

/// A session on Consul. Dropping it tells Consul in the background.
pub(crate) struct ConsulSession {
    living: Arc<Living>,
    taken: acquire::Taken,
    /// Heartbeats and renewals, on the critical thread.
    _renewals: Vec<Task>,
}

impl ConsulSession {
    pub(crate) async fn open(inner: Arc<Inner>, options: &SessionOptions) -> Result<Self, Error> {
        let living = Living::open(inner, options).await?;
        let _renewals = Living::renewals(&living);
        Ok(Self { living, taken: acquire::Taken::default(), _renewals })
    }

    pub(crate) fn living(&self) -> &Arc<Living> {
        &self.living
    }
}

#[async_trait]
impl Session for ConsulSession {
    fn id(&self) -> &str {
        self.living.id()
    }

    async fn try_acquire(&self, latch: &Latch, holder: Bytes, over: Option<&Term>) -> Result<Acquire, Error> {
        self.taken.try_acquire(&self.living, latch, &holder, over).await
    }

    async fn release(&self, latch: &Latch) -> Result<(), Error> {
        acquire::release(&self.living, latch).await
    }

    fn valid_until(&self) -> Deadline {
        self.living.cell.valid_until()
    }

    async fn ended(&self) -> Ended {
        self.living.cell.ended().await
    }

    async fn close(&self) -> Result<(), Error> {
        self.living.close().await
    }
}

impl Drop for ConsulSession {
    fn drop(&mut self) {
        self.living.abandon();
    }
}

impl fmt::Debug for ConsulSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsulSession")
            .field("id", &self.living.id())
            .field("valid_until", &self.living.cell.valid_until())
            .finish_non_exhaustive()
    }
}
