//! A handle in a process of its own is the handle as it is, and nobody is deceived when that is gone.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod counter;

use std::sync::Arc;
use std::time::Duration;

use counter::Counter;
use futures_util::FutureExt;
use ha_core::backend::{Backend, Commit, Ended, Expect, Key, Latch, Mark, Outcome, Prefix, Scope, SessionOptions};
use ha_core::journal::{Journal, JournalBackend, JournalOptions};
use ha_core::seam::Seam;
use ha_core::{Error, ErrorKind};
use ha_testkit::hosted::{Hooked, Hosted, host};
use ha_testkit::journal::MemoryJournal;
use ha_testkit::process::role;
use ha_testkit::run::block_on;

const SILENCE: Duration = Duration::from_millis(2500);
const PATIENCE: Duration = Duration::from_secs(60);

/// A process with one handle on a journal in its memory. Its device answers that much later.
#[test]
fn one_handle() {
    role("one_handle", async |slow: Duration, stage| {
        let seam = stage.seam().clone();
        host(stage, async {
            let device = MemoryJournal::new(seam.clone()).handle();
            let shared: Arc<dyn Journal> = Arc::clone(&device) as _;
            let handle = JournalBackend::open(shared, seam.clone(), JournalOptions::default()).await?;
            // From now on: a handle that opens slowly shows nothing.
            device.faults().slow(Duration::ZERO, slow);
            Ok(handle as Arc<dyn Hooked>)
        })
        .await;
    });
}

/// A process that gets no handle.
#[test]
fn no_handle() {
    role("no_handle", async |_: (), stage| {
        host(stage, async {
            Err(Error::new(ErrorKind::Corrupt, "open").at("entry 7").because("its checksum is wrong"))
        })
        .await;
    });
}

async fn hosted(slow: Duration) -> Hosted {
    Hosted::spawn(Seam::system(), "one_handle", &slow).await.unwrap()
}

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn put(seam: &Seam, at: &str) -> Commit {
    Commit::new(seam.write_id()).put(key(at), Expect::Absent, "v".into())
}

fn latch() -> Latch {
    Latch::below(&Prefix::new("lead").unwrap())
}

fn options() -> SessionOptions {
    SessionOptions { silence: SILENCE, label: "a test".into() }
}

async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    let done = Seam::system().timeout(PATIENCE, future).await;
    done.unwrap_or_else(|| panic!("waited {PATIENCE:?} in vain: {what}"))
}

/// Waits until the predicate holds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let seam = Seam::system();
    let looking = async {
        while !holds() {
            seam.sleep(Duration::from_millis(2)).await;
        }
    };
    in_time(what, looking).await;
}

#[test]
fn what_was_under_way_when_the_host_died_is_unknown_if_it_was_a_write_and_nothing_else() {
    block_on(async {
        // Fails if a read is unknown, or a write that was on its way is said not to be applied.
        let (hosted, seam) = (Arc::new(hosted(PATIENCE * 2).await), Seam::system());
        let scope = Scope::Key(key("k"));
        let seen = hosted.changed(&scope, &Mark::UNSEEN).now_or_never();
        assert!(seen.is_none(), "an answer comes over a connection");
        let commit = put(&seam, "k");
        let mut commit = std::pin::pin!(hosted.commit(&commit));
        let at = key("other");
        let mut read = std::pin::pin!(hosted.read(&at));
        let list = Prefix::root();
        let mut list = std::pin::pin!(hosted.list(&list));
        let silence = options();
        let mut open = std::pin::pin!(hosted.open_session(&silence));
        assert!(commit.as_mut().now_or_never().is_none(), "its device is slow");
        for early in [
            read.as_mut().now_or_never().is_none(),
            list.as_mut().now_or_never().is_none(),
            open.as_mut().now_or_never().is_none(),
        ] {
            assert!(early, "nothing is answered before it could be");
        }
        hosted.kill();
        assert_eq!(in_time("the commit ends", commit).await.unwrap_err().kind(), ErrorKind::Indeterminate);
        assert_eq!(in_time("the read ends", read).await.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(in_time("the list ends", list).await.unwrap_err().kind(), ErrorKind::Unavailable);
        // Opened just in time, perhaps; then it is over.
        match in_time("the opening ends", open).await {
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable),
            Ok(session) => assert_eq!(in_time("it is over", session.ended()).await, Ended::Expired),
        }
        // Nothing is sent any more, so nothing is unknown.
        let late = in_time("a late commit ends", hosted.commit(&put(&seam, "late"))).await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Unavailable, "{late}");
        assert_eq!(hosted.waiting(), 0);
        assert_eq!(hosted.close().await.unwrap_err().kind(), ErrorKind::Unavailable);
    });
}

#[test]
fn a_session_ends_with_its_host() {
    block_on(async {
        // Fails if an owner goes on believing in a deadline that nobody keeps any more.
        let (hosted, seam) = (hosted(Duration::ZERO).await, Seam::system());
        let session = hosted.open_session(&options()).await.unwrap();
        assert!(!session.valid_until().is_past(seam.now()), "an open session has a deadline, from the first look on");
        hosted.kill();
        hosted.kill();
        assert_eq!(hosted.process_id(), None);
        assert_eq!(in_time("its owner hears of it", session.ended()).await, Ended::Expired);
        assert!(session.valid_until().is_past(seam.now()));
        let error = session.try_acquire(&latch(), "late".into(), None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    });
}

#[test]
fn a_handle_that_was_closed_is_closed_when_its_host_is_gone() {
    block_on(async {
        let hosted = hosted(Duration::ZERO).await;
        let session = hosted.open_session(&options()).await.unwrap();
        hosted.close().await.unwrap();
        assert_eq!(session.ended().now_or_never(), Some(Ended::Closed), "told before the close was answered");
        assert_eq!(hosted.read(&key("k")).await.unwrap_err().kind(), ErrorKind::Closed);
        hosted.kill();
        until(
            "the death is noticed",
            || matches!(hosted.read(&key("k")).now_or_never(), Some(Err(error)) if error.kind() == ErrorKind::Closed),
        )
        .await;
        hosted.close().await.expect("a second close does nothing");
    });
}

#[test]
fn a_dropped_wait_is_dropped_in_the_host_before_anything_that_comes_later() {
    block_on(async {
        // Fails if waits of futures that are gone go on in the host.
        let hosted = hosted(Duration::ZERO).await;
        let scope = Scope::Below(Prefix::root());
        let seen = hosted.changed(&scope, &Mark::UNSEEN).await.unwrap().mark();
        for _ in 0..100 {
            let mut waits: Vec<_> = (0..3).map(|_| hosted.changed(&scope, &seen)).collect();
            assert_eq!(hosted.waiting(), 0, "a future that was not polled has called nobody");
            for wait in &mut waits {
                assert!(wait.now_or_never().is_none());
            }
            assert_eq!(hosted.waiting(), 3);
            drop(waits);
            assert_eq!(hosted.waiting(), 0);
        }
    });
}

#[test]
fn a_session_whose_opening_was_dropped_is_dropped_in_the_host() {
    block_on(async {
        // Race: the opening is given up while the session is opened, or while its answer is on its way.
        // Fails if such a session lives on in the host, with nobody who could drop it.
        let hosted = Hosted::spawn(Seam::system(), "counter::counter", &()).await.unwrap();
        let open = options();
        for polls in 0..200 {
            let mut opening = hosted.open_session(&open);
            for _ in 0..polls {
                if (&mut opening).now_or_never().is_some() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(opening);
        }
        until("all that nobody has are gone", || hosted.waiting() == 0).await;
        let kept = hosted.open_session(&open).await.unwrap();
        assert_eq!(hosted.waiting(), 1);
        drop(kept);
        until("the last one is gone", || hosted.waiting() == 0).await;
    });
}

#[test]
fn a_dropped_session_frees_its_latch_and_the_handle_lives_on() {
    block_on(async {
        let (hosted, seam) = (hosted(Duration::ZERO).await, Seam::system());
        let scope = Scope::Key(latch().key().clone());
        let session = hosted.open_session(&options()).await.unwrap();
        session.try_acquire(&latch(), "x".into(), None).await.unwrap();
        drop(session);
        let free = async {
            let mut seen = Mark::UNSEEN;
            while hosted.read(latch().key()).await.unwrap().is_some_and(|entry| entry.held.is_some()) {
                seen = hosted.changed(&scope, &seen).await.unwrap().mark();
            }
        };
        in_time("the latch is free", free).await;
        assert!(matches!(hosted.commit(&put(&seam, "k")).await.unwrap(), Outcome::Applied { .. }));
    });
}

#[test]
fn a_handle_that_cannot_be_opened_is_the_hosts_error() {
    block_on(async {
        let error = Hosted::spawn(Seam::system(), "no_handle", &()).await.unwrap_err();
        assert_eq!((error.kind(), error.subject()), (ErrorKind::Corrupt, "entry 7"), "{error}");
        assert!(error.to_string().contains("its checksum is wrong"), "{error}");
    });
}

#[test]
fn the_host_ends_with_the_last_that_was_opened_on_it() {
    block_on(async {
        // Fails if a process stays behind, or goes while a session of it lives.
        let (hosted, seam) = (hosted(Duration::ZERO).await, Seam::system());
        let id = hosted.process_id().unwrap();
        assert_ne!(id, std::process::id());
        let other = Hosted::spawn(Seam::system(), "one_handle", &Duration::ZERO).await.unwrap();
        assert_ne!(other.process_id(), Some(id), "each handle has a process of its own");
        let alive = || std::path::Path::new(&format!("/proc/{id}")).exists();
        let session = hosted.open_session(&options()).await.unwrap();
        drop(hosted);
        let first = session.valid_until();
        until("the session is renewed", || session.valid_until() > first).await;
        assert!(!session.valid_until().is_past(seam.now()));
        if cfg!(target_os = "linux") {
            assert!(alive());
            drop(session);
            assert!(!alive(), "killed and reaped");
        }
    });
}

#[test]
fn a_frozen_session_ends_by_silence_and_a_healed_one_does_not() {
    block_on(async {
        let hosted = hosted(Duration::ZERO).await;
        let (one, other) =
            (hosted.open_session(&options()).await.unwrap(), hosted.open_session(&options()).await.unwrap());
        for session in [&one, &other] {
            let at = Latch::below(&Prefix::new(format!("lead/{}", session.id())).unwrap());
            session.try_acquire(&at, "x".into(), None).await.unwrap();
            hosted.freeze(session.id(), true).await.unwrap();
        }
        hosted.freeze(other.id(), false).await.unwrap();
        assert_eq!(in_time("the silent one is over", one.ended()).await, Ended::Expired);
        let first = other.valid_until();
        until("the other one is renewed", || other.valid_until() > first).await;
        assert_eq!(other.ended().now_or_never(), None);
    });
}

#[test]
fn a_profile_and_a_refusal_are_the_hosts_own() {
    block_on(async {
        let hosted = Hosted::spawn(Seam::system(), "counter::counter", &()).await.unwrap();
        let own = Counter::default().profile();
        let profile = hosted.profile();
        assert_eq!(profile.reads, own.reads);
        assert_eq!((profile.early_ends, profile.evidence), (own.early_ends, own.evidence));
        assert_eq!(profile.value_bytes_max, own.value_bytes_max);
        assert_eq!(profile.commit_operations_max, own.commit_operations_max);
        assert_eq!(profile.commit_bytes_max, own.commit_bytes_max);
        let error = hosted.commit(&put(&Seam::system(), "k")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    });
}

#[test]
fn a_handle_that_panics_takes_its_process_along_and_keeps_nobody_waiting() {
    block_on(async {
        let hosted = Hosted::spawn(Seam::system(), "counter::counter", &()).await.unwrap();
        let error = in_time("the call ends", hosted.list(&Prefix::root())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        let session = hosted.open_session(&options()).await;
        assert_eq!(session.unwrap_err().kind(), ErrorKind::Unavailable);
    });
}
