//! Random elections by several processes on many threads: what must hold at every step and at the end.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test: panicking is how it fails, and threads are what it is about"
)]

mod rigged;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ha_core::backend::Name;
use ha_core::seam::Seam;
use ha_core::{ComponentId, HaServices, HighAvailabilityServices};
use ha_embedded::Embedded;
use rigged::{services, store, until, within};

/// One process's actor: campaigns, gives up half-way, publishes, resigns, drops or keeps what is lost.
async fn storm(services: Arc<HaServices>, store: Embedded, seam: Seam, greatest: Arc<AtomicU64>, component: String) {
    let shard = Name::new("shard").unwrap();
    let mut kept = Vec::new();
    for _ in 0..60 {
        let component = ComponentId::new(&component).unwrap();
        let election = match seam.random_u64() % 2 {
            0 => services.leader_election(component),
            _ => services.leader_election_on(&shard, component),
        };
        // The component may lead still by a value that was kept.
        let Ok(election) = election else { continue };
        let patience = Duration::from_micros(seam.random_u64() % 20_000);
        let Some(Ok(leadership)) = seam.timeout(patience, election.campaign()).await else { continue };
        // Both latches count by the store's one sequence: a new term is above every earlier one.
        greatest.fetch_max(leadership.token().epoch(), Ordering::SeqCst);
        match seam.random_u64() % 6 {
            0 => drop(leadership),
            1 => drop(seam.timeout(Duration::from_micros(50), leadership.publish("x")).await),
            2 => leadership.resign().await.unwrap_or_else(|e| assert!(e.may_have_applied(), "{e}")),
            3 => drop(seam.timeout(Duration::from_micros(30), leadership.resign()).await),
            4 => {
                for session in store.sessions() {
                    let _ = store.revoke(&session.id);
                }
                leadership.lost().await;
                kept.push(leadership);
            }
            _ => {
                let _ = leadership.publish("y").await;
                drop(leadership);
            }
        }
    }
    // Those that are kept are lost, all of them: they must keep nothing from anybody.
    kept.retain(|leadership| leadership.loss_is_known());
    std::mem::forget(kept);
}

trait Known {
    fn loss_is_known(&self) -> bool;
}

impl Known for ha_core::election::Leadership {
    fn loss_is_known(&self) -> bool {
        self.grant().loss().is_some()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_any_storm_of_elections_nothing_is_held_and_a_newcomer_wins_a_greater_token() {
    for round in 0..8 {
        let (store, seam) = store();
        let greatest = Arc::new(AtomicU64::new(0));
        let processes: Vec<_> =
            ["one", "two", "three"].map(|label| Arc::new(services(&store, &seam, label))).into_iter().collect();
        let actors = processes.iter().flat_map(|services| {
            ["a", "b"].map(|component| {
                let (services, store, seam) = (Arc::clone(services), store.clone(), seam.clone());
                storm(services, store, seam, Arc::clone(&greatest), component.into())
            })
        });
        let (done, mut finished) = tokio::sync::mpsc::channel::<()>(1);
        for actor in actors {
            let done = done.clone();
            let task = seam.spawn(async move {
                actor.await;
                drop(done);
            });
            task.detach();
        }
        drop(done);
        assert!(seam.timeout(Duration::from_secs(60), finished.recv()).await.is_some(), "round {round}: stuck");
        until(&seam, "every latch is let go", || store.sessions().iter().all(|s| s.holds.is_empty())).await;
        until(&seam, "every session ends", || store.sessions().is_empty()).await;
        let newcomer = services(&store, &seam, "four");
        let election = newcomer.dispatcher_leader_election().unwrap();
        let leadership = within(&seam, "the newcomer wins", election.campaign()).await.unwrap();
        assert!(leadership.token().epoch() > greatest.load(Ordering::SeqCst), "round {round}");
    }
}
