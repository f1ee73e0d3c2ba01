//! `cleanup_all_data`, `global_cleanup`, `local_cleanup` and closing with them.

use std::sync::Arc;

use ha_core::backend::{Backend, Name, Outcome, Profile};
use ha_core::plan::ExecutionPlan;
use ha_core::{Closing, ComponentId, ErrorKind, HighAvailabilityServices, JobStatus};

use super::rig::{Fault, Ignore, Process, World, eventually, job};

/// What a leader that raised the cluster's format has written, long ago.
const CLUSTER_FORMAT: &str = r#"{"format":1,"kind":"cluster_format","write_id":"00000000000000000000000000000001","epoch":1,"body":{"format":1}}"#;

/// What is left of a job in whose end no policy retains anything: the savepoint.
fn left_of(name: &str) -> String {
    format!("{name} Savepoint NeverRetainAfterTermination")
}

async fn populated(world: &World) -> Process {
    let leader = world.leader().await;
    for name in ["job1", "job10"] {
        leader.populate(name).await;
    }
    leader.end_job("job1", JobStatus::Finished).await;
    leader.note("mine").await;
    world.tamper("formats", Some(CLUSTER_FORMAT));
    leader
}

/// HA-01, HA-03, HA-05, HA-06.
#[tokio::test]
async fn all_pointers_go_before_any_state_and_what_is_not_ours_stays() {
    let world = World::new();
    let leader = populated(&world).await;
    leader.leadership.publish("here:1").await.unwrap();
    // Left behind by leaders that are gone, here and on another latch.
    world.tamper("leader/rest_server/connection_info", Some("old"));
    world.tamper("latches/shard/dispatcher/connection_info", Some("old"));
    leader.trap.log.lock().unwrap().clear();
    leader.services.cleanup_all_data().await.unwrap();
    let log = leader.trap.log.lock().unwrap().clone();
    let last_pointer = log.iter().rposition(|line| line.starts_with("pointer")).unwrap();
    let first_state = log.iter().position(|line| line.starts_with("state")).unwrap();
    assert!(last_pointer < first_state, "{log:#?}");
    let left = ["application/mine", "formats", "job-results/job1", "leader/dispatcher/connection_info"];
    assert_eq!(world.keys().await, left);
    // It is known that job1 has finished; of job10 nothing is known, so the policy may still want it.
    assert_eq!(world.contents().await, [left_of("job1"), "job10 Checkpoint RetainOnFailure".into(), left_of("job10")]);
    assert!(leader.leadership.is_valid());
    assert!(!world.entries().await.iter().any(|entry| entry.key.last() == "epoch" && entry.value.is_empty()));
    leader.services.cleanup_all_data().await.unwrap();
    assert_eq!(world.keys().await, left, "a second time changes nothing");
}

/// HA-02.
#[tokio::test]
async fn what_could_not_be_removed_keeps_its_state_and_closing_goes_on() {
    let small = Profile::new("small", 512 << 10, 3, 1 << 20);
    let world = World::with_profile(small);
    let leader = populated(&world).await;
    let (keys, states) = (world.keys().await, world.contents().await);
    // The look, and then one commit after another: the second of them fails.
    leader.trap.arm(3, Fault::Fail);
    let error = leader.services.close_with_optional_clean(Closing::CleanUpAllData).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let (left, contents) = (world.keys().await, world.contents().await);
    assert!(left.len() > 3 && left.len() < keys.len() && contents.len() < states.len());
    // The services are closed all the same.
    assert_eq!(leader.services.global_cleanup(&job("job1")).await.unwrap_err().kind(), ErrorKind::Closed);
    assert!(!leader.leadership.is_valid());
    // Every pointer that is left leads to its state.
    let next = world.leader().await;
    let blobs = next.leadership.blob_store();
    for key in left.iter().filter(|key| key.starts_with("blobs/")) {
        let (of, blob) = key.strip_prefix("blobs/").unwrap().split_once('/').unwrap();
        drop(blobs.get(&job(of), &blob.parse().unwrap()).await.unwrap());
    }
    next.services.cleanup_all_data().await.unwrap();
    assert_eq!(world.keys().await, ["application/mine", "formats", "job-results/job1"]);
}

/// HA-04.
#[tokio::test]
async fn closing_alone_keeps_everything() {
    let world = World::new();
    let leader = populated(&world).await;
    let before = (world.keys().await, world.states().await);
    leader.services.close_with_optional_clean(Closing::KeepData).await.unwrap();
    assert_eq!((world.keys().await, world.states().await), before);
}

/// X-36, X-01: a process that does not lead removes nothing, whether it knows that or not.
#[tokio::test]
async fn who_does_not_lead_removes_nothing() {
    let world = World::new();
    let old = populated(&world).await;
    let next = world.depose(&old).await;
    let before = (world.keys().await, world.states().await);
    let standby = world.services(&Arc::default(), "default");
    for (services, kind) in [(&standby, ErrorKind::NotLeader), (&old.services, ErrorKind::Fenced)] {
        assert_eq!(services.global_cleanup(&job("job1")).await.unwrap_err().kind(), kind);
        let again = services.cleanup_all_data().await.unwrap_err().kind();
        assert!(matches!(again, ErrorKind::NotLeader | ErrorKind::Fenced), "{again:?}");
        assert_eq!((world.keys().await, world.states().await), before);
    }
    next.services.global_cleanup(&job("job1")).await.unwrap();
}

/// HA-03, HA-07, FLINK-26690.
#[tokio::test]
async fn a_job_that_was_never_seen_here_is_removed_and_no_other() {
    let world = World::new();
    let old = populated(&world).await;
    let master = old.services.leader_election(ComponentId::job_master(&job("job1")).unwrap()).unwrap();
    let master = master.campaign().await.unwrap();
    master.publish("master:1").await.unwrap();
    let leader = world.depose(&old).await;
    let others = |keys: Vec<String>| {
        let of_job1 = |key: &String| key.contains("job1/") || key.ends_with("/job1") || key.contains("job-job1/");
        keys.into_iter().filter(|key| !of_job1(key)).collect::<Vec<_>>()
    };
    let before = others(world.keys().await);
    for _ in 0..2 {
        leader.services.global_cleanup(&job("job1")).await.unwrap();
        let left = world.keys().await;
        assert_eq!(others(left.clone()), before);
        assert_eq!(left.len(), before.len() + 1, "its result is all that is left of it: {left:?}");
    }
    let contents = world.contents().await;
    let of_job1: Vec<_> =
        contents.iter().filter(|content| content.contains("job1 ") || content.ends_with("job1")).collect();
    assert_eq!(of_job1, [&left_of("job1")], "{contents:?}");
    assert_eq!(contents.len(), 8, "{contents:?}");
    leader.services.global_cleanup(&job("nobody")).await.unwrap();
}

/// The policy decides by how the job has ended; without a result it may still want what it could retain.
#[tokio::test]
async fn what_a_policy_retains_is_kept() {
    for (status, kept) in [(Some(JobStatus::Failed), true), (Some(JobStatus::Canceled), false), (None, true)] {
        let world = World::new();
        let leader = world.leader().await;
        leader.populate("a").await;
        if let Some(status) = status {
            leader.end_job("a", status).await;
        }
        leader.services.global_cleanup(&job("a")).await.unwrap();
        let retained = world.contents().await.iter().any(|content| content.ends_with("RetainOnFailure"));
        assert_eq!(retained, kept, "{status:?}");
        assert!(world.contents().await.contains(&left_of("a")));
    }
}

/// A pointer that cannot be read does not keep a job that is over from being removed; its state is kept.
#[tokio::test]
async fn broken_pointers_of_a_job_go_and_their_states_are_orphans() {
    let world = World::new();
    let leader = world.leader().await;
    let blob = leader.populate("a").await.remove(0);
    leader.populate("b").await;
    let hostile = ["?", r#"{"format":0}"#, r#"{"format":1}"#, ""];
    let broken = ["execution-plans/a".to_owned(), format!("blobs/a/{blob}"), "blobs/a/not-a-blob".into()];
    for (key, bytes) in broken.iter().zip(hostile) {
        world.tamper(key, Some(bytes));
    }
    world.tamper("jobs/a/checkpoints/junk", Some("?"));
    world.tamper("jobs/a/checkpoint_id_counter", Some("?"));
    leader.services.global_cleanup(&job("a")).await.unwrap();
    assert!(!world.keys().await.iter().any(|key| key.contains("/a")), "{:?}", world.keys().await);
    let contents = world.contents().await;
    assert!(contents.contains(&"plan of a".into()) && contents.contains(&"blob 0 of a".into()), "{contents:?}");
    assert!(!contents.contains(&"blob 1 of a".into()), "{contents:?}");
}

/// A create whose answer was lost, and that lands during or after the removal, must not bring anything back.
#[tokio::test]
async fn a_late_creation_does_not_survive_a_cleanup() {
    for all in [false, true] {
        let world = World::new();
        let leader = world.leader().await;
        leader.populate("b").await;
        // The put waits before its commit, as in a slow network; its caller gives up.
        leader.trap.close_gate("execution-plans/");
        let plans = leader.leadership.execution_plan_store();
        plans.start(Arc::new(Ignore)).await.unwrap();
        let put = world.seam.spawn(async move {
            let plan = ExecutionPlan::new(job("a"), "late".into());
            // Fenced off by the barrier, whenever it arrives.
            let _ = plans.put_execution_plan(&plan).await;
        });
        eventually("the create is on its way", async || leader.trap.waiting() == 1).await;
        match all {
            true => leader.services.cleanup_all_data().await.unwrap(),
            false => leader.services.global_cleanup(&job("a")).await.unwrap(),
        }
        drop(put);
        let late = leader.trap.held_back.lock().unwrap().pop().unwrap();
        let outcome = world.store.connect().commit(&late).await.unwrap();
        assert!(matches!(outcome, Outcome::Conflict { .. }), "{outcome:?}");
        assert!(!world.keys().await.contains(&"execution-plans/a".into()));
    }
}

/// HA-07, X-36: other leaders' latches are left alone while they are held.
#[tokio::test]
async fn what_present_leaders_of_other_latches_publish_stays() {
    let world = World::new();
    let leader = populated(&world).await;
    let other = world.services(&Arc::default(), "default");
    let shard = Name::new("shard").unwrap();
    let election = other.leader_election_on(&shard, ComponentId::dispatcher()).unwrap();
    let shard = election.campaign().await.unwrap();
    shard.publish("shard:1").await.unwrap();
    let info = "latches/shard/dispatcher/connection_info".to_owned();
    leader.services.cleanup_all_data().await.unwrap();
    assert!(world.keys().await.contains(&info));
    shard.resign().await.unwrap();
    world.tamper(&info, Some("left behind"));
    leader.services.cleanup_all_data().await.unwrap();
    assert!(!world.keys().await.contains(&info));
}

/// Thread-safe and idempotent, as the contract asks.
#[tokio::test]
async fn several_cleanups_at_once_do_no_harm() {
    let world = World::with_profile(Profile::new("small", 512 << 10, 2, 1 << 20));
    let leader = populated(&world).await;
    let a = job("job1");
    let services = &leader.services;
    let (one, two, three) =
        tokio::join!(services.global_cleanup(&a), services.global_cleanup(&a), services.global_cleanup(&a));
    for ended in [one, two, three] {
        ended.unwrap();
    }
    assert!(!world.keys().await.iter().any(|key| key.contains("job1/")));
    let (one, two) = tokio::join!(services.cleanup_all_data(), services.cleanup_all_data());
    one.unwrap();
    two.unwrap();
    assert_eq!(world.keys().await, ["application/mine", "formats", "job-results/job1"]);
    assert_eq!(world.contents().await.len(), 3);
}

#[tokio::test]
async fn local_cleanup_forgets_and_deletes_nothing() {
    let world = World::new();
    let leader = world.leader().await;
    let plans = leader.services.execution_plan_store().unwrap();
    plans.start(Arc::new(Ignore)).await.unwrap();
    let plan = ExecutionPlan::new(job("a"), "plan".into());
    plans.put_execution_plan(&plan).await.unwrap();
    let before = (world.keys().await, world.states().await);
    leader.services.local_cleanup(&job("a")).await.unwrap();
    assert_eq!((world.keys().await, world.states().await), before);
    assert_eq!(plans.put_execution_plan(&plan).await.unwrap_err().kind(), ErrorKind::NotOwned);
    plans.recover_execution_plan(&job("a")).await.unwrap().unwrap();
    plans.put_execution_plan(&plan).await.unwrap();
    // Needs no leadership, and nothing that is there.
    world.services(&Arc::default(), "default").local_cleanup(&job("nobody")).await.unwrap();
}
