//! Taking the place of a holder on evidence that it is dead.

use futures_util::future::join_all;
use ha_core::backend::{Acquire, Expect, Outcome, Term};

use crate::fixture::{Fixture, applied, fence, key, latch, text, won};

pub async fn b_43_over_the_right_term_wins_at_once_and_fences_it(f: Fixture) {
    // Fails if evidence has to wait for silence, or leaves the old term able to write.
    let (b, other) = (f.connect().await, f.connect().await);
    let l = latch("lead");
    let (_old, term) = f.leader(&b, &l).await;
    let new = won(f.session(&other).await.try_acquire(&l, "new".into(), Some(&term)).await);
    assert!(new.epoch > term.epoch, "{new:?} must be later than {term:?}");
    let late = f.new_commit().guarded_by(fence(&l, &term)).put(key("k"), Expect::Absent, text("old"));
    assert_eq!(b.commit(&late).await.unwrap(), Outcome::Fenced, "the old term still writes");
    let (_session, won_again) = f.successor(&b, &l).await;
    assert!(won_again.epoch > new.epoch, "the session of the winner was dropped");
}

pub async fn b_44_another_term_is_not_taken_over(f: Fixture) {
    // Fails if evidence about a former leader can end the present one.
    let b = f.connect().await;
    let l = latch("lead");
    let (first, old) = f.leader(&b, &l).await;
    first.close().await.unwrap();
    let (_holder, term) = f.leader(&b, &l).await;
    let rival = f.session(&b).await;
    let other_terms = [
        old,
        Term { epoch: term.epoch + 1, ..term.clone() },
        Term { epoch: term.epoch - 1, ..term.clone() },
        Term { native: format!("{}x", term.native).into(), ..term.clone() },
    ];
    for over in other_terms {
        match rival.try_acquire(&l, "rival".into(), Some(&over)).await.expect("an answer") {
            Acquire::Held { by, .. } => assert_eq!(by.term, term),
            Acquire::Won(_) => panic!("evidence about {over:?} ended the term {term:?}"),
        }
    }
    let guarded = f.new_commit().guarded_by(fence(&l, &term)).put(key("k"), Expect::Absent, text("v"));
    applied(b.commit(&guarded).await);
}

pub async fn b_45_of_many_who_take_over_one_wins(f: Fixture) {
    // Fails if the second who acts on the same evidence evicts the first.
    let b = f.connect().await;
    for round in 0..5 {
        let l = latch(&format!("lead-{round}"));
        let (_old, term) = f.leader(&b, &l).await;
        let mut attempts = Vec::new();
        for _ in 0..4 {
            let session = f.session(&f.connect().await).await;
            let (l, term) = (l.clone(), term.clone());
            attempts.push(f.go(async move {
                let attempt = session.try_acquire(&l, "heir".into(), Some(&term)).await.expect("an answer");
                (session, matches!(attempt, Acquire::Won(_)))
            }));
        }
        let answers = join_all(attempts).await;
        assert_eq!(answers.iter().filter(|(_, won)| *won).count(), 1, "exactly one takes over: {answers:?}");
    }
}

pub async fn b_46_a_take_over_touches_one_latch(f: Fixture) {
    // Fails if evidence about one leadership ends everything that its session holds.
    let b = f.connect().await;
    let (one, other) = (latch("lead/one"), latch("lead/other"));
    let (session, term) = f.leader(&b, &one).await;
    let kept = won(session.try_acquire(&other, "leader".into(), None).await);
    let heir = f.session(&b).await;
    won(heir.try_acquire(&one, "heir".into(), Some(&term)).await);
    let guarded = f.new_commit().guarded_by(fence(&other, &kept)).put(key("k"), Expect::Absent, text("v"));
    applied(b.commit(&guarded).await);
    assert!(!session.valid_until().is_past(f.seam().now()), "the session itself goes on");
}

pub async fn b_47_over_a_free_latch_wins_as_any_attempt_does(f: Fixture) {
    // Fails if the holder's own end, which came first, leaves the heir empty-handed.
    let b = f.connect().await;
    let l = latch("lead");
    let (session, term) = f.leader(&b, &l).await;
    session.close().await.unwrap();
    let new = won(f.session(&b).await.try_acquire(&l, "heir".into(), Some(&term)).await);
    assert!(new.epoch > term.epoch);
}
