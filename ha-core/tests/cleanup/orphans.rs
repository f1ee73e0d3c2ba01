//! X-30: orphans are found, and nothing else is, whatever goes on beside.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ha_core::backend::{Backend, Outcome, Profile, ReadGuarantee};
use ha_core::cleanup::{OrphanCollector, OrphanOptions};
use ha_core::plan::ExecutionPlan;
use ha_core::seam::Seam;
use ha_core::state::{StateStorage, chunks_of};
use ha_core::{ErrorKind, HaServices, HighAvailabilityServices, ServicesOptions};
use ha_embedded::Embedded;
use object_store::ObjectStoreExt;
use object_store::path::Path as StorePath;

use super::rig::{Ignore, Process, World, eventually, job};

fn collector(of: &Process) -> OrphanCollector {
    OrphanCollector::of(&of.leadership, OrphanOptions::default())
}

async fn collect(of: &Process) -> usize {
    let (found, collected) = (collector(of).find().await.unwrap(), collector(of).collect().await.unwrap());
    assert_eq!(collected.deleted, found, "what is deleted is what a look has shown");
    found.len()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plan,
    Replacement,
    Blob,
    Checkpoint,
}

/// Writes state, and waits for ever before the pointer is committed.
async fn stop_before_the_pointer(world: &World, process: &Process, kind: Kind) -> ha_core::seam::Task {
    use ha_core::checkpoint::{CheckpointKind, CompletedCheckpoint, DiscardStateOnly, RecoveryClaimMode};
    let plans = process.services.execution_plan_store().unwrap();
    plans.start(Arc::new(Ignore)).await.unwrap();
    if kind == Kind::Replacement {
        plans.put_execution_plan(&ExecutionPlan::new(job("x"), "replaced".into())).await.unwrap();
    }
    let blobs = process.services.blob_store().unwrap();
    let factory = process.services.checkpoint_recovery_factory().unwrap();
    let (mode, discarder) = (RecoveryClaimMode::NoClaim, Arc::new(DiscardStateOnly));
    let store = factory.create_recovered_completed_checkpoint_store(&job("x"), 1, mode, discarder).await.unwrap();
    process.trap.close_gate("/x");
    let task = world.seam.spawn(async move {
        // What becomes of it, the test looks up in the store.
        match kind {
            Kind::Plan | Kind::Replacement => {
                drop(plans.put_execution_plan(&ExecutionPlan::new(job("x"), "stopped".into())).await);
            }
            Kind::Blob => drop(blobs.put(&job("x"), chunks_of("stopped".into())).await),
            Kind::Checkpoint => {
                let checkpoint = CompletedCheckpoint::new(1, CheckpointKind::Checkpoint, 0, "stopped".into());
                drop(store.add_checkpoint_and_subsume_oldest_one(checkpoint).await);
            }
        }
    });
    eventually("the pointer is on its way", async || process.trap.waiting() > 0).await;
    task
}

const KINDS: [Kind; 4] = [Kind::Plan, Kind::Replacement, Kind::Blob, Kind::Checkpoint];

#[tokio::test]
async fn a_state_whose_pointer_is_on_its_way_is_kept_in_its_own_term() {
    for kind in KINDS {
        let world = World::new();
        let old = world.leader().await;
        old.populate("a").await;
        let leader = world.depose(&old).await;
        let before = world.contents().await.len();
        let _put = stop_before_the_pointer(&world, &leader, kind).await;
        assert_eq!(collect(&leader).await, 0, "{kind:?}");
        assert!(world.contents().await.contains(&"stopped".to_owned()));
        leader.trap.open();
        let count = before + 1;
        eventually("the pointer is there, and what it replaced is gone", async || {
            world.contents().await.len() == count && world.keys().await.iter().any(|key| key.contains("/x"))
        })
        .await;
    }
}

#[tokio::test]
async fn a_deposed_writers_state_is_collected_and_its_late_pointer_refused() {
    for kind in KINDS {
        let world = World::new();
        let old = world.leader().await;
        old.populate("a").await;
        let put = stop_before_the_pointer(&world, &old, kind).await;
        let leader = world.depose(&old).await;
        let before = world.keys().await;
        assert_eq!(collect(&leader).await, 1, "{kind:?}");
        assert!(!world.contents().await.contains(&"stopped".to_owned()));
        // What left in time arrives late.
        let late = old.trap.held_back.lock().unwrap().pop().unwrap();
        assert_eq!(world.store.connect().commit(&late).await.unwrap(), Outcome::Fenced);
        old.trap.open();
        eventually("the old leader gives up", async || put.is_finished()).await;
        assert_eq!(world.keys().await, before);
        let plans = leader.leadership.execution_plan_store();
        plans.start(Arc::new(Ignore)).await.unwrap();
        for job_id in plans.job_ids().await.unwrap() {
            plans.recover_execution_plan(&job_id).await.unwrap().unwrap();
        }
    }
}

/// The same process leads again before its old operation goes on: the operation is bound to its own term.
#[tokio::test]
async fn an_operation_does_not_outlive_its_term_in_one_process() {
    for kind in KINDS {
        let world = World::new();
        let process = world.leader().await;
        let put = stop_before_the_pointer(&world, &process, kind).await;
        let (services, leadership) = (&process.services, process.leadership);
        leadership.resign().await.unwrap();
        let again = services.dispatcher_leader_election().unwrap().campaign().await.unwrap();
        let collected = OrphanCollector::of(&again, OrphanOptions::default()).collect().await.unwrap();
        assert_eq!(collected.deleted.len(), 1, "{kind:?}");
        process.trap.open();
        eventually("the operation ends", async || put.is_finished()).await;
        let stopped = world.entries().await.into_iter().filter(|entry| entry.key.as_str().contains("/x"));
        let revisions: Vec<_> = stopped.map(|entry| entry.key.to_string()).collect();
        assert_eq!(revisions.len(), usize::from(kind == Kind::Replacement), "{kind:?} {revisions:?}");
    }
}

/// A deposed leader that still collects deletes nothing of its successor's, and no more than orphans.
#[tokio::test]
async fn a_deposed_collector_does_no_harm() {
    let world = World::new();
    let first = world.leader().await;
    first.populate("a").await;
    drop(stop_before_the_pointer(&world, &first, Kind::Blob).await);
    let old = world.depose(&first).await;
    old.populate("b").await;
    let leader = world.depose(&old).await;
    let contents = world.contents().await;
    // Nothing tells it yet that it is over, and what it finds is nobody's.
    assert_eq!(collect(&old).await, 1);
    assert_eq!(world.contents().await.len(), contents.len() - 1);
    leader.populate("c").await;
    let contents = world.contents().await;
    assert_eq!(collector(&old).collect().await.unwrap_err().kind(), ErrorKind::Fenced, "a later term has written");
    assert_eq!(world.contents().await, contents);
}

/// Nothing is deleted because something cannot be read.
#[tokio::test]
async fn one_unreadable_pointer_anywhere_keeps_everything() {
    let world = World::new();
    let old = world.leader().await;
    let blob = old.populate("a").await.remove(0);
    drop(stop_before_the_pointer(&world, &old, Kind::Plan).await);
    let leader = world.depose(&old).await;
    let before = world.states().await;
    let good: Vec<_> = world.entries().await;
    let checkpoint = "jobs/a/checkpoints/0000000000000000001";
    for key in [
        "execution-plans/a",
        checkpoint,
        &format!("blobs/a/{blob}"),
        "jobs/a/checkpoints/junk",
        "jobs/a/new",
        "blobs/b",
    ] {
        for (bytes, kind) in [("?", ErrorKind::Corrupt), (r#"{"format":9999}"#, ErrorKind::NewerFormat)] {
            world.tamper(key, Some(bytes));
            let error = collector(&leader).collect().await.unwrap_err();
            assert!(error.kind() == kind || error.kind() == ErrorKind::Corrupt, "{error}");
            assert!(error.to_string().contains(key.rsplit('/').next().unwrap()) || error.subject() == "a", "{error}");
            assert_eq!(world.states().await, before, "{key}");
        }
        let entry = good.iter().find(|entry| entry.key.as_str().ends_with(key));
        world.tamper(key, entry.map(|entry| std::str::from_utf8(&entry.value).unwrap()));
    }
    assert_eq!(collect(&leader).await, 1);
}

/// What does not have the name of a state of this cluster is nobody's business here.
#[tokio::test]
async fn foreign_files_other_clusters_and_kept_states_are_never_touched() {
    let world = World::new();
    let old = world.leader().await;
    old.populate("a").await;
    // Savepoints and what a policy may retain stay when their pointers go.
    old.services.global_cleanup(&job("a")).await.unwrap();
    let other = world.leader_of("other").await;
    other.populate("a").await;
    // By hand, without a leadership.
    old.leadership.storage().write(&[ha_core::backend::Name::new("blob").unwrap()], "mine".into()).await.unwrap();
    let foreign = [
        "default/blob/a/notes.txt",
        "default/completedCheckpoint/a/5-0badf00d-00000000000000000000000000000001",
        "default/x",
        "blob/a/b",
        "default/blob/a/b/c",
        "default/other/a/1",
    ];
    for path in foreign {
        world.states.put(&StorePath::from(path), Bytes::from(path).into()).await.unwrap();
    }
    let leader = world.depose(&old).await;
    let before = world.states().await;
    assert_eq!(collect(&leader).await, 0);
    assert_eq!(world.states().await, before);
    assert!(before.iter().filter(|(path, _)| path.contains("/keep-")).count() >= 2, "{before:?}");
    // The other cluster lies in a folder of its own; and if it did not, its names would tell.
    let stray: Vec<_> = before.iter().filter(|(path, _)| path.starts_with("other/submittedJobGraph")).collect();
    for (path, content) in stray {
        let moved = path.replacen("other/", "default/", 1);
        world.states.put(&StorePath::from(moved), content.clone().into()).await.unwrap();
    }
    assert_eq!(collect(&leader).await, 0);
}

/// Outcomes that stay unknown: the state of a put that was applied is kept, that of one that was not is collected
/// once its term is over.
#[tokio::test]
async fn unknown_outcomes_are_settled_by_the_next_term() {
    let world = World::new();
    let old = world.leader().await;
    for (name, applied) in [("applied", true), ("lost", false)] {
        old.trap.close_gate(&format!("blobs/{name}"));
        let blobs = old.leadership.blob_store();
        let put = world.seam.spawn(async move {
            drop(blobs.put(&job(name), chunks_of(name.into())).await);
        });
        let on_its_way = async || old.trap.held_back.lock().unwrap().len() == 1;
        eventually("the pointer is on its way", on_its_way).await;
        let commit = old.trap.held_back.lock().unwrap().pop().unwrap();
        // The caller is gone; its request arrives, or does not.
        drop(put);
        if applied {
            assert!(matches!(world.store.connect().commit(&commit).await.unwrap(), Outcome::Applied { .. }));
        }
    }
    assert_eq!(collect(&old).await, 0, "in the same term everything is kept");
    let leader = world.depose(&old).await;
    assert_eq!(collect(&leader).await, 1);
    assert_eq!(world.contents().await, ["applied"]);
}

#[tokio::test]
async fn a_place_that_another_store_uses_is_refused() {
    let world = World::new();
    let old = world.leader().await;
    old.populate("a").await;
    let path = world.states().await.into_iter().find(|(path, _)| path.contains("/blob/")).unwrap().0;
    let leader = world.depose(&old).await;
    // As if written by the leader of a store that is further ahead.
    let (folder, name) = path.rsplit_once('/').unwrap();
    let later = format!("{folder}/99{}", &name[1..]);
    world.states.put(&StorePath::from(later), "later".into()).await.unwrap();
    let before = world.states().await;
    let error = collector(&leader).collect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IllegalState, "{error}");
    assert!(error.to_string().contains("epoch 99"), "{error}");
    assert_eq!(world.states().await, before);
}

#[tokio::test]
async fn where_reads_may_miss_something_nothing_is_collected() {
    let reads = Profile::new("lagging", 512 << 10, 64, 1 << 20).with_reads(ReadGuarantee::Monotonic);
    let world = World::with_profile(reads);
    let old = world.leader().await;
    drop(stop_before_the_pointer(&world, &old, Kind::Blob).await);
    let leader = world.depose(&old).await;
    assert_eq!(collector(&leader).collect().await.unwrap_err().kind(), ErrorKind::Unsupported);
    leader.services.cleanup_all_data().await.unwrap();
    assert_eq!(world.contents().await, ["stopped"]);
}

#[tokio::test]
async fn the_young_are_spared_and_a_run_is_bounded() {
    let world = World::new();
    let old = world.leader().await;
    old.populate("a").await;
    for key in world.keys().await.iter().filter(|key| key.starts_with("blobs/")) {
        world.tamper(key, None);
    }
    let leader = world.depose(&old).await;
    let with = |age_min, orphans_max| OrphanCollector::of(&leader.leadership, OrphanOptions { age_min, orphans_max });
    assert!(with(Duration::from_secs(3600), 100).find().await.unwrap().is_empty());
    assert_eq!(with(Duration::ZERO, 100).find().await.unwrap().len(), 3);
    let collected = with(Duration::ZERO, 2).collect().await.unwrap();
    assert_eq!((collected.deleted.len(), collected.may_be_more), (2, true));
    assert_eq!(with(Duration::ZERO, 100).collect().await.unwrap().deleted.len(), 1);
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files
}

/// X-23: what a killed upload leaves in a directory is hidden from the lists of the object store.
#[tokio::test]
async fn unfinished_uploads_of_earlier_terms_are_collected() {
    let seam = Seam::system();
    let directory = tempfile::tempdir().unwrap();
    let store = Embedded::new(seam.clone());
    let url = url::Url::from_directory_path(directory.path()).unwrap();
    let open = || {
        let storage = StateStorage::open(url.as_str(), seam.clone()).unwrap();
        HaServices::new(Arc::new(store.connect()), storage, &ServicesOptions::default(), seam.clone()).unwrap()
    };
    let first = open();
    let leadership = first.dispatcher_leader_election().unwrap().campaign().await.unwrap();
    let key = leadership.blob_store().put(&job("a"), chunks_of("whole".into())).await.unwrap();
    let whole = files(directory.path()).remove(0);
    first.close().await.unwrap();
    let leave = |name: String| std::fs::write(whole.with_file_name(name), "half").unwrap();
    let (tag, _) = whole.file_name().unwrap().to_str().unwrap().rsplit_once('-').unwrap();
    let random = "00000000000000000000000000000001";
    // Of the earlier term, in the midst of its upload; and the staging of the one that is whole.
    leave(format!("{tag}-{random}#1"));
    leave(format!("{}#7", whole.file_name().unwrap().to_str().unwrap()));
    let (place, second) = (tag.split_once('-').unwrap().1, open());
    let leadership = second.dispatcher_leader_election().unwrap().campaign().await.unwrap();
    // Of this term, of other latches, kept, foreign.
    let epoch = leadership.token();
    for name in [
        format!("{epoch}-{place}-{random}#1"),
        format!("shard.1-{place}-{random}#1"),
        format!("keep-1-{place}-{random}#1"),
        format!("{random}#1"),
        "notes#1".into(),
        format!("{tag}-{random}#x"),
        format!("{tag}-{random}#"),
    ] {
        leave(name);
    }
    let before = files(directory.path()).len();
    let collected = OrphanCollector::of(&leadership, OrphanOptions::default()).collect().await.unwrap();
    assert_eq!(collected.deleted.len(), 2, "{collected:?}");
    assert_eq!(files(directory.path()).len(), before - 2);
    drop(leadership.blob_store().get(&job("a"), &key).await.unwrap());
    assert!(whole.starts_with(directory.path().join("default")), "a cluster has a folder of its own: {whole:?}");
}
