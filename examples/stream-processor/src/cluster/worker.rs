//! A worker: finds the leading resource manager through leader retrieval, and offers it places for tasks. When
//! another leads, it turns to that one; what an older leader still says is refused.

use std::sync::Arc;
use std::time::Duration;

use ha::retrieval::{Leader, LeaderWatch};
use ha::seam::Seam;
use tokio::task::JoinSet;

use super::network::{Network, Place};
use super::protocol::Offer;

/// How long a worker waits, more or less, before it offers a place again.
const OFFER_AGAIN: Duration = Duration::from_millis(20);

/// A worker, before it runs.
#[derive(Debug)]
pub struct Worker {
    /// Its name, for people.
    pub name: String,
    /// How many tasks it runs at once.
    pub slots: usize,
    /// Who leads the resource management.
    pub watch: LeaderWatch,
    /// The way there.
    pub network: Arc<dyn Network>,
    /// Where tasks run.
    pub place: Place,
    /// Time.
    pub seam: Seam,
}

impl Worker {
    /// Serves one leader after the other, for as long as it is polled.
    ///
    /// # Cancel safety
    /// Dropping the future ends the tasks that run here between processes; within one process they end with the
    /// threads of the place.
    pub async fn run(self) {
        let worker = Arc::new(self);
        let mut slots = JoinSet::new();
        for _slot in 0..worker.slots {
            let worker = Arc::clone(&worker);
            slots.spawn(async move { worker.serve().await });
        }
        while slots.join_next().await.is_some() {}
    }

    async fn serve(&self) {
        let mut watch = self.watch.clone();
        loop {
            let leader = watch.leader().await;
            let token = leader.token.epoch();
            // A view may be older than what another part of this worker has seen already.
            if !self.place.fence.admit(token) {
                watch.changed().await;
                continue;
            }
            let offer = Offer { worker: self.name.clone(), session_id: leader.session_id, token: leader.token };
            let mut meanwhile = watch.clone();
            tokio::select! {
                biased;
                () = another(&mut meanwhile, &leader) => {
                    tracing::info!(worker = %self.name, token, "another leader, or none");
                    continue;
                }
                served = self.network.serve(&leader.address, offer, &self.place) => {
                    if let Err(why) = served {
                        tracing::debug!(worker = %self.name, address = %leader.address, %why, "not served");
                    }
                }
            }
            self.seam.sleep(self.seam.jittered(OFFER_AGAIN)).await;
        }
    }
}

/// Waits until somebody else is seen to lead. Not when nobody is: as long as there is no greater token, whoever
/// led before may go on to lead, and a task need not end because the store cannot be reached for a while.
async fn another(watch: &mut LeaderWatch, than: &Leader) {
    loop {
        if watch.view().leader().is_some_and(|leader| leader != than) {
            return;
        }
        watch.changed().await;
    }
}
