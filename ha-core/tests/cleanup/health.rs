//! What a probe is told.

use std::sync::Arc;
use std::time::Duration;

use ha_core::backend::{Name, SessionOptions};
use ha_core::state::StateStorage;
use ha_core::{ComponentId, HaServices, HighAvailabilityServices, ServicesOptions};
use ha_embedded::Embedded;

use super::rig::{Fault, World, eventually, job};

#[tokio::test]
async fn it_tells_of_leadership_session_store_and_end() {
    let seam = ha_core::seam::Seam::system();
    let store = Embedded::new(seam.clone());
    let session = SessionOptions { silence: Duration::from_secs(60), label: "s3cret-looking label".into() };
    let options = ServicesOptions { session, ..ServicesOptions::default() };
    let storage = StateStorage::open("memory://", seam.clone()).unwrap();
    let services = HaServices::new(Arc::new(store.connect()), storage, &options, seam.clone()).unwrap();
    let fresh = services.health();
    assert!(fresh.is_live() && !fresh.is_ready() && !fresh.leads(), "nothing is known of the store: {fresh:?}");
    let leadership = services.dispatcher_leader_election().unwrap().campaign().await.unwrap();
    let shard = Name::new("shard").unwrap();
    let on_shard = services.leader_election_on(&shard, ComponentId::dispatcher()).unwrap().campaign().await.unwrap();
    let health = services.health();
    assert!(health.is_live() && health.is_ready() && health.leads(), "{health:?}");
    let latches: Vec<_> = health.latches.iter().map(|latch| (latch.latch.as_str(), latch.epoch)).collect();
    let (main, shard) = (leadership.token().epoch(), on_shard.token().epoch());
    assert_eq!(latches, [("latches/shard/latch", Some(shard)), ("leader/latch", Some(main))]);
    let left = health.latches[0].valid_for_ms.unwrap();
    assert!(left > 0 && left <= 60_000, "{left}");
    let session = health.session.clone().unwrap();
    assert!(session.alive && session.valid_for_ms.unwrap() + session.renewed_ms_ago.unwrap() == 60_000);
    let json = serde_json::to_value(&health).unwrap();
    assert_eq!(json["latches"][1]["epoch"], main);
    assert!(!json.to_string().contains("s3cret"), "{json}");
    on_shard.resign().await.unwrap();
    assert_eq!(services.health().latches[0].epoch, None);
    services.close().await.unwrap();
    let closed = services.health();
    assert!(closed.closed && !closed.is_live() && !closed.is_ready() && !closed.leads(), "{closed:?}");
    drop(leadership);
}

#[tokio::test]
async fn a_store_that_fails_is_told_and_one_that_answers_again_too() {
    let world = World::new();
    let leader = world.leader().await;
    leader.trap.arm(1, Fault::Fail);
    leader.services.global_cleanup(&job("a")).await.unwrap_err();
    let store = leader.services.health().store.unwrap();
    let error = store.last_error.unwrap();
    assert_eq!((error.operation, error.kind.as_str()), ("read", "Unavailable"));
    assert!(!store.is_failing, "a single failure is no illness");
    leader.services.global_cleanup(&job("a")).await.unwrap();
    let store = leader.services.health().store.unwrap();
    assert_eq!((store.failures_in_a_row, store.is_failing), (0, false));
    assert!(store.last_error.is_some() && store.reached_ms_ago.is_some());
}

/// neither errors nor silence for longer than the silence time-out are ready; both are live.
#[tokio::test]
async fn a_store_that_never_answers_makes_it_unready_and_not_dead() {
    for fault in [Fault::CrashBefore, Fault::Fail] {
        let world = World { silence: Duration::from_secs(1), ..World::new() };
        let leader = world.leader().await;
        assert!(leader.services.health().is_ready());
        leader.trap.arm(1, fault);
        leader.trap.keep_failing();
        let services = Arc::new(leader.services);
        let calling = Arc::clone(&services);
        let task = world.seam.spawn(async move {
            while calling.global_cleanup(&job("a")).await.is_err() {
                tokio::task::yield_now().await;
            }
        });
        eventually("it is not ready", async || !services.health().is_ready()).await;
        let health = services.health();
        assert!(health.is_live() && health.store.unwrap().is_failing);
        drop(task);
    }
}
