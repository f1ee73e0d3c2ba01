//! Reading, listing, and what lies where.

use ha_core::backend::{Expect, KEY_BYTES_MAX, Mark, Prefix, Scope};

use crate::fixture::{Fixture, applied, key, latch, prefix, text, won};

pub async fn b_61_a_prefix_ends_at_a_separator(f: Fixture) {
    // Fails if `jobs/1` also means `jobs/10`: cleaning up after one job would hit another.
    let b = f.connect().await;
    for at in ["jobs/1/a", "jobs/1/b/c", "jobs/10/a", "jobs/1-x/a", "jobs/1.a", "jobs/2/a", "job"] {
        f.create(&b, at, "x").await;
    }
    let keys: Vec<String> = f.texts(&b, "jobs/1").await.into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["jobs/1/a", "jobs/1/b/c"], "what lies below jobs/1");
    let scope = Scope::Below(prefix("jobs/1"));
    let mark = b.changed(&scope, &Mark::UNSEEN).await.unwrap().mark();
    f.create(&b, "jobs/10/b", "x").await;
    f.create(&b, "jobs/1/d", "x").await;
    let mut seen = mark;
    f.in_time("the watcher of jobs/1 hears of jobs/1/d", async {
        loop {
            let change = b.changed(&scope, &seen).await.unwrap();
            seen = change.mark();
            let entries = match change {
                ha_core::backend::Change::Snapshot(snapshot) => snapshot.entries,
                ha_core::backend::Change::Delta { entries, .. } => entries,
                _ => f.list(&b, "jobs/1").await,
            };
            let foreign = entries.iter().find(|entry| !scope.contains(&entry.key));
            assert!(foreign.is_none(), "reported from outside of the scope: {foreign:?}");
            if entries.iter().any(|entry| entry.key == key("jobs/1/d")) {
                return;
            }
        }
    })
    .await;
}

pub async fn b_62_a_list_is_whole_and_in_the_order_of_keys(f: Fixture) {
    // Fails if pages, sorting by something else, or values read later lose or mix entries.
    let b = f.connect().await;
    let names = ["z", "a", "B", "a.b", "a-b", "a_b", "10", "9", "a/b"];
    for at in names {
        f.create(&b, &format!("sorted/{at}"), at).await;
    }
    let mut expected: Vec<_> = names.iter().map(|at| (format!("sorted/{at}"), (*at).to_owned())).collect();
    expected.sort();
    assert_eq!(f.texts(&b, "sorted").await, expected);
    assert_eq!(b.list(&Prefix::root()).await.unwrap().entries.len(), names.len(), "the root holds everything");
    assert!(f.list(&b, "nothing/here").await.is_empty(), "an empty place is an empty list");
    assert_eq!(b.read(&key("nothing/here")).await.unwrap(), None, "absence is a value");
    assert_eq!(b.read(&key("sorted")).await.unwrap(), None, "a place is not an entry");
}

pub async fn b_63_bytes_come_back_as_they_were(f: Fixture) {
    // Fails if a store cannot tell nothing from an empty value, or re-encodes what it stores.
    let b = f.connect().await;
    let all: Vec<u8> = (0..=255).collect();
    for (at, value) in [("bytes/empty", vec![]), ("bytes/all", all), ("bytes/line", b"a\r\n\n\0".to_vec())] {
        applied(b.commit(&f.new_commit().put(key(at), Expect::Absent, value.clone().into())).await);
        let found = b.read(&key(at)).await.unwrap().unwrap_or_else(|| panic!("{at} is stored and not found"));
        assert_eq!(found.value, value);
        assert_eq!(found.held, None, "only a latch is held");
    }
}

pub async fn b_64_two_clusters_never_see_each_other(f: Fixture) {
    // Fails if one cluster's key, leader or change shows up in another of the same store.
    let cluster = async |name: &str| f.store().connect_in(&prefix(name)).await.expect("a handle on the cluster");
    let (one, ten) = (cluster("clusters/1").await, cluster("clusters/10").await);
    f.create(&one, "shared/name", "of one").await;
    f.create(&ten, "shared/name", "of ten").await;
    let seen = f.texts(&one, "shared").await;
    assert_eq!(seen, [("shared/name".to_owned(), "of one".to_owned())], "what one sees");

    let (_leader, term) = f.leader(&one, &latch("lead")).await;
    won(f.session(&ten).await.try_acquire(&latch("lead"), "of ten".into(), None).await);
    let everything = one.list(&Prefix::root()).await.unwrap();
    let keys: Vec<String> = everything.entries.iter().map(|entry| entry.key.to_string()).collect();
    assert_eq!(keys, ["lead/epoch", "lead/latch", "shared/name"], "all that one sees");
    assert_eq!(everything.entries[1].held, Some(term.clone()));

    let guarded = f.new_commit().guarded_by(crate::fixture::fence(&latch("lead"), &term));
    let forged = ten.commit(&guarded.put(key("forged"), Expect::Absent, text("x"))).await.unwrap();
    assert_eq!(forged, ha_core::backend::Outcome::Fenced, "the leader of one cluster writes in another");
    let other = ten.read(&key("shared/name")).await.unwrap().unwrap();
    f.remove(&ten, "shared/name", other.revision).await;
    assert!(one.read(&key("shared/name")).await.unwrap().is_some(), "removed in another cluster, and gone in this one");
}

pub async fn b_65_clusters_hear_of_their_own_changes_alone(f: Fixture) {
    // Fails if a watcher is told of keys that it cannot name.
    let one = f.store().connect_in(&prefix("clusters/1")).await.expect("a handle on the cluster");
    let ten = f.store().connect_in(&prefix("clusters/10")).await.expect("a handle on the cluster");
    let mut seen = one.changed(&Scope::Below(Prefix::root()), &Mark::UNSEEN).await.unwrap().mark();
    f.create(&ten, "theirs", "x").await;
    f.create(&one, "ours", "x").await;
    f.in_time("the watcher hears of its own cluster", async {
        loop {
            let change = one.changed(&Scope::Below(Prefix::root()), &seen).await.unwrap();
            seen = change.mark();
            let entries = match change {
                ha_core::backend::Change::Snapshot(snapshot) => snapshot.entries,
                ha_core::backend::Change::Delta { entries, .. } => entries,
                _ => one.list(&Prefix::root()).await.unwrap().entries,
            };
            let keys: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
            assert!(keys.iter().all(|key| *key == "ours"), "told of another cluster: {keys:?}");
            if keys.contains(&"ours") {
                return;
            }
        }
    })
    .await;
}

pub async fn b_84_the_longest_key_is_as_good_as_any(f: Fixture) {
    // Fails if a store, or a wrapper that makes keys longer, stumbles over what the contract allows.
    assert_longest_key_works(&f, f.connect().await).await;
    // Below a cluster's prefix the same key is longer still; a store must hand it back all the same.
    let cluster = f.store().connect_in(&prefix("clusters/1")).await.expect("a handle on the cluster");
    assert_longest_key_works(&f, cluster).await;
}

async fn assert_longest_key_works(f: &Fixture, b: std::sync::Arc<dyn ha_core::backend::Backend>) {
    let home = [&"x".repeat(126); 4].map(String::as_str).join("/");
    let (longest, l) = (format!("{home}/long"), latch(&home[..KEY_BYTES_MAX - "/latch".len()]));
    assert_eq!((longest.len(), l.key().as_str().len()), (KEY_BYTES_MAX, KEY_BYTES_MAX));
    let (session, term) = f.leader(&b, &l).await;
    let guarded = f.new_commit().guarded_by(crate::fixture::fence(&l, &term));
    let revision = applied(b.commit(&guarded.put(key(&longest), Expect::Absent, text("v"))).await)[0];
    assert_eq!(f.list(&b, &home).await.len(), 1);
    f.remove(&b, &longest, revision).await;
    session.close().await.unwrap();
    let (_next, new) = f.successor(&b, &l).await;
    assert!(new.epoch > term.epoch);
}
