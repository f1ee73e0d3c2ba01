//! The store of completed checkpoints.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test, as it should")]
#![allow(dead_code, reason = "the shared helpers are not all used by every test")]

mod common;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use common::{Fault, Leader, Rig, assert_deposed, eventually, job, poll_and_drop};
use ha_core::backend::{Name, Profile};
use ha_core::checkpoint::{
    CheckpointDiscarder, CheckpointKind, CheckpointOrigin, CheckpointRecoveryFactory, CheckpointStoreOptions,
    CompletedCheckpoint, CompletedCheckpointStore, DefaultCheckpointRecoveryFactory, DefaultCompletedCheckpointStore,
    RecoveryClaimMode, RetentionPolicy,
};
use ha_core::seam::Seam;
use ha_core::state::{StateHandle, StateStorage};
use ha_core::writer::Writer;
use ha_core::{Error, ErrorKind, JobStatus};

const BELOW: &str = "jobs/job/checkpoints";

/// Remembers what it was asked to discard.
#[derive(Debug, Default)]
struct Recorder {
    ids: Mutex<Vec<u64>>,
    panics: bool,
    fails: Mutex<usize>,
}

#[async_trait]
impl CheckpointDiscarder for Recorder {
    async fn discard(&self, checkpoint: &CompletedCheckpoint) -> Result<(), Error> {
        assert!(!self.panics, "a discarder of the test panics");
        let mut fails = self.fails.lock().unwrap();
        if *fails > 0 {
            *fails -= 1;
            return Err(Error::new(ErrorKind::Storage, "discard").because("for the test"));
        }
        self.ids.lock().unwrap().push(checkpoint.id);
        Ok(())
    }
}

struct Opened {
    store: DefaultCompletedCheckpointStore,
    discarded: Arc<Recorder>,
}

impl Opened {
    async fn add(&self, checkpoint: CompletedCheckpoint) -> Result<Option<u64>, Error> {
        let subsumed = self.store.add_checkpoint_and_subsume_oldest_one(checkpoint).await?;
        Ok(subsumed.map(|checkpoint| checkpoint.id))
    }

    async fn ids(&self) -> Vec<u64> {
        self.store.get_all_checkpoints().await.unwrap().iter().map(|checkpoint| checkpoint.id).collect()
    }

    async fn discarded(&self) -> Vec<u64> {
        self.store.discards_settled().await;
        let mut ids = self.discarded.ids.lock().unwrap().clone();
        ids.sort_unstable();
        ids
    }
}

async fn try_open(rig: &Rig, writer: Writer, retained_max: usize) -> Result<Opened, Error> {
    open_with(rig, writer, retained_max, RecoveryClaimMode::NoClaim, Arc::default()).await
}

async fn open_with(
    rig: &Rig,
    writer: Writer,
    retained_max: usize,
    claim_mode: RecoveryClaimMode,
    discarded: Arc<Recorder>,
) -> Result<Opened, Error> {
    let discarder = Arc::clone(&discarded) as Arc<dyn CheckpointDiscarder>;
    let options = CheckpointStoreOptions { retained_max, claim_mode, discarder };
    let store = DefaultCompletedCheckpointStore::recover(&job("job"), writer, rig.storage.clone(), options).await?;
    Ok(Opened { store, discarded })
}

async fn open(rig: &Rig, leader: &Leader, retained_max: usize) -> Opened {
    try_open(rig, leader.writer.clone(), retained_max).await.unwrap()
}

fn of_kind(id: u64, kind: CheckpointKind) -> CompletedCheckpoint {
    CompletedCheckpoint::new(id, kind, id.wrapping_mul(1000), format!("state {id}").into())
}

fn checkpoint(id: u64) -> CompletedCheckpoint {
    of_kind(id, CheckpointKind::Checkpoint)
}

fn savepoint(id: u64) -> CompletedCheckpoint {
    of_kind(id, CheckpointKind::Savepoint)
}

fn names(ids: &[u64]) -> Vec<String> {
    ids.iter().map(|id| format!("{BELOW}/{id:019}")).collect()
}

/// The handles of the states that the pointers lead to, as they stand in the backend.
async fn handles(rig: &Rig) -> Vec<StateHandle> {
    let handle = |value: &[u8]| {
        let record: serde_json::Value = serde_json::from_slice(value).unwrap();
        serde_json::from_value(record["body"]["state"].clone()).unwrap()
    };
    rig.contents(BELOW).await.iter().map(|(_, value, _)| handle(value)).collect()
}

async fn exists(storage: &StateStorage, handle: &StateHandle) -> bool {
    match storage.read(handle).await {
        Ok(_) => true,
        Err(error) if error.kind() == ErrorKind::StateMissing => false,
        Err(error) => panic!("{error}"),
    }
}

/// CP-01.
#[tokio::test]
async fn a_quota_of_nothing_is_refused() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let refused = try_open(&rig, leader.writer.clone(), 0).await;
    assert_eq!(refused.err().unwrap().kind(), ErrorKind::Invalid);
}

/// CP-02, CP-04, CP-05, CP-10, CP-24.
#[tokio::test]
async fn what_was_added_is_found_in_order_and_an_empty_store_says_so() {
    let rig = Rig::new();
    let opened = open(&rig, &rig.lead().await, 3).await;
    assert!(opened.store.get_latest_checkpoint().await.unwrap().is_none());
    assert_eq!(opened.store.get_latest_checkpoint_id().await.unwrap(), 0);
    assert_eq!(opened.store.number_of_retained_checkpoints().await.unwrap(), 0);
    for id in [1, 2, 3] {
        assert_eq!(opened.add(checkpoint(id)).await.unwrap(), None);
    }
    assert_eq!(opened.ids().await, [1, 2, 3]);
    let latest = opened.store.get_latest_checkpoint().await.unwrap().unwrap();
    assert_eq!(*latest, checkpoint(3));
    assert_eq!(opened.store.number_of_retained_checkpoints().await.unwrap(), 3);
    assert_eq!(opened.store.max_number_of_retained_checkpoints(), 3);
    assert!(opened.store.requires_externalized_checkpoints());
    assert_eq!(rig.keys(BELOW).await, names(&[1, 2, 3]));
}

/// CP-03, CP-13, CP-25: pointer and subsumption are one commit; data goes after it.
#[tokio::test]
async fn the_oldest_gives_way_in_the_same_commit_and_then_its_data_is_deleted() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let opened = open(&rig, &leader, 2).await;
    opened.add(checkpoint(1)).await.unwrap();
    opened.add(checkpoint(2)).await.unwrap();
    let before = handles(&rig).await;
    let commits = leader.backend.commits.load(Ordering::SeqCst);
    assert_eq!(opened.add(checkpoint(3)).await.unwrap(), Some(1));
    assert_eq!(leader.backend.commits.load(Ordering::SeqCst), commits + 1);
    assert_eq!((opened.ids().await, rig.keys(BELOW).await), (vec![2, 3], names(&[2, 3])));
    assert_eq!(opened.discarded().await, [1]);
    assert_eq!(opened.store.outstanding_discards(), 0);
    assert!(!exists(&rig.storage, &before[0]).await);
    assert!(exists(&rig.storage, &before[1]).await);
}

/// CP-07 to CP-09, through the store.
#[tokio::test]
async fn savepoints_leave_the_store_and_their_data_stays() {
    let rig = Rig::new();
    let opened = open(&rig, &rig.lead().await, 1).await;
    let mut states = Vec::new();
    for one in [checkpoint(1), checkpoint(2), savepoint(3), savepoint(4), savepoint(5)] {
        opened.add(one).await.unwrap();
        states.push(handles(&rig).await.pop().unwrap());
    }
    assert_eq!(opened.ids().await, [2, 5]);
    assert_eq!(opened.discarded().await, [1]);
    for (at, stays) in [false, true, true, true, true].into_iter().enumerate() {
        assert_eq!(exists(&rig.storage, &states[at]).await, stays, "state of {}", at + 1);
    }
    assert_eq!(opened.add(of_kind(6, CheckpointKind::SynchronousSavepoint)).await.unwrap(), Some(5));
    assert_eq!((opened.ids().await, opened.discarded().await), (vec![6], vec![1, 2]));
}

/// CP-11, CP-21, FLINK-6284, FLINK-3499.
#[tokio::test]
async fn recovery_finds_everything_in_the_order_of_numbers() {
    let rig = Rig::new();
    let first = rig.lead().await;
    let former = open(&rig, &first, 10).await;
    let described = checkpoint(9)
        .with_retention(RetentionPolicy::RetainOnFailure)
        .with_external("s3://bucket/chk-9")
        .with_origin(CheckpointOrigin::Restored(RecoveryClaimMode::NoClaim));
    for one in [checkpoint(10), described.clone(), checkpoint(11), checkpoint(100)] {
        former.add(one).await.unwrap();
    }
    former.store.shutdown(JobStatus::Suspended).await.unwrap();
    let second = rig.depose(&first).await;
    let lists = second.backend.lists.load(Ordering::SeqCst);
    let recovered = open(&rig, &second, 10).await;
    assert_eq!(second.backend.lists.load(Ordering::SeqCst), lists + 1, "recovery is one list");
    assert_eq!(recovered.ids().await, [9, 10, 11, 100]);
    assert_eq!(*recovered.store.get_all_checkpoints().await.unwrap()[0], described);
    assert_eq!(recovered.store.get_latest_checkpoint_id().await.unwrap(), 100);
}

/// CP-12, FLINK-22502: loudly, all of it, by name, and nothing is deleted.
#[tokio::test]
async fn one_unreadable_entry_fails_the_recovery_and_is_named() {
    let id = "0".repeat(32);
    let other =
        format!(r#"{{"format":1,"kind":"checkpoint_id_counter","write_id":"{id}","epoch":1,"body":{{"next":2}}}}"#);
    let cases = [
        (names(&[2]).remove(0), "garbage".to_owned(), ErrorKind::Corrupt),
        (names(&[2]).remove(0), r#"{"format":7}"#.to_owned(), ErrorKind::NewerFormat),
        (names(&[2]).remove(0), other, ErrorKind::Corrupt),
        (format!("{BELOW}/12"), "x".to_owned(), ErrorKind::Corrupt),
        (format!("{BELOW}/{:019}/locks", 2), "x".to_owned(), ErrorKind::Corrupt),
    ];
    for (key, value, kind) in cases {
        let rig = Rig::new();
        let leader = rig.lead().await;
        let opened = open(&rig, &leader, 3).await;
        for id in [1, 2, 3] {
            opened.add(checkpoint(id)).await.unwrap();
        }
        rig.tamper(&key, Some(&value));
        let contents = rig.contents(BELOW).await;
        let error = try_open(&rig, leader.writer.clone(), 3).await.err().unwrap();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(&key), "{error}");
        assert_eq!(rig.contents(BELOW).await, contents);
    }
}

#[tokio::test]
async fn a_pointer_under_a_foreign_name_is_not_taken_for_that_checkpoint() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    open(&rig, &leader, 3).await.add(checkpoint(1)).await.unwrap();
    let value = String::from_utf8(rig.contents(BELOW).await.remove(0).1).unwrap();
    rig.tamper(&names(&[2])[0], Some(&value));
    let error = try_open(&rig, leader.writer.clone(), 3).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains(&names(&[2])[0]), "{error}");
}

/// X-29, on a real directory.
#[tokio::test]
async fn missing_truncated_and_changed_state_fails_the_recovery_and_is_left_alone() {
    for (damage, kind) in
        [("remove", ErrorKind::StateMissing), ("cut", ErrorKind::Corrupt), ("flip", ErrorKind::Corrupt)]
    {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("file://{}", directory.path().display());
        let rig = Rig { storage: StateStorage::open(&url, Seam::system()).unwrap(), ..Rig::new() };
        let leader = rig.lead().await;
        let opened = open(&rig, &leader, 3).await;
        opened.add(checkpoint(1)).await.unwrap();
        opened.add(checkpoint(2)).await.unwrap();
        let uri = handles(&rig).await[0].uri.clone();
        let path = uri.strip_prefix("file://").unwrap();
        let mut bytes = std::fs::read(path).unwrap();
        match damage {
            "remove" => std::fs::remove_file(path).unwrap(),
            "cut" => std::fs::write(path, &bytes[1..]).unwrap(),
            _ => {
                bytes[0] ^= 1;
                std::fs::write(path, &bytes).unwrap();
            }
        }
        let contents = rig.contents(BELOW).await;
        let error = try_open(&rig, leader.writer.clone(), 3).await.err().unwrap();
        assert_eq!(error.kind(), kind, "{error}");
        let text = error.to_string();
        assert!(text.contains(&names(&[1])[0]) && text.contains(&uri), "{text}");
        assert_eq!(rig.contents(BELOW).await, contents);
        assert_eq!(std::path::Path::new(path).exists(), damage != "remove");
    }
}

/// FLINK-7783: a reader beside a working leader sees a list that is whole, not one that is broken.
#[tokio::test]
async fn a_checkpoint_that_was_subsumed_while_it_was_loaded_is_not_called_missing() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let opened = open(&rig, &leader, 1).await;
    opened.add(checkpoint(1)).await.unwrap();
    let below = ha_core::backend::Prefix::new(BELOW).unwrap();
    let before = leader.writer.backend().list(&below).await.unwrap();
    opened.add(checkpoint(2)).await.unwrap();
    opened.store.discards_settled().await;
    leader.backend.stale.lock().unwrap().push_back(before);
    assert_eq!(open(&rig, &leader, 1).await.ids().await, [2]);
}

/// CP-18.
#[tokio::test]
async fn more_than_the_quota_is_recovered_and_trimmed_by_the_next_add() {
    let rig = Rig::new();
    let first = rig.lead().await;
    let former = open(&rig, &first, 5).await;
    for id in 1..=5 {
        former.add(checkpoint(id)).await.unwrap();
    }
    let second = rig.depose(&first).await;
    let recovered = open(&rig, &second, 2).await;
    assert_eq!(recovered.ids().await, [1, 2, 3, 4, 5]);
    assert_eq!(recovered.add(checkpoint(6)).await.unwrap(), Some(4));
    assert_eq!((recovered.ids().await, rig.keys(BELOW).await), (vec![5, 6], names(&[5, 6])));
    assert_eq!(recovered.discarded().await, [1, 2, 3, 4]);
}

/// More subsumed pointers than fit into a commit.
#[tokio::test]
async fn subsumption_is_spread_over_several_commits_and_their_failure_does_not_fail_the_add() {
    let rig = Rig::with_profile(Profile::new("small", 64 * 1024, 4, 64 * 1024));
    let leader = rig.lead().await;
    let wide = open(&rig, &leader, 20).await;
    for id in 1..=10 {
        wide.add(checkpoint(id)).await.unwrap();
    }
    let narrow = open(&rig, &leader, 1).await;
    leader.backend.next_commit_is_fine();
    leader.backend.next_commit(Fault::Before);
    assert_eq!(narrow.add(checkpoint(11)).await.unwrap(), Some(2), "two fit beside the pointer");
    assert_eq!(narrow.ids().await, [3, 4, 5, 6, 7, 8, 9, 10, 11]);
    assert_eq!(narrow.add(checkpoint(12)).await.unwrap(), Some(11));
    assert_eq!((narrow.ids().await, rig.keys(BELOW).await), (vec![12], names(&[12])));
    assert_eq!(narrow.discarded().await, (1..=11).collect::<Vec<u64>>());
}

#[tokio::test]
async fn an_unknown_outcome_of_a_further_commit_neither_fails_the_add_nor_deletes_data() {
    for fault in [Fault::Lost, Fault::After] {
        let rig = Rig::with_profile(Profile::new("small", 64 * 1024, 3, 64 * 1024));
        let leader = rig.lead().await;
        let wide = open(&rig, &leader, 20).await;
        for id in 1..=4 {
            wide.add(checkpoint(id)).await.unwrap();
        }
        let states = handles(&rig).await;
        let narrow = try_open(&rig, leader.hasty(), 1).await.unwrap();
        leader.backend.next_commit_is_fine();
        leader.backend.next_commit(fault);
        assert_eq!(narrow.add(checkpoint(5)).await.unwrap(), Some(1));
        assert_eq!(narrow.discarded().await, [1]);
        assert_eq!(narrow.ids().await, if fault == Fault::Lost { vec![2, 3, 4, 5] } else { vec![4, 5] });
        for state in &states[1..] {
            assert!(exists(&rig.storage, state).await, "in doubt nothing is deleted");
        }
        assert_eq!(narrow.add(checkpoint(6)).await.unwrap(), Some(5));
        assert_eq!(narrow.ids().await, [6]);
    }
}

/// CP-14, CP-29.
#[tokio::test]
async fn a_failed_add_changes_nothing_and_its_state_is_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("file://{}", directory.path().display());
    let rig = Rig { storage: StateStorage::open(&url, Seam::system()).unwrap(), ..Rig::new() };
    let leader = rig.lead().await;
    let opened = open(&rig, &leader, 1).await;
    opened.add(checkpoint(1)).await.unwrap();
    let contents = rig.contents(BELOW).await;
    leader.backend.next_commit(Fault::Before);
    let error = opened.add(checkpoint(2)).await.unwrap_err();
    assert!(!error.may_have_applied());
    assert_eq!((opened.ids().await, rig.contents(BELOW).await), (vec![1], contents));
    assert_eq!(opened.discarded().await, [0; 0], "the application deletes its own files of a failed checkpoint");
    let files = std::fs::read_dir(directory.path().join("completedCheckpoint/job")).unwrap().count();
    assert_eq!(files, 1, "the state of the failed add is gone, that of the retained one is not");
    assert_eq!(opened.add(checkpoint(2)).await.unwrap(), Some(1));
}

/// CP-30, FLINK-22494: both ends of the same doubt.
#[tokio::test]
async fn after_an_unknown_outcome_nothing_is_deleted_and_the_store_decides() {
    for (fault, ids, keys) in [(Fault::After, vec![2], vec![2]), (Fault::Lost, vec![1], vec![1])] {
        let rig = Rig::new();
        let leader = rig.lead().await;
        let opened = try_open(&rig, leader.hasty(), 1).await.unwrap();
        opened.add(checkpoint(1)).await.unwrap();
        let first = handles(&rig).await.remove(0);
        leader.backend.next_commit(fault);
        assert!(opened.add(checkpoint(2)).await.unwrap_err().may_have_applied());
        assert_eq!(opened.store.outstanding_discards(), 0);
        assert!(exists(&rig.storage, &first).await, "in doubt nothing is deleted");
        // While the store cannot be read, the doubt stays and nothing is answered from memory.
        leader.backend.set_down(true);
        assert_eq!(opened.store.get_all_checkpoints().await.unwrap_err().kind(), ErrorKind::Unavailable);
        leader.backend.set_down(false);
        assert_eq!((opened.ids().await, rig.keys(BELOW).await), (ids, names(&keys)));
        // The commit that carries our state was applied, and so were its removals.
        assert_eq!(opened.discarded().await, if fault == Fault::After { vec![1] } else { vec![] });
        opened.add(checkpoint(3)).await.unwrap();
        assert_eq!(rig.keys(BELOW).await, names(&[3]));
        assert_eq!(opened.store.get_latest_checkpoint_id().await.unwrap(), 3);
    }
}

/// FLINK-24543, FLINK-28265: a lost answer is not an existing checkpoint.
#[tokio::test]
async fn a_lost_answer_is_found_out_and_is_a_success() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let opened = open(&rig, &leader, 1).await;
    for (id, fault) in [(1, Fault::After), (2, Fault::Lost), (3, Fault::After)] {
        leader.backend.next_commit(fault);
        opened.add(checkpoint(id)).await.unwrap();
        assert_eq!((opened.ids().await, rig.keys(BELOW).await), (vec![id], names(&[id])));
    }
    assert_eq!(opened.discarded().await, [1, 2]);
    assert!(exists(&rig.storage, &handles(&rig).await[0]).await);
}

#[tokio::test]
async fn an_add_that_was_dropped_after_it_was_sent_leaves_memory_as_the_store_is() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let opened = open(&rig, &leader, 1).await;
    let mut landed = 0;
    for id in 1..=6 {
        leader.backend.next_commit(Fault::Hang);
        assert!(poll_and_drop(opened.add(checkpoint(id))).is_none());
        // What hung may have been the commit, or the one before it that fends off late copies.
        let stored = rig.keys(BELOW).await;
        assert_eq!(names(&opened.ids().await), stored);
        if stored == names(&[id]) {
            landed += 1;
            assert_eq!(opened.add(checkpoint(id)).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
        } else {
            opened.add(checkpoint(id)).await.unwrap();
        }
        assert_eq!((opened.ids().await, rig.keys(BELOW).await), (vec![id], names(&[id])));
        assert!(exists(&rig.storage, &handles(&rig).await[0]).await);
    }
    assert!(landed >= 3, "the case was not met: {landed}");
    assert_eq!(opened.discarded().await, [1, 2, 3, 4, 5]);
}

/// SH-03: nothing is written for an id that is in use, and nothing of the old is touched.
#[tokio::test]
async fn a_used_id_is_refused_and_the_stored_checkpoint_stays() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let (one, other) = (open(&rig, &leader, 3).await, open(&rig, &leader, 3).await);
    one.add(checkpoint(1)).await.unwrap();
    let contents = rig.contents(BELOW).await;
    // Known in memory, and known to the store alone.
    for opened in [&one, &other] {
        let error = opened.add(checkpoint(1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        opened.store.discards_settled().await;
    }
    assert_eq!(rig.contents(BELOW).await, contents);
    assert!(exists(&rig.storage, &handles(&rig).await[0]).await);
}

/// CP-28.
#[tokio::test]
async fn a_subsumed_pointer_that_is_gone_or_changed_does_not_fail_the_add() {
    let rig = Rig::new();
    let opened = open(&rig, &rig.lead().await, 1).await;
    opened.add(checkpoint(1)).await.unwrap();
    rig.tamper(&names(&[1])[0], None);
    assert_eq!(opened.add(checkpoint(2)).await.unwrap(), None);
    // Written anew with the same content: still ours, under another revision.
    let value = String::from_utf8(rig.contents(BELOW).await.remove(0).1).unwrap();
    rig.tamper(&names(&[2])[0], Some(&value));
    assert_eq!(opened.add(checkpoint(3)).await.unwrap(), Some(2));
    // Somebody else's now: left alone.
    rig.tamper(&names(&[3])[0], Some("foreign"));
    assert_eq!(opened.add(checkpoint(4)).await.unwrap(), None);
    assert_eq!((opened.ids().await, rig.keys(BELOW).await), (vec![4], names(&[3, 4])));
    assert_eq!(opened.discarded().await, [2]);
}

#[tokio::test]
async fn impossible_checkpoints_are_refused_before_anything_is_written() {
    let rig = Rig::new();
    let opened = open(&rig, &rig.lead().await, 1).await;
    let long = checkpoint(1).with_external("x".repeat(5000));
    let claimed = checkpoint(1).with_origin(CheckpointOrigin::Restored(RecoveryClaimMode::Claim));
    for impossible in [checkpoint(0), checkpoint(u64::MAX), long, claimed] {
        assert_eq!(opened.add(impossible).await.unwrap_err().kind(), ErrorKind::Invalid);
    }
    assert_eq!(rig.keys(BELOW).await, [""; 0]);
}

/// The claim rules: only what was claimed is ever discarded.
#[tokio::test]
async fn a_restored_snapshot_is_discarded_only_if_it_was_claimed() {
    for mode in [RecoveryClaimMode::Claim, RecoveryClaimMode::NoClaim, RecoveryClaimMode::Legacy] {
        let rig = Rig::new();
        let leader = rig.lead().await;
        let opened = open_with(&rig, leader.writer.clone(), 1, mode, Arc::default()).await.unwrap();
        assert_eq!(opened.store.claim_mode(), mode);
        opened.add(savepoint(1).with_origin(CheckpointOrigin::Restored(mode))).await.unwrap();
        let state = handles(&rig).await.remove(0);
        // Recovered by a later leader under another mode: what counts is how it was restored.
        let second = rig.depose(&leader).await;
        let recovered =
            open_with(&rig, second.writer.clone(), 1, RecoveryClaimMode::Claim, Arc::default()).await.unwrap();
        recovered.add(checkpoint(2)).await.unwrap();
        let claimed = mode == RecoveryClaimMode::Claim;
        assert_eq!(recovered.ids().await, [2]);
        assert_eq!(recovered.discarded().await, if claimed { vec![1] } else { vec![] }, "{mode:?}");
        assert_eq!(exists(&rig.storage, &state).await, !claimed, "{mode:?}");
    }
}

/// CP-06, CP-15, CP-19, CP-26: the retention table at the end of a job.
#[tokio::test]
async fn a_terminal_shutdown_removes_all_pointers_and_the_data_that_the_policy_names() {
    let cases = [(JobStatus::Finished, vec![1, 2, 3]), (JobStatus::Canceled, vec![1, 2]), (JobStatus::Failed, vec![1])];
    for (status, discarded) in cases {
        let rig = Rig::new();
        let leader = rig.lead().await;
        let opened = open(&rig, &leader, 10).await;
        opened.add(checkpoint(1)).await.unwrap();
        opened.add(checkpoint(2).with_retention(RetentionPolicy::RetainOnFailure)).await.unwrap();
        opened.add(checkpoint(3).with_retention(RetentionPolicy::RetainOnCancellation)).await.unwrap();
        opened.add(savepoint(4)).await.unwrap();
        let states = handles(&rig).await;
        let commits = leader.backend.commits.load(Ordering::SeqCst);
        opened.store.shutdown(status).await.unwrap();
        assert_eq!(leader.backend.commits.load(Ordering::SeqCst), commits + 1, "all in one commit");
        assert_eq!(rig.keys(BELOW).await, [""; 0]);
        assert_eq!(opened.store.outstanding_discards(), 0, "the data is gone when the shutdown returns");
        assert_eq!(opened.discarded().await, discarded, "{status}");
        for (at, state) in states.iter().enumerate() {
            let gone = discarded.contains(&(at as u64 + 1));
            assert_eq!(exists(&rig.storage, state).await, !gone, "{status} {}", at + 1);
        }
        opened.store.shutdown(status).await.unwrap();
        assert_eq!(open(&rig, &leader, 10).await.ids().await, [0; 0]);
    }
}

/// CP-16, CP-20, FLINK-4201.
#[tokio::test]
async fn a_shutdown_that_is_not_terminal_deletes_nothing() {
    for status in [JobStatus::Suspended, JobStatus::Running] {
        let rig = Rig::new();
        let leader = rig.lead().await;
        let opened = open(&rig, &leader, 2).await;
        opened.add(checkpoint(1)).await.unwrap();
        let contents = rig.contents(BELOW).await;
        opened.store.shutdown(status).await.unwrap();
        assert_eq!(rig.contents(BELOW).await, contents);
        assert_eq!(open(&rig, &leader, 2).await.ids().await, [1]);
    }
}

/// CP-17.
#[tokio::test]
async fn nothing_works_after_a_shutdown_of_any_status() {
    for status in [JobStatus::Finished, JobStatus::Canceled, JobStatus::Failed, JobStatus::Suspended] {
        let rig = Rig::new();
        let opened = open(&rig, &rig.lead().await, 2).await;
        opened.store.shutdown(status).await.unwrap();
        assert_eq!(opened.add(checkpoint(1)).await.unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(opened.store.get_all_checkpoints().await.unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(opened.store.get_latest_checkpoint_id().await.unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(rig.keys(BELOW).await, [""; 0]);
    }
}

#[tokio::test]
async fn a_failed_shutdown_can_be_repeated_and_lets_nothing_else_through() {
    for fault in [Fault::Before, Fault::Lost, Fault::After] {
        let rig = Rig::new();
        let leader = rig.lead().await;
        let opened = try_open(&rig, leader.hasty(), 2).await.unwrap();
        opened.add(checkpoint(1)).await.unwrap();
        let state = handles(&rig).await.remove(0);
        leader.backend.next_commit(fault);
        let error = opened.store.shutdown(JobStatus::Finished).await.unwrap_err();
        assert_eq!(error.may_have_applied(), fault != Fault::Before);
        assert!(exists(&rig.storage, &state).await, "in doubt nothing is deleted");
        assert_eq!(opened.add(checkpoint(2)).await.unwrap_err().kind(), ErrorKind::Closed);
        opened.store.shutdown(JobStatus::Finished).await.unwrap();
        assert_eq!(rig.keys(BELOW).await, [""; 0]);
        // After a removal in doubt the data is an orphan rather than a risk.
        assert_eq!(exists(&rig.storage, &state).await, fault == Fault::After);
    }
}

#[tokio::test]
async fn a_terminal_shutdown_does_not_delete_what_it_cannot_read() {
    let rig = Rig::new();
    let opened = open(&rig, &rig.lead().await, 3).await;
    opened.add(checkpoint(1)).await.unwrap();
    rig.tamper(&names(&[2])[0], Some("foreign"));
    let contents = rig.contents(BELOW).await;
    assert_eq!(opened.store.shutdown(JobStatus::Finished).await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(rig.contents(BELOW).await, contents);
    rig.tamper(&names(&[2])[0], None);
    opened.store.shutdown(JobStatus::Finished).await.unwrap();
    assert_eq!((rig.keys(BELOW).await.len(), opened.discarded().await), (0, vec![1]));
}

/// X-13, X-27, CP-22, FLINK-6612.
#[tokio::test]
async fn a_deposed_leader_neither_adds_nor_removes_nor_deletes_what_its_successor_has() {
    for write in 0..2 {
        let rig = Rig::new();
        let first = rig.lead().await;
        let deposed = open(&rig, &first, 1).await;
        deposed.add(checkpoint(1)).await.unwrap();
        let second = rig.depose(&first).await;
        let successor = open(&rig, &second, 2).await;
        successor.add(checkpoint(2)).await.unwrap();
        let contents = rig.contents(BELOW).await;
        let states = handles(&rig).await;
        let kind = match write {
            0 => deposed.add(checkpoint(3)).await.unwrap_err().kind(),
            _ => deposed.store.shutdown(JobStatus::Finished).await.unwrap_err().kind(),
        };
        assert_eq!(kind, ErrorKind::Fenced, "the first write that the store refuses");
        assert_deposed(deposed.store.shutdown(JobStatus::Finished).await);
        assert_eq!(deposed.discarded().await, [0; 0]);
        assert_eq!(rig.contents(BELOW).await, contents);
        for state in &states {
            assert!(exists(&rig.storage, state).await);
        }
        successor.add(checkpoint(3)).await.unwrap();
        assert_eq!(successor.ids().await, [2, 3]);
    }
}

/// FLINK-11665: the store of a former term is of no use in a later one of the same process.
#[tokio::test]
async fn a_store_writes_only_under_the_leadership_that_it_was_recovered_under() {
    let rig = Rig::new();
    let first = rig.lead().await;
    let current = tokio::sync::watch::Sender::new(Some(first.grant.clone()));
    let committer = ha_core::resolve::Committer::new(Arc::clone(first.writer.backend()), rig.seam.clone());
    let writer = Writer::new(committer, ha_core::writer::Authority::Current(current.subscribe()));
    let opened = try_open(&rig, writer.clone(), 1).await.unwrap();
    opened.add(checkpoint(1)).await.unwrap();
    let second = rig.depose(&first).await;
    open(&rig, &second, 1).await.add(checkpoint(2)).await.unwrap();
    // The process leads again, by the same writer.
    let again = rig.depose(&second).await;
    current.send_replace(Some(again.grant.clone()));
    assert_eq!(opened.add(checkpoint(3)).await.unwrap_err().kind(), ErrorKind::Fenced);
    assert_eq!(rig.keys(BELOW).await, names(&[2]));
    let recovered = try_open(&rig, writer.clone(), 1).await.unwrap();
    assert_eq!(recovered.add(checkpoint(3)).await.unwrap(), Some(2));
    // And without any leadership it can be read, but not written.
    current.send_replace(None);
    let reader = try_open(&rig, writer, 1).await.unwrap();
    assert_eq!(reader.ids().await, [3]);
    current.send_replace(Some(again.grant.clone()));
    assert_deposed(reader.add(checkpoint(4)).await);
}

#[tokio::test]
async fn a_failing_discarder_is_repeated_and_then_its_state_is_kept() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    for (fails, discarded) in [(2, true), (3, false)] {
        let recorder = Arc::new(Recorder { fails: Mutex::new(fails), ..Recorder::default() });
        let opened = open_with(&rig, leader.writer.clone(), 1, RecoveryClaimMode::NoClaim, recorder).await.unwrap();
        let next = opened.store.get_latest_checkpoint_id().await.unwrap() + 1;
        if next == 1 {
            opened.add(checkpoint(1)).await.unwrap();
        }
        let next = opened.store.get_latest_checkpoint_id().await.unwrap() + 1;
        let state = handles(&rig).await.remove(0);
        assert_eq!(opened.add(checkpoint(next)).await.unwrap(), Some(next - 1));
        opened.store.discards_settled().await;
        assert_eq!(exists(&rig.storage, &state).await, !discarded);
    }
}

#[tokio::test]
async fn a_panicking_discarder_fails_no_add() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let recorder = Arc::new(Recorder { panics: true, ..Recorder::default() });
    let opened = open_with(&rig, leader.writer.clone(), 1, RecoveryClaimMode::NoClaim, recorder).await.unwrap();
    for id in 1..=3 {
        opened.add(checkpoint(id)).await.unwrap();
    }
    opened.store.discards_settled().await;
    assert_eq!((opened.ids().await, opened.store.outstanding_discards()), (vec![3], 0));
}

/// CP-23, FLINK-17073.
#[tokio::test]
async fn an_add_waits_while_too_many_deletions_are_under_way() {
    /// Discards when it is told to.
    #[derive(Debug)]
    struct Gate(tokio::sync::Semaphore);
    #[async_trait]
    impl CheckpointDiscarder for Gate {
        async fn discard(&self, _: &CompletedCheckpoint) -> Result<(), Error> {
            drop(self.0.acquire().await);
            Ok(())
        }
    }
    let rig = Rig::new();
    let leader = rig.lead().await;
    let gate = Arc::new(Gate(tokio::sync::Semaphore::new(0)));
    let factory = DefaultCheckpointRecoveryFactory::new(leader.writer.clone(), rig.storage.clone());
    let store = factory
        .create_recovered_completed_checkpoint_store(&job("job"), 1, RecoveryClaimMode::NoClaim, Arc::clone(&gate) as _)
        .await
        .unwrap();
    let mut id = 0;
    let stuck = loop {
        id += 1;
        let mut add = store.add_checkpoint_and_subsume_oldest_one(checkpoint(id));
        match futures_util::poll!(&mut add) {
            std::task::Poll::Ready(added) => drop(added.unwrap()),
            std::task::Poll::Pending => break add,
        }
        assert!(id < 1000, "the backlog has no bound");
    };
    let outstanding = store.outstanding_discards();
    assert!(outstanding > 1 && u64::try_from(outstanding).unwrap() < id, "{outstanding} after {id}");
    gate.0.close();
    stuck.await.unwrap();
    store.discards_settled().await;
    assert_eq!(store.get_latest_checkpoint_id().await.unwrap(), id);
    let counter = factory.create_checkpoint_id_counter(&job("job"));
    counter.start().await.unwrap();
    assert_eq!(counter.get_and_increment().await.unwrap(), 1);
}

#[tokio::test]
async fn the_jobs_of_one_cluster_do_not_see_each_other() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let of = async |name: &str| {
        let factory = DefaultCheckpointRecoveryFactory::new(leader.writer.clone(), rig.storage.clone());
        let discarder = Arc::new(ha_core::checkpoint::DiscardStateOnly);
        let mode = RecoveryClaimMode::default();
        factory.create_recovered_completed_checkpoint_store(&job(name), 1, mode, discarder).await.unwrap()
    };
    of("job1").await.add_checkpoint_and_subsume_oldest_one(checkpoint(1)).await.unwrap();
    of("job10").await.add_checkpoint_and_subsume_oldest_one(checkpoint(7)).await.unwrap();
    assert_eq!(of("job1").await.get_latest_checkpoint_id().await.unwrap(), 1);
    of("job1").await.shutdown(JobStatus::Finished).await.unwrap();
    assert_eq!(of("job10").await.get_latest_checkpoint_id().await.unwrap(), 7);
}

#[tokio::test]
async fn concurrent_adds_all_arrive() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let opened = open(&rig, &leader, 3).await;
    let adds = (1..=20).map(|id| opened.add(checkpoint(id)));
    for added in futures_util::future::join_all(adds).await {
        added.unwrap();
    }
    assert_eq!((opened.ids().await, rig.keys(BELOW).await), (vec![18, 19, 20], names(&[18, 19, 20])));
    eventually("all is deleted", async || opened.store.outstanding_discards() == 0).await;
    assert_eq!(opened.discarded().await, (1..=17).collect::<Vec<u64>>());
    let folder = [Name::new("completedCheckpoint").unwrap(), Name::new("job").unwrap()];
    rig.storage.write(&folder, "still writable".into()).await.unwrap();
}
