//! Liveness and its local deadline.

use std::time::Duration;

use futures_util::future::join_all;
use ha_core::ErrorKind;
use ha_core::backend::{Ended, Expect, Outcome, SessionOptions};

use crate::fixture::{Fixture, applied, fence, key, latch, text};

/// Lets a leader's silence run and proves that its successor did not come before the deadline.
async fn assert_not_before_the_deadline(f: &Fixture) {
    let (b, other) = (f.connect().await, f.connect().await);
    let l = latch("lead");
    let (session, term) = f.leader(&b, &l).await;
    // A few renewals, so that the deadline is one that moved.
    let first = session.valid_until();
    f.eventually("the deadline moves", || async { session.valid_until() > first }).await;
    let successor = f.go({
        let (f, l) = (f.clone(), l.clone());
        async move {
            let (session, term) = f.successor(&other, &l).await;
            (f.seam().now(), session, term)
        }
    });
    let mut successor = std::pin::pin!(successor);
    f.store().freeze(session.id()).await;
    // The last deadline that was ever shown: it is what a leader would have relied on.
    let mut deadline = session.valid_until();
    let (when, _session, new) = loop {
        tokio::select! {
            biased;
            when = &mut successor => break when,
            () = f.seam().sleep(Duration::from_millis(1)) => deadline = deadline.max(session.valid_until()),
        }
    };
    assert!(deadline.is_past(when), "another won at {when:?}, before the leader's own deadline, {deadline:?}");
    assert!(session.valid_until().is_past(f.seam().now()), "the deadline of a session that is over must be past");
    assert!(new.epoch > term.epoch);
    let late = f.new_commit().guarded_by(fence(&l, &term)).put(key("k"), Expect::Absent, text("late"));
    assert_eq!(b.commit(&late).await.unwrap(), Outcome::Fenced, "the silent leader still writes");
}

pub async fn b_48_silence_frees_nothing_before_the_deadline(f: Fixture) {
    // Fails if the store's patience is shorter than what the leader was told.
    assert_not_before_the_deadline(&f).await;
}

pub async fn b_49_slow_answers_do_not_stretch_the_deadline(f: Fixture) {
    // Fails if the deadline is counted from the answer to a renewal instead of its sending.
    f.store().slow_answers(f.store().silence() / 6).await;
    assert_not_before_the_deadline(&f).await;
}

pub async fn b_50_a_living_session_outlives_its_silence(f: Fixture) {
    // Fails if renewals are not sent, or do not count.
    let b = f.connect().await;
    let l = latch("lead");
    let (session, term) = f.leader(&b, &l).await;
    let end = f.seam().now() + f.store().silence() * 3;
    while f.seam().now() < end {
        assert!(!session.valid_until().is_past(f.seam().now()), "a session that is renewed came past its deadline");
        f.seam().sleep(f.store().silence() / 20).await;
    }
    let guarded = f.new_commit().guarded_by(fence(&l, &term)).put(key("k"), Expect::Absent, text("v"));
    applied(b.commit(&guarded).await);
}

pub async fn b_51_the_deadline_is_never_further_than_the_silence(f: Fixture) {
    // Fails if a fresh session claims more than the store has promised, or starts past its deadline.
    let b = f.connect().await;
    let session = f.session(&b).await;
    for _ in 0..50 {
        // In this order: the deadline may move between the two readings, the clock only forward.
        let deadline = session.valid_until();
        let now = f.seam().now();
        assert!(!deadline.is_past(now), "a living session is past its deadline");
        assert!(
            deadline.remaining(now) <= f.store().silence(),
            "{deadline:?} is further than the silence from {now:?}"
        );
        f.seam().sleep(Duration::from_millis(5)).await;
    }
    session.close().await.unwrap();
    assert!(session.valid_until().is_past(f.seam().now()), "a closed session must be past its deadline");
}

async fn assert_all_hear(f: &Fixture, ended: Ended, end: impl AsyncFn(&str)) {
    let b = f.connect().await;
    let session = f.session(&b).await;
    let waiters: Vec<_> = (0..20)
        .map(|_| {
            let session = std::sync::Arc::clone(&session);
            f.go(async move { session.ended().await })
        })
        .collect();
    end(session.id()).await;
    let heard = f.in_time("all who wait hear that the session is over", join_all(waiters)).await;
    assert!(heard.iter().all(|why| *why == ended), "expected {ended:?}, heard {heard:?}");
    assert_eq!(f.in_time("a late asker hears it too", session.ended()).await, ended);
    assert!(session.valid_until().is_past(f.seam().now()));
    let error = session.try_acquire(&latch("lead"), "late".into(), None).await.expect_err("the session is over");
    assert_eq!(error.kind(), ErrorKind::SessionEnded, "{error}");
}

pub async fn b_52_all_waiters_hear_of_silence(f: Fixture) {
    // Fails if a process that was cut off does not learn that its session is over.
    assert_all_hear(&f, Ended::Expired, async |session| f.store().freeze(session).await).await;
}

pub async fn b_53_all_waiters_hear_of_expiry(f: Fixture) {
    // Fails if an end that the store decided is not told to the owner.
    assert_all_hear(&f, Ended::Expired, async |session| f.store().expire(session).await).await;
}

pub async fn b_54_all_waiters_hear_of_revocation(f: Fixture) {
    // Fails if an operator's decision is not told to the owner.
    assert_all_hear(&f, Ended::Revoked, async |session| f.store().revoke(session).await).await;
}

pub async fn b_55_a_closed_session_is_over_for_all(f: Fixture) {
    // Fails if closing leaves somebody waiting, or the session usable.
    let b = f.connect().await;
    let session = f.session(&b).await;
    let waiter = f.go({
        let session = std::sync::Arc::clone(&session);
        async move { session.ended().await }
    });
    session.close().await.unwrap();
    assert_eq!(f.in_time("the waiter hears of the close", waiter).await, Ended::Closed);
    let error = session.try_acquire(&latch("lead"), "late".into(), None).await.expect_err("the session is over");
    assert_eq!(error.kind(), ErrorKind::SessionEnded, "{error}");
}

pub async fn b_56_a_session_that_is_healed_in_time_goes_on(f: Fixture) {
    // Fails if one lost renewal ends a session, or if renewals are not tried again.
    let b = f.connect().await;
    let l = latch("lead");
    let (session, term) = f.leader(&b, &l).await;
    f.store().freeze(session.id()).await;
    f.seam().sleep(f.store().silence() / 3).await;
    f.store().heal(session.id()).await;
    let frozen = session.valid_until();
    f.eventually("the deadline moves again", || async { session.valid_until() > frozen }).await;
    let guarded = f.new_commit().guarded_by(fence(&l, &term)).put(key("k"), Expect::Absent, text("v"));
    applied(b.commit(&guarded).await);
}

pub async fn b_57_a_silence_that_cannot_be_honoured_is_refused(f: Fixture) {
    // Fails if an option is corrected without a word.
    let b = f.connect().await;
    for silence in [Duration::ZERO, Duration::MAX] {
        let error = b.open_session(&SessionOptions { silence, label: "refused".into() }).await;
        let error = error.expect_err("such a silence cannot be kept");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
}

pub async fn b_58_the_name_of_a_session_is_its_own(f: Fixture) {
    // Fails if an operator who ends a session by its name can hit another one.
    let (b, other) = (f.connect().await, f.connect().await);
    let sessions = [f.session(&b).await, f.session(&b).await, f.session(&other).await];
    let names: std::collections::BTreeSet<&str> = sessions.iter().map(|session| session.id()).collect();
    assert_eq!(names.len(), sessions.len(), "two living sessions share a name: {names:?}");
}
