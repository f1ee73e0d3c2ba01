//! What is refused before anything is sent.

use bytes::Bytes;
use ha_core::ErrorKind;
use ha_core::backend::{Commit, Expect, Write};

use crate::fixture::{Fixture, applied, key, text};

/// Sends a commit that must be refused with that kind, and proves that nothing of it was applied.
async fn assert_refused(f: &Fixture, commit: Commit, kind: ErrorKind) {
    let b = f.connect().await;
    let before = f.list(&b, "r").await;
    let error = b.commit(&commit).await.expect_err("the commit must be refused");
    assert_eq!(error.kind(), kind, "{error}");
    assert!(!error.may_have_applied(), "nothing was sent, so nothing is unknown: {error}");
    assert_eq!(f.list(&b, "r").await, before, "a refused commit changed something");
}

pub async fn b_13_a_key_stands_once_in_a_commit(f: Fixture) {
    // Fails if it depends on the backend which of two writes of one key counts.
    let put =
        |at: &str| f.new_commit().put(key("r/a"), Expect::Absent, text("1")).put(key(at), Expect::Absent, text("2"));
    assert_refused(&f, put("r/a"), ErrorKind::Invalid).await;
    let written_and_checked = put("r/b").check(key("r/b"), Expect::Absent);
    assert_refused(&f, written_and_checked, ErrorKind::Invalid).await;
    let checked_twice = put("r/b").check(key("r/c"), Expect::Absent).check(key("r/c"), Expect::Absent);
    assert_refused(&f, checked_twice, ErrorKind::Invalid).await;
}

pub async fn b_14_the_keys_of_a_latch_are_not_written_by_commits(f: Fixture) {
    // Fails if a commit can forge a leadership or lower an epoch.
    for at in ["r/latch", "r/epoch", "latch", "epoch"] {
        let with_other = f.new_commit().put(key("r/a"), Expect::Absent, text("1"));
        assert_refused(&f, with_other.put(key(at), Expect::Absent, text("2")), ErrorKind::Invalid).await;
        assert_refused(&f, f.new_commit().check(key(at), Expect::Absent), ErrorKind::Invalid).await;
    }
}

pub async fn b_15_removing_what_is_expected_absent_is_refused(f: Fixture) {
    // Fails if a removal without a revision passes: it would be a blind one.
    let mut commit = f.new_commit().put(key("r/a"), Expect::Absent, text("1"));
    commit.writes.push(Write { key: key("r/b"), expect: Expect::Absent, value: None });
    assert_refused(&f, commit, ErrorKind::Invalid).await;
}

pub async fn b_16_a_value_too_large_is_refused_whole(f: Fixture) {
    // Fails if an oversized value is cut, or costs its neighbours in the commit.
    let bytes = f.connect().await.profile().value_bytes_max + 1;
    let commit = f.new_commit().put(key("r/a"), Expect::Absent, text("1"));
    assert_refused(&f, commit.put(key("r/b"), Expect::Absent, vec![7; bytes].into()), ErrorKind::TooLarge).await;
}

pub async fn b_17_too_many_operations_are_refused_whole(f: Fixture) {
    // Fails if a long commit is split: then it is not atomic any more.
    let most = f.connect().await.profile().commit_operations_max.min(100_000);
    let commit = (0..=most).fold(f.new_commit(), |c, n| c.put(key(&format!("r/{n}")), Expect::Absent, text("1")));
    assert_refused(&f, commit, ErrorKind::TooLarge).await;
    let checks = (0..=most).fold(f.new_commit(), |c, n| c.check(key(&format!("r/{n}")), Expect::Absent));
    assert_refused(&f, checks, ErrorKind::TooLarge).await;
}

pub async fn b_18_too_many_bytes_are_refused_whole(f: Fixture) {
    // Fails if the sum of values that are each small enough goes past the limit of the store.
    let profile = f.connect().await.profile();
    let each = (profile.commit_bytes_max / 2).min(profile.value_bytes_max);
    let count = profile.commit_bytes_max / each.max(1) + 1;
    if count > profile.commit_operations_max {
        // So many values do not fit into one commit anyway; the limit of operations is proved elsewhere.
        return;
    }
    let value = Bytes::from(vec![7; each]);
    let commit = (0..count).fold(f.new_commit(), |c, n| c.put(key(&format!("r/{n}")), Expect::Absent, value.clone()));
    assert_refused(&f, commit, ErrorKind::TooLarge).await;
}

pub async fn b_19_what_the_profile_allows_is_accepted(f: Fixture) {
    // Fails if the profile promises more than the store takes: a caller would split too late.
    let b = f.connect().await;
    let profile = b.profile();
    let bytes = profile.value_bytes_max.min(profile.commit_bytes_max - "most/value".len());
    // A store without a limit of its own is not filled up.
    let bytes = bytes.min(8 * 1024 * 1024);
    let value = Bytes::from((0..bytes).map(|n| n as u8).collect::<Vec<u8>>());
    applied(b.commit(&f.new_commit().put(key("most/value"), Expect::Absent, value.clone())).await);
    assert!(b.read(&key("most/value")).await.unwrap().unwrap().value == value, "the bytes came back changed");

    let most = profile.commit_operations_max.min(1000);
    let name = |n: usize| key(&format!("most/operations/{n:04}"));
    let puts = (0..most - 1).fold(f.new_commit(), |c, n| c.put(name(n), Expect::Absent, text("1")));
    let revisions = applied(b.commit(&puts.check(key("most/none"), Expect::Absent)).await);
    assert_eq!(revisions.len(), most - 1);
    assert_eq!(f.list(&b, "most/operations").await.len(), most - 1);
}
