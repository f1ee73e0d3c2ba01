//! Closing, dropping, restarting.

use std::future::Future;
use std::sync::Arc;

use futures_util::FutureExt;
use ha_core::ErrorKind;
use ha_core::backend::{Expect, Mark, Outcome, ReadGuarantee, Scope, SessionOptions};

use crate::fixture::{Fixture, applied, conflict, fence, key, latch, prefix, text};

pub async fn b_75_closing_ends_waiters_and_later_calls(f: Fixture) {
    // Fails if somebody waits for ever on a closed handle, or can still write through it.
    let b = f.connect().await;
    let scope = Scope::Key(key("k"));
    let seen = b.changed(&scope, &Mark::UNSEEN).await.unwrap().mark();
    let waiters: Vec<_> = (0..5)
        .map(|_| {
            let (b, scope) = (Arc::clone(&b), scope.clone());
            f.go(async move { b.changed(&scope, &seen).await.map(|change| change.mark()) })
        })
        .collect();
    b.close().await.unwrap();
    b.close().await.expect("a second close does nothing");
    for waiter in waiters {
        let error = f.in_time("the waiter is sent home", waiter).await.expect_err("closed");
        assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    }
    let kinds = [
        b.read(&key("k")).await.map(drop).expect_err("closed").kind(),
        b.list(&prefix("p")).await.map(drop).expect_err("closed").kind(),
        b.changed(&scope, &Mark::UNSEEN).await.map(drop).expect_err("closed").kind(),
        b.open_session(&SessionOptions::default()).await.map(drop).expect_err("closed").kind(),
        b.commit(&f.new_commit().put(key("k"), Expect::Absent, text("v"))).await.map(drop).expect_err("closed").kind(),
    ];
    assert!(kinds.iter().all(|kind| *kind == ErrorKind::Closed), "{kinds:?}");
    assert_eq!(f.connect().await.read(&key("k")).await.unwrap(), None, "written through a closed handle");
}

pub async fn b_76_closing_ends_own_sessions_and_keeps_data(f: Fixture) {
    // Fails if the leadership of a closed process lives on, or that of another ends with it.
    let (b, other) = (f.connect().await, f.connect().await);
    let (mine, theirs) = (latch("lead/mine"), latch("lead/theirs"));
    let (session, term) = f.leader(&b, &mine).await;
    let (_other_session, other_term) = f.leader(&other, &theirs).await;
    f.create(&b, "k", "kept").await;
    b.close().await.unwrap();
    f.in_time("the session hears that it is over", session.ended()).await;
    let (_next, new) = f.successor(&other, &mine).await;
    assert!(new.epoch > term.epoch);
    let guarded = f.new_commit().guarded_by(fence(&theirs, &other_term)).put(key("k2"), Expect::Absent, text("v"));
    applied(other.commit(&guarded).await);
    assert_eq!(other.read(&key("k")).await.unwrap().unwrap().value, text("kept"), "closing is not cleaning up");
}

/// Polls the future that often and then drops it, unless it was done before.
async fn dropped_after<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    for _ in 0..polls {
        if let Some(output) = future.as_mut().now_or_never() {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}

pub async fn b_77_dropped_futures_leave_nothing_half_done(f: Fixture) {
    // Fails if giving up at any point leaves half a commit, a lock that is never let go, or a latch
    // whose keys contradict each other.
    let (b, other) = (f.connect().await, f.connect().await);
    for polls in 0..12 {
        let (a, z) = (key(&format!("cut/{polls}/a")), key(&format!("cut/{polls}/z")));
        let commit = f.new_commit().put(a, Expect::Absent, text("1")).put(z, Expect::Absent, text("1"));
        let known = dropped_after(polls, b.commit(&commit)).await;
        dropped_after(polls, b.list(&prefix("cut"))).await;
        dropped_after(polls, b.read(&key("cut/k"))).await;
        dropped_after(polls, b.changed(&Scope::Below(prefix("cut")), &Mark::UNSEEN)).await;
        // Its copy may still be on its way: both keys appear together or not at all.
        for _ in 0..20 {
            let found = f.list(&other, &format!("cut/{polls}")).await.len();
            assert!(found == 0 || found == 2, "half of a dropped commit was applied");
            assert!(known.is_none() || found == 2, "an acknowledged commit is not there");
            tokio::task::yield_now().await;
        }

        let l = latch(&format!("lead-{polls}"));
        let session = f.session(&b).await;
        dropped_after(polls, session.try_acquire(&l, "cut".into(), None)).await;
        dropped_after(polls, session.ended()).await;
        dropped_after(polls, session.release(&l)).await;
        dropped_after(polls, session.close()).await;
        session.close().await.expect("closing after whatever was dropped");
        let (next, term) = f.successor(&other, &l).await;
        let guarded = f.new_commit().guarded_by(fence(&l, &term));
        applied(other.commit(&guarded.put(key(&format!("after/{polls}")), Expect::Absent, text("v"))).await);
        next.close().await.unwrap();
    }
}

pub async fn b_78_no_waiter_is_left_behind(f: Fixture) {
    // Fails if waits that ended or were dropped stay registered: memory grows with every wait.
    let b = f.connect().await;
    let scope = Scope::Below(prefix("w"));
    let before = f.store().waiting();
    for n in 0..50 {
        let seen = b.changed(&scope, &Mark::UNSEEN).await.unwrap().mark();
        assert!(b.changed(&scope, &seen).now_or_never().is_none(), "nothing has changed");
        let mut woken = std::pin::pin!(b.changed(&scope, &seen));
        assert!(woken.as_mut().now_or_never().is_none());
        assert!(f.store().waiting() > before, "the one that waits is counted");
        f.create(&b, &format!("w/{n}"), "x").await;
        f.in_time("the waiter is woken", woken).await.unwrap();
    }
    assert_eq!(f.store().waiting(), before, "waiters were left behind");
}

pub async fn b_79_what_was_acknowledged_survives_a_restart(f: Fixture) {
    // Fails if an acknowledgement comes before the data is safe, or a revision comes back.
    let b = f.connect().await;
    let kept = f.create(&b, "kept/k", "value").await;
    let gone = f.create(&b, "kept/gone", "x").await;
    f.remove(&b, "kept/gone", gone).await;
    f.store().restart().await;
    let b = f.connect().await;
    assert_eq!(f.texts(&b, "kept").await, [("kept/k".to_owned(), "value".to_owned())]);
    let next = f.put(&b, "kept/k", Expect::Revision(kept), "after").await;
    assert_ne!(next, kept);
    assert_ne!(f.create(&b, "kept/gone", "again").await, gone, "a revision came back after the restart");
}

pub async fn b_80_the_profile_says_what_the_handle_does(f: Fixture) {
    // Fails if limits are zero or differ between handles: the layers above would size by them.
    let (b, other) = (f.connect().await, f.connect().await);
    let profile = b.profile();
    assert_eq!(profile, other.profile(), "two handles, two profiles");
    assert!(!profile.name.is_empty());
    assert!(profile.value_bytes_max >= 64 * 1024, "records of the services need 64 KiB");
    assert!(profile.commit_operations_max >= 8, "the services put up to 8 operations into one commit");
    assert!(profile.commit_bytes_max >= profile.value_bytes_max / 2, "a commit must be able to carry a value");
}

pub async fn b_81_reads_are_as_good_as_the_profile_says(f: Fixture) {
    // Fails if the test declares linearizable reads and the backend promises less.
    assert_eq!(f.connect().await.profile().reads, ReadGuarantee::Linearizable);
}

pub async fn b_82_a_commit_of_nothing_is_applied_or_fenced(f: Fixture) {
    // Fails if the smallest commit, which some backends use as a barrier, is refused or unguarded.
    let b = f.connect().await;
    let l = latch("lead");
    assert!(applied(b.commit(&f.new_commit()).await).is_empty());
    let (session, term) = f.leader(&b, &l).await;
    let guarded = f.new_commit().guarded_by(fence(&l, &term));
    assert!(applied(b.commit(&guarded).await).is_empty());
    session.close().await.unwrap();
    assert_eq!(b.commit(&guarded).await.unwrap(), Outcome::Fenced, "an empty commit is guarded as any other");
    let revision = f.create(&b, "k", "v").await;
    f.remove(&b, "k", revision).await;
    conflict(b.commit(&f.new_commit().check(key("k"), Expect::Revision(revision))).await);
}

pub async fn b_83_a_session_opened_while_its_handle_closes_is_over(f: Fixture) {
    // Race: the handle is found open, then closed, then the session is opened on it.
    // Fails if such a session, which nobody ends any more, holds its latch while its owner lives.
    for round in 0..60 {
        let (b, l) = (f.connect().await, latch(&format!("lead-{round}")));
        let opened = f.go({
            let (b, l, options) = (Arc::clone(&b), l.clone(), SessionOptions::default());
            async move {
                let mut sessions = Vec::new();
                while let Ok(session) = b.open_session(&options).await {
                    // It may be over already; what counts is whether the latch comes free.
                    let _ = session.try_acquire(&l, "late".into(), None).await;
                    sessions.push(session);
                }
                sessions
            }
        });
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        b.close().await.unwrap();
        let sessions = f.in_time("no session can be opened any more", opened).await;
        for session in &sessions {
            f.in_time("every session of a closed handle is over", session.ended()).await;
        }
    }
}
