//! A client: finds the dispatcher through leader retrieval and hands a job in.

use std::time::Duration;

use ha::JobId;
use ha::retrieval::LeaderWatch;
use ha::seam::Seam;
use tokio::sync::oneshot;

use super::network::{Message, Network};

/// How long a client waits before it tries the next time.
const TRY_AGAIN: Duration = Duration::from_millis(10);

/// Hands the job in, as often as it takes until a leader says that its plan is stored. A leader
/// that has stored it before says so too, so it does no harm if an answer was lost.
///
/// # Cancel safety
/// After a drop the job may have been handed in.
pub async fn submit(job: &JobId, plan: &[u8], mut dispatcher: LeaderWatch, network: &Network, seam: &Seam) {
    loop {
        let leader = dispatcher.leader().await;
        let (accepted, answer) = oneshot::channel();
        let message = Message::Submit { job: job.clone(), plan: plan.to_vec(), accepted };
        if network.send(&leader.address, message).await.is_ok() && answer.await.is_ok() {
            return;
        }
        seam.sleep(TRY_AGAIN).await;
    }
}
