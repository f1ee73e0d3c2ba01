//! One commit after another.

use std::collections::BTreeSet;

use futures_util::FutureExt;
use ha_core::backend::{Commit, Expect};

use crate::fixture::{Fixture, applied, conflict, key, text};

pub async fn b_01_a_commit_is_applied_whole_or_not_at_all(f: Fixture) {
    // Fails if a lister ever sees some of the keys that are always written together without the others.
    const KEYS: usize = 5;
    const LISTS: usize = 150;
    let writer = f.connect().await;
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let f = f.clone();
            f.clone().go(async move {
                let reader = f.connect().await;
                for _ in 0..LISTS {
                    assert_whole(&f.texts(&reader, "together").await, KEYS);
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let beside = f.connect().await;
    // Written until the readers have looked often enough, so that they look while it is written.
    let mut readers = std::pin::pin!(futures_util::future::join_all(readers));
    let mut expects = [Expect::Absent; KEYS];
    for n in 0.. {
        let put =
            |commit: Commit, k: usize| commit.put(key(&format!("together/{k}")), expects[k], text(&n.to_string()));
        let together = (0..KEYS).fold(f.new_commit(), put);
        let mut commit = std::pin::pin!(writer.commit(&together));
        // Also looked at from here whenever the commit has to wait: that depends on nobody's timing.
        let answer = loop {
            tokio::select! {
                biased;
                answer = &mut commit => break answer,
                seen = f.texts(&beside, "together") => assert_whole(&seen, KEYS),
            }
            tokio::task::yield_now().await;
        };
        let revisions = applied(answer);
        expects = std::array::from_fn(|k| Expect::Revision(revisions[k]));
        tokio::task::yield_now().await;
        if readers.as_mut().now_or_never().is_some() {
            return;
        }
    }
}

/// Either none of the keys is there, or all of them are, by the same commit.
fn assert_whole(seen: &[(String, String)], keys: usize) {
    let values: BTreeSet<&str> = seen.iter().map(|(_, value)| value.as_str()).collect();
    let whole = seen.is_empty() || (seen.len() == keys && values.len() == 1);
    assert!(whole, "half a commit was seen: {seen:?}");
}

pub async fn b_02_one_unmet_expectation_holds_everything_back(f: Fixture) {
    // Fails if the keys before or after the unmet one are written.
    let b = f.connect().await;
    let stale = f.create(&b, "c/here", "old").await;
    let revision = f.put(&b, "c/here", Expect::Revision(stale), "now").await;
    let before = f.list(&b, "c").await;
    for unmet in [Expect::Absent, Expect::Revision(stale)] {
        let commit = f.new_commit().put(key("c/first"), Expect::Absent, text("1"));
        let commit = commit.put(key("c/here"), unmet, text("new")).put(key("c/last"), Expect::Absent, text("3"));
        conflict(b.commit(&commit).await);
        let removal = f.new_commit().remove(key("c/here"), revision).check(key("c/first"), Expect::Revision(stale));
        conflict(b.commit(&removal).await);
        assert_eq!(f.list(&b, "c").await, before, "a commit in conflict changed something");
    }
}

pub async fn b_03_checks_hold_without_writing(f: Fixture) {
    // Fails if a check is not looked at, or if it changes what it looks at.
    let b = f.connect().await;
    let revision = f.create(&b, "c/guarded", "value").await;
    let met = f.new_commit().check(key("c/guarded"), Expect::Revision(revision)).check(key("c/no"), Expect::Absent);
    let revisions = applied(b.commit(&met.clone().put(key("c/new"), Expect::Absent, text("1"))).await);
    assert_eq!(revisions.len(), 1, "only writes have revisions");
    assert!(applied(b.commit(&met).await).is_empty(), "a commit of checks alone is possible and writes nothing");
    let now = b.read(&key("c/guarded")).await.unwrap().unwrap();
    assert_eq!(now.revision, revision, "a check changed what it looked at");
    for (at, unmet) in [("c/guarded", Expect::Absent), ("c/no", Expect::Revision(revision))] {
        let commit = f.new_commit().put(key("c/never"), Expect::Absent, text("1")).check(key(at), unmet);
        assert_eq!(conflict(b.commit(&commit).await).0, key(at));
        assert_eq!(b.read(&key("c/never")).await.unwrap(), None, "written although a check was not met");
    }
}

pub async fn b_04_a_conflict_reports_what_was_found(f: Fixture) {
    // Fails if the loser has to read again to learn what it lost against.
    let (b, other) = (f.connect().await, f.connect().await);
    let old = f.create(&b, "c/k", "first").await;
    let new = f.put(&other, "c/k", Expect::Revision(old), "second").await;
    let commit = f.new_commit().put(key("c/k"), Expect::Revision(old), text("mine"));
    let (at, found) = conflict(b.commit(&commit).await);
    let found = found.expect("the value that is there");
    assert_eq!((at, found.revision, found.value), (key("c/k"), new, text("second")));
    f.remove(&other, "c/k", new).await;
    assert_eq!(conflict(b.commit(&commit).await), (key("c/k"), None), "absence is reported as absence");
}

pub async fn b_05_the_revisions_answered_are_those_that_stand(f: Fixture) {
    // Fails if revisions are in another order than the writes, or are not the stored ones.
    let b = f.connect().await;
    let gone = f.create(&b, "c/gone", "x").await;
    let commit = f.new_commit().put(key("c/z"), Expect::Absent, text("z")).remove(key("c/gone"), gone);
    let revisions = applied(b.commit(&commit.put(key("c/a"), Expect::Absent, text("a"))).await);
    assert_eq!(revisions.len(), 3, "one revision for each write");
    assert_eq!(b.read(&key("c/z")).await.unwrap().unwrap().revision, revisions[0]);
    assert_eq!(revisions[1], gone, "of a removal, the revision removed");
    assert_eq!(b.read(&key("c/a")).await.unwrap().unwrap().revision, revisions[2]);
}

pub async fn b_06_a_commit_is_applied_once(f: Fixture) {
    // Fails if the backend or its client sends a commit again by itself: what was removed comes back.
    let b = f.connect().await;
    for round in 0..10 {
        let revision = f.create(&b, "once/k", "value").await;
        f.create(&b, &format!("once/other-{round}"), "x").await;
        let now = b.read(&key("once/k")).await.unwrap().map(|entry| entry.revision);
        assert_eq!(now, Some(revision), "the write was applied a second time");
        f.remove(&b, "once/k", revision).await;
        f.create(&b, &format!("once/another-{round}"), "x").await;
        assert_eq!(b.read(&key("once/k")).await.unwrap(), None, "a removed key came back: applied a second time");
    }
}

pub async fn b_07_the_same_bytes_again_are_a_new_write(f: Fixture) {
    // Fails if the store swallows a write that changes no byte: the old expectation would hold again and again.
    let b = f.connect().await;
    let first = f.create(&b, "c/same", "bytes").await;
    let commit = f.new_commit().put(key("c/same"), Expect::Revision(first), text("bytes"));
    let second = applied(b.commit(&commit).await)[0];
    assert_ne!(first, second, "the same bytes were swallowed: no new revision");
    conflict(b.commit(&commit).await);
    assert_eq!(b.read(&key("c/same")).await.unwrap().unwrap().revision, second);
}

pub async fn b_08_a_revision_never_comes_back(f: Fixture) {
    // Fails if removal and re-creation can lead to a revision that the key had before (ABA).
    let b = f.connect().await;
    let mut seen = Vec::new();
    for _ in 0..20 {
        let created = f.create(&b, "c/aba", "a").await;
        let written = f.put(&b, "c/aba", Expect::Revision(created), "b").await;
        f.remove(&b, "c/aba", written).await;
        for revision in [created, written] {
            assert!(!seen.contains(&revision), "revision {revision:?} came back");
            seen.push(revision);
        }
    }
    f.create(&b, "c/aba", "a").await;
    for old in seen {
        conflict(b.commit(&f.new_commit().put(key("c/aba"), Expect::Revision(old), text("late"))).await);
    }
}

pub async fn b_09_what_is_acknowledged_is_seen_by_every_handle(f: Fixture) {
    // Fails if a read or a list that begins after an acknowledgement answers from before it.
    let handles = [f.connect().await, f.connect().await, f.connect().await];
    let mut revision = f.create(&handles[0], "seen/k", "0").await;
    for n in 0..60 {
        let (writer, reader) = (&handles[n % 3], &handles[(n + 1) % 3]);
        revision = f.put(writer, "seen/k", Expect::Revision(revision), &n.to_string()).await;
        assert_eq!(reader.read(&key("seen/k")).await.unwrap().map(|e| e.revision), Some(revision), "a stale read");
        assert_eq!(f.list(reader, "seen").await[0].revision, revision, "a stale list");
    }
    f.remove(&handles[0], "seen/k", revision).await;
    assert_eq!(handles[1].read(&key("seen/k")).await.unwrap(), None);
}
