//! Copies of creates that arrive when nobody thinks of them any more.

use std::collections::BTreeMap;
use std::future::Future;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt;
use ha_core::ErrorKind;
use ha_core::backend::{Expect, Outcome};

use super::world::World;
use crate::faults::{Call, Fault, Faulty, Plan};
use crate::fixture::{Fixture, applied, fence, key, won};

/// Everything that is held back arrives, and must not bring the key back.
async fn assert_stays_removed(w: &World, at: &str) {
    assert!(w.plan.held_back() > 0, "the case holds nothing back, and so proves nothing");
    let delivered = w.plan.deliver_late().await;
    assert_eq!(w.revision(at).await, None, "a late copy brought {at} back: {delivered:?}");
}

/// Sends a create whose only copy is held back, and gives up waiting.
async fn cancelled_create(w: &World, at: &str) {
    w.fail(at, Fault::DeliveredLate);
    let held_back = w.plan.held_back();
    let mut create = std::pin::pin!(w.committer.commit(w.create(at)));
    // Looked at after each of its own steps: a moment later the next copy may be on its way.
    let on_its_way = std::future::poll_fn(|context| match create.as_mut().poll(context) {
        Poll::Ready(answer) => panic!("answered before it was given up: {answer:?}"),
        Poll::Pending if w.plan.held_back() > held_back => Poll::Ready(()),
        Poll::Pending => Poll::Pending,
    });
    w.f.in_time("the create is on its way", on_its_way).await;
}

pub async fn u_14_a_late_create_brings_nothing_back(f: Fixture) {
    // Fails if: create, lost answer, second copy applied, removal, and then the first copy arrives.
    let w = World::new(f).await;
    w.fail("k", Fault::DeliveredLate);
    let revision = w.created("k").await;
    w.removed("k", revision).await;
    assert_stays_removed(&w, "k").await;
    assert!(w.created("k").await != revision, "the key itself stays usable");
}

pub async fn u_15_many_late_copies_bring_nothing_back(f: Fixture) {
    // Fails if only the first copy is guarded against.
    let w = World::new(f).await;
    for _ in 0..3 {
        w.fail("k", Fault::DeliveredLate);
    }
    let revision = w.created("k").await;
    w.removed("k", revision).await;
    assert_eq!(w.plan.held_back(), 3);
    assert_stays_removed(&w, "k").await;
}

pub async fn u_16_a_cancelled_create_brings_nothing_back(f: Fixture) {
    // Fails if a future that was dropped takes the memory of its doubt with it.
    let w = World::new(f).await;
    cancelled_create(&w, "k").await;
    let revision = w.created("k").await;
    w.removed("k", revision).await;
    assert_stays_removed(&w, "k").await;
}

pub async fn u_17_a_settled_create_does_not_hide_an_earlier_doubt(f: Fixture) {
    // Fails if the second create of a key, answered cleanly, clears the doubt that the first one left.
    let w = World::new(f).await;
    cancelled_create(&w, "k").await;
    for _ in 0..2 {
        let revision = w.created("k").await;
        let newer = applied(w.commit(w.put(w.guarded(), "k", Expect::Revision(revision))).await)[0];
        w.removed("k", newer).await;
    }
    assert_stays_removed(&w, "k").await;
}

pub async fn u_18_a_removal_together_with_other_writes_is_guarded_too(f: Fixture) {
    // Fails if only a commit that does nothing but remove raises the barrier.
    let w = World::new(f).await;
    w.fail("k", Fault::DeliveredLate);
    let commit = w.put(w.create("k"), "with-k", Expect::Absent);
    let revisions = applied(w.commit(commit).await);
    let commit = w.guarded().remove(key("with-k"), revisions[1]).remove(key("k"), revisions[0]);
    applied(w.commit(w.put(commit, "instead", Expect::Absent)).await);
    assert_stays_removed(&w, "k").await;
    assert_eq!(w.revision("with-k").await, None);
}

pub async fn u_19_a_create_under_way_survives_the_barrier(f: Fixture) {
    // Race: the barrier is raised between the preparation and the sending of another key's create.
    // Fails if that create is then refused for good, or passes with the old barrier.
    let w = World::new(f).await;
    w.fail("k", Fault::DeliveredLate);
    let revision = w.created("k").await;
    w.fail("other", Fault::Delay(Duration::from_millis(150)));
    let (other, ()) = futures_util::future::join(w.commit(w.create("other")), w.removed("k", revision)).await;
    let other = applied(other)[0];
    assert_eq!(w.revision("other").await, Some(other));
    w.removed("other", other).await;
    assert_stays_removed(&w, "k").await;
    assert_eq!(w.revision("other").await, None);
}

pub async fn u_20_a_barrier_whose_raising_is_in_doubt_holds(f: Fixture) {
    // Fails if the removal goes on although nobody knows whether the barrier was raised.
    for fault in [Fault::FailAfter, Fault::LostBefore, Fault::DeliveredLate, Fault::DeliveredTwice] {
        let w = World::new(f.clone()).await;
        w.fail("k", Fault::DeliveredLate);
        let revision = w.created("k").await;
        w.fail("lead/barrier", fault);
        w.removed("k", revision).await;
        assert_stays_removed(&w, "k").await;
        // And once more, over a barrier that stands.
        w.fail("k", Fault::DeliveredLate);
        let revision = w.created("k").await;
        w.fail("lead/barrier", fault);
        w.removed("k", revision).await;
        assert_stays_removed(&w, "k").await;
        w.session.close().await.unwrap();
    }
}

pub async fn u_21_a_barrier_that_cannot_be_raised_holds_the_removal_back(f: Fixture) {
    // Fails if the key is removed first and the barrier raised later, or never.
    let w = World::with_budget(f, Duration::from_millis(200)).await;
    w.fail("k", Fault::DeliveredLate);
    let revision = w.created("k").await;
    for _ in 0..200 {
        w.fail("lead/barrier", Fault::LostBefore);
    }
    let error = w.commit(w.guarded().remove(key("k"), revision)).await.expect_err("no barrier, no removal");
    assert!(matches!(error.kind(), ErrorKind::Indeterminate | ErrorKind::Unavailable), "{error}");
    assert_eq!(w.revision("k").await, Some(revision), "removed without a barrier");
    w.plan.clear();
    w.removed("k", revision).await;
    assert_stays_removed(&w, "k").await;
}

pub async fn u_22_a_late_create_of_an_earlier_term_is_fenced(f: Fixture) {
    // Fails if the barrier of one leadership is all that stands between its copies and the next one's keys.
    let w = World::new(f).await;
    w.fail("k", Fault::DeliveredLate);
    w.created("k").await;
    cancelled_create(&w, "k2").await;
    let (_heir, term) = w.deposed().await;
    let guard = fence(&w.latch, &term);
    let found = w.revision("k").await.unwrap();
    applied(w.store.commit(&w.bare().guarded_by(guard).remove(key("k"), found)).await);
    assert_stays_removed(&w, "k").await;
    assert_eq!(w.revision("k2").await, None);
}

pub async fn u_23_a_process_that_leads_again_is_safe_from_itself(f: Fixture) {
    // Fails if the memory of doubts is mixed up between two terms of one process.
    let mut w = World::new(f).await;
    w.fail("k", Fault::DeliveredLate);
    let revision = w.created("k").await;
    let (session, term) = w.deposed().await;
    let late = w.commit(w.guarded().remove(key("k"), revision)).await;
    assert!(!matches!(late, Ok(Outcome::Applied { .. })), "the former term must not remove: {late:?}");
    (w.session, w.term) = (session, term);
    w.removed("k", revision).await;
    w.fail("k", Fault::DeliveredLate);
    let again = w.created("k").await;
    w.removed("k", again).await;
    assert_stays_removed(&w, "k").await;
}

pub async fn u_24_the_barrier_is_not_written_by_commits(f: Fixture) {
    // Fails if a clean-up under the same leadership takes the barrier away from under late copies.
    let w = World::new(f).await;
    w.fail("k", Fault::DeliveredLate);
    let revision = w.created("k").await;
    w.removed("k", revision).await;
    let barrier = w.revision("lead/barrier").await.expect("the barrier was raised");
    let clean_up = w.commit(w.guarded().remove(key("lead/barrier"), barrier)).await;
    assert_stays_removed(&w, "k").await;
    assert_eq!(clean_up.expect_err("refused").kind(), ErrorKind::Invalid);
}

pub async fn u_25_an_attempt_whose_answer_was_lost_is_found_out(f: Fixture) {
    // Fails if a latch that was won without anybody hearing of it stays held by nobody who knows.
    for fault in [Fault::FailAfter, Fault::LostBefore, Fault::DeliveredTwice] {
        let (plan, l) = (Plan::none(), crate::fixture::latch("attempt"));
        let inner = f.connect().await;
        let backend: std::sync::Arc<dyn ha_core::backend::Backend> =
            std::sync::Arc::new(Faulty::new(inner, f.seam().clone(), plan.clone()));
        let session = f.session(&backend).await;
        plan.next(Call::Acquire, fault);
        let first = session.try_acquire(&l, "leader".into(), None).await;
        let term = won(session.try_acquire(&l, "leader".into(), None).await);
        if let Ok(first) = first {
            assert_eq!(won(Ok(first)), term, "two copies of one attempt, two terms");
        }
        plan.next(Call::Release, fault);
        // Unknown, as planned; releasing again, or closing, settles it.
        let _ = session.release(&l).await;
        session.release(&l).await.expect("released in the end");
        plan.next(Call::Acquire, Fault::DeliveredLate);
        let next = f.session(&backend).await;
        next.try_acquire(&l, "late".into(), None).await.expect_err("unknown");
        next.close().await.unwrap();
        plan.deliver_late().await;
        let (last, _) = f.successor(&backend, &l).await;
        last.close().await.unwrap();
    }
}

pub async fn u_26_a_storm_of_faults_contradicts_no_acknowledgement(f: Fixture) {
    // Fails if any mixture of lost, late and doubled commits, and of dropped futures, lets an
    // acknowledged create vanish or an acknowledged removal be undone.
    for seed in 0..6 {
        let faults = [Fault::FailAfter, Fault::LostBefore, Fault::DeliveredLate, Fault::FailBefore];
        let mut w = World::new(f.clone()).await;
        w.plan = Plan::seeded(seed, 3, faults);
        let inner = w.f.connect().await;
        let faulty = std::sync::Arc::new(Faulty::new(inner, w.f.seam().clone(), w.plan.clone()));
        w.committer = ha_core::resolve::Committer::with_budget(faulty, w.f.seam().clone(), Duration::from_secs(5));
        // What is known of each key: present, absent, or nothing.
        let mut known = BTreeMap::<usize, bool>::new();
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        for step in 0..60_usize {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let which = (random % 3) as usize;
            let at = format!("storm-{seed}/{which}");
            let found = w.revision(&at).await;
            if let Some(present) = known.get(&which) {
                assert_eq!(
                    found.is_some(),
                    *present,
                    "seed {seed}, step {step}: {at} contradicts what was acknowledged"
                );
            }
            known.remove(&which);
            let commit = match found {
                Some(revision) => w.guarded().remove(key(&at), revision),
                None => w.create(&at),
            };
            if random.is_multiple_of(7) {
                // Given up after the first poll; nothing is known of the key then.
                let _ = w.committer.commit(commit).now_or_never();
            } else if let Ok(Outcome::Applied { .. }) = w.commit(commit).await {
                known.insert(which, found.is_none());
            }
            if random.is_multiple_of(11) {
                w.plan.deliver_late().await;
            }
        }
        w.plan.deliver_late().await;
        for (which, present) in known {
            let at = format!("storm-{seed}/{which}");
            assert_eq!(w.revision(&at).await.is_some(), present, "seed {seed}: {at} after everything has arrived");
        }
        // Beside what arrives late this too may end in doubt, and is then called again.
        while let Err(error) = w.session.close().await {
            assert!(error.may_have_applied(), "{error}");
        }
    }
}
