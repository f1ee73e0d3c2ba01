use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::follower::SharedFollower;
use super::listening::Listening;
use super::{Leader, LeaderWatch};
use crate::backend::{Key, Latch};
use crate::formats::Formats;
use crate::names::layout;
use crate::seam::Seam;
use crate::{ComponentId, Error, ErrorKind};

/// Somebody who is told who leads. Flink's `LeaderRetrievalListener`.
///
/// Calls come one at a time, and only for true changes. A panic in one is logged; the next follows.
#[async_trait]
pub trait LeaderRetrievalListener: Send + Sync + 'static {
    /// Who leads now; `None`: nobody, or it is unknown. Wait for the next call then.
    async fn notify_leader(&self, leader: Option<Leader>);
    /// The leader cannot be found out for a reason that should be looked into. Told once per
    /// reason; the retrieval goes on.
    async fn handle_error(&self, error: Error);
}

/// Retrieval of one component's leader. Flink's `LeaderRetrievalService`, and the Rust face beside it.
#[async_trait]
pub trait LeaderRetrieval: fmt::Debug + Send + Sync {
    /// A subscription. Any number may be had, before and after [`LeaderRetrieval::start`].
    fn watch(&self) -> LeaderWatch;

    /// Tells the listener who leads now and whenever that changes.
    ///
    /// # Errors
    /// * [`ErrorKind::IllegalState`]: started already. One retrieval serves one listener, once.
    /// * [`ErrorKind::Closed`]: the services that it was got from were closed.
    fn start(&self, listener: Arc<dyn LeaderRetrievalListener>) -> Result<(), Error>;

    /// Ends the listener's notifications: none reaches it after this returns, unless it does not
    /// return from one that is under way within a second. A second call does nothing.
    ///
    /// # Cancel safety
    /// No further notification begins.
    async fn stop(&self);
}

/// The one implementation of [`LeaderRetrieval`] over backends.
#[derive(Debug)]
pub(crate) struct DefaultLeaderRetrieval {
    follower: Arc<SharedFollower>,
    latch: Latch,
    info_key: Key,
    unknown_after: Duration,
    formats: Formats,
    seam: Seam,
    listening: Listening,
}

impl DefaultLeaderRetrieval {
    pub(crate) fn new(
        follower: Arc<SharedFollower>,
        latch: Latch,
        component: &ComponentId,
        unknown_after: Duration,
        formats: Formats,
        seam: Seam,
    ) -> Self {
        let info_key = layout::connection_info(&latch, component);
        let listening = Listening::default();
        Self { follower, latch, info_key, unknown_after, formats, seam, listening }
    }
}

#[async_trait]
impl LeaderRetrieval for DefaultLeaderRetrieval {
    fn watch(&self) -> LeaderWatch {
        let (latch, info_key) = (self.latch.clone(), self.info_key.clone());
        LeaderWatch::new(self.follower.get(), latch, info_key, self.unknown_after, self.formats, self.seam.clone())
    }

    fn start(&self, listener: Arc<dyn LeaderRetrievalListener>) -> Result<(), Error> {
        if self.follower.is_closed() {
            return Err(Error::new(ErrorKind::Closed, "start leader retrieval")
                .at(&self.info_key)
                .because("the services were closed; open others"));
        }
        self.listening.start(&self.seam, listener, || self.watch()).map_err(|error| error.at(&self.info_key))
    }

    async fn stop(&self) {
        self.listening.stop(&self.seam).await;
    }
}
