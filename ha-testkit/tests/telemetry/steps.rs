//! What happens, and what is said of it. Each step has a world of its own, and looks at what it adds.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use ha_core::backend::{Expect, Key, Latch, Name, Prefix};
use ha_core::checkpoint::{CheckpointKind, CompletedCheckpoint, DiscardStateOnly, RecoveryClaimMode};
use ha_core::cleanup::{CleanupEnd, OrphanCollector, OrphanOptions, ResourceCleaner};
use ha_core::election::Leadership;
use ha_core::job_result::JobResult;
use ha_core::plan::ExecutionPlan;
use ha_core::state::chunks_of;
use ha_core::telemetry::names;
use ha_core::{ComponentId, ErrorKind, HighAvailabilityServices, JobStatus, PresenceOptions};
use ha_testkit::faults::{Call, Fault, StateCall, StateFault};

use super::recorder::Memory;
use super::world::{Ignore, Note, Process, Stuck, World, job, one_retry};

async fn lead(process: &Process) -> Leadership {
    process.services.dispatcher_leader_election().unwrap().campaign().await.unwrap()
}

async fn write_note(leadership: &Leadership, name: &str) -> Result<(), ha_core::Error> {
    let key = ha_core::application_prefix().key(&Name::new(name)?);
    let note = Note { text: name.into() };
    leadership.guarded(|draft| draft.put(key, Expect::Absent, &note)).await.map(drop)
}

pub(crate) async fn a_leader_works_and_resigns(memory: &Memory) {
    let world = World::new();
    let process = world.process();
    let leadership = lead(&process).await;
    leadership.publish("here:1").await.unwrap();
    assert_eq!(memory.value(names::LATCHES_LED.name, &["process"]), 1.0);
    assert_eq!(memory.value(names::LEADER_EPOCH.name, &[]), leadership.token().epoch() as f64);

    let plans = leadership.execution_plan_store();
    plans.start(Arc::new(Ignore)).await.unwrap();
    plans.put_execution_plan(&ExecutionPlan::new(job("j"), "graph".into())).await.unwrap();
    assert_eq!(memory.value(names::HELD_BYTES.name, &["plans"]), 5.0);
    plans.recover_execution_plan(&job("j")).await.unwrap().unwrap();
    let others = process.services.execution_plan_store().unwrap();
    others.start(Arc::new(Ignore)).await.unwrap();
    world.eventually("the watch of plans looks", || memory.times(names::WATCH_WAKE_UPS.name, &["plans"]) > 0).await;

    let factory = leadership.checkpoint_recovery_factory();
    let recover = async || {
        let (mode, discarder) = (RecoveryClaimMode::NoClaim, Arc::new(DiscardStateOnly));
        factory.create_recovered_completed_checkpoint_store(&job("j"), 1, mode, discarder).await
    };
    let store = recover().await.unwrap();
    for id in [1, 2] {
        let checkpoint = CompletedCheckpoint::new(id, CheckpointKind::Checkpoint, 0, Bytes::from(vec![7; 1000]));
        store.add_checkpoint_and_subsume_oldest_one(checkpoint).await.unwrap();
    }
    store.discards_settled().await;
    assert_eq!(memory.value(names::HELD_BYTES.name, &["checkpoints"]), 1000.0);
    drop(store);
    assert_eq!(memory.value(names::HELD_STATES.name, &["checkpoints"]), 0.0, "given back by a drop");
    let store = recover().await.unwrap();
    assert_eq!(memory.value(names::RECOVERED_STATES.name, &["checkpoints"]), 1.0);
    assert_eq!(memory.value(names::STATE_BYTES.name, &["read"]), 1005.0);
    drop(store);

    let cleaner = ResourceCleaner::of(&leadership, one_retry()).unwrap();
    let result = JobResult::new(job("j"), JobStatus::Finished);
    leadership.job_result_store().create_dirty_result(&result).await.unwrap();
    assert_eq!(cleaner.clean_up(&result).await, CleanupEnd::Clean);
    let stuck = JobResult::new(job("stuck"), JobStatus::Finished);
    leadership.job_result_store().create_dirty_result(&stuck).await.unwrap();
    assert!(matches!(cleaner.first(Arc::new(Stuck)).clean_up(&stuck).await, CleanupEnd::GivenUp(_)));
    for outcome in ["clean", "retried", "given_up"] {
        assert_eq!(memory.value(names::CLEANUPS.name, &[outcome]), 1.0, "{outcome}");
    }

    leadership.resign().await.unwrap();
    let lost = || memory.value(names::LEADERSHIPS_LOST.name, &["process", "resigned"]);
    world.eventually("the resignation is counted", || lost() == 1.0).await;
    // Recorded after the loss, by another thread.
    let led = || memory.value(names::LATCHES_LED.name, &["process"]);
    world.eventually("it leads no more", || led() == 0.0).await;
    let closed = || memory.value(names::SESSIONS_ENDED.name, &["closed"]);
    world.eventually("its session is closed", || closed() == 1.0).await;
    assert_eq!(memory.value(names::LEADERSHIPS_WON.name, &["process"]), 1.0);
    assert!(memory.times(names::COMMIT_SECONDS.name, &["applied"]) >= 8);
    assert_eq!(memory.times(names::PUBLICATIONS.name, &["dispatcher", "ok"]), 1);
}

/// The store knows it before the leader does, so that the fence is what stops its write.
pub(crate) async fn a_leader_is_deposed(memory: &Memory) {
    let world = World::new();
    let process = world.process();
    // Nothing wakes it.
    process.plan.always(Call::Changed, Fault::Hang);
    let leadership = lead(&process).await;
    let fenced = memory.value(names::FENCED_WRITES.name, &[]);
    let latch = Latch::below(&Prefix::new("flink/default/leader").unwrap());
    // Somebody foreign writes the latch: the fence is broken, and the session lives on.
    world.store.tamper(latch.key(), Some("{}".into()));
    assert_eq!(write_note(&leadership, "refused").await.unwrap_err().kind(), ErrorKind::Fenced);
    assert_eq!(memory.value(names::FENCED_WRITES.name, &["process"]), fenced + 1.0);
    // The election's own first look at the latch may see it as well.
    let lost = |why| memory.value(names::LEADERSHIPS_LOST.name, &["process", why]);
    world.eventually("the loss", || lost("fenced") + lost("evicted") == 1.0).await;
    drop(leadership);
    process.services.close().await.unwrap();

    let revoked = World::new();
    let process = revoked.process();
    // It hears of it by its session alone; but its first look at the latch may come after the revocation and see an
    // eviction, and then it leaves the session itself.
    process.plan.always(Call::Changed, Fault::Hang);
    let _leadership = lead(&process).await;
    let lost = || lost("session_revoked") + lost("evicted");
    let ended = || {
        let ended = |why| memory.value(names::SESSIONS_ENDED.name, &[why]);
        ended("revoked") + ended("closed")
    };
    let (lost_before, ended_before) = (lost(), ended());
    let session = revoked.store.sessions().remove(0).id;
    revoked.store.revoke(&session).unwrap();
    revoked.eventually("the reason is told", || lost() > lost_before).await;
    revoked.eventually("the end of the session is told", || ended() > ended_before).await;
}

pub(crate) async fn answers_are_lost(memory: &Memory) {
    let world = World::new();
    let process = world.process();
    let leadership = lead(&process).await;
    process.plan.next_below(Call::Commit, "flink/default/application", Fault::FailAfter);
    write_note(&leadership, "found-out").await.unwrap();
    assert_eq!(memory.times(names::UNKNOWN_OUTCOME_SECONDS.name, &["applied"]), 1);

    // Its caller loses patience: nobody knows, and that is what is counted.
    process.plan.next_below(Call::Commit, "flink/default/application", Fault::Hang);
    let patience = Duration::from_millis(20);
    assert!(world.seam.timeout(patience, write_note(&leadership, "given-up")).await.is_none());
    assert_eq!(memory.times(names::COMMIT_SECONDS.name, &["dropped"]), 1);
}

pub(crate) async fn watches_fail_and_addresses_are_overwritten(memory: &Memory) {
    let world = World::new();
    let process = world.process();
    let before = memory.value(names::WATCH_FAILURES.name, &["leader"]);
    process.plan.next(Call::Changed, Fault::FailBefore);
    let leadership = lead(&process).await;
    let failed = || memory.value(names::WATCH_FAILURES.name, &["leader"]) > before;
    world.eventually("the watch has failed", failed).await;
    leadership.publish("here:1").await.unwrap();
    let key = Key::new("flink/default/leader/dispatcher/connection_info").unwrap();
    world.store.tamper(&key, Some("overwritten".into()));
    let restored = || memory.value(names::PUBLICATIONS_RESTORED.name, &["dispatcher"]) == 1.0;
    world.eventually("the address is restored", restored).await;
    assert!(memory.times(names::WATCH_WAKE_UPS.name, &["leader", "news"]) > 0);
}

pub(crate) async fn letting_go_fails(memory: &Memory) {
    let world = World::new();
    let process = world.process();
    // The session is kept for the first latch, so that the second must be released by itself.
    let _kept = lead(&process).await;
    let shard = Name::new("shard").unwrap();
    let election = process.services.leader_election_on(&shard, ComponentId::dispatcher()).unwrap();
    let second = election.campaign().await.unwrap();
    assert_eq!(memory.value(names::LATCHES_LED.name, &["independent"]), 1.0);
    process.plan.always(Call::Release, Fault::FailBefore);
    second.resign().await.unwrap();
    let retried = || memory.value(names::RELEASE_RETRIES.name, &[]) >= 1.0;
    world.eventually("letting go is tried again", retried).await;
    process.plan.clear();
}

pub(crate) async fn what_cannot_be_deleted_is_counted(memory: &Memory) {
    let world = World::new();
    let process = world.process();
    let leadership = lead(&process).await;
    process.states.always(StateCall::Delete, StateFault::FailBefore);
    let blobs = leadership.blob_store();
    let key = blobs.put(&job("j"), chunks_of("content".into())).await.unwrap();
    drop(blobs.get(&job("j"), &key).await.unwrap());
    blobs.delete(&job("j"), &key).await.unwrap();
    assert_eq!(memory.value(names::DISCARDS_GIVEN_UP.name, &[]), 1.0);
    assert_eq!(memory.times(names::STATE_SECONDS.name, &["discard", "error"]), 3);
    process.states.clear();
    leadership.resign().await.unwrap();

    let later = lead(&process).await;
    let collected = OrphanCollector::of(&later, OrphanOptions::default()).collect().await.unwrap();
    assert_eq!(collected.deleted.len(), 1);
    assert_eq!(memory.value(names::ORPHANS_COLLECTED.name, &[]), 1.0);
}

pub(crate) async fn an_election_that_cannot_go_on(memory: &Memory) {
    let world = World::new();
    let process = world.process();
    world.store.tamper(&Key::new("flink/default/formats").unwrap(), Some("not a record".into()));
    let election = process.services.dispatcher_leader_election().unwrap();
    let refused = world.seam.timeout(Duration::from_secs(60), election.campaign()).await.unwrap();
    assert!(refused.is_err());
    assert!(memory.value(names::ELECTION_ERRORS.name, &["process"]) >= 1.0);
}

/// The gauges move although nobody renews, which is when they are looked at.
pub(crate) async fn a_session_that_nothing_renews(memory: &Memory) {
    let world = World::new();
    let silence = Duration::from_secs(2);
    let process = world.process_with(silence, PresenceOptions::Off);
    let _leadership = lead(&process).await;
    let (valid, age) = (names::SESSION_VALID.name, names::SESSION_RENEWAL_AGE.name);
    let fresh = || memory.value(valid, &[]) > 0.0 && memory.value(valid, &[]) <= silence.as_secs_f64();
    world.eventually("the margin of a fresh session", fresh).await;
    let session = world.store.sessions().remove(0).id;
    world.store.freeze(&session).unwrap();
    world.eventually("the age of the last renewal grows", || memory.value(age, &[]) > 1.0).await;
    world.eventually("the margin falls to nothing", || memory.value(valid, &[]) == 0.0).await;
    let lost = || {
        memory.value(names::LEADERSHIPS_LOST.name, &["deadline_passed"])
            + memory.value(names::LEADERSHIPS_LOST.name, &["session_expired"])
    };
    world.eventually("the loss and its reason", || lost() >= 1.0).await;
}

/// Foreign code: it costs what it would have recorded, and nothing else.
pub(crate) async fn a_recorder_panics(memory: &Memory) {
    let world = World::new();
    let process = world.process();
    memory.broken.store(true, Ordering::Relaxed);
    let leadership = lead(&process).await;
    leadership.publish("here:1").await.unwrap();
    write_note(&leadership, "written").await.unwrap();
    let patience = Duration::from_millis(20);
    process.plan.next_below(Call::Commit, "flink/default/application", Fault::Hang);
    assert!(world.seam.timeout(patience, write_note(&leadership, "dropped")).await.is_none());
    assert!(leadership.is_valid());
    leadership.resign().await.unwrap();
    process.services.close().await.unwrap();
    memory.broken.store(false, Ordering::Relaxed);
}
