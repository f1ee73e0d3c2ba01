//! A worker: finds the job's master through leader retrieval, and offers it a place for tasks.

use std::time::Duration;

use ha::retrieval::{Leader, LeaderWatch};
use ha::seam::Seam;
use ha::{HighAvailabilityServices, JobId};
use tokio::runtime::{Handle, Runtime};

use super::network::{Message, Network};
use super::{Failure, Member, runtime};

/// How long a worker waits before it offers itself again to a master that it did not reach.
const OFFER_AGAIN: Duration = Duration::from_millis(10);

/// A worker with a thread of its own for tasks. Dropping it ends them.
#[derive(Debug)]
pub struct Worker {
    runtime: Option<Runtime>,
}

impl Worker {
    /// Starts a worker of that number, which serves the job's masters one after the other.
    ///
    /// # Errors
    /// Its thread cannot be started, or its services not be set up.
    pub fn start(number: usize, job: &JobId, member: &Member) -> Result<Self, Failure> {
        let runtime = runtime(&format!("worker-{number}"), 1)?;
        let seam = Seam::system();
        let (services, _) = member.services(&format!("worker-{number}"), &seam)?;
        let watch = services.job_manager_leader_retriever(job)?.watch();
        let (network, slot) = (member.network.clone(), runtime.handle().clone());
        let _entered = runtime.enter();
        runtime.spawn(async move {
            // Kept as long as the worker follows anybody.
            let _services = services;
            serve(number, watch, network, slot, seam).await;
        });
        Ok(Self { runtime: Some(runtime) })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve(number: usize, mut watch: LeaderWatch, network: Network, slot: Handle, seam: Seam) {
    loop {
        let leader = watch.leader().await;
        let mut meanwhile = watch.clone();
        tokio::select! {
            biased;
            () = another(&mut meanwhile, &leader) => continue,
            () = offer(number, &leader, &network, &slot, &seam) => {}
        }
        another(&mut watch, &leader).await;
    }
}

/// Waits until somebody else leads, or nobody.
async fn another(watch: &mut LeaderWatch, than: &Leader) {
    while watch.view().leader() == Some(than) {
        watch.changed().await;
    }
}

async fn offer(worker: usize, to: &Leader, network: &Network, slot: &Handle, seam: &Seam) {
    loop {
        let message = Message::Offer { worker, session_id: to.session_id, slot: slot.clone() };
        if network.send(&to.address, message).await.is_ok() {
            return;
        }
        seam.sleep(OFFER_AGAIN).await;
    }
}
