use super::*;

/// BL-03, X-34, X-29: with content in one piece and in many.
#[tokio::test]
async fn a_blob_that_was_tampered_with_is_never_handed_over_whole() {
    for length in [10, 300_000] {
        let (directory, rig) = in_directory();
        let leader = rig.lead().await;
        let store = store(&rig, &leader);
        let key = store.put(&job("a"), pieces(content(length), 4096)).await.unwrap();
        let path = files(directory.path()).pop().unwrap();
        let other = put(&store, "a", "another").await;
        let (mut flipped, mut grown) = (content(length), content(length));
        flipped[0] ^= 1;
        grown.push(0);
        for bytes in [flipped, grown, content(length - 1), Vec::new()] {
            std::fs::write(&path, &bytes).unwrap();
            let mut handed_over = 0;
            let error = match store.get(&job("a"), &key).await {
                Err(error) => error,
                Ok(mut pieces) => loop {
                    match pieces.try_next().await {
                        Ok(piece) => handed_over += piece.expect("an end without an error").len(),
                        Err(error) => break error,
                    }
                },
            };
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            assert!(handed_over < length, "the last piece is kept back");
            assert_eq!(std::fs::read(&path).unwrap(), bytes, "reading changes nothing");
            assert_eq!(get(&store, "a", &other).await.unwrap(), b"another");
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(get(&store, "a", &key).await.unwrap_err().kind(), ErrorKind::StateMissing);
        // A put repairs what is gone or too short.
        for damage in 0..2 {
            store.put(&job("a"), pieces(content(length), 4096)).await.unwrap();
            assert!(get(&store, "a", &key).await.unwrap() == content(length));
            store.discards_settled().await;
            let small = |path: &PathBuf| std::fs::metadata(path).unwrap().len() != 7;
            let path = files(directory.path()).into_iter().find(small).unwrap();
            if damage == 0 {
                std::fs::write(path, "cut").unwrap();
            }
        }
        assert_eq!(files(directory.path()).len(), 2);
    }
}

/// X-34: the storage promises more than it gives.
#[tokio::test]
async fn a_file_that_is_cut_short_while_it_is_read_ends_in_an_error() {
    let (directory, rig) = in_directory();
    let leader = rig.lead().await;
    let store = store(&rig, &leader);
    let key = store.put(&job("a"), pieces(content(MIB), 65536)).await.unwrap();
    let path = files(directory.path()).pop().unwrap();
    let mut pieces = store.get(&job("a"), &key).await.unwrap();
    let mut read = pieces.try_next().await.unwrap().unwrap().len();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(MIB as u64 / 2).unwrap();
    let error = loop {
        match pieces.try_next().await {
            Ok(piece) => read += piece.expect("an end without an error").len(),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(read < MIB / 2 + 1, "{read}");
}

/// X-34, X-35: at every point at which a put can be dropped, nothing of it is visible but all of it.
#[tokio::test]
async fn a_put_that_is_interrupted_is_never_half_visible() {
    let (directory, rig) = in_directory();
    let leader = rig.lead().await;
    let store = store(&rig, &leader);
    let key = BlobKey::of(&content(20 * MIB));
    for many in [0, 1, 9, 19] {
        // So many pieces come, and then none for ever: dropped where it waits for the next.
        let waits = tokio::sync::Notify::new();
        let never = stream::poll_fn(|_| {
            waits.notify_one();
            std::task::Poll::Pending
        });
        let some = pieces(content(many * MIB), MIB).chain(never).boxed();
        let a = job("a");
        tokio::select! {
            biased;
            ended = store.put(&a, some) => panic!("{ended:?}"),
            () = waits.notified() => {}
        }
        assert_eq!(rig.keys(BELOW).await.len(), 0);
        assert_eq!(get(&store, "a", &key).await.unwrap_err().kind(), ErrorKind::NotFound);
        // A part, and then an error in the place of the next piece.
        let error = Error::new(ErrorKind::Denied, "read the source");
        let some = pieces(content(many * MIB), MIB).chain(stream::iter([Err(error.clone())]));
        assert_eq!(store.put(&job("a"), some.boxed()).await.unwrap_err(), error);
        assert_eq!(rig.keys(BELOW).await.len(), 0);
    }
    // The commit is on its way when the put is dropped: all of it is there, or nothing.
    leader.backend.next_commit(Fault::Hang);
    let memory = DefaultBlobStore::new(leader.writer.clone(), Rig::new().storage);
    assert!(poll_and_drop(memory.put(&job("b"), chunks_of("whole".into()))).is_none());
    assert_eq!(get(&memory, "b", &BlobKey::of(b"whole")).await.unwrap(), b"whole");
    assert_eq!(store.put(&job("a"), pieces(content(20 * MIB), MIB)).await.unwrap(), key);
    assert!(get(&store, "a", &key).await.unwrap() == content(20 * MIB));
    common::eventually("unfinished uploads are withdrawn", async || files(directory.path()).len() == 1).await;
}

/// X-01, X-02: not even content that both of them have put.
#[tokio::test]
async fn a_deposed_leader_neither_puts_nor_deletes() {
    for write in 0..3 {
        let (directory, rig) = in_directory();
        let first = rig.lead().await;
        let deposed = store(&rig, &first);
        let key = put(&deposed, "a", "both").await;
        let second = rig.depose(&first).await;
        let successor = store(&rig, &second);
        successor.delete_all(&job("a")).await.unwrap();
        assert_eq!(put(&successor, "a", "both").await, key);
        let contents = rig.contents(BELOW).await;
        let attempt = async |write: usize| match write % 3 {
            0 => deposed.put(&job("a"), chunks_of("new".into())).await.map(drop),
            1 => deposed.delete(&job("a"), &key).await,
            _ => deposed.delete_all(&job("a")).await,
        };
        assert_eq!(attempt(write).await.unwrap_err().kind(), ErrorKind::Fenced, "{write}");
        for other in 0..3 {
            assert_deposed(attempt(other).await);
        }
        deposed.discards_settled().await;
        assert_eq!(rig.contents(BELOW).await, contents);
        assert_eq!(get(&successor, "a", &key).await.unwrap(), b"both");
        assert_eq!(files(directory.path()).len(), 1, "what was written for a refused put is deleted");
    }
}

/// X-13: in doubt nothing is deleted, and the next call finds out.
#[tokio::test]
async fn a_lost_answer_costs_nothing_and_a_doubt_deletes_nothing() {
    for fault in [Fault::After, Fault::Lost, Fault::Before] {
        let (directory, rig) = in_directory();
        let leader = rig.lead().await;
        let (patient, hasty) = (store(&rig, &leader), store_by(&rig, leader.hasty()));
        if fault != Fault::Before {
            leader.backend.next_commit(fault);
            let key = put(&patient, "found-out", "content").await;
            leader.backend.next_commit(fault);
            patient.delete(&job("found-out"), &key).await.unwrap();
            assert_eq!((rig.keys(BELOW).await.len(), files(directory.path()).len()), (0, 0));
        }
        leader.backend.next_commit(fault);
        let error = hasty.put(&job("a"), chunks_of("content".into())).await.unwrap_err();
        assert_eq!(error.may_have_applied(), fault != Fault::Before);
        hasty.discards_settled().await;
        assert_eq!(files(directory.path()).len(), usize::from(fault != Fault::Before), "{fault:?}");
        let key = put(&hasty, "a", "content").await;
        assert_eq!(get(&hasty, "a", &key).await.unwrap(), b"content");
        leader.backend.next_commit(fault);
        let error = hasty.delete_all(&job("a")).await.unwrap_err();
        assert_eq!(error.may_have_applied(), fault != Fault::Before);
        match get(&hasty, "a", &key).await {
            Ok(got) => assert_eq!(got, b"content"),
            Err(error) => assert_eq!((error.kind(), fault), (ErrorKind::NotFound, Fault::After)),
        }
        hasty.delete_all(&job("a")).await.unwrap();
        assert_eq!(rig.keys(BELOW).await.len(), 0);
    }
}

/// X-29, FLINK-5193: hostile bytes are named, are not deleted, and keep nothing else from being used.
#[tokio::test]
async fn a_broken_pointer_is_named_and_hides_no_other_blob() {
    let (directory, rig) = in_directory();
    let leader = rig.lead().await;
    let store = store(&rig, &leader);
    let (victim, other) = (put(&store, "a", "victim").await, put(&store, "a", "other").await);
    let at = format!("blobs/a/{victim}");
    let of_other = rig.contents(BELOW).await.into_iter().find(|(key, ..)| *key != at).unwrap().1;
    let hostile = ["", "?", r#"{"format":1}"#, std::str::from_utf8(&of_other).unwrap(), r#"{"format":2}"#];
    for bytes in hostile {
        let kind = if bytes.contains('2') && bytes.len() < 20 { ErrorKind::NewerFormat } else { ErrorKind::Corrupt };
        rig.tamper(&at, Some(bytes));
        for error in [
            get(&store, "a", &victim).await.unwrap_err(),
            store.put(&job("a"), chunks_of("victim".into())).await.unwrap_err(),
            store.delete(&job("a"), &victim).await.unwrap_err(),
        ] {
            assert_eq!((error.kind(), error.subject()), (kind, at.as_str()), "{error}");
        }
        assert_eq!(get(&store, "a", &other).await.unwrap(), b"other");
    }
    rig.tamper("blobs/a/not-a-blob", Some("?"));
    let error = store.delete_all(&job("a")).await.unwrap_err();
    assert!([at.as_str(), "blobs/a/not-a-blob"].contains(&error.subject()), "{error}");
    assert_eq!(rig.keys(BELOW).await.len(), 2, "all that can be read is deleted, and nothing else");
    store.discards_settled().await;
    assert_eq!(files(directory.path()).len(), 1, "what an unreadable pointer may lead to is kept");
}

/// X-22, as far as it can be brought about as any user: nothing can be written, and nothing changes.
#[tokio::test]
async fn a_storage_that_cannot_be_written_changes_no_pointer() {
    let (directory, rig) = in_directory();
    let leader = rig.lead().await;
    let store = store(&rig, &leader);
    let key = put(&store, "a", "content").await;
    let before = rig.contents(BELOW).await;
    // A file where the folder of another job should be.
    std::fs::write(directory.path().join("blob").join("b"), b"in the way").unwrap();
    for length in [5, 9 * MIB] {
        let error = store.put(&job("b"), pieces(content(length), MIB)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage, "{error}");
    }
    assert_eq!(rig.contents(BELOW).await, before);
    leader.backend.set_down(true);
    assert_eq!(get(&store, "a", &key).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(store.delete_all(&job("a")).await.unwrap_err().kind(), ErrorKind::Unavailable);
    leader.backend.set_down(false);
    assert_eq!(get(&store, "a", &key).await.unwrap(), b"content");
}
