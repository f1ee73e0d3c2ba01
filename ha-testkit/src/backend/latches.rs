//! Taking, holding and letting go.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use ha_core::ErrorKind;
use ha_core::backend::{Acquire, Expect, Outcome, Session};

use crate::fixture::{Fixture, applied, fence, key, latch, text, won};

pub async fn b_32_of_many_contenders_one_wins(f: Fixture) {
    // Fails if two sessions can both take one latch.
    for round in 0..5 {
        let l = latch(&format!("lead-{round}"));
        let mut attempts = Vec::new();
        for _ in 0..6 {
            let session = f.session(&f.connect().await).await;
            let l = l.clone();
            attempts.push(f.go(async move {
                let attempt = session.try_acquire(&l, "contender".into(), None).await.expect("an answer");
                (session, attempt)
            }));
        }
        let answers = join_all(attempts).await;
        let winners: Vec<_> = answers.iter().filter(|(_, attempt)| matches!(attempt, Acquire::Won(_))).collect();
        assert_eq!(winners.len(), 1, "exactly one contender wins: {answers:?}");
        let (_, Acquire::Won(term)) = winners[0] else { unreachable!("filtered above") };
        for (_, attempt) in &answers {
            if let Acquire::Held { by, .. } = attempt {
                assert_eq!(by.term, *term, "a loser must see the winner");
            }
        }
    }
}

pub async fn b_33_a_repeated_attempt_answers_the_same_term(f: Fixture) {
    // Fails if a session whose answer was lost cannot find out that it holds the latch.
    let b = f.connect().await;
    let l = latch("lead");
    let (session, term) = f.leader(&b, &l).await;
    for _ in 0..3 {
        assert_eq!(won(session.try_acquire(&l, "leader".into(), None).await), term, "the same term again");
    }
    let over_itself = session.try_acquire(&l, "leader".into(), Some(&term)).await;
    assert_eq!(won(over_itself), term, "a session does not take over from itself");
    let guarded = f.new_commit().guarded_by(fence(&l, &term)).put(key("k"), Expect::Absent, text("v"));
    applied(b.commit(&guarded).await);
}

/// The session must refuse the latch for good, whoever holds it.
async fn assert_never_again(session: &dyn Session, l: &ha_core::backend::Latch, when: &str) {
    let error = session.try_acquire(l, "again".into(), None).await;
    let error = error.expect_err(&format!("a session must not take a latch twice: {when}"));
    assert_eq!(error.kind(), ErrorKind::SessionEnded, "{when}: {error}");
}

pub async fn b_34_a_session_takes_a_latch_once(f: Fixture) {
    // Fails if a term can begin on a session whose earlier term is known to be over.
    let b = f.connect().await;
    let (released, taken) = (latch("lead/released"), latch("lead/taken"));
    let (session, _) = f.leader(&b, &released).await;
    session.release(&released).await.unwrap();
    assert_never_again(&*session, &released, "after release, while it is free").await;
    let (_other, _) = f.leader(&b, &released).await;
    assert_never_again(&*session, &released, "after release, while another holds it").await;

    let term = won(session.try_acquire(&taken, "leader".into(), None).await);
    let rival = f.session(&b).await;
    won(rival.try_acquire(&taken, "rival".into(), Some(&term)).await);
    assert_never_again(&*session, &taken, "after a take-over").await;
    rival.close().await.unwrap();
    assert_never_again(&*session, &taken, "after a take-over, while it is free again").await;
    won(session.try_acquire(&latch("lead/fresh"), "leader".into(), None).await);
}

pub async fn b_35_who_is_refused_learns_who_holds_it(f: Fixture) {
    // Fails if a standby cannot show, or suspect, the holder.
    let (b, other) = (f.connect().await, f.connect().await);
    let l = latch("lead");
    let session = f.session(&b).await;
    let term = won(session.try_acquire(&l, "address of the holder".into(), None).await);
    let standby = f.session(&other).await;
    let Acquire::Held { by, wait, .. } = standby.try_acquire(&l, "standby".into(), None).await.unwrap() else {
        panic!("two hold one latch");
    };
    assert_eq!((by.term, by.value), (term, text("address of the holder")));
    assert!(wait.contains(l.key()) || matches!(wait, ha_core::backend::Scope::Key(_)), "{wait} does not help");
}

pub async fn b_36_waiting_as_told_ends_when_the_latch_is_free(f: Fixture) {
    // Fails if the scope and mark of `Held` can be waited for in vain, even if the release comes between.
    let (b, other) = (f.connect().await, f.connect().await);
    for round in 0..10 {
        let l = latch(&format!("lead-{round}"));
        let (session, _) = f.leader(&b, &l).await;
        let standby = f.session(&other).await;
        let Acquire::Held { wait, seen, .. } = standby.try_acquire(&l, "standby".into(), None).await.unwrap() else {
            panic!("two hold one latch");
        };
        if round % 2 == 0 {
            session.release(&l).await.unwrap();
            f.in_time("the wait ends: released before it began", other.changed(&wait, &seen)).await.unwrap();
        } else {
            let released = f.go(async move { session.close().await });
            f.in_time("the wait ends: the holder's session is closed", other.changed(&wait, &seen)).await.unwrap();
            released.await.unwrap();
        }
        won(standby.try_acquire(&l, "standby".into(), None).await);
    }
}

pub async fn b_37_only_the_holder_can_release(f: Fixture) {
    // Fails if a late release of a former holder ends the leadership of its successor.
    let b = f.connect().await;
    let l = latch("lead");
    let (session, old) = f.leader(&b, &l).await;
    let (stranger, rival) = (f.session(&b).await, f.session(&b).await);
    stranger.release(&l).await.expect("success: it does not hold the latch");
    let term = won(rival.try_acquire(&l, "rival".into(), Some(&old)).await);
    session.release(&l).await.expect("success: it does not hold the latch any more");
    let guarded = f.new_commit().guarded_by(fence(&l, &term)).put(key("k"), Expect::Absent, text("v"));
    applied(b.commit(&guarded).await);
    rival.release(&l).await.unwrap();
    rival.release(&l).await.expect("a second release does nothing");
}

pub async fn b_38_closing_a_session_frees_all_its_latches(f: Fixture) {
    // Fails if a latch stays behind without a holder until somebody's silence has run out.
    let b = f.connect().await;
    let session = f.session(&b).await;
    let latches = [latch("lead/a"), latch("lead/b"), latch("elsewhere")];
    for l in &latches {
        won(session.try_acquire(l, "leader".into(), None).await);
    }
    session.close().await.unwrap();
    session.close().await.expect("a second close does nothing");
    let next = f.session(&f.connect().await).await;
    for l in &latches {
        won(next.try_acquire(l, "next".into(), None).await);
    }
}

pub async fn b_39_a_dropped_session_frees_its_latches_in_time(f: Fixture) {
    // Fails if something goes on renewing a session that nobody owns any more.
    let (b, l) = (f.connect().await, latch("lead"));
    let (session, old) = f.leader(&b, &l).await;
    drop(session);
    let (_next, term) = f.successor(&b, &l).await;
    assert!(term.epoch > old.epoch);
}

pub async fn b_40_dropping_is_evidence(f: Fixture) {
    // Fails if the backend's evidence is lost: then a dropped session is waited out in silence.
    let (b, l) = (f.connect().await, latch("lead"));
    let options = ha_core::backend::SessionOptions { silence: std::time::Duration::from_secs(3600), label: "".into() };
    let session = b.open_session(&options).await.unwrap();
    won(session.try_acquire(&l, "leader".into(), None).await);
    drop(session);
    f.successor(&b, &l).await;
}

pub async fn b_41_one_session_holds_many_independent_latches(f: Fixture) {
    // Fails if the loss of one of a thousand shards touches the others.
    let b = f.connect().await;
    let session = f.session(&b).await;
    let latches: Vec<_> = (0..20).map(|n| latch(&format!("shards/{n}"))).collect();
    let mut terms = Vec::new();
    for l in &latches {
        terms.push(won(session.try_acquire(l, "leader".into(), None).await));
    }
    session.release(&latches[7]).await.unwrap();
    let passed: BTreeSet<usize> = {
        let mut passed = BTreeSet::new();
        for (n, (l, term)) in latches.iter().zip(&terms).enumerate() {
            let at = key(&format!("state/{n}"));
            let commit = f.new_commit().guarded_by(fence(l, term)).put(at, Expect::Absent, text("v"));
            if matches!(b.commit(&commit).await, Ok(Outcome::Applied { .. })) {
                passed.insert(n);
            }
        }
        passed
    };
    assert_eq!(passed, (0..20).filter(|n| *n != 7).collect(), "the latches that still let a write pass");
}

pub async fn b_42_an_entry_says_under_which_term_a_latch_is_held(f: Fixture) {
    // Fails if an observer shows a leader whose latch is free.
    let (b, reader) = (f.connect().await, f.connect().await);
    let l = latch("lead");
    let held = async || reader.read(l.key()).await.unwrap().and_then(|entry| entry.held);
    assert_eq!(held().await, None);
    let (session, term) = f.leader(&b, &l).await;
    assert_eq!(held().await, Some(term.clone()));
    let listed = f.list(&reader, "lead").await.into_iter().find(|entry| entry.key == *l.key());
    assert_eq!(listed.and_then(|entry| entry.held), Some(term));
    session.release(&l).await.unwrap();
    assert_eq!(held().await, None, "nobody holds it, and the entry says somebody does");
}
