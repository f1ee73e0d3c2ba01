//! Hearing of changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::join_all;
use ha_core::backend::{Backend, Change, Entry, Expect, Key, Mark, Revision, Scope};

use crate::fixture::{Fixture, applied, key, latch, prefix, text};

/// The present mark of a scope.
async fn mark(b: &Arc<dyn Backend>, scope: &Scope) -> Mark {
    b.changed(scope, &Mark::UNSEEN).await.expect("an answer at once").mark()
}

pub async fn b_66_who_has_seen_nothing_is_answered_at_once(f: Fixture) {
    // Fails if a watcher of an empty place waits for the first change to learn that it is empty.
    let b = f.connect().await;
    for scope in [Scope::Key(key("w/k")), Scope::Below(prefix("w"))] {
        f.in_time("an answer about an empty scope", b.changed(&scope, &Mark::UNSEEN)).await.unwrap();
    }
    f.create(&b, "w/k", "1").await;
    for scope in [Scope::Key(key("w/k")), Scope::Below(prefix("w"))] {
        let change = f.in_time("an answer about a full scope", b.changed(&scope, &Mark::UNSEEN)).await.unwrap();
        if let Change::Snapshot(snapshot) = change {
            assert_eq!(snapshot.entries.len(), 1, "what is there");
        }
    }
}

pub async fn b_67_every_kind_of_write_wakes(f: Fixture) {
    // Fails if a creation, an overwriting or a removal wakes nobody.
    let (b, other) = (f.connect().await, f.connect().await);
    for scope in [Scope::Key(key("w/k")), Scope::Below(prefix("w"))] {
        let wakes = async |what: &str, write: &mut (dyn Future<Output = Revision> + Send + Unpin)| {
            let seen = mark(&b, &scope).await;
            let mut woken = std::pin::pin!(b.changed(&scope, &seen));
            // Asleep before the write, where the backend lets it sleep.
            let early = woken.as_mut().now_or_never();
            let revision = write.await;
            if early.is_none() {
                f.in_time(&format!("{what} wakes the watcher of {scope}"), woken).await.unwrap();
            } else {
                f.in_time(&format!("{what} wakes the watcher of {scope}"), b.changed(&scope, &seen)).await.unwrap();
            }
            revision
        };
        let created = wakes("a creation", &mut f.create(&other, "w/k", "1").boxed()).await;
        let put = f.put(&other, "w/k", Expect::Revision(created), "2");
        let written = wakes("an overwriting", &mut put.boxed()).await;
        let again = f.put(&other, "w/k", Expect::Revision(written), "2");
        let written = wakes("the same bytes", &mut again.boxed()).await;
        let removal = f.remove(&other, "w/k", written).map(|()| written);
        wakes("a removal", &mut removal.boxed()).await;
    }
}

pub async fn b_68_a_latch_wakes_when_it_is_taken_and_let_go(f: Fixture) {
    // Fails if an observer learns of a new leader, or of none, only by asking.
    let (b, other) = (f.connect().await, f.connect().await);
    let l = latch("lead");
    for scope in [Scope::Key(l.key().clone()), Scope::Below(prefix("lead"))] {
        let seen = mark(&b, &scope).await;
        let (session, term) = f.leader(&other, &l).await;
        f.in_time("taking the latch wakes", b.changed(&scope, &seen)).await.unwrap();
        let seen = mark(&b, &scope).await;
        let heir = f.session(&other).await;
        crate::fixture::won(heir.try_acquire(&l, "heir".into(), Some(&term)).await);
        f.in_time("a take-over wakes", b.changed(&scope, &seen)).await.unwrap();
        let seen = mark(&b, &scope).await;
        heir.release(&l).await.unwrap();
        f.in_time("letting go wakes", b.changed(&scope, &seen)).await.unwrap();
        let (last, _) = f.leader(&other, &l).await;
        let seen = mark(&b, &scope).await;
        last.close().await.unwrap();
        f.in_time("closing the session wakes", b.changed(&scope, &seen)).await.unwrap();
        drop(session);
    }
}

pub async fn b_69_waits_that_were_dropped_make_nobody_deaf(f: Fixture) {
    // Fails if an abandoned wait eats the wake-up of the next one.
    let (b, other) = (f.connect().await, f.connect().await);
    let scope = Scope::Below(prefix("w"));
    let mut expect = Expect::Absent;
    for round in 0..20 {
        let seen = mark(&b, &scope).await;
        for _ in 0..5 {
            assert!(b.changed(&scope, &seen).now_or_never().is_none_or(|change| change.is_ok()));
        }
        let abandoned: Vec<_> = (0..5).map(|_| b.changed(&scope, &seen)).collect();
        expect = Expect::Revision(f.put(&other, "w/k", expect, &round.to_string()).await);
        drop(abandoned);
        f.in_time("the wait that is left hears the change", b.changed(&scope, &seen)).await.unwrap();
    }
}

pub async fn b_70_no_change_falls_between_mark_and_wait(f: Fixture) {
    // Race: the change comes after the mark was taken and before, or while, the wait begins.
    // Fails if the watcher then sleeps until the change after the next.
    const LAST: usize = 400;
    let (b, other) = (f.connect().await, f.connect().await);
    let written = f.go({
        let f = f.clone();
        async move {
            let mut expect = Expect::Absent;
            for n in 0..=LAST {
                expect = Expect::Revision(f.put(&other, "race/k", expect, &n.to_string()).await);
                if n % 3 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        }
    });
    let scope = Scope::Key(key("race/k"));
    let mut seen = Mark::UNSEEN;
    f.in_time("the watcher sees the last value, without asking again", async {
        loop {
            seen = b.changed(&scope, &seen).await.unwrap().mark();
            // Read after the mark: whatever comes after the read must wake the next wait.
            let value = b.read(&key("race/k")).await.unwrap().map(|entry| entry.value);
            if value == Some(text(&LAST.to_string())) {
                return;
            }
        }
    })
    .await;
    written.await;
}

/// What a watcher believes, kept up by what it is told alone.
#[derive(Default)]
struct Belief(BTreeMap<Key, Revision>);

impl Belief {
    fn told(&mut self, change: Change) -> bool {
        let revision = |entry: Entry| (entry.key, entry.revision);
        match change {
            Change::Snapshot(snapshot) => self.0 = snapshot.entries.into_iter().map(revision).collect(),
            Change::Delta { entries, removed, .. } => {
                self.0.extend(entries.into_iter().map(revision));
                self.0.retain(|key, _| !removed.contains(key));
            }
            _ => return false,
        }
        true
    }
}

async fn assert_kept_up(f: &Fixture, writer: Arc<dyn Backend>, b: &Arc<dyn Backend>, seed: u64) {
    let written = f.go({
        let f = f.clone();
        async move {
            let mut stored = BTreeMap::<u64, Revision>::new();
            for step in 0..200 {
                let random = f.seam().random_u64();
                let at = format!("model-{seed}/{}", random % 7);
                match stored.remove(&(random % 7)) {
                    Some(revision) if random.is_multiple_of(3) => f.remove(&writer, &at, revision).await,
                    known => {
                        let expect = known.map_or(Expect::Absent, Expect::Revision);
                        stored.insert(random % 7, f.put(&writer, &at, expect, &step.to_string()).await);
                    }
                }
                if random.is_multiple_of(5) {
                    tokio::task::yield_now().await;
                }
            }
            f.create(&writer, &format!("model-{seed}/last"), "x").await
        }
    });
    let scope = Scope::Below(prefix(&format!("model-{seed}")));
    let (mut belief, mut seen) = (Belief::default(), Mark::UNSEEN);
    f.in_time("the watcher hears of the last write", async {
        while !belief.0.contains_key(&key(&format!("model-{seed}/last"))) {
            let change = b.changed(&scope, &seen).await.unwrap();
            seen = change.mark();
            if !belief.told(change) {
                let entries = f.list(b, &format!("model-{seed}")).await;
                belief.0 = entries.into_iter().map(|entry| (entry.key, entry.revision)).collect();
            }
        }
    })
    .await;
    written.await;
    let stands = f.list(b, &format!("model-{seed}")).await.into_iter().map(|e| (e.key, e.revision)).collect();
    assert_eq!(belief.0, stands, "told step by step, the watcher must believe what a list says");
}

pub async fn b_71_what_a_watcher_is_told_adds_up_to_a_list(f: Fixture) {
    // Fails if a delta leaves out a key, keeps a removed one, or belongs to another mark.
    for seed in 0..5 {
        let (b, other) = (f.connect().await, f.connect().await);
        assert_kept_up(&f, other, &b, seed).await;
    }
}

pub async fn b_72_ten_thousand_changes_are_told_as_their_result(f: Fixture) {
    // Fails if a slow watcher is sent every change it slept through, or is lost after too many.
    let (b, other) = (f.connect().await, f.connect().await);
    let scope = Scope::Below(prefix("many"));
    let seen = mark(&b, &scope).await;
    let mut expect = [Expect::Absent; 10];
    for n in 0..1_000 {
        let puts =
            (0..10).fold(f.new_commit(), |c, k| c.put(key(&format!("many/{k}")), expect[k], text(&n.to_string())));
        let revisions = applied(other.commit(&puts).await);
        expect = std::array::from_fn(|k| Expect::Revision(revisions[k]));
    }
    let entries = match f.in_time("the watcher wakes", b.changed(&scope, &seen)).await.unwrap() {
        Change::Snapshot(snapshot) => snapshot.entries,
        Change::Delta { entries, .. } => entries,
        _ => f.list(&b, "many").await,
    };
    assert_eq!(entries.len(), 10, "each key once");
    assert!(entries.iter().all(|entry| entry.value == text("999")), "the last value of each: {entries:?}");
}

pub async fn b_73_many_watchers_all_hear(f: Fixture) {
    // Fails if a change wakes one of those who wait for it.
    let (b, other) = (f.connect().await, f.connect().await);
    let scopes = [Scope::Key(key("w/k")), Scope::Below(prefix("w")), Scope::Below(ha_core::backend::Prefix::root())];
    let mut watchers = Vec::new();
    for n in 0..60 {
        let (b, scope) = (Arc::clone(&b), scopes[n % 3].clone());
        let seen = mark(&b, &scope).await;
        watchers.push(f.go(async move { b.changed(&scope, &seen).await }));
    }
    f.create(&other, "w/k", "x").await;
    for heard in f.in_time("all sixty watchers hear of it", join_all(watchers)).await {
        heard.unwrap();
    }
}

pub async fn b_74_the_end_by_silence_wakes(f: Fixture) {
    // Fails if the store frees a silent leader's latch and tells nobody.
    let (b, other) = (f.connect().await, f.connect().await);
    let l = latch("lead");
    let (session, _) = f.leader(&other, &l).await;
    let scope = Scope::Key(l.key().clone());
    let mut seen = mark(&b, &scope).await;
    f.store().freeze(session.id()).await;
    f.in_time("the watcher hears that the latch is free", async {
        while b.read(l.key()).await.unwrap().is_some_and(|entry| entry.held.is_some()) {
            seen = b.changed(&scope, &seen).await.unwrap().mark();
        }
    })
    .await;
}
