use super::*;

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
