//! The store of execution plans.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test, as it should")]
#![allow(dead_code, reason = "the shared helpers are not all used by every test")]

mod common;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use common::{Fault, Leader, Rig, assert_deposed, eventually, job, poll_and_drop};
use ha_core::plan::{DefaultExecutionPlanStore, ExecutionPlan, ExecutionPlanListener, ExecutionPlanStore};
use ha_core::seam::Seam;
use ha_core::state::{StateHandle, StateStorage};
use ha_core::writer::Writer;
use ha_core::{Error, ErrorKind, JobId};
use serde_json::json;

const BELOW: &str = "execution-plans";

/// Remembers what it was told.
#[derive(Debug, Default)]
struct Heard {
    added: Mutex<Vec<String>>,
    removed: Mutex<Vec<String>>,
    panics: bool,
}

impl ExecutionPlanListener for Heard {
    fn on_added_execution_plan(&self, job: &JobId) {
        self.added.lock().unwrap().push(job.to_string());
        assert!(!self.panics, "a listener of the test panics");
    }

    fn on_removed_execution_plan(&self, job: &JobId) {
        self.removed.lock().unwrap().push(job.to_string());
        assert!(!self.panics, "a listener of the test panics");
    }
}

impl Heard {
    fn added(&self) -> Vec<String> {
        self.added.lock().unwrap().clone()
    }

    fn removed(&self) -> Vec<String> {
        self.removed.lock().unwrap().clone()
    }
}

fn store_by(rig: &Rig, writer: Writer) -> DefaultExecutionPlanStore {
    DefaultExecutionPlanStore::new(writer, rig.storage.clone())
}

async fn started_by(rig: &Rig, writer: Writer) -> (DefaultExecutionPlanStore, Arc<Heard>) {
    let (store, heard) = (store_by(rig, writer), Arc::new(Heard::default()));
    store.start(Arc::clone(&heard) as _).await.unwrap();
    (store, heard)
}

async fn started(rig: &Rig, leader: &Leader) -> (DefaultExecutionPlanStore, Arc<Heard>) {
    started_by(rig, leader.writer.clone()).await
}

fn plan(name: &str, content: &'static str) -> ExecutionPlan {
    ExecutionPlan::new(job(name), content.into())
}

async fn recovered(store: &DefaultExecutionPlanStore, name: &str) -> String {
    let plan = store.recover_execution_plan(&job(name)).await.unwrap().unwrap();
    String::from_utf8(plan.plan.to_vec()).unwrap()
}

async fn handle_of(rig: &Rig, name: &str) -> StateHandle {
    let contents = rig.contents(BELOW).await;
    let (_, value, _) = contents.iter().find(|(key, ..)| *key == format!("{BELOW}/{name}")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(value).unwrap();
    serde_json::from_value(record["body"]["state"].clone()).unwrap()
}

async fn exists(storage: &StateStorage, handle: &StateHandle) -> bool {
    match storage.read(handle).await {
        Ok(_) => true,
        Err(error) if error.kind() == ErrorKind::StateMissing => false,
        Err(error) => panic!("{error}"),
    }
}

fn in_directory() -> (tempfile::TempDir, Rig) {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("file://{}", directory.path().display());
    let rig = Rig { storage: StateStorage::open(&url, Seam::system()).unwrap(), ..Rig::new() };
    (directory, rig)
}

/// How many states of that job there are.
fn files(directory: &tempfile::TempDir, name: &str) -> usize {
    std::fs::read_dir(directory.path().join("submittedJobGraph").join(name)).map_or(0, Iterator::count)
}

/// EP-01, EP-02, EP-04, EP-09, EP-21.
#[tokio::test]
async fn plans_are_found_by_a_later_leader_and_a_missing_one_is_none() {
    let rig = Rig::new();
    let first = rig.lead().await;
    let (store, _) = started(&rig, &first).await;
    assert_eq!(store.recover_execution_plan(&job("a")).await.unwrap(), None);
    for name in ["b", "a", "c"] {
        store.put_execution_plan(&plan(name, "graph")).await.unwrap();
    }
    let with = plan("d", "graph").with_requirements(json!({"source": {"lower": 1, "upper": 4}}));
    store.put_execution_plan(&with).await.unwrap();
    let second = rig.depose(&first).await;
    let (store, _) = started(&rig, &second).await;
    assert_eq!(store.job_ids().await.unwrap(), ["a", "b", "c", "d"].map(job));
    for name in ["a", "b", "c"] {
        assert_eq!(store.recover_execution_plan(&job(name)).await.unwrap(), Some(plan(name, "graph")));
    }
    assert_eq!(store.recover_execution_plan(&job("d")).await.unwrap(), Some(with));
}

/// EP-05: the old state goes after the pointer, not before.
#[tokio::test]
async fn an_own_plan_is_replaced_and_its_old_state_deleted() {
    let (directory, rig) = in_directory();
    let leader = rig.lead().await;
    let (store, _) = started(&rig, &leader).await;
    store.put_execution_plan(&plan("a", "one")).await.unwrap();
    let reads = leader.backend.reads.load(Ordering::SeqCst);
    for _ in 0..20 {
        store.put_execution_plan(&plan("a", "two")).await.unwrap();
    }
    // The watch may look once or twice beside it.
    let more = leader.backend.reads.load(Ordering::SeqCst) - reads;
    assert!(more < 10, "the revision is known, and yet there were {more} reads");
    store.discards_settled().await;
    assert_eq!((recovered(&store, "a").await.as_str(), files(&directory, "a")), ("two", 1));
}

/// EP-23, SH-03.
#[tokio::test]
async fn a_plan_of_another_is_not_replaced_until_it_was_recovered() {
    let (directory, rig) = in_directory();
    let leader = rig.lead().await;
    let (one, _) = started(&rig, &leader).await;
    let (other, _) = started(&rig, &leader).await;
    one.put_execution_plan(&plan("a", "one")).await.unwrap();
    let contents = rig.contents(BELOW).await;
    let error = other.put_execution_plan(&plan("a", "two")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotOwned);
    assert!(error.to_string().contains("recover"), "{error}");
    assert_eq!((rig.contents(BELOW).await, files(&directory, "a")), (contents, 1));
    assert_eq!(recovered(&other, "a").await, "one");
    other.put_execution_plan(&plan("a", "two")).await.unwrap();
    // Now the first one's knowledge is old: its write is refused, not applied.
    assert_eq!(one.put_execution_plan(&plan("a", "three")).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(one.put_execution_plan(&plan("a", "three")).await.unwrap_err().kind(), ErrorKind::NotOwned);
    for store in [&one, &other] {
        store.discards_settled().await;
        assert_eq!(recovered(store, "a").await, "two");
    }
    assert_eq!(files(&directory, "a"), 1);
}

#[tokio::test]
async fn an_own_plan_that_vanished_is_created_anew() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let (one, _) = started(&rig, &leader).await;
    let (other, _) = started(&rig, &leader).await;
    one.put_execution_plan(&plan("a", "one")).await.unwrap();
    other.global_cleanup(&job("a")).await.unwrap();
    one.put_execution_plan(&plan("a", "two")).await.unwrap();
    assert_eq!(recovered(&other, "a").await, "two");
}

/// EP-06, EP-07, EP-20, FLINK-26690.
#[tokio::test]
async fn a_global_cleanup_removes_pointer_and_state_also_of_a_job_never_seen() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let (store, _) = started(&rig, &leader).await;
    for name in ["a", "b"] {
        store.put_execution_plan(&plan(name, "graph")).await.unwrap();
    }
    let (a, b) = (handle_of(&rig, "a").await, handle_of(&rig, "b").await);
    let (other, _) = started(&rig, &leader).await;
    for _ in 0..2 {
        other.global_cleanup(&job("a")).await.unwrap();
    }
    other.global_cleanup(&job("never")).await.unwrap();
    assert_eq!(store.job_ids().await.unwrap(), [job("b")]);
    assert!(!exists(&rig.storage, &a).await && exists(&rig.storage, &b).await);
}

/// EP-08, FLINK-10329: a removal that did not happen is not reported as one.
#[tokio::test]
async fn a_failed_cleanup_is_an_error_and_can_be_repeated() {
    for fault in [Fault::Before, Fault::Lost, Fault::After] {
        let rig = Rig::new();
        let leader = rig.lead().await;
        let (store, _) = started_by(&rig, leader.hasty()).await;
        store.put_execution_plan(&plan("a", "graph")).await.unwrap();
        let state = handle_of(&rig, "a").await;
        leader.backend.next_commit(fault);
        let error = store.global_cleanup(&job("a")).await.unwrap_err();
        assert_eq!(error.may_have_applied(), fault != Fault::Before);
        store.discards_settled().await;
        assert!(exists(&rig.storage, &state).await, "in doubt nothing is deleted");
        store.global_cleanup(&job("a")).await.unwrap();
        assert!(store.job_ids().await.unwrap().is_empty());
        assert_eq!(exists(&rig.storage, &state).await, fault == Fault::After);
    }
}

/// EP-03, FLINK-5193: it is named, not taken, not deleted, and does not stop the others.
#[tokio::test]
async fn a_broken_plan_says_so_and_what_to_do_and_the_others_are_recovered() {
    let (directory, rig) = in_directory();
    let leader = rig.lead().await;
    let (store, _) = started(&rig, &leader).await;
    for name in ["good", "garbage", "newer", "missing", "cut"] {
        store.put_execution_plan(&plan(name, "graph")).await.unwrap();
    }
    rig.tamper("execution-plans/garbage", Some("garbage"));
    rig.tamper("execution-plans/newer", Some(r#"{"format":9}"#));
    let path = async |name: &str| handle_of(&rig, name).await.uri.strip_prefix("file://").unwrap().to_owned();
    std::fs::remove_file(path("missing").await).unwrap();
    std::fs::write(path("cut").await, "gra").unwrap();
    let contents = rig.contents(BELOW).await;
    let (other, _) = started(&rig, &leader).await;
    let cases = [
        ("garbage", ErrorKind::Corrupt, "repair tool"),
        ("newer", ErrorKind::NewerFormat, "upgrade"),
        ("missing", ErrorKind::StateMissing, "repair tool"),
        ("cut", ErrorKind::Corrupt, "repair tool"),
    ];
    for (name, kind, advice) in cases {
        let error = other.recover_execution_plan(&job(name)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let text = error.to_string();
        assert!(text.contains(name) && text.contains(advice) && text.contains("nothing was deleted"), "{text}");
        let put = other.put_execution_plan(&plan(name, "new")).await.unwrap_err();
        assert!(matches!(put.kind(), ErrorKind::NotOwned | ErrorKind::Corrupt | ErrorKind::NewerFormat), "{put}");
    }
    assert_eq!(recovered(&other, "good").await, "graph");
    for name in ["garbage", "newer"] {
        assert!(other.global_cleanup(&job(name)).await.is_err(), "what cannot be read is not deleted");
    }
    assert_eq!((rig.contents(BELOW).await, files(&directory, "garbage")), (contents, 1));
}

#[tokio::test]
async fn a_plan_that_was_replaced_while_it_was_read_is_not_called_broken() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let (store, _) = started(&rig, &leader).await;
    store.put_execution_plan(&plan("a", "one")).await.unwrap();
    let below = ha_core::backend::Prefix::new(BELOW).unwrap();
    let before = leader.writer.backend().list(&below).await.unwrap();
    store.put_execution_plan(&plan("a", "two")).await.unwrap();
    store.discards_settled().await;
    // By a process of its own, whose watch does not take the old answer away.
    let other = rig.depose(&leader).await;
    let reader = store_by(&rig, other.writer.clone());
    reader.start(Arc::new(Heard::default())).await.unwrap();
    other.backend.stale.lock().unwrap().push_back(before);
    assert_eq!(recovered(&reader, "a").await, "two");
}

#[tokio::test]
async fn names_that_are_no_jobs_are_left_out() {
    let rig = Rig::new();
    let (store, _) = started(&rig, &rig.lead().await).await;
    store.put_execution_plan(&plan("a", "graph")).await.unwrap();
    rig.tamper("execution-plans/a/locks", Some("x"));
    rig.tamper("execution-plans-of-others/b", Some("x"));
    assert_eq!(store.job_ids().await.unwrap(), [job("a")]);
}

/// EP-18, EP-19.
#[tokio::test]
async fn requirements_are_replaced_without_touching_the_plan() {
    let (directory, rig) = in_directory();
    let leader = rig.lead().await;
    let (store, _) = started(&rig, &leader).await;
    let missing = store.put_job_resource_requirements(&job("a"), json!(1)).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    store.put_execution_plan(&plan("a", "graph")).await.unwrap();
    let state = handle_of(&rig, "a").await;
    for requirements in [json!({"source": 2}), json!({"source": 3, "sink": 1})] {
        store.put_job_resource_requirements(&job("a"), requirements.clone()).await.unwrap();
        let plan = store.recover_execution_plan(&job("a")).await.unwrap().unwrap();
        assert_eq!((plan.plan, plan.requirements), ("graph".into(), Some(requirements)));
    }
    store.discards_settled().await;
    assert_eq!((handle_of(&rig, "a").await, files(&directory, "a")), (state, 1));
    // They make the plan this store's, as in Flink.
    let (other, _) = started(&rig, &leader).await;
    other.put_job_resource_requirements(&job("a"), json!(5)).await.unwrap();
    other.put_execution_plan(&plan("a", "other")).await.unwrap();
}

#[tokio::test]
async fn requirements_that_are_too_large_are_refused_before_state_is_written() {
    let (directory, rig) = in_directory();
    let (store, _) = started(&rig, &rig.lead().await).await;
    let large = json!("x".repeat(600_000));
    let error = store.put_execution_plan(&plan("a", "graph").with_requirements(large)).await.unwrap_err();
    assert_eq!((error.kind(), files(&directory, "a")), (ErrorKind::TooLarge, 0));
}

/// EP-16, EP-17.
#[tokio::test]
async fn what_was_let_go_must_be_recovered_before_it_is_replaced() {
    let rig = Rig::new();
    let (store, heard) = started(&rig, &rig.lead().await).await;
    store.put_execution_plan(&plan("a", "one")).await.unwrap();
    store.local_cleanup(&job("a")).await.unwrap();
    assert_eq!(store.put_execution_plan(&plan("a", "two")).await.unwrap_err().kind(), ErrorKind::NotOwned);
    assert_eq!(recovered(&store, "a").await, "one");
    store.stop().await.unwrap();
    store.start(heard).await.unwrap();
    assert_eq!(store.put_execution_plan(&plan("a", "two")).await.unwrap_err().kind(), ErrorKind::NotOwned);
    assert_eq!(recovered(&store, "a").await, "one");
}

#[tokio::test]
async fn all_but_the_list_of_jobs_needs_a_start_and_both_start_and_stop_may_be_repeated() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let store = store_by(&rig, leader.writer.clone());
    let refused = async |store: &DefaultExecutionPlanStore| {
        let results = [
            store.recover_execution_plan(&job("a")).await.map(drop),
            store.put_execution_plan(&plan("a", "x")).await,
            store.put_job_resource_requirements(&job("a"), json!(1)).await,
            store.global_cleanup(&job("a")).await,
            store.local_cleanup(&job("a")).await,
        ];
        results.into_iter().all(|result| result.is_err_and(|error| error.kind() == ErrorKind::IllegalState))
    };
    assert!(refused(&store).await);
    assert!(store.job_ids().await.unwrap().is_empty());
    let heard = Arc::new(Heard::default());
    for _ in 0..2 {
        store.start(Arc::clone(&heard) as _).await.unwrap();
    }
    store.put_execution_plan(&plan("a", "x")).await.unwrap();
    for _ in 0..2 {
        store.stop().await.unwrap();
    }
    assert!(refused(&store).await);
    assert_eq!(store.job_ids().await.unwrap(), [job("a")], "stopping deletes nothing");
    store.start(heard).await.unwrap();
    assert_eq!(recovered(&store, "a").await, "x");
}

/// FLINK-22494, and its mirror image.
#[tokio::test]
async fn a_definite_failure_discards_the_new_state_and_a_doubt_discards_nothing() {
    for fault in [Fault::Before, Fault::Lost, Fault::After] {
        let (directory, rig) = in_directory();
        let leader = rig.lead().await;
        let (store, _) = started_by(&rig, leader.hasty()).await;
        // A create.
        leader.backend.next_commit(fault);
        assert!(store.put_execution_plan(&plan("a", "one")).await.is_err());
        store.discards_settled().await;
        assert_eq!(files(&directory, "a"), usize::from(fault != Fault::Before), "{fault:?}");
        store.put_execution_plan(&plan("a", "two")).await.unwrap();
        // A replacement.
        store.discards_settled().await;
        let before = files(&directory, "a");
        leader.backend.next_commit(fault);
        assert!(store.put_execution_plan(&plan("a", "three")).await.is_err());
        store.discards_settled().await;
        assert_eq!(files(&directory, "a"), before + usize::from(fault != Fault::Before), "{fault:?}");
        // The plan is still this store's, and leads to intact state.
        let expected = if fault == Fault::After { "three" } else { "two" };
        store.put_job_resource_requirements(&job("a"), json!(1)).await.unwrap();
        assert_eq!(recovered(&store, "a").await, expected, "{fault:?}");
        store.put_execution_plan(&plan("a", "four")).await.unwrap();
        store.discards_settled().await;
        assert_eq!(recovered(&store, "a").await, "four");
        // What may yet land is an orphan; what was proven to have landed or not is gone.
        let orphans = if fault == Fault::Lost { 2 } else { 0 };
        assert_eq!(files(&directory, "a"), 1 + orphans, "{fault:?}");
    }
}

#[tokio::test]
async fn requirements_in_doubt_never_cost_the_state_that_they_share() {
    for fault in [Fault::Lost, Fault::After] {
        let rig = Rig::new();
        let leader = rig.lead().await;
        let (store, _) = started_by(&rig, leader.hasty()).await;
        store.put_execution_plan(&plan("a", "one")).await.unwrap();
        leader.backend.next_commit(fault);
        assert!(store.put_job_resource_requirements(&job("a"), json!(1)).await.unwrap_err().may_have_applied());
        store.put_job_resource_requirements(&job("a"), json!(2)).await.unwrap();
        store.discards_settled().await;
        assert_eq!(recovered(&store, "a").await, "one");
    }
}

#[tokio::test]
async fn a_put_that_was_dropped_after_it_was_sent_leaves_no_wrong_knowledge() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let (store, _) = started(&rig, &leader).await;
    for round in 0..5 {
        leader.backend.next_commit(Fault::Hang);
        assert!(poll_and_drop(store.put_execution_plan(&plan("a", "dropped"))).is_none());
        assert_eq!(recovered(&store, "a").await, "dropped", "round {round}");
        leader.backend.next_commit(Fault::Hang);
        assert!(poll_and_drop(store.put_execution_plan(&plan("a", "dropped"))).is_none());
        store.put_execution_plan(&plan("a", "whole")).await.unwrap();
        store.discards_settled().await;
        assert_eq!(recovered(&store, "a").await, "whole", "round {round}");
    }
}

/// FLINK-24543: the lost answer of an applied create is not "already exists".
#[tokio::test]
async fn a_lost_answer_is_found_out_and_is_a_success() {
    let (directory, rig) = in_directory();
    let leader = rig.lead().await;
    let (store, _) = started(&rig, &leader).await;
    for (fault, content) in [(Fault::After, "one"), (Fault::Lost, "two"), (Fault::After, "three")] {
        leader.backend.next_commit(fault);
        store.put_execution_plan(&plan("a", content)).await.unwrap();
        store.discards_settled().await;
        assert_eq!((recovered(&store, "a").await.as_str(), files(&directory, "a")), (content, 1));
    }
    leader.backend.next_commit(Fault::After);
    store.global_cleanup(&job("a")).await.unwrap();
    assert_eq!((rig.keys(BELOW).await.len(), files(&directory, "a")), (0, 0));
}

/// X-13, X-32, FLINK-10011: a job that the successor removed does not come back, and what it has stays.
#[tokio::test]
async fn a_deposed_leader_changes_nothing_whichever_write_it_tries_first() {
    for write in 0..4 {
        let (directory, rig) = in_directory();
        let first = rig.lead().await;
        let (deposed, _) = started(&rig, &first).await;
        deposed.put_execution_plan(&plan("a", "one")).await.unwrap();
        deposed.put_execution_plan(&plan("gone", "one")).await.unwrap();
        let second = rig.depose(&first).await;
        let (successor, _) = started(&rig, &second).await;
        successor.global_cleanup(&job("gone")).await.unwrap();
        assert_eq!(recovered(&successor, "a").await, "one");
        let contents = rig.contents(BELOW).await;
        let attempt = async |write: usize| -> Result<(), Error> {
            match write % 4 {
                0 => deposed.put_execution_plan(&plan("a", "two")).await,
                1 => deposed.put_execution_plan(&plan("new", "x")).await,
                2 => deposed.put_job_resource_requirements(&job("a"), json!(1)).await,
                _ => deposed.global_cleanup(&job("a")).await,
            }
        };
        assert_eq!(attempt(write).await.unwrap_err().kind(), ErrorKind::Fenced, "{write}");
        for other in 0..4 {
            assert_deposed(attempt(other).await);
        }
        assert_deposed(deposed.put_execution_plan(&plan("gone", "again")).await);
        deposed.discards_settled().await;
        assert_eq!(rig.contents(BELOW).await, contents);
        assert_eq!((recovered(&successor, "a").await.as_str(), files(&directory, "a")), ("one", 1));
        assert_eq!((files(&directory, "new"), files(&directory, "gone")), (0, 0));
    }
}

/// EP-10 to EP-13, EP-22, EP-25.
#[tokio::test]
async fn the_listener_hears_of_others_and_not_of_its_own_store() {
    for hints in [false, true] {
        let rig = Rig::new();
        let leader = rig.lead().await;
        leader.backend.hints.store(hints, Ordering::SeqCst);
        let (one, heard) = started(&rig, &leader).await;
        let (other, _) = started(&rig, &leader).await;
        one.put_execution_plan(&plan("own", "x")).await.unwrap();
        one.global_cleanup(&job("own")).await.unwrap();
        one.put_execution_plan(&plan("kept", "x")).await.unwrap();
        other.put_execution_plan(&plan("theirs", "x")).await.unwrap();
        eventually("the plan of the other is announced", async || heard.added() == ["theirs"]).await;
        // One that this store does not have may go unnoticed; one that it has may not.
        other.global_cleanup(&job("theirs")).await.unwrap();
        other.global_cleanup(&job("kept")).await.unwrap();
        eventually("the removal of our plan is announced", async || heard.removed() == ["kept"]).await;
        assert_eq!(heard.added(), ["theirs"]);
        // It was forgotten: it is somebody else's if it comes back.
        other.put_execution_plan(&plan("kept", "y")).await.unwrap();
        eventually("it is announced as another's", async || heard.added() == ["theirs", "kept"]).await;
        assert_eq!(one.put_execution_plan(&plan("kept", "z")).await.unwrap_err().kind(), ErrorKind::NotOwned);
    }
}

#[tokio::test]
async fn plans_that_were_there_before_the_start_are_announced() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let (other, _) = started(&rig, &leader).await;
    other.put_execution_plan(&plan("a", "x")).await.unwrap();
    let (_one, heard) = started(&rig, &leader).await;
    eventually("it is announced", async || heard.added() == ["a"]).await;
}

/// EP-14, EP-15.
#[tokio::test]
async fn nothing_is_heard_after_the_stop_and_all_again_after_another_start() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let (one, heard) = started(&rig, &leader).await;
    let (other, other_heard) = started(&rig, &leader).await;
    one.put_execution_plan(&plan("kept", "x")).await.unwrap();
    one.stop().await.unwrap();
    other.put_execution_plan(&plan("theirs", "x")).await.unwrap();
    other.global_cleanup(&job("kept")).await.unwrap();
    // A third store that is told of both shows that the first would have been.
    let (_third, third_heard) = started(&rig, &leader).await;
    eventually("others hear", async || third_heard.added() == ["theirs"]).await;
    eventually("the watch of the stopped store is gone", async || rig.store.waiting() == 2).await;
    assert_eq!((heard.added().len(), heard.removed().len()), (0, 0));
    assert!(other_heard.removed().is_empty());
    one.start(Arc::clone(&heard) as _).await.unwrap();
    eventually("it hears again", async || heard.added() == ["theirs"]).await;
}

#[tokio::test]
async fn the_watch_is_not_deaf_after_errors_and_panics() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    leader.backend.deaf.store(4, Ordering::SeqCst);
    let store = store_by(&rig, leader.writer.clone());
    let heard = Arc::new(Heard { panics: true, ..Heard::default() });
    store.start(Arc::clone(&heard) as _).await.unwrap();
    let (other, _) = started(&rig, &leader).await;
    for name in ["a", "b"] {
        other.put_execution_plan(&plan(name, "x")).await.unwrap();
        eventually("it is announced", async || heard.added().contains(&name.to_owned())).await;
    }
    assert_eq!(leader.backend.deaf.load(Ordering::SeqCst), 0);
}

/// X-35.
#[tokio::test]
async fn a_store_that_is_dropped_leaves_no_watch_behind() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let (store, heard) = started(&rig, &leader).await;
    eventually("it watches", async || rig.store.waiting() == 1).await;
    drop(store);
    eventually("the watch is gone", async || rig.store.waiting() == 0).await;
    eventually("the listener is let go", async || Arc::strong_count(&heard) == 1).await;
}

/// A removal that is heard of late must not take away what was put since.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_that_was_put_anew_is_not_forgotten_by_an_old_removal() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let (one, heard) = started(&rig, &leader).await;
    for round in 0..200 {
        one.put_execution_plan(&plan("a", "x")).await.unwrap();
        one.put_execution_plan(&plan("a", "y")).await.unwrap();
        one.global_cleanup(&job("a")).await.unwrap();
        one.put_execution_plan(&plan("a", "z")).await.unwrap();
        one.put_execution_plan(&plan("a", "zz")).await.unwrap_or_else(|error| panic!("round {round}: {error}"));
    }
    assert_eq!((heard.added().len(), heard.removed().len()), (0, 0));
}
