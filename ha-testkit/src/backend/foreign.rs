//! Edits of a latch by somebody who does not keep the rules.

use bytes::Bytes;
use ha_core::backend::{Expect, Key, Latch, Outcome};

use crate::fixture::{Fixture, applied, fence, key, latch, text};

/// Edits a key of a latch and proves that the leader is fenced, others win, and the old holder
/// does them no harm any more.
async fn assert_fences_and_frees(f: &Fixture, edited: impl Fn(&Latch) -> Key, value: Option<Bytes>) {
    let (b, other) = (f.connect().await, f.connect().await);
    let l = latch("lead");
    let (session, term) = f.leader(&b, &l).await;
    f.store().tamper(&edited(&l), value).await;
    let guarded = |n: usize, term| {
        f.new_commit().guarded_by(fence(&l, term)).put(key(&format!("k/{n}")), Expect::Absent, text("v"))
    };
    assert_eq!(b.commit(&guarded(1, &term)).await.unwrap(), Outcome::Fenced, "the leader must be fenced by the edit");
    let (_next, new) = f.successor(&other, &l).await;
    assert!(new.epoch > term.epoch, "{new:?} must be later than {term:?}");
    session.release(&l).await.expect("letting go of what it does not hold");
    session.close().await.expect("closing");
    applied(other.commit(&guarded(2, &new)).await);
}

pub async fn b_59_a_foreign_value_on_the_latch_fences_and_frees(f: Fixture) {
    // Fails if the leader goes on under a latch that says something else, or nobody can ever win again.
    assert_fences_and_frees(&f, |l| l.key().clone(), Some(text("not written by this library"))).await;
}

pub async fn b_60_removal_of_the_latch_fences_and_frees(f: Fixture) {
    // Fails if the leader goes on without a latch, or nobody can ever win again.
    assert_fences_and_frees(&f, |l| l.key().clone(), None).await;
}
