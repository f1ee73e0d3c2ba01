//! Rule by rule.

use std::time::Duration;

use ha_core::ErrorKind;
use ha_core::backend::{Commit, Expect, Outcome};

use super::world::World;
use crate::faults::{Call, Fault};
use crate::fixture::{Fixture, applied, conflict, key};

/// Long enough that a machine that stalls for a second still sends twice.
const SHORT: Duration = Duration::from_millis(1500);

pub async fn u_01_a_definite_answer_is_passed_on_and_sent_once(f: Fixture) {
    // Fails if the committer asks again although it was told.
    let w = World::new(f).await;
    applied(w.commit(w.create("k")).await);
    assert_eq!(w.sent(), 1);
    conflict(w.commit(w.create("k")).await);
    assert_eq!(w.sent(), 2);
    w.fail("", Fault::FailBefore);
    let error = w.commit(w.create("k2")).await.expect_err("unavailable");
    assert_eq!((error.kind(), w.sent()), (ErrorKind::Unavailable, 3), "nothing was sent, and the caller decides");
    w.session.close().await.unwrap();
    assert_eq!(w.commit(w.create("k2")).await.unwrap(), Outcome::Fenced);
    assert_eq!(w.sent(), 4);
}

pub async fn u_02_an_unknown_create_is_found_out(f: Fixture) {
    // Fails if a create that was applied is reported as a conflict with itself, or one that was lost as applied.
    let w = World::new(f).await;
    for (at, fault) in [("k/after", Fault::FailAfter), ("k/lost", Fault::LostBefore), ("k/late", Fault::DeliveredLate)]
    {
        w.fail(at, fault);
        let before = w.sent();
        let revision = w.created(at).await;
        assert_eq!(w.revision(at).await, Some(revision), "{fault:?}");
        assert_eq!(w.sent(), before + 2, "{fault:?}: sent once more, and that settles it");
    }
    w.plan.deliver_late().await;
    assert!(w.revision("k/late").await.is_some());
}

pub async fn u_03_an_unknown_overwriting_is_found_out(f: Fixture) {
    // Fails if an overwriting is applied on top of itself, or given up although nothing stands in its way.
    let w = World::new(f).await;
    for (at, fault) in [("k/after", Fault::FailAfter), ("k/lost", Fault::LostBefore), ("k/late", Fault::DeliveredLate)]
    {
        let old = w.created(at).await;
        w.fail(at, fault);
        let new = applied(w.commit(w.put(w.guarded(), at, Expect::Revision(old))).await)[0];
        assert_eq!(w.revision(at).await, Some(new), "{fault:?}");
        w.plan.deliver_late().await;
        assert_eq!(w.revision(at).await, Some(new), "{fault:?}: a late copy was applied on top");
    }
}

pub async fn u_04_an_unknown_removal_is_found_out(f: Fixture) {
    // Fails if a removal that succeeded is reported as unknown, because its key is not as expected any more.
    let w = World::new(f).await;
    for (at, fault) in [("k/after", Fault::FailAfter), ("k/lost", Fault::LostBefore)] {
        let revision = w.created(at).await;
        w.fail(at, fault);
        w.removed(at, revision).await;
        assert_eq!(w.revision(at).await, None, "{fault:?}");
    }
}

pub async fn u_05_a_conflict_after_a_lost_answer_stays_unknown(f: Fixture) {
    // Fails if "not applied" is concluded from what a rival has written: ours may have been under it.
    let w = World::new(f).await;
    let old = w.created("k").await;
    w.f.put(&w.store, "k", Expect::Revision(old), "a rival's").await;
    w.fail("k", Fault::LostBefore);
    let error = w.commit(w.put(w.guarded(), "k", Expect::Revision(old))).await.expect_err("unknown");
    assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error}");
    assert!(error.may_have_applied(), "state that was written for it must not be deleted");
}

/// Loses the answer of a create, holds its second sending until `meanwhile` is done.
async fn resolved_after(
    w: &World,
    first: Fault,
    meanwhile: impl Future<Output = ()>,
) -> Result<Outcome, ha_core::Error> {
    let commit = w.put(w.create("k"), "k2", Expect::Absent);
    answered_after(w, commit, first, meanwhile).await
}

/// Loses the answer of a commit that writes `k`, holds its second sending until `meanwhile` is done.
async fn answered_after(
    w: &World,
    commit: Commit,
    first: Fault,
    meanwhile: impl Future<Output = ()>,
) -> Result<Outcome, ha_core::Error> {
    let before = w.sent();
    w.fail("k", first);
    w.fail("k", Fault::Held);
    let (answer, ()) = futures_util::future::join(w.commit(commit), async {
        w.f.eventually("the commit is sent again", || async { w.sent() >= before + 2 }).await;
        meanwhile.await;
        w.plan.let_go();
    })
    .await;
    answer
}

pub async fn u_06_fenced_with_nothing_touched_is_not_applied_for_good(f: Fixture) {
    // Fails if a broken guard, which never heals, does not settle that the first copy was lost.
    let w = World::new(f).await;
    let old = w.created("k").await;
    let commit = w.put(w.put(w.guarded(), "k", Expect::Revision(old)), "k2", Expect::Absent);
    let answer = answered_after(&w, commit, Fault::LostBefore, async { w.session.close().await.unwrap() }).await;
    assert_eq!(answer.unwrap(), Outcome::Fenced);
    assert_eq!((w.revision("k").await, w.revision("k2").await), (Some(old), None));
}

pub async fn u_27_a_fenced_create_stays_unknown_because_absence_proves_nothing(f: Fixture) {
    // Fails if a create that was applied, and removed by the successor, is reported as refused.
    let w = World::new(f).await;
    let answer = resolved_after(&w, Fault::LostBefore, async { w.session.close().await.unwrap() }).await;
    let error = answer.expect_err("absence may come from a removal");
    assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error}");
    assert_eq!((w.revision("k").await, w.revision("k2").await), (None, None));
}

pub async fn u_07_fenced_with_our_own_write_found_is_applied(f: Fixture) {
    // Fails if a write that was acknowledged by nobody, and is there, is reported as refused.
    let w = World::new(f).await;
    let answer = resolved_after(&w, Fault::FailAfter, async { w.session.close().await.unwrap() }).await;
    let revisions = applied(answer);
    assert_eq!((w.revision("k").await, w.revision("k2").await), (Some(revisions[0]), Some(revisions[1])));
}

pub async fn u_08_fenced_with_keys_touched_by_others_stays_unknown(f: Fixture) {
    // Fails if the successor's values are taken as proof that ours were never there.
    let w = World::new(f).await;
    let answer = resolved_after(&w, Fault::FailAfter, async {
        w.deposed().await;
        for at in ["k", "k2"] {
            let found = w.revision(at).await.expect("the first copy was applied");
            w.f.put(&w.store, at, Expect::Revision(found), "the successor's").await;
        }
    })
    .await;
    let error = answer.expect_err("unknown");
    assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error}");
}

pub async fn u_09_the_budget_ends_in_unknown(f: Fixture) {
    // Fails if the committer tries for ever, or calls something settled because it is tired.
    for fault in [Fault::LostBefore, Fault::DeliveredLate] {
        let w = World::with_budget(f.clone(), SHORT).await;
        w.plan.always(Call::Commit, fault);
        let error = w.commit(w.create("k")).await.expect_err("never answered");
        assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error}");
        assert!(w.sent() > 1, "it did not even try again");
        w.session.close().await.unwrap();
    }
}

pub async fn u_10_the_budget_bounds_a_call_that_hangs(f: Fixture) {
    // Fails if one call that is never answered holds the caller, and everybody in its lane, for ever.
    let w = World::with_budget(f, SHORT).await;
    w.fail("k", Fault::LostBefore);
    w.fail("k", Fault::Hang);
    let error = w.commit(w.create("k")).await.expect_err("never answered");
    assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error}");

    w.fail("k", Fault::LostBefore);
    w.plan.always(Call::Read, Fault::Hang);
    w.f.create(&w.store, "k", "a rival's").await;
    let error = w.commit(w.create("k")).await.expect_err("in conflict after a lost answer, and nothing can be read");
    assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error}");
}

pub async fn u_11_an_unguarded_create_is_never_sent_again(f: Fixture) {
    // Fails if a second copy can bring back what somebody has removed in between.
    let w = World::new(f).await;
    let create = |at: &str| w.put(w.bare(), at, Expect::Absent);
    w.fail("k/after", Fault::FailAfter);
    let revision = applied(w.commit(create("k/after")).await)[0];
    assert_eq!((w.revision("k/after").await, w.sent()), (Some(revision), 1), "found by reading");
    for fault in [Fault::LostBefore, Fault::DeliveredLate] {
        let before = w.sent();
        w.fail("k/lost", fault);
        let error = w.commit(create("k/lost")).await.expect_err("absence proves nothing");
        assert_eq!((error.kind(), w.sent()), (ErrorKind::Indeterminate, before + 1), "{error}");
    }
}

pub async fn u_12_an_unguarded_overwriting_is_sent_again(f: Fixture) {
    // Fails if the exception for creates is made for all that has no guard.
    let w = World::new(f).await;
    let mut revision = w.created("k").await;
    for fault in [Fault::FailAfter, Fault::LostBefore, Fault::DeliveredLate] {
        w.fail("k", fault);
        revision = applied(w.commit(w.put(w.bare(), "k", Expect::Revision(revision))).await)[0];
        assert_eq!(w.revision("k").await, Some(revision), "{fault:?}");
    }
}

pub async fn u_13_one_commit_per_key_is_under_way(f: Fixture) {
    // Fails if a second commit of a key is sent while it is unknown what became of the first.
    let w = World::new(f).await;
    w.fail("k", Fault::LostBefore);
    w.fail("k", Fault::Held);
    let both = async { futures_util::future::join(w.commit(w.create("k")), w.commit(w.create("k"))).await };
    let elsewhere = async {
        w.f.eventually("the first is sent again", || async { w.sent() == 2 }).await;
        applied(w.commit(w.create("other/key")).await);
        assert_eq!(w.sent(), 3, "another key waits for nobody, and the second commit of k waits for the first");
        w.plan.let_go();
    };
    let ((first, second), ()) = futures_util::future::join(both, elsewhere).await;
    applied(first);
    conflict(second);
    assert!(w.store.read(&key("k")).await.unwrap().is_some());
}
