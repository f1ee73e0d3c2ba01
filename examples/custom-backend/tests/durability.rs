//! What this backend promises beyond the suites: a crash, and a second one who opens the file.

#![allow(clippy::unwrap_used, reason = "the helpers of a test are test code too")]

use std::fs;

use custom_backend::{RedbBackend, RedbStore};
use ha_core::ErrorKind;
use ha_core::backend::{Acquire, Backend, Commit, Expect, Fence, Key, Latch, Outcome, Prefix, SessionOptions, Term};
use ha_core::seam::Seam;
use ha_testkit::run::block_on;

fn commit(seam: &Seam) -> Commit {
    Commit::new(seam.write_id())
}

async fn leads(backend: &RedbBackend, latch: &Latch) -> (Box<dyn ha_core::backend::Session>, Term) {
    let session = backend.open_session(&SessionOptions::default()).await.unwrap();
    match session.try_acquire(latch, "leader".into(), None).await.unwrap() {
        Acquire::Won(term) => (session, term),
        held => panic!("the latch must be free: {held:?}"),
    }
}

#[test]
fn a_crash_keeps_what_was_acknowledged_and_fences_who_led() {
    // Fails if an acknowledgement comes before the data is in the file, or a leader outlives the store.
    block_on(async {
        let (seam, directory) = (Seam::system(), tempfile::tempdir().unwrap());
        let (before, after) = (directory.path().join("before"), directory.path().join("after"));
        let (key, latch) = (Key::new("a/key").unwrap(), Latch::below(&Prefix::new("lead").unwrap()));
        let store = RedbStore::open(&before, seam.clone()).unwrap();
        let backend = store.connect();
        let (_session, term) = leads(&backend, &latch).await;
        let guard = Fence { latch: latch.clone(), term: term.clone() };
        let put = commit(&seam).guarded_by(guard.clone()).put(key.clone(), Expect::Absent, "kept".into());
        assert!(matches!(backend.commit(&put).await, Ok(Outcome::Applied { .. })));

        // Taken while the store is open: what a crash of the process at this moment leaves.
        fs::copy(&before, &after).unwrap();
        let survivor = RedbStore::open(&after, seam.clone()).unwrap().connect();
        let entry = survivor.read(&key).await.unwrap().unwrap();
        assert_eq!(entry.value, "kept");
        let late = commit(&seam).guarded_by(guard).put(Key::new("late").unwrap(), Expect::Absent, "x".into());
        assert_eq!(survivor.commit(&late).await.unwrap(), Outcome::Fenced, "the leader outlived the store");
        let (_session, next) = leads(&survivor, &latch).await;
        assert!(next.epoch > term.epoch, "{next:?} must be later than {term:?}");
    });
}

#[test]
fn a_second_store_on_one_file_is_refused_with_the_reason() {
    // Fails if two stores with sessions of their own could each give one latch away.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let _first = RedbStore::open(&path, Seam::system()).unwrap();
    let error = RedbStore::open(&path, Seam::system()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("open already"), "{error}");
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_as_it_is() {
    // Fails if bytes from elsewhere panic, or are overwritten by an empty store.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    for bytes in [b"not a database".to_vec(), vec![0xff; 100_000]] {
        fs::write(&path, &bytes).unwrap();
        let error = RedbStore::open(&path, Seam::system()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Corrupt), "{error:?}");
        assert!(fs::read(&path).unwrap() == bytes, "the file was changed");
    }
}

#[test]
fn the_last_handle_closes_the_file() {
    // Fails if the writer's thread outlives the store and keeps the file open.
    block_on(async {
        let (seam, directory) = (Seam::system(), tempfile::tempdir().unwrap());
        let path = directory.path().join("store");
        let backend = RedbStore::open(&path, seam.clone()).unwrap().connect();
        drop(leads(&backend, &Latch::below(&Prefix::new("lead").unwrap())).await);
        drop(backend);
        let opened = async {
            while RedbStore::open(&path, seam.clone()).is_err() {
                seam.sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        seam.timeout(std::time::Duration::from_secs(20), opened).await.expect("the file comes free");
    });
}
