use super::*;

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

/// CP-22, FLINK-6612.
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
