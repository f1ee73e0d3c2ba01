//! The store of job results. The ids are those of the catalogue of what such a store must do.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test, as it should")]
#![allow(dead_code, reason = "the shared helpers are not all used by every test")]

#[path = "../common/mod.rs"]
mod common;
mod failing;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use common::{Fault, Leader, Rig, assert_deposed, job, poll_and_drop};
use ha_core::backend::Profile;
use ha_core::job_result::{
    DefaultJobResultStore, ERROR_BYTES_MAX, JobResult, JobResultStore, JobResultStoreOptions, JobSchedulingStatus,
    OnClean, RunningJobsRegistry,
};
use ha_core::plan::{DefaultExecutionPlanStore, ExecutionPlan, ExecutionPlanListener, ExecutionPlanStore};
use ha_core::resolve::Committer;
use ha_core::writer::{Authority, Writer};
use ha_core::{ComponentId, ErrorKind, HaServices, HighAvailabilityServices, JobId, JobStatus, ServicesOptions};
use serde_json::{Value, json};

const BELOW: &str = "job-results";
const BOTH: [OnClean; 2] = [OnClean::Remove, OnClean::Keep];

fn by(writer: Writer, on_clean: OnClean) -> DefaultJobResultStore {
    DefaultJobResultStore::new(writer, JobResultStoreOptions { on_clean })
}

fn keeping(leader: &Leader) -> DefaultJobResultStore {
    by(leader.writer.clone(), OnClean::Keep)
}

fn finished(name: &str) -> JobResult {
    JobResult::new(job(name), JobStatus::Finished).with_network_run_time_ms(7)
}

fn full(name: &str) -> JobResult {
    JobResult::new(job(name), JobStatus::Failed)
        .with_network_run_time_ms(u64::MAX)
        .with_error("line one\nline \"two\" \u{0} 🙂")
        .with_accumulator("records", json!(42))
        .with_accumulator("by \"shard\"", json!({"a": [1, null, -0.5], "b": true}))
}

/// Which of the three questions are answered with yes: any entry, a dirty one, a clean one.
async fn answers(store: &DefaultJobResultStore, name: &str) -> [bool; 3] {
    let id = job(name);
    [
        store.has_job_result_entry(&id).await.unwrap(),
        store.has_dirty_job_result_entry(&id).await.unwrap(),
        store.has_clean_job_result_entry(&id).await.unwrap(),
    ]
}

const NONE: [bool; 3] = [false, false, false];
const DIRTY: [bool; 3] = [true, true, false];
const CLEAN: [bool; 3] = [true, false, true];

async fn dirty(store: &DefaultJobResultStore) -> Vec<JobResult> {
    let all = store.dirty_results().await.unwrap();
    assert_eq!(all.broken, []);
    all.results
}

/// JR-05, JR-06, JR-07, JR-11, JR-13 to JR-19 as far as files are not meant.
#[tokio::test]
async fn a_result_goes_from_none_to_dirty_to_clean_in_one_record() {
    for on_clean in BOTH {
        let rig = Rig::new();
        let leader = rig.lead().await;
        let store = by(leader.writer.clone(), on_clean);
        assert_eq!((answers(&store, "a").await, rig.keys(BELOW).await.len()), (NONE, 0));
        store.create_dirty_result(&full("a")).await.unwrap();
        assert_eq!(answers(&store, "a").await, DIRTY);
        let contents = rig.contents(BELOW).await;
        assert_eq!(contents[0].0, "job-results/a");
        let record: Value = serde_json::from_slice(&contents[0].1).unwrap();
        assert_eq!((&record["format"], &record["kind"]), (&json!(1), &json!("job_result")));
        assert_eq!(record["body"]["state"], "dirty");
        store.mark_result_as_clean(&job("a")).await.unwrap();
        let after = rig.contents(BELOW).await;
        if on_clean == OnClean::Remove {
            assert_eq!((answers(&store, "a").await, after.len()), (NONE, 0));
            continue;
        }
        assert_eq!((answers(&store, "a").await, after.len()), (CLEAN, 1));
        let cleaned: Value = serde_json::from_slice(&after[0].1).unwrap();
        assert_eq!(cleaned["body"]["state"], "clean");
        assert_eq!(cleaned["body"]["result"], record["body"]["result"], "nothing of it is lost");
    }
}

/// JR-01, JR-02.
#[tokio::test]
async fn a_second_result_of_a_job_is_refused_whether_the_first_is_dirty_or_clean() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let store = keeping(&leader);
    store.create_dirty_result(&finished("a")).await.unwrap();
    let before = rig.contents(BELOW).await;
    for second in [finished("a"), full("a")] {
        let error = store.create_dirty_result(&second).await.unwrap_err();
        assert_eq!((error.kind(), error.subject()), (ErrorKind::AlreadyExists, "a"));
    }
    assert_eq!(rig.contents(BELOW).await, before);
    store.mark_result_as_clean(&job("a")).await.unwrap();
    let before = rig.contents(BELOW).await;
    assert_eq!(store.create_dirty_result(&finished("a")).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(rig.contents(BELOW).await, before);
}

/// JR-03, JR-04, JR-16, JR-17, X-33: twice, in both modes.
#[tokio::test]
async fn marking_clean_again_changes_no_byte_and_marking_an_unknown_job_is_not_found() {
    for on_clean in BOTH {
        let rig = Rig::new();
        let leader = rig.lead().await;
        let store = by(leader.writer.clone(), on_clean);
        let unknown = store.mark_result_as_clean(&job("unknown")).await.unwrap_err();
        assert_eq!(unknown.kind(), ErrorKind::NotFound);
        store.create_dirty_result(&full("a")).await.unwrap();
        store.mark_result_as_clean(&job("a")).await.unwrap();
        let before = rig.contents(BELOW).await;
        let again = store.mark_result_as_clean(&job("a")).await;
        match on_clean {
            OnClean::Keep => again.unwrap(),
            OnClean::Remove => assert_eq!(again.unwrap_err().kind(), ErrorKind::NotFound),
        }
        assert_eq!(rig.contents(BELOW).await, before, "not even the revision moves");
    }
}

/// An operator who begins to remove clean entries does not lose those that were kept on purpose.
#[tokio::test]
async fn a_clean_entry_that_was_kept_stays_when_the_mode_changes() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    keeping(&leader).create_dirty_result(&finished("a")).await.unwrap();
    keeping(&leader).mark_result_as_clean(&job("a")).await.unwrap();
    let before = rig.contents(BELOW).await;
    let removing = by(leader.writer.clone(), OnClean::Remove);
    removing.mark_result_as_clean(&job("a")).await.unwrap();
    assert_eq!(rig.contents(BELOW).await, before);
}

/// JR-08, JR-09, JR-10, JR-19.
#[tokio::test]
async fn dirty_results_are_whole_and_exclude_clean_ones() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let store = keeping(&leader);
    assert_eq!(dirty(&store).await, []);
    for result in [full("job1"), finished("job10"), JobResult::new(job("a"), JobStatus::Canceled)] {
        store.create_dirty_result(&result).await.unwrap();
    }
    assert_eq!(dirty(&store).await, [JobResult::new(job("a"), JobStatus::Canceled), full("job1"), finished("job10")]);
    store.mark_result_as_clean(&job("job1")).await.unwrap();
    assert_eq!(dirty(&store).await, [JobResult::new(job("a"), JobStatus::Canceled), finished("job10")]);
    // Another process finds the same, and needs no leadership for it.
    let writer = Writer::new(
        Committer::new(Arc::new(rig.store.connect()), rig.seam.clone()),
        Authority::Current(tokio::sync::watch::channel(None).1),
    );
    let observer = by(writer, OnClean::Keep);
    assert_eq!(dirty(&observer).await, dirty(&store).await);
    assert_eq!(observer.create_dirty_result(&finished("x")).await.unwrap_err().kind(), ErrorKind::NotLeader);
    assert_eq!(observer.mark_result_as_clean(&job("a")).await.unwrap_err().kind(), ErrorKind::NotLeader);
}

/// X-33, FLINK-39704: a job that another leader recovers has no result, whatever was about to be written.
#[tokio::test]
async fn only_a_globally_terminal_status_is_stored() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let store = keeping(&leader);
    for status in [JobStatus::Suspended, JobStatus::Running, JobStatus::Failing, JobStatus::Cancelling] {
        let error = store.create_dirty_result(&JobResult::new(job("a"), status)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(&status.to_string()), "{error}");
    }
    assert_eq!(leader.backend.commits.load(Ordering::SeqCst), 0);
    store.create_dirty_result(&finished("a")).await.unwrap();
}

struct Deaf;

impl ExecutionPlanListener for Deaf {
    fn on_added_execution_plan(&self, _: &JobId) {}
    fn on_removed_execution_plan(&self, _: &JobId) {}
}

/// A job that is over is never shown as one that may run, for as long as its result is kept.
#[tokio::test]
async fn the_registry_shows_what_plans_and_results_say() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let (store, a) = (keeping(&leader), job("a"));
    let plans = DefaultExecutionPlanStore::new(leader.writer.clone(), rig.storage.clone());
    plans.start(Arc::new(Deaf)).await.unwrap();
    let registry = RunningJobsRegistry::new(Arc::new(rig.store.connect()));
    let status = async || registry.job_scheduling_status(&a).await.unwrap();
    assert_eq!(status().await, JobSchedulingStatus::Pending);
    plans.put_execution_plan(&ExecutionPlan::new(a.clone(), "graph".into())).await.unwrap();
    assert_eq!(status().await, JobSchedulingStatus::Running);
    store.create_dirty_result(&finished("a")).await.unwrap();
    assert_eq!(status().await, JobSchedulingStatus::Done);
    plans.global_cleanup(&a).await.unwrap();
    assert_eq!(status().await, JobSchedulingStatus::Done);
    store.mark_result_as_clean(&a).await.unwrap();
    assert_eq!(status().await, JobSchedulingStatus::Done);
    rig.tamper("job-results/a", Some("?"));
    assert_eq!(registry.job_scheduling_status(&a).await.unwrap_err().kind(), ErrorKind::Corrupt);
    // With entries that are removed, a job that is wholly cleaned up is as one that never was.
    rig.tamper("job-results/a", None);
    assert_eq!(status().await, JobSchedulingStatus::Pending);
}

/// The services hand out one store, which follows this process from term to term; that of a
/// leadership stays with its own.
#[tokio::test]
async fn the_services_give_one_store_that_writes_under_the_present_term() {
    let rig = Rig::new();
    let options = ServicesOptions {
        job_results: JobResultStoreOptions { on_clean: OnClean::Keep },
        ..ServicesOptions::default()
    };
    let backend = Arc::new(rig.store.connect());
    let services = HaServices::new(backend, rig.storage.clone(), &options, rig.seam.clone()).unwrap();
    let store = services.job_result_store().unwrap();
    assert!(Arc::ptr_eq(&store, &services.job_result_store().unwrap()));
    assert_eq!(store.create_dirty_result(&finished("a")).await.unwrap_err().kind(), ErrorKind::NotLeader);
    let dispatcher = services.leader_election(ComponentId::dispatcher()).unwrap();
    let first = dispatcher.campaign().await.unwrap();
    let of_first = first.job_result_store();
    store.create_dirty_result(&finished("a")).await.unwrap();
    of_first.mark_result_as_clean(&job("a")).await.unwrap();
    assert!(store.has_clean_job_result_entry(&job("a")).await.unwrap(), "the options reach both");
    first.resign().await.unwrap();
    let second = dispatcher.campaign().await.unwrap();
    assert_deposed(of_first.create_dirty_result(&finished("b")).await);
    store.create_dirty_result(&finished("b")).await.unwrap();
    let registry = services.running_jobs_registry().unwrap();
    assert_eq!(registry.job_scheduling_status(&job("b")).await.unwrap(), JobSchedulingStatus::Done);
    second.resign().await.unwrap();
    services.close().await.unwrap();
    assert_eq!(services.job_result_store().unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(services.running_jobs_registry().unwrap_err().kind(), ErrorKind::Closed);
}
