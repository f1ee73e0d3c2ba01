//! Attacks on the stores: what they promise must hold although somebody else changes, loses or delays things.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test, as it should")]
#![allow(dead_code, reason = "the shared helpers are not all used by every test")]

#[path = "common/mod.rs"]
mod common;
mod rigged;

use std::sync::Arc;
use std::time::Duration;

use common::{Leader, Rig, job};
use ha_core::backend::{Acquire, Backend, Latch, Prefix, Session, SessionOptions};
use ha_core::checkpoint::{
    CheckpointIdCounter, CheckpointKind, CheckpointStoreOptions, CompletedCheckpoint, CompletedCheckpointStore,
    DefaultCheckpointIdCounter, DefaultCompletedCheckpointStore, DiscardStateOnly, RecoveryClaimMode,
};
use ha_core::election::Grant;
use ha_core::plan::{DefaultExecutionPlanStore, ExecutionPlan, ExecutionPlanListener, ExecutionPlanStore};
use ha_core::resolve::Committer;
use ha_core::writer::{Authority, Writer};
use ha_core::{ErrorKind, JobId, JobStatus};
use rigged::{Fate, Rigged};

const COUNTER: &str = "jobs/job/checkpoint_id_counter";

async fn counter(leader: &Leader) -> DefaultCheckpointIdCounter {
    let counter = DefaultCheckpointIdCounter::new(&job("job"), leader.writer.clone());
    counter.start().await.unwrap();
    counter
}

#[tokio::test]
async fn an_id_is_not_given_again_when_the_counter_vanished_from_the_store() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let counter = counter(&leader).await;
    for id in 1..=5 {
        assert_eq!(counter.get_and_increment().await.unwrap(), id);
    }
    rig.tamper(COUNTER, None);
    assert!(counter.get_and_increment().await.is_ok_and(|id| id > 5), "an id was given twice");
}

#[tokio::test]
async fn an_id_is_not_given_again_when_the_count_in_the_store_went_back() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let counter = counter(&leader).await;
    assert_eq!(counter.get_and_increment().await.unwrap(), 1);
    let old = String::from_utf8(rig.contents("jobs").await[0].1.clone()).unwrap();
    for id in 2..=5 {
        assert_eq!(counter.get_and_increment().await.unwrap(), id);
    }
    rig.tamper(COUNTER, Some(&old));
    assert_eq!(counter.get().await.unwrap(), 6, "what is called next must be next");
    assert!(counter.get_and_increment().await.is_ok_and(|id| id > 5), "an id was given twice");
}

/// One leader on a backend that can hold commits back.
async fn rigged(rig: &Rig) -> (Arc<Rigged>, Arc<rigged::Rig>, Writer) {
    let (backend, fates) = Rigged::new(&rig.store, &rig.seam);
    let options = SessionOptions { silence: Duration::from_secs(3600), label: "test".into() };
    let session: Arc<dyn Session> = backend.open_session(&options).await.unwrap().into();
    let latch = Latch::below(&Prefix::new("leader").unwrap());
    let Acquire::Won(term) = session.try_acquire(&latch, "me".into(), None).await.unwrap() else { panic!("held") };
    let grant = Grant::hold(&rig.seam, session, latch, term);
    // A budget of nothing: every lost answer stays unknown.
    let committer = Committer::with_budget(Arc::clone(&backend) as Arc<dyn Backend>, rig.seam.clone(), Duration::ZERO);
    (backend, fates, Writer::new(committer, Authority::Leader(grant)))
}

async fn checkpoints(rig: &Rig, writer: Writer, retained_max: usize) -> DefaultCompletedCheckpointStore {
    let options = CheckpointStoreOptions {
        retained_max,
        claim_mode: RecoveryClaimMode::Claim,
        discarder: Arc::new(DiscardStateOnly),
    };
    DefaultCompletedCheckpointStore::recover(&job("job"), writer, rig.storage.clone(), options).await.unwrap()
}

fn checkpoint(id: u64) -> CompletedCheckpoint {
    CompletedCheckpoint::new(id, CheckpointKind::Checkpoint, 0, format!("state {id}").into())
}

#[tokio::test]
async fn a_checkpoint_in_doubt_does_not_appear_after_the_job_was_ended_for_good() {
    let rig = Rig::new();
    let (backend, fates, writer) = rigged(&rig).await;
    let store = checkpoints(&rig, writer, 3).await;
    store.add_checkpoint_and_subsume_oldest_one(checkpoint(1)).await.unwrap();
    fates.next([Fate::HoldBack]);
    let error = store.add_checkpoint_and_subsume_oldest_one(checkpoint(2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Indeterminate);
    store.shutdown(JobStatus::Finished).await.unwrap();
    backend.deliver().await;
    assert_eq!(rig.keys("jobs/job/checkpoints").await, Vec::<String>::new(), "a finished job has a checkpoint again");
}

#[derive(Debug)]
struct Deaf;

impl ExecutionPlanListener for Deaf {
    fn on_added_execution_plan(&self, _: &JobId) {}
    fn on_removed_execution_plan(&self, _: &JobId) {}
}

#[tokio::test]
async fn a_plan_in_doubt_does_not_appear_after_it_was_cleaned_up() {
    let rig = Rig::new();
    let (backend, fates, writer) = rigged(&rig).await;
    let store = DefaultExecutionPlanStore::new(writer, rig.storage.clone());
    store.start(Arc::new(Deaf)).await.unwrap();
    fates.next([Fate::HoldBack]);
    let error = store.put_execution_plan(&ExecutionPlan::new(job("job"), "graph".into())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Indeterminate);
    store.global_cleanup(&job("job")).await.unwrap();
    backend.deliver().await;
    assert_eq!(rig.keys("execution-plans").await, Vec::<String>::new(), "a job that was cleaned up would run again");
    // The store is not the worse for it.
    store.put_execution_plan(&ExecutionPlan::new(job("job"), "again".into())).await.unwrap();
}

#[tokio::test]
async fn a_counter_in_doubt_does_not_appear_after_the_job_was_ended_for_good() {
    let rig = Rig::new();
    let (backend, fates, writer) = rigged(&rig).await;
    let counter = DefaultCheckpointIdCounter::new(&job("job"), writer);
    counter.start().await.unwrap();
    fates.next([Fate::HoldBack]);
    assert_eq!(counter.get_and_increment().await.unwrap_err().kind(), ErrorKind::Indeterminate);
    counter.shutdown(JobStatus::Finished).await.unwrap();
    backend.deliver().await;
    assert_eq!(rig.keys("jobs").await, Vec::<String>::new(), "a finished job has a counter again");
}

/// Whatever becomes of each commit of an add, and whatever is called next: every pointer leads to intact state, and
/// the store says what is stored.
#[tokio::test]
async fn every_fate_of_every_commit_leaves_pointers_that_lead_to_state() {
    let fates_of = |code: usize| -> Vec<Fate> {
        let of = [Fate::Pass, Fate::LoseAnswer, Fate::HoldBack];
        (0..5_u32).map(|at| of[code / 3_usize.pow(at) % 3]).collect()
    };
    for code in 0..3_usize.pow(5) {
        for retained_max in [1, 2] {
            let rig = Rig::new();
            let (backend, fates, writer) = rigged(&rig).await;
            let store = checkpoints(&rig, writer.clone(), retained_max).await;
            fates.next(fates_of(code));
            let mut acknowledged = 0;
            for id in 1..=4 {
                if store.add_checkpoint_and_subsume_oldest_one(checkpoint(id)).await.is_ok() {
                    acknowledged = id;
                }
                if id % 2 == 0 {
                    backend.deliver().await;
                }
            }
            backend.deliver().await;
            store.discards_settled().await;
            // A recovery reads every state: a pointer that leads to nothing fails it.
            let found = checkpoints(&rig, writer.clone(), retained_max).await;
            let latest = found.get_latest_checkpoint_id().await.unwrap();
            assert!(latest >= acknowledged, "{:?}: {acknowledged} is lost, found {latest}", fates_of(code));
            fates.fates.lock().unwrap().clear();
            store.add_checkpoint_and_subsume_oldest_one(checkpoint(9)).await.unwrap();
            store.shutdown(JobStatus::Finished).await.unwrap();
            assert_eq!(rig.keys("jobs/job/checkpoints").await, Vec::<String>::new(), "{:?}", fates_of(code));
        }
    }
}

#[tokio::test]
async fn a_pointer_with_any_bit_flipped_panics_nobody_deletes_nothing_and_is_never_skipped() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let store = checkpoints(&rig, leader.writer.clone(), 2).await;
    store.add_checkpoint_and_subsume_oldest_one(checkpoint(1).with_external("s3://bucket/chk-1")).await.unwrap();
    let (key, good, _) = rig.contents("jobs/job/checkpoints").await.remove(0);
    let options = CheckpointStoreOptions {
        retained_max: 2,
        claim_mode: RecoveryClaimMode::Claim,
        discarder: Arc::new(DiscardStateOnly),
    };
    for at in 0..good.len() {
        for bit in 0..7 {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            let Ok(text) = String::from_utf8(bytes) else { continue };
            rig.tamper(&key, Some(&text));
            let recovered = DefaultCompletedCheckpointStore::recover(
                &job("job"),
                leader.writer.clone(),
                rig.storage.clone(),
                options.clone(),
            )
            .await;
            if let Ok(store) = recovered {
                let latest = store.get_latest_checkpoint().await.unwrap().unwrap();
                assert_eq!((latest.id, &latest.state[..]), (1, &b"state 1"[..]), "{text}");
                assert!(latest.external.is_some(), "what is stored of the checkpoint was skipped in silence: {text}");
            }
        }
    }
    rig.tamper(&key, Some(std::str::from_utf8(&good).unwrap()));
    assert_eq!(checkpoints(&rig, leader.writer.clone(), 2).await.get_latest_checkpoint_id().await.unwrap(), 1);
}

/// Drops every call after each number of polls: what was acknowledged before is found, every pointer leads to state.
#[tokio::test]
async fn a_plan_call_dropped_at_any_poll_leaves_a_plan_that_can_be_read_and_replaced() {
    for polls in 0..12 {
        let rig = Rig::new();
        let leader = rig.lead().await;
        let store = DefaultExecutionPlanStore::new(leader.writer.clone(), rig.storage.clone());
        store.start(Arc::new(Deaf)).await.unwrap();
        let plan = |text: &'static str| ExecutionPlan::new(job("job"), text.into());
        store.put_execution_plan(&plan("one")).await.unwrap();
        drop_after(polls, store.put_execution_plan(&plan("two"))).await;
        drop_after(polls, store.put_job_resource_requirements(&job("job"), serde_json::json!({"n": 1}))).await;
        drop_after(polls, store.recover_execution_plan(&job("job"))).await;
        let found = store.recover_execution_plan(&job("job")).await.unwrap().unwrap().plan;
        assert!(found == "one" || found == "two", "{found:?}");
        store.put_execution_plan(&plan("three")).await.unwrap();
        store.discards_settled().await;
        assert_eq!(store.recover_execution_plan(&job("job")).await.unwrap().unwrap().plan, "three");
        drop_after(polls, store.global_cleanup(&job("job"))).await;
        store.global_cleanup(&job("job")).await.unwrap();
        assert_eq!(rig.keys("execution-plans").await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn an_add_dropped_at_any_poll_leaves_checkpoints_that_can_be_recovered() {
    for polls in 0..12 {
        let rig = Rig::new();
        let leader = rig.lead().await;
        let store = checkpoints(&rig, leader.writer.clone(), 1).await;
        store.add_checkpoint_and_subsume_oldest_one(checkpoint(1)).await.unwrap();
        drop_after(polls, store.add_checkpoint_and_subsume_oldest_one(checkpoint(2))).await;
        store.discards_settled().await;
        let recovered = checkpoints(&rig, leader.writer.clone(), 1).await;
        let found = recovered.get_latest_checkpoint_id().await.unwrap();
        assert_eq!(store.get_latest_checkpoint_id().await.unwrap(), found, "memory and store differ");
        // Another instance of the same leadership goes on; the first one must not lose what it added.
        recovered.add_checkpoint_and_subsume_oldest_one(checkpoint(5)).await.unwrap();
        store.add_checkpoint_and_subsume_oldest_one(checkpoint(6)).await.unwrap();
        store.discards_settled().await;
        recovered.discards_settled().await;
        let latest = checkpoints(&rig, leader.writer.clone(), 1).await.get_all_checkpoints().await.unwrap();
        assert_eq!(latest.iter().map(|checkpoint| checkpoint.id).collect::<Vec<_>>(), [5, 6]);
        drop_after(polls, store.shutdown(JobStatus::Finished)).await;
        store.shutdown(JobStatus::Finished).await.unwrap();
        assert_eq!(rig.keys("jobs/job/checkpoints").await, Vec::<String>::new());
    }
}

/// Polls a future that often, letting others run in between, and drops it.
async fn drop_after<F: Future>(polls: usize, future: F) {
    let mut future = std::pin::pin!(future);
    for _ in 0..polls {
        let polled = std::future::poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context))).await;
        if polled.is_ready() {
            return;
        }
        tokio::task::yield_now().await;
    }
}
