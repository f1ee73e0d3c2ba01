//! What was found by attacking clean-up, orphans, and the end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use ha_core::backend::{Expect, Name};
use ha_core::cleanup::{
    CleanableResource, CleanupEnd, CleanupStrategy, OrphanCollector, OrphanOptions, ResourceCleaner,
};
use ha_core::formats::ClusterFormat;
use ha_core::job_result::JobResult;
use ha_core::state::chunks_of;
use ha_core::{
    ComponentId, Error, ErrorKind, HighAvailabilityServices, JobStatus, ServicesOptions, application_prefix,
    shut_down_after,
};
use tokio::sync::Notify;

use super::rig::{Fault, World, eventually, job};

#[tokio::test]
async fn after_resigning_no_election_is_accepted_on_any_latch() {
    // Fails if only the elections that were got before are closed.
    let world = World::new();
    let leader = world.leader().await;
    leader.services.resign().await.unwrap();
    let shard = Name::new("shard").unwrap();
    let refused = async |services: &dyn HighAvailabilityServices, latch: Option<&Name>| {
        let election = match latch {
            Some(latch) => services.leader_election_on(latch, ComponentId::dispatcher()),
            None => services.dispatcher_leader_election(),
        };
        assert_eq!(election.map(drop).unwrap_err().kind(), ErrorKind::Closed, "{latch:?}");
    };
    refused(&leader.services, Some(&shard)).await;
    // Nor by one that had no election yet.
    let fresh = world.services(&Arc::default(), "default");
    fresh.resign().await.unwrap();
    refused(&fresh, Some(&shard)).await;
    refused(&fresh, None).await;
    // Everything else goes on.
    let next = world.leader().await;
    next.populate("a").await;
    let plans = fresh.execution_plan_store().unwrap();
    assert_eq!(plans.job_ids().await.unwrap(), [job("a")]);
    assert_eq!(fresh.global_cleanup(&job("a")).await.unwrap_err().kind(), ErrorKind::NotLeader);
}

#[tokio::test]
async fn resigning_ends_also_if_the_store_answers_nothing() {
    let world = World::new();
    let leader = world.leader().await;
    leader.trap.hang_release();
    leader.trap.arm(1, Fault::CrashBefore);
    let resigned = world.seam.timeout(Duration::from_secs(60), leader.services.resign()).await;
    assert_eq!(resigned.expect("within a bound").unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(!leader.leadership.is_valid());
}

#[tokio::test]
async fn orphans_behind_more_live_states_than_one_run_takes_are_found() {
    // Fails if what pointers lead to, or what is too young, counts for the bound: the same first ones are found at
    // each run, and the orphans behind them never.
    let world = World::new();
    let old = world.leader().await;
    old.populate("a").await;
    let blobs = old.leadership.blob_store();
    let mut lost = Vec::new();
    for number in 0..3 {
        lost.push(blobs.put(&job("z"), chunks_of(format!("lost {number}").into())).await.unwrap());
    }
    for key in lost {
        world.tamper(&format!("blobs/z/{key}"), None);
    }
    let leader = world.depose(&old).await;
    let options = OrphanOptions { orphans_max: 2, ..OrphanOptions::default() };
    let collector = OrphanCollector::of(&leader.leadership, options);
    let first = collector.collect().await.unwrap();
    assert_eq!((first.deleted.len(), first.may_be_more), (2, true));
    let second = collector.collect().await.unwrap();
    assert_eq!((second.deleted.len(), second.may_be_more), (1, false));
    assert!(!world.contents().await.iter().any(|content| content.starts_with("lost")));
}

/// Waits at its gate when it is first called.
#[derive(Debug, Default)]
struct Gated {
    reached: AtomicBool,
    gate: Notify,
}

#[async_trait]
impl CleanableResource for Gated {
    fn name(&self) -> &'static str {
        "gated"
    }
    async fn global_cleanup(&self, _: &JobResult) -> Result<(), Error> {
        if !self.reached.swap(true, Ordering::SeqCst) {
            self.gate.notified().await;
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_cleanup_that_somebody_else_has_finished_takes_nothing_from_the_next_run_of_the_job() {
    // Fails if the clean-up goes on after the result is clean: the job may be submitted again from then on.
    for ended_again in [false, true] {
        for first in [true, false] {
            let world = World::new();
            let leader = world.leader().await;
            leader.populate("a").await;
            let result = leader.end_job("a", JobStatus::Finished).await;
            let gated = Arc::new(Gated::default());
            let cleaner = ResourceCleaner::of(&leader.leadership, CleanupStrategy::None).unwrap();
            let slow = match first {
                true => cleaner.clone().first(Arc::<Gated>::clone(&gated)),
                false => cleaner.clone().beside(Arc::<Gated>::clone(&gated)),
            };
            let (ended, answer) = tokio::sync::oneshot::channel();
            let of = result.clone();
            let task = world.seam.spawn(async move { drop(ended.send(slow.clean_up(&of).await)) });
            eventually("the slow one has begun", async || gated.reached.load(Ordering::SeqCst)).await;
            assert_eq!(cleaner.clean_up(&result).await, CleanupEnd::Clean);
            // The result is gone, so the job may run again.
            leader.populate("a").await;
            if ended_again {
                leader.end_job("a", JobStatus::Failed).await;
            }
            let before = (world.keys().await, world.states().await);
            gated.gate.notify_one();
            let end = answer.await.unwrap();
            // A later result is somebody else's to clean up after, with all that must be gone first.
            assert_eq!((world.keys().await, world.states().await), before, "{ended_again} {first} {end:?}");
            drop(task);
        }
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_removed_keeps_nothing_else_of_the_job() {
    // Fails if it stands in one commit with the others, and so refuses them all.
    let world = World::new();
    let leader = world.leader().await;
    leader.populate("a").await;
    for foreign in ["jobs/a/latch", "jobs/a/checkpoints/epoch", "blobs/a/latch"] {
        world.tamper(foreign, Some("of a foreign program"));
    }
    // What is told of them is one thing; that everything else goes is another.
    let ended = leader.services.global_cleanup(&job("a")).await;
    let entries = world.entries().await;
    let left: Vec<_> = entries.iter().map(|entry| entry.key.as_str()).filter(|key| key.contains("/a/")).collect();
    assert_eq!(left.len(), 3, "{left:?} {ended:?}");
    assert!(!world.keys().await.contains(&"execution-plans/a".into()));
}

#[tokio::test]
async fn a_cluster_that_would_lie_within_the_records_of_another_is_refused() {
    // Fails if cluster `prod/jobs` is taken for the jobs of cluster `prod`, and cleaned up with them.
    for id in ["default/jobs", "default/blobs/x", "/default/execution-plans/", "default/leader", "default/latches/a"] {
        let options = ServicesOptions { cluster_id: id.into(), ..ServicesOptions::default() };
        let error = options.validate().unwrap_err();
        assert_eq!((error.kind(), error.subject()), (ErrorKind::Invalid, "cluster_id"), "{id}");
    }
    // What is only beside is fine, whatever it is called.
    let world = World::new();
    let (leader, other) = (world.leader().await, world.leader_of("default/eu").await);
    leader.populate("a").await;
    other.populate("a").await;
    let of_other = async || {
        let keys = world.keys().await.into_iter().filter(|key| key.starts_with("eu/")).collect::<BTreeSet<_>>();
        (keys, world.states().await.into_iter().filter(|(path, _)| path.starts_with("default/eu/")).collect::<Vec<_>>())
    };
    let before = of_other().await;
    assert!(before.0.len() > 5 && before.1.len() > 5, "{before:?}");
    leader.services.cleanup_all_data().await.unwrap();
    let next = world.depose(&leader).await;
    assert!(
        OrphanCollector::of(&next.leadership, OrphanOptions::default()).collect().await.unwrap().deleted.is_empty()
    );
    assert_eq!(of_other().await, before);
}

#[tokio::test]
async fn a_pointer_that_leads_to_the_state_of_another_takes_that_state_from_nobody() {
    // Fails if whatever a pointer leads to is deleted with it: an operator who copies a plan gives two one state.
    let world = World::new();
    let leader = world.leader().await;
    leader.populate("a").await;
    let entries = world.entries().await;
    let value = |key: &str| {
        let entry = entries.iter().find(|entry| entry.key.as_str().ends_with(key)).unwrap();
        String::from_utf8(entry.value.to_vec()).unwrap()
    };
    world.tamper("execution-plans/copy", Some(&value("execution-plans/a")));
    world.tamper("jobs/copy/checkpoints/0000000000000000001", Some(&value("checkpoints/0000000000000000001")));
    let blob = entries.iter().find(|entry| entry.key.as_str().contains("/blobs/a/")).unwrap();
    let (name, content) = (blob.key.last(), String::from_utf8(blob.value.to_vec()).unwrap());
    world.tamper(&format!("blobs/copy/{name}"), Some(&content));
    let before = world.states().await;
    leader.services.global_cleanup(&job("copy")).await.unwrap();
    assert_eq!(world.states().await, before);
    assert!(!world.keys().await.iter().any(|key| key.contains("copy")));
}

#[tokio::test]
async fn a_draft_from_before_the_end_of_a_leadership_is_not_sent_after_it() {
    // Fails if only the fence is asked: the store may not know yet that this leader has given up.
    let key = |name: &str| application_prefix().key(&Name::new(name).unwrap());
    let body = ClusterFormat { format: 1 };
    for end in ["resigned", "closed", "shut down"] {
        let world = World::new();
        let leader = world.leader().await;
        let writer = leader.leadership.writer();
        let draft = writer.draft().unwrap().put(key("late"), Expect::Absent, &body).unwrap();
        leader.trap.hang_release();
        match end {
            "resigned" => drop(leader.services.resign().await),
            "closed" => leader.services.close().await.unwrap(),
            _ => {
                leader.trap.hang_close();
                shut_down_after(async {}, &leader.services, &world.seam, Duration::from_millis(200)).await;
            }
        }
        let sent = writer.commit(draft).await;
        assert!(sent.is_err(), "{end}: {sent:?}");
        assert!(!world.keys().await.iter().any(|key| key.contains("late")), "{end}");
    }
}

#[tokio::test]
async fn what_was_written_before_the_store_was_restored_is_not_collected_as_an_orphan() {
    // Fails if lower epochs make states of the former history look like leftovers of an earlier term.
    let world = World::new();
    let mut leader = world.leader().await;
    for _ in 0..8 {
        leader.populate("a").await;
        leader = world.depose(&leader).await;
        leader.services.global_cleanup(&job("a")).await.unwrap();
    }
    leader.populate("a").await;
    // An older store: no epoch, no pointers. The states are all there.
    let restored = World { states: Arc::clone(&world.states), ..World::new() };
    let before = restored.states().await;
    let mut next = restored.leader().await;
    let collect =
        async |of: &super::rig::Process| OrphanCollector::of(&of.leadership, OrphanOptions::default()).collect().await;
    for _ in 0..2 {
        assert_eq!(collect(&next).await.unwrap_err().kind(), ErrorKind::IllegalState);
        next.populate("b").await;
        let mine = restored.contents().await;
        let error = next.services.cleanup_all_data().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::IllegalState, "what cannot be told is said");
        assert!(mine.len() > restored.contents().await.len(), "its own states go with their pointers");
        next = restored.depose(&next).await;
    }
    let left = restored.states().await;
    assert!(before.iter().all(|state| left.contains(state)));
    assert!(!restored.keys().await.iter().any(|key| key.contains("/b")));
}

#[test]
fn a_job_that_no_result_could_be_stored_for_is_refused_from_the_first() {
    // Fails if it may be named like a latch's own keys: it would run, and could never end.
    for name in ["latch", "epoch"] {
        let error = ha_core::JobId::new(name).unwrap_err();
        assert_eq!((error.kind(), error.subject()), (ErrorKind::Invalid, name));
    }
    for name in ["barrier", "latches", "formats", "leader"] {
        ha_core::JobId::new(name).unwrap();
    }
}
