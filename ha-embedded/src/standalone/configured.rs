use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use ha_core::retrieval::{FixedLeaderRetrieval, LeaderRetrieval, LeaderRetrievalListener, LeaderWatch};
use ha_core::seam::Seam;
use ha_core::{Error, ErrorKind};

/// Whether the services that something was got from were closed. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Closed(Arc<AtomicBool>);

impl Closed {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// # Errors
    /// [`Closed`](ErrorKind::Closed): they were.
    pub(super) fn check(&self, operation: &'static str) -> Result<(), Error> {
        match self.0.load(Ordering::Acquire) {
            true => Err(Error::new(ErrorKind::Closed, operation).because("the services were closed; open others")),
            false => Ok(()),
        }
    }
}

/// The retrieval of a configured leader, which takes no listener once its services were closed.
#[derive(Debug)]
pub(super) struct ConfiguredLeaderRetrieval {
    fixed: FixedLeaderRetrieval,
    closed: Closed,
}

impl ConfiguredLeaderRetrieval {
    pub(super) fn open(address: &str, seam: &Seam, closed: &Closed) -> Result<Arc<dyn LeaderRetrieval>, Error> {
        closed.check("get service")?;
        let fixed = FixedLeaderRetrieval::new(address, seam.clone())?;
        Ok(Arc::new(Self { fixed, closed: closed.clone() }))
    }
}

#[async_trait]
impl LeaderRetrieval for ConfiguredLeaderRetrieval {
    fn watch(&self) -> LeaderWatch {
        self.fixed.watch()
    }

    fn start(&self, listener: Arc<dyn LeaderRetrievalListener>) -> Result<(), Error> {
        self.closed.check("start leader retrieval")?;
        self.fixed.start(listener)
    }

    async fn stop(&self) {
        self.fixed.stop().await;
    }
}
