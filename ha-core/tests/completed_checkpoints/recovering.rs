use super::*;

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

/// The same, for a leader that was deposed and does not know it, and finds out what became of its last add.
#[tokio::test]
async fn what_the_next_leader_subsumes_is_not_called_missing_by_one_in_doubt() {
    let rig = Rig::new();
    let former = rig.lead().await;
    let doubting = try_open(&rig, former.hasty(), 1).await.unwrap();
    doubting.add(checkpoint(1)).await.unwrap();
    former.backend.next_commit(Fault::Lost);
    assert!(doubting.add(checkpoint(2)).await.unwrap_err().may_have_applied());

    let leader = rig.depose(&former).await;
    let opened = open(&rig, &leader, 1).await;
    opened.add(checkpoint(3)).await.unwrap();
    let below = ha_core::backend::Prefix::new(BELOW).unwrap();
    let before = leader.writer.backend().list(&below).await.unwrap();
    opened.add(checkpoint(4)).await.unwrap();
    opened.store.discards_settled().await;
    former.backend.stale.lock().unwrap().push_back(before);
    assert_eq!(doubting.ids().await, [4]);
    assert!(doubting.discarded().await.is_empty(), "what it had asked for was not done");
}

/// The same, when it happens again and again: that is a reason to try once more, and none to give anything up for lost.
#[tokio::test]
async fn checkpoints_that_are_subsumed_faster_than_they_are_loaded_are_not_called_missing() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let opened = open(&rig, &leader, 1).await;
    let below = ha_core::backend::Prefix::new(BELOW).unwrap();
    let mut outdated = std::collections::VecDeque::new();
    for id in 1..=20 {
        opened.add(checkpoint(id)).await.unwrap();
        outdated.push_back(leader.writer.backend().list(&below).await.unwrap());
    }
    opened.add(checkpoint(21)).await.unwrap();
    opened.store.discards_settled().await;
    *leader.backend.stale.lock().unwrap() = outdated;
    let error = try_open(&rig, leader.writer.clone(), 1).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("try again"), "{error}");
    leader.backend.stale.lock().unwrap().clear();
    assert_eq!(open(&rig, &leader, 1).await.ids().await, [21]);
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
