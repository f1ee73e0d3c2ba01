use std::sync::Arc;

use async_trait::async_trait;

use super::listening::Listening;
use super::{Leader, LeaderRetrieval, LeaderRetrievalListener, LeaderWatch};
use crate::election::{FencingToken, LeaderInformation};
use crate::seam::Seam;
use crate::{DEFAULT_LEADER_ID, Error};

/// The retrieval of a leader that is configured and not elected. Flink's
/// `StandaloneLeaderRetrievalService`.
///
/// Its listener is told of the leader once. The session id is [`DEFAULT_LEADER_ID`], and the fencing
/// token is 0, which no leadership ever has: nobody here knows which one that leader holds.
///
/// ```
/// # use ha_core::{retrieval::{FixedLeaderRetrieval, LeaderRetrieval}, seam::Seam};
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let retrieval = FixedLeaderRetrieval::new("host-1:6123", Seam::system())?;
/// assert_eq!(retrieval.watch().leader().await.address, "host-1:6123");
/// # Ok::<(), ha_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct FixedLeaderRetrieval {
    leader: Leader,
    seam: Seam,
    listening: Listening,
}

impl FixedLeaderRetrieval {
    /// Of the leader at that address. No I/O; that anybody is reached there is not checked.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid): the address is empty or too long.
    pub fn new(address: &str, seam: Seam) -> Result<Self, Error> {
        let LeaderInformation { address, session_id } = LeaderInformation::new(address, DEFAULT_LEADER_ID)?;
        let leader = Leader { address, session_id, token: FencingToken::new(0) };
        Ok(Self { leader, seam, listening: Listening::default() })
    }
}

#[async_trait]
impl LeaderRetrieval for FixedLeaderRetrieval {
    fn watch(&self) -> LeaderWatch {
        LeaderWatch::fixed(self.leader.clone())
    }

    fn start(&self, listener: Arc<dyn LeaderRetrievalListener>) -> Result<(), Error> {
        self.listening.start(&self.seam, listener, || self.watch())
    }

    async fn stop(&self) {
        self.listening.stop(&self.seam).await;
    }
}
