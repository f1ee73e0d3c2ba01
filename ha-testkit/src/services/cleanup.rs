//! The end of jobs and clusters: HA, and what X says of clean-up and orphans.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use ha_core::blob::BlobKey;
use ha_core::checkpoint::{CheckpointKind, CompletedCheckpoint, DiscardStateOnly, RecoveryClaimMode, RetentionPolicy};
use ha_core::cleanup::{CleanupEnd, CleanupStrategy, OrphanCollector, OrphanOptions, ResourceCleaner};
use ha_core::election::Leadership;
use ha_core::job_result::JobResult;
use ha_core::state::chunks_of;
use ha_core::{Closing, ComponentId, ErrorKind, HighAvailabilityServices, JobStatus, ServicesOptions};

use super::cluster::{assert_deposed, assert_kind, job};
use super::plans::{plan, started};
use super::{Cluster, Process};
use crate::faults::{Call, Fault};
use crate::fixture::Going;

/// How many states a populated job has, and how many of them outlive it: the savepoint, and while it is not known
/// how it ended, the checkpoint that its policy may retain.
const STATES: usize = 6;
const SAVEPOINTS: usize = 1;

/// Stores one of everything for that job.
async fn populate(leadership: &Leadership, name: &str) -> BlobKey {
    let (plans, _) = started(leadership).await;
    plans.put_execution_plan(&plan(name, name)).await.unwrap();
    let factory = leadership.checkpoint_recovery_factory();
    let counter = factory.create_checkpoint_id_counter(&job(name));
    counter.start().await.unwrap();
    let (mode, discarder) = (RecoveryClaimMode::NoClaim, Arc::new(DiscardStateOnly));
    let store = factory.create_recovered_completed_checkpoint_store(&job(name), 9, mode, discarder).await.unwrap();
    for (kind, retention) in [
        (CheckpointKind::Checkpoint, RetentionPolicy::NeverRetainAfterTermination),
        (CheckpointKind::Savepoint, RetentionPolicy::NeverRetainAfterTermination),
        (CheckpointKind::Checkpoint, RetentionPolicy::RetainOnFailure),
    ] {
        let id = counter.get_and_increment().await.unwrap();
        let checkpoint = CompletedCheckpoint::new(id, kind, id, format!("{name} {id}").into());
        store.add_checkpoint_and_subsume_oldest_one(checkpoint.with_retention(retention)).await.unwrap();
    }
    leadership.blob_store().put(&job(name), chunks_of(format!("one of {name}").into())).await.unwrap();
    leadership.blob_store().put(&job(name), chunks_of(format!("two of {name}").into())).await.unwrap()
}

async fn end_job(leadership: &Leadership, name: &str) -> JobResult {
    let result = JobResult::new(job(name), JobStatus::Finished);
    leadership.job_result_store().create_dirty_result(&result).await.unwrap();
    result
}

/// The keys of the cluster, but those of latches and what leaders publish.
async fn keys(c: &Cluster) -> Vec<String> {
    let below = "flink/default/";
    let backend = c.connect().await;
    let keys = c.list(&backend, below).await.into_iter().map(|entry| entry.key.as_str()[below.len()..].to_owned());
    keys.filter(|key| !key.starts_with("leader/") && !key.starts_with("latches/")).collect()
}

fn of_job(keys: &[String], name: &str) -> Vec<String> {
    keys.iter().filter(|key| key.split('/').any(|part| part == name)).cloned().collect()
}

fn soon() -> CleanupStrategy {
    CleanupStrategy::FixedDelay { delay: Duration::from_millis(1), attempts: None }
}

pub async fn ha_01_pointers_go_before_states(c: Cluster) {
    let (one, leadership) = c.leader("one").await;
    populate(&leadership, "a").await;
    let states = c.states().await;
    assert_eq!(states.len(), STATES);
    one.line.hold();
    let services = Arc::new(one.services);
    let cleaning = Arc::clone(&services);
    let cleaned = c.go(async move { cleaning.cleanup_all_data().await });
    c.eventually("the removals are on their way", || async { one.line.held() > 0 }).await;
    assert_eq!(c.states().await, states, "nothing is deleted while a pointer leads to it");
    one.line.let_go();
    cleaned.await.unwrap();
    assert_eq!(keys(&c).await, Vec::<String>::new());
    assert_eq!(c.states().await.len(), SAVEPOINTS + 1, "what a user owns, and what a policy may retain");
}

pub async fn ha_02_what_cannot_be_removed_keeps_its_state_and_closing_goes_on(c: Cluster) {
    let (one, leadership) = c.leader("one").await;
    populate(&leadership, "a").await;
    let (before, states) = (keys(&c).await, c.states().await);
    one.plan.always(Call::Commit, Fault::FailBefore);
    assert_kind(ErrorKind::Unavailable, one.services.close_with_optional_clean(Closing::CleanUpAllData).await);
    assert_eq!((keys(&c).await, c.states().await), (before, states));
    assert_kind(ErrorKind::Closed, one.services.dispatcher_leader_election());
    assert!(!leadership.is_valid());
}

pub async fn ha_03_the_end_of_a_job_leaves_its_result(c: Cluster) {
    let (one, leadership) = c.leader("one").await;
    populate(&leadership, "a").await;
    end_job(&leadership, "a").await;
    let master = one.lead_as(ComponentId::job_master(&job("a")).unwrap()).await;
    master.publish("master:1").await.unwrap();
    master.resign().await.unwrap();
    one.services.global_cleanup(&job("a")).await.unwrap();
    assert_eq!(keys(&c).await, ["job-results/a"]);
    assert_eq!(c.entry("leader/job-a/connection_info").await, None);
    assert!(leadership.job_result_store().has_dirty_job_result_entry(&job("a")).await.unwrap(), "it is not marked");
    assert_eq!(c.states().await.len(), SAVEPOINTS, "it is known that the job has finished: nothing else is retained");
}

pub async fn ha_04_closing_keeps_everything(c: Cluster) {
    let (one, leadership) = c.leader("one").await;
    let blob = populate(&leadership, "a").await;
    let before = (keys(&c).await, c.states().await);
    one.services.close_with_optional_clean(Closing::KeepData).await.unwrap();
    assert_eq!((keys(&c).await, c.states().await), before);
    drop(leadership);
    let (_two, leads) = c.leader("two").await;
    let got: Vec<_> = leads.blob_store().get(&job("a"), &blob).await.unwrap().try_collect().await.unwrap();
    assert_eq!(got.concat(), b"two of a", "another process recovers");
}

pub async fn ha_05_cleaning_up_removes_all_but_results_latches_and_epochs(c: Cluster) {
    let (one, leadership) = c.leader("one").await;
    for name in ["a", "b", "c"] {
        populate(&leadership, name).await;
        end_job(&leadership, name).await;
    }
    leadership.publish("here:1").await.unwrap();
    let token = leadership.token();
    for _ in 0..2 {
        one.services.cleanup_all_data().await.unwrap();
        assert_eq!(keys(&c).await, ["job-results/a", "job-results/b", "job-results/c"]);
        assert_eq!(c.states().await.len(), 3 * SAVEPOINTS);
    }
    c.sees(&mut one.watch(), "here:1").await;
    assert!(leadership.is_valid(), "who cleans up leads on");
    let (_two, leads) = c.take_over("two").await;
    assert!(leads.token() > token, "epochs go on");
}

pub async fn ha_06_what_stands_beside_the_cluster_stays(c: Cluster) {
    let (one, leadership) = c.leader("one").await;
    populate(&leadership, "a").await;
    let other = ServicesOptions { cluster_id: "default-2".into(), ..c.options("other") };
    let neighbour = c.process_with(&other).await;
    let theirs = neighbour.lead().await;
    let blob = populate(&theirs, "a").await;
    let backend = c.connect().await;
    let before = c.texts(&backend, "flink/default-2").await;
    one.services.cleanup_all_data().await.unwrap();
    assert_eq!(c.texts(&backend, "flink/default-2").await, before);
    let got: Vec<_> = theirs.blob_store().get(&job("a"), &blob).await.unwrap().try_collect().await.unwrap();
    assert_eq!(got.concat(), b"two of a");
    assert_eq!(c.states().await.len(), STATES + SAVEPOINTS + 1);
}

pub async fn ha_07_the_end_of_a_job_disturbs_no_other(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    for name in ["job1", "job10", "job"] {
        populate(&leadership, name).await;
    }
    let (two, _leads) = c.take_over("two").await;
    let before = keys(&c).await;
    two.services.global_cleanup(&job("job1")).await.unwrap();
    let after = keys(&c).await;
    assert_eq!(of_job(&after, "job1"), Vec::<String>::new(), "though this process never saw it");
    for name in ["job10", "job"] {
        assert_eq!(of_job(&after, name), of_job(&before, name));
    }
    assert_eq!(c.states().await.len(), 2 * STATES + SAVEPOINTS + 1);
    two.services.global_cleanup(&job("job1")).await.unwrap();
    two.services.global_cleanup(&job("nobody")).await.unwrap();
    assert_eq!(keys(&c).await, after);
}

pub async fn ha_12_cleaning_up_is_tried_until_it_is_done_and_then_the_result_is_clean(c: Cluster) {
    let (one, leadership) = c.leader("one").await;
    populate(&leadership, "a").await;
    let result = end_job(&leadership, "a").await;
    for fault in [Fault::FailBefore, Fault::FailBefore, Fault::FailAfter, Fault::FailBefore] {
        one.plan.next(Call::Commit, fault);
        one.plan.next(Call::List, fault);
    }
    let cleaner = ResourceCleaner::of(&leadership, soon()).unwrap();
    let end = c.in_time("the clean-up ends", cleaner.clean_up(&result)).await;
    assert_eq!(end, CleanupEnd::Clean);
    assert_eq!(keys(&c).await, Vec::<String>::new());
    assert!(!leadership.job_result_store().has_job_result_entry(&job("a")).await.unwrap());
}

pub async fn ha_13_the_next_leader_takes_over_what_is_dirty(c: Cluster) {
    let (one, leadership) = c.leader("one").await;
    for name in ["a", "b"] {
        populate(&leadership, name).await;
    }
    let result = end_job(&leadership, "a").await;
    one.line.make_unaware();
    one.line.hold();
    let cleaner = ResourceCleaner::of(&leadership, soon()).unwrap();
    let old = c.go(async move { cleaner.clean_up(&result).await });
    c.eventually("the first removal is on its way", || async { one.line.held() > 0 }).await;
    let (_two, leads) = c.take_over("two").await;
    let mut taken_over =
        ResourceCleaner::of(&leads, soon()).unwrap().clean_up_dirty_results().await.expect("the dirty results");
    let ends = c.in_time("the next leader cleans up", taken_over.finished()).await;
    assert_eq!(ends, [(job("a"), CleanupEnd::Clean)]);
    let after = (keys(&c).await, c.states().await);
    one.line.let_go();
    let end = c.in_time("the old leader ends", old).await;
    assert!(matches!(&end, CleanupEnd::Stopped(_)), "{end:?}");
    assert_eq!((keys(&c).await, c.states().await), after);
    assert_eq!(of_job(&after.0, "a"), Vec::<String>::new());
    assert!(!of_job(&after.0, "b").is_empty());
}

/// Puts a blob, and waits until its pointer is about to be sent.
pub(super) async fn put_on_its_way(c: &Cluster, process: &Process, leadership: &Leadership) -> Going<bool> {
    process.line.hold();
    let blobs = leadership.blob_store();
    let put = c.go(async move { blobs.put(&job("late"), chunks_of("late".into())).await.is_ok() });
    c.eventually("the pointer is on its way", || async { process.line.held() > 0 }).await;
    put
}

pub async fn x_30_orphans_are_collected_and_nothing_else(c: Cluster) {
    let (old, leadership) = c.leader("old").await;
    let blob = populate(&leadership, "a").await;
    let _put = put_on_its_way(&c, &old, &leadership).await;
    old.line.make_unaware();
    let (new, leads) = c.take_over("new").await;
    let collector = OrphanCollector::of(&leads, OrphanOptions::default());
    let own_put = put_on_its_way(&c, &new, &leads).await;
    assert_eq!(c.states().await.len(), STATES + 2);
    // One state of an earlier term waits for its pointer, and one of this term.
    let found = collector.find().await.unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(c.states().await.len(), STATES + 2, "a look deletes nothing");
    assert_eq!(collector.collect().await.unwrap().deleted, found);
    old.line.let_go();
    new.line.let_go();
    assert!(c.in_time("the leader's put ends", own_put).await);
    assert!(!c.in_time("the old leader's put ends", _put).await, "its late pointer is refused");
    let late = BlobKey::of(b"late");
    for (name, key) in [("a", blob), ("late", late)] {
        let pieces: Vec<_> = leads.blob_store().get(&job(name), &key).await.unwrap().try_collect().await.unwrap();
        assert!(!pieces.concat().is_empty());
    }
    assert_eq!(collector.find().await.unwrap(), []);
    c.until_states(STATES + 1).await;
}

pub async fn x_36_an_interrupted_cleanup_is_finished_by_another_process(c: Cluster) {
    let mut round = 0;
    for call in [Call::Commit, Call::List, Call::Read] {
        for fault in [Fault::FailBefore, Fault::FailAfter, Fault::LostBefore, Fault::Hang] {
            round += 1;
            let (name, beside) = (format!("job-{round}"), format!("job-{round}-and-more"));
            let (one, leadership) = c.leader("one").await;
            populate(&leadership, &name).await;
            populate(&leadership, &beside).await;
            end_job(&leadership, &name).await;
            let others = of_job(&keys(&c).await, &beside);
            let states = c.states().await.len();
            one.plan.next(call, fault);
            let job_id = job(&name);
            let mut cleaning = std::pin::pin!(one.services.global_cleanup(&job_id));
            if fault == Fault::Hang {
                // It hangs where it is, and dies there.
                let calls = one.plan.calls(call);
                let hangs = c.eventually("it hangs", || async { one.plan.calls(call) > calls });
                futures_util::future::select(&mut cleaning, std::pin::pin!(hangs)).await;
            } else {
                // Whether it got over that by itself is not the point here.
                let _ = c.in_time("it ends", &mut cleaning).await;
            }
            one.kill().await;
            c.in_time("the leadership is over", leadership.lost()).await;
            let (two, leads) = c.leader("two").await;
            two.services.global_cleanup(&job_id).await.unwrap();
            let collector = OrphanCollector::of(&leads, OrphanOptions::default());
            // Nothing to say of what was collected: whether there was any depends on the step.
            let _ = collector.collect().await.unwrap();
            let left = keys(&c).await;
            assert_eq!(of_job(&left, &name), [format!("job-results/{name}")], "{call:?} {fault:?}");
            assert_eq!(of_job(&left, &beside), others, "{call:?} {fault:?}");
            c.eventually("its states are gone", || async { c.states().await.len() == states - STATES + SAVEPOINTS })
                .await;
            leads.resign().await.unwrap();
        }
    }
    let standby = c.process("standby").await;
    let before = c.everything().await;
    assert_deposed("cleaning up", standby.services.cleanup_all_data().await);
    assert_deposed("cleaning up", standby.services.global_cleanup(&job("job-1")).await);
    assert_eq!(c.everything().await, before, "who does not lead removes nothing");
}
