//! Results of jobs: JR.

use std::sync::Arc;

use ha_core::election::Leadership;
use ha_core::job_result::{JobResult, JobResultStore, JobResultStoreOptions, OnClean};
use ha_core::{ErrorKind, HighAvailabilityServices, JobStatus, ServicesOptions};
use serde_json::{Value, json};

use super::cluster::{assert_kind, job};
use super::{Cluster, Process};
use crate::faults::{Call, Fault};

pub(super) type Results = Arc<dyn JobResultStore>;

fn keeping(c: &Cluster) -> ServicesOptions {
    let job_results = JobResultStoreOptions { on_clean: OnClean::Keep };
    ServicesOptions { job_results, ..c.options("keeping") }
}

/// A leader that keeps results once they are clean.
async fn keeper(c: &Cluster) -> (Process, Leadership, Results) {
    let process = c.process_with(&keeping(c)).await;
    let leadership = process.lead().await;
    let results = leadership.job_result_store();
    (process, leadership, results)
}

pub(super) fn result(name: &str) -> JobResult {
    JobResult::new(job(name), JobStatus::Finished)
}

pub(super) fn full(name: &str) -> JobResult {
    JobResult::new(job(name), JobStatus::Failed)
        .with_network_run_time_ms(u64::MAX)
        .with_error("a \"quoted\"\nline, and ein Zeichen: ß🙂")
        .with_accumulator("records", json!(42))
        .with_accumulator("by name", json!({"a": [1, null, true], "b": 0.5}))
}

/// Whether there is an entry, a dirty one, a clean one.
pub(super) async fn has(results: &Results, name: &str) -> [bool; 3] {
    let job = job(name);
    [
        results.has_job_result_entry(&job).await.unwrap(),
        results.has_dirty_job_result_entry(&job).await.unwrap(),
        results.has_clean_job_result_entry(&job).await.unwrap(),
    ]
}

pub(super) async fn dirty(results: &Results) -> Vec<JobResult> {
    let all = results.dirty_results().await.unwrap();
    assert!(all.broken.is_empty(), "{:?}", all.broken);
    all.results
}

pub async fn jr_01_a_job_with_a_dirty_result_gets_no_other(c: Cluster) {
    let (_one, _leads, results) = keeper(&c).await;
    results.create_dirty_result(&result("a")).await.unwrap();
    let before = c.everything().await;
    assert_kind(ErrorKind::AlreadyExists, results.create_dirty_result(&result("a")).await);
    assert_kind(ErrorKind::AlreadyExists, results.create_dirty_result(&full("a")).await);
    assert_eq!(c.everything().await, before);
}

pub async fn jr_02_a_job_with_a_clean_result_gets_no_other(c: Cluster) {
    let (_one, _leads, results) = keeper(&c).await;
    results.create_dirty_result(&result("a")).await.unwrap();
    results.mark_result_as_clean(&job("a")).await.unwrap();
    let before = c.everything().await;
    assert_kind(ErrorKind::AlreadyExists, results.create_dirty_result(&result("a")).await);
    assert_eq!(c.everything().await, before);
}

pub async fn jr_03_what_is_clean_can_be_marked_again(c: Cluster) {
    let (_one, _leads, results) = keeper(&c).await;
    results.create_dirty_result(&result("a")).await.unwrap();
    for _ in 0..3 {
        results.mark_result_as_clean(&job("a")).await.unwrap();
        assert_eq!(has(&results, "a").await, [true, false, true]);
    }
}

pub async fn jr_04_a_job_without_a_result_cannot_be_marked(c: Cluster) {
    let (_one, _leads, results) = keeper(&c).await;
    assert_kind(ErrorKind::NotFound, results.mark_result_as_clean(&job("a")).await);
    assert_eq!(has(&results, "a").await, [false; 3]);
}

pub async fn jr_05_a_dirty_result_is_there_and_dirty(c: Cluster) {
    let (_one, _leads, results) = keeper(&c).await;
    results.create_dirty_result(&result("a")).await.unwrap();
    assert_eq!(has(&results, "a").await, [true, true, false]);
    assert_eq!(has(&results, "a1").await, [false; 3], "nor is it the result of another job");
}

pub async fn jr_06_a_clean_result_is_there_and_clean(c: Cluster) {
    let (_one, _leads, results) = keeper(&c).await;
    results.create_dirty_result(&result("a")).await.unwrap();
    results.mark_result_as_clean(&job("a")).await.unwrap();
    assert_eq!(has(&results, "a").await, [true, false, true]);
}

pub async fn jr_07_without_a_result_nothing_is_there(c: Cluster) {
    let process = c.process("one").await;
    let results = process.services.job_result_store().unwrap();
    assert_eq!(has(&results, "a").await, [false; 3]);
    process.plan.always(Call::Read, Fault::FailBefore);
    assert_kind(ErrorKind::Unavailable, results.has_job_result_entry(&job("a")).await);
    assert_kind(ErrorKind::Unavailable, results.has_dirty_job_result_entry(&job("a")).await);
    assert_kind(ErrorKind::Unavailable, results.has_clean_job_result_entry(&job("a")).await);
}

pub async fn jr_08_without_dirty_results_none_are_listed(c: Cluster) {
    let process = c.process("one").await;
    let results = process.services.job_result_store().unwrap();
    assert_eq!(dirty(&results).await, []);
    process.plan.always(Call::List, Fault::FailBefore);
    assert_kind(ErrorKind::Unavailable, results.dirty_results().await);
}

pub async fn jr_09_dirty_results_are_listed_whole_to_the_next_leader(c: Cluster) {
    let (_one, _leads, results) = keeper(&c).await;
    results.create_dirty_result(&full("b")).await.unwrap();
    results.create_dirty_result(&result("a")).await.unwrap();
    let (_two, leads) = c.take_over("two").await;
    assert_eq!(dirty(&leads.job_result_store()).await, [result("a"), full("b")]);
}

pub async fn jr_10_clean_results_are_not_listed_as_dirty(c: Cluster) {
    let (_one, _leads, results) = keeper(&c).await;
    for name in ["a", "b", "c"] {
        results.create_dirty_result(&result(name)).await.unwrap();
    }
    results.mark_result_as_clean(&job("b")).await.unwrap();
    assert_eq!(dirty(&results).await, [result("a"), result("c")]);
}

pub async fn jr_11_a_result_stands_in_the_place_of_its_cluster(c: Cluster) {
    let (_one, leads, results) = keeper(&c).await;
    results.create_dirty_result(&result("a")).await.unwrap();
    assert_eq!(c.names("job-results").await, ["a"]);
    let other = ServicesOptions { cluster_id: "other".into(), ..c.options("other") };
    let other = c.process_with(&other).await;
    let there = other.services.job_result_store().unwrap();
    assert_eq!((dirty(&there).await, has(&there, "a").await), (vec![], [false; 3]));
    drop(leads);
}

pub async fn jr_12_what_is_no_result_is_reported_and_hides_no_other(c: Cluster) {
    let (_one, leads, results) = keeper(&c).await;
    for name in ["a", "b", "c"] {
        results.create_dirty_result(&result(name)).await.unwrap();
    }
    let sound = c.entry("job-results/a").await.unwrap();
    let sound = String::from_utf8_lossy(&sound.value).into_owned();
    let broken = [("b", &sound[..sound.len() / 2]), ("c", &sound), ("d", "{}"), ("deeper/still", &sound)];
    for (name, value) in broken {
        c.tamper(&format!("job-results/{name}"), Some(value)).await;
    }
    let before = c.everything().await;
    let all = results.dirty_results().await.unwrap();
    assert_eq!(all.results, [result("a")]);
    let mut jobs: Vec<_> = all.broken.iter().map(|broken| broken.job.clone()).collect();
    jobs.sort();
    assert_eq!(jobs, [None, Some(job("b")), Some(job("c")), Some(job("d"))]);
    for name in ["b", "c", "d"] {
        assert_kind(ErrorKind::Corrupt, results.has_job_result_entry(&job(name)).await);
        assert_kind(ErrorKind::Corrupt, results.mark_result_as_clean(&job(name)).await);
        assert_kind(ErrorKind::AlreadyExists, results.create_dirty_result(&result(name)).await);
    }
    assert_eq!(c.everything().await, before, "nothing was repaired or deleted on the way");
    drop(leads);
}

pub async fn jr_13_nothing_has_to_be_set_up_before_the_first_result(c: Cluster) {
    let observer = c.process("observer").await.services.job_result_store().unwrap();
    assert_eq!(dirty(&observer).await, []);
    assert_eq!(c.everything().await, (vec![], vec![]), "reading stores nothing");
    let (_one, _leads, results) = keeper(&c).await;
    results.create_dirty_result(&result("a")).await.unwrap();
    assert_eq!(c.names("job-results").await, ["a"]);
}

pub async fn jr_14_a_result_is_there_when_its_creation_returns(c: Cluster) {
    let (one, _leads, results) = keeper(&c).await;
    one.line.hold();
    let creating = {
        let results = Arc::clone(&results);
        c.go(async move { results.create_dirty_result(&full("a")).await })
    };
    c.eventually("the commit is on its way", || async { one.line.held() > 0 }).await;
    assert_eq!(c.entry("job-results/a").await, None);
    one.line.let_go();
    c.in_time("it is created", creating).await.unwrap();
    assert_eq!(c.names("job-results").await, ["a"]);
    assert!(c.states().await.is_empty(), "a result is one record, without state beside it");
}

pub async fn jr_15_clean_follows_dirty_in_one_step(c: Cluster) {
    let (one, _leads, results) = keeper(&c).await;
    results.create_dirty_result(&full("a")).await.unwrap();
    let commits = one.plan.calls(Call::Commit);
    let dirty = c.entry("job-results/a").await.unwrap();
    results.mark_result_as_clean(&job("a")).await.unwrap();
    assert_eq!(one.plan.calls(Call::Commit), commits + 1);
    let clean = c.entry("job-results/a").await.unwrap();
    assert_eq!(c.names("job-results").await, ["a"], "it is the same entry");
    let (dirty, clean): (Value, Value) =
        (serde_json::from_slice(&dirty.value).unwrap(), serde_json::from_slice(&clean.value).unwrap());
    assert_eq!((&dirty["body"]["state"], &clean["body"]["state"]), (&json!("dirty"), &json!("clean")));
    assert_eq!(dirty["body"]["result"], clean["body"]["result"]);
}

pub async fn jr_16_marking_again_leaves_the_bytes_as_they_are(c: Cluster) {
    let (_one, _leads, results) = keeper(&c).await;
    results.create_dirty_result(&full("a")).await.unwrap();
    results.mark_result_as_clean(&job("a")).await.unwrap();
    let before = c.entry("job-results/a").await;
    results.mark_result_as_clean(&job("a")).await.unwrap();
    assert_eq!(c.entry("job-results/a").await, before, "key, bytes and revision");
}

pub async fn jr_17_where_clean_results_are_removed_nothing_is_left(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let results = leadership.job_result_store();
    results.create_dirty_result(&full("a")).await.unwrap();
    results.mark_result_as_clean(&job("a")).await.unwrap();
    assert_eq!((c.names("job-results").await, has(&results, "a").await), (vec![], [false; 3]));
    results.create_dirty_result(&result("a")).await.unwrap();
}

pub async fn jr_18_a_result_says_its_format_and_a_newer_one_is_refused(c: Cluster) {
    let (_one, _leads, results) = keeper(&c).await;
    results.create_dirty_result(&full("a")).await.unwrap();
    let entry = c.entry("job-results/a").await.unwrap();
    let mut record: Value = serde_json::from_slice(&entry.value).unwrap();
    let format = record["format"].as_u64().expect("a format number");
    record["format"] = json!(format + 1000);
    c.tamper("job-results/a", Some(&record.to_string())).await;
    assert_kind(ErrorKind::NewerFormat, results.has_dirty_job_result_entry(&job("a")).await);
    assert_kind(ErrorKind::NewerFormat, results.mark_result_as_clean(&job("a")).await);
    let all = results.dirty_results().await.unwrap();
    assert_eq!((all.results.len(), all.broken[0].error.kind()), (0, ErrorKind::NewerFormat));
}

pub async fn jr_19_every_field_comes_back(c: Cluster) {
    let (_one, _leads, results) = keeper(&c).await;
    let statuses = [JobStatus::Finished, JobStatus::Canceled, JobStatus::Failed];
    let all: Vec<JobResult> = statuses
        .into_iter()
        .enumerate()
        .map(|(number, status)| {
            let mut result = full(&format!("job-{number}"));
            result.status = status;
            result
        })
        .chain([result("job-9")])
        .collect();
    for result in &all {
        results.create_dirty_result(result).await.unwrap();
    }
    assert_eq!(dirty(&c.process("reader").await.services.job_result_store().unwrap()).await, all);
}
