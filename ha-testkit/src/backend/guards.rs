//! Commits under a leadership.

use std::collections::BTreeSet;
use std::sync::Arc;

use ha_core::backend::{Acquire, Backend, Expect, Latch, Outcome, Term};

use crate::fixture::{Fixture, applied, fence, key, latch, text, won};

/// Whether a guarded create is let through; if it is fenced, proves that nothing was written.
async fn passes(f: &Fixture, b: &Arc<dyn Backend>, latch: &Latch, term: &Term, at: &str) -> bool {
    let commit = f.new_commit().guarded_by(fence(latch, term)).put(key(at), Expect::Absent, text("guarded"));
    match b.commit(&commit).await.expect("an answer") {
        Outcome::Applied { .. } => true,
        Outcome::Fenced => {
            assert_eq!(b.read(&key(at)).await.unwrap(), None, "answered Fenced, and written all the same");
            false
        }
        other => panic!("a guarded create of an absent key was answered with {other:?}"),
    }
}

pub async fn b_20_only_the_exact_term_lets_a_write_pass(f: Fixture) {
    // Fails if the fence compares less than the whole term, or is not looked at.
    let (b, other) = (f.connect().await, f.connect().await);
    let l = latch("lead");
    let (_session, term) = f.leader(&b, &l).await;
    assert!(passes(&f, &b, &l, &term, "g/right").await, "the current term must pass");
    assert!(passes(&f, &other, &l, &term, "g/right-elsewhere").await, "a term is good on every handle");
    let wrong = [
        Term { epoch: term.epoch + 1, ..term.clone() },
        Term { epoch: term.epoch - 1, ..term.clone() },
        Term { native: format!("{}x", term.native).into(), ..term.clone() },
        Term { native: "".into(), ..term.clone() },
    ];
    for term in wrong {
        assert!(!passes(&f, &b, &l, &term, "g/wrong").await, "the wrong term {term:?} passed");
    }
}

pub async fn b_21_a_latch_that_is_free_or_another_fences(f: Fixture) {
    // Fails if a guard passes because nobody holds the latch, or because its holder holds another.
    let b = f.connect().await;
    let (held, never, freed) = (latch("lead/held"), latch("lead/never"), latch("lead/freed"));
    let (_session, term) = f.leader(&b, &held).await;
    let (other, other_term) = f.leader(&b, &freed).await;
    assert!(!passes(&f, &b, &never, &term, "g/never").await, "a latch that nobody ever took let a write pass");
    assert!(!passes(&f, &b, &held, &other_term, "g/other").await, "the term of another latch passed");
    other.release(&freed).await.unwrap();
    assert!(!passes(&f, &b, &freed, &other_term, "g/freed").await, "a free latch let a write pass");
    assert!(passes(&f, &b, &held, &term, "g/held").await, "the other latch must not suffer");
}

pub async fn b_22_fenced_outranks_conflict(f: Fixture) {
    // Fails if a deposed leader is told of a conflict, reads again, and goes on.
    let b = f.connect().await;
    let l = latch("lead");
    let (session, term) = f.leader(&b, &l).await;
    f.create(&b, "g/k", "value").await;
    session.release(&l).await.unwrap();
    let commit = f.new_commit().guarded_by(fence(&l, &term)).put(key("g/k"), Expect::Absent, text("late"));
    assert_eq!(b.commit(&commit).await.unwrap(), Outcome::Fenced, "a deposed leader's commit that conflicts as well");
    let check = f.new_commit().guarded_by(fence(&l, &term)).check(key("g/k"), Expect::Absent);
    assert_eq!(b.commit(&check).await.unwrap(), Outcome::Fenced);
}

pub async fn b_23_a_broken_guard_never_heals(f: Fixture) {
    // Fails if the next leader, or the same process again, gets a term that equals the old one.
    let b = f.connect().await;
    let l = latch("lead");
    let mut terms: Vec<Term> = Vec::new();
    for round in 0..5 {
        let (session, term) = f.leader(&b, &l).await;
        for old in &terms {
            assert!(!passes(&f, &b, &l, old, &format!("g/{round}-{}", old.epoch)).await, "{old:?} passed again");
        }
        session.release(&l).await.unwrap();
        terms.push(term);
    }
}

pub async fn b_24_no_old_write_follows_the_new_leaders_first(f: Fixture) {
    // Race: the guard is found current, the latch changes hands, and then the write is applied.
    // Fails if guard and write are two steps.
    for round in 0..15 {
        let (b, other) = (f.connect().await, f.connect().await);
        let (l, below) = (latch(&format!("lead-{round}")), format!("race-{round}"));
        let (_old, term) = f.leader(&b, &l).await;
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let (f, b, guard, below) = (f.clone(), Arc::clone(&b), fence(&l, &term), below.clone());
                f.clone().go(async move {
                    for n in 0..3_000 {
                        let at = key(&format!("{below}/old-{writer}-{n}"));
                        let commit = f.new_commit().guarded_by(guard.clone()).put(at, Expect::Absent, text("old"));
                        if b.commit(&commit).await.expect("an answer") == Outcome::Fenced {
                            return;
                        }
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        f.eventually("the old leader writes", || async { !f.list(&other, &below).await.is_empty() }).await;
        let successor = f.session(&other).await;
        let new = won(successor.try_acquire(&l, "new".into(), Some(&term)).await);
        let first = key(&format!("first-{round}"));
        let commit = f.new_commit().guarded_by(fence(&l, &new)).put(first, Expect::Absent, text("new"));
        applied(other.commit(&commit).await);
        let then: BTreeSet<_> = f.list(&other, &below).await.into_iter().map(|entry| entry.key).collect();
        for writer in writers {
            f.in_time("the old leader is fenced", writer).await;
        }
        let now = f.list(&other, &below).await.into_iter().map(|entry| entry.key);
        let late: Vec<_> = now.filter(|key| !then.contains(key)).collect();
        assert!(late.is_empty(), "applied under the old term after the new leader's first write: {late:?}");
    }
}

pub async fn b_25_a_guard_reaches_every_key_of_its_commit(f: Fixture) {
    // Fails if a guarded commit of several keys and checks leaves any of them unguarded.
    let b = f.connect().await;
    let l = latch("lead");
    let (session, term) = f.leader(&b, &l).await;
    let gone = f.create(&b, "g/gone", "x").await;
    let commit = |f: &Fixture| {
        let commit = f.new_commit().guarded_by(fence(&l, &term)).put(key("g/a"), Expect::Absent, text("a"));
        commit.remove(key("g/gone"), gone).check(key("g/none"), Expect::Absent)
    };
    let rival = f.session(&b).await;
    assert!(matches!(rival.try_acquire(&l, "rival".into(), None).await, Ok(Acquire::Held { .. })));
    session.close().await.unwrap();
    let before = f.list(&b, "g").await;
    assert_eq!(b.commit(&commit(&f)).await.unwrap(), Outcome::Fenced);
    assert_eq!(f.list(&b, "g").await, before, "a fenced commit changed something");
}
