use std::collections::BTreeMap;

use super::*;
use crate::backend::{Acquire, Latch, Prefix, WriteId};

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn put(space: &mut Space, at: &str, value: &str) {
    let expect = space.read(&key(at)).map_or(Expect::Absent, |entry| Expect::Revision(entry.revision));
    let commit = Commit::new(WriteId::from_bits(0, 0)).put(key(at), expect, value.to_owned().into());
    assert!(matches!(space.commit(&commit), Outcome::Applied { .. }));
}

fn remove(space: &mut Space, at: &str) {
    let found = space.read(&key(at)).unwrap();
    let commit = Commit::new(WriteId::from_bits(0, 0)).remove(key(at), found.revision);
    assert!(matches!(space.commit(&commit), Outcome::Applied { .. }));
}

/// What a watcher knows who saw that and then hears this.
fn heard(known: &mut BTreeMap<Key, Bytes>, change: Change) -> Mark {
    let mark = change.mark();
    match change {
        Change::Snapshot(snapshot) => {
            *known = snapshot.entries.into_iter().map(|entry| (entry.key, entry.value)).collect();
        }
        Change::Delta { entries, removed, .. } => {
            known.extend(entries.into_iter().map(|entry| (entry.key, entry.value)));
            removed.iter().for_each(|key| drop(known.remove(key)));
        }
        Change::Hint { .. } => unreachable!("a space knows what differs"),
    }
    mark
}

#[test]
fn a_watcher_that_was_away_hears_what_differs_or_all_of_it_and_never_less() {
    let scope = Scope::Below(Prefix::new("in").unwrap());
    // Around the length of the log, and within it.
    for away in [0, 1, 2, 100, LOG_MAX - 1, LOG_MAX, LOG_MAX + 1, 2 * LOG_MAX] {
        let mut space = Space::default();
        put(&mut space, "in/gone", "1");
        put(&mut space, "in/kept", "1");
        let mut known = BTreeMap::new();
        let seen = heard(&mut known, space.news(&scope, Mark::UNSEEN).unwrap());
        for step in 0..away {
            match step {
                0 => remove(&mut space, "in/gone"),
                1 => put(&mut space, "in/new", "2"),
                _ => put(&mut space, "out/of/it", "3"),
            }
        }
        let news = space.news(&scope, seen);
        assert_eq!(news.is_none(), away == 0, "{away}");
        assert_eq!(matches!(news, Some(Change::Snapshot(_))), away > LOG_MAX, "{away}");
        if let Some(change) = news {
            let seen = heard(&mut known, change);
            assert_eq!(space.news(&scope, seen), None, "{away}");
        }
        let there = space.snapshot(&scope).entries.into_iter().map(|entry| (entry.key, entry.value));
        assert_eq!(known, there.collect(), "{away}");
    }
}

#[test]
fn a_mark_of_another_space_brings_all_of_the_scope() {
    let mut space = Space::above(100);
    put(&mut space, "a", "1");
    let scope = Scope::Key(key("a"));
    for foreign in [1, 100, 103, u64::MAX] {
        assert!(matches!(space.news(&scope, Mark::from_native(foreign)), Some(Change::Snapshot(_))), "{foreign}");
    }
    assert_eq!(space.sequence(), 101);
}

#[test]
fn a_foreign_edit_of_a_latch_fences_its_holder_and_lets_others_win() {
    for value in [None, Some(Bytes::from_static(b"foreign"))] {
        let mut space = Space::default();
        let latch = Latch::below(&Prefix::root());
        for id in ["session-1", "session-2"] {
            space.open(id.into());
        }
        let Ok(Acquire::Won(first)) = space.acquire("session-1", &latch, "one".into(), None) else { panic!() };
        space.tamper(latch.key(), value);
        space.tamper(&latch.epoch_key(), None);
        let fence = Fence { latch: latch.clone(), term: first.clone() };
        let commit = Commit::new(WriteId::from_bits(0, 0)).guarded_by(fence).put(key("a"), Expect::Absent, "1".into());
        assert_eq!(space.commit(&commit), Outcome::Fenced);
        assert_eq!(space.held_by("session-1"), []);
        assert_eq!(space.acquire("session-1", &latch, "one".into(), None), Err(Refusal::HeldBefore));
        let Ok(Acquire::Won(second)) = space.acquire("session-2", &latch, "two".into(), None) else { panic!() };
        assert!(second.epoch > first.epoch);
        // The end of the one that lost it frees nothing.
        assert!(space.end("session-1") && !space.end("session-1"));
        assert_eq!(space.held_by("session-2"), [latch.key().clone()]);
    }
}

#[test]
fn the_bytes_are_those_of_what_is_stored() {
    let mut space = Space::default();
    put(&mut space, "ab", "123");
    put(&mut space, "ab", "1");
    put(&mut space, "c", "");
    assert_eq!(space.bytes(), 4);
    remove(&mut space, "ab");
    space.tamper(&key("c"), None);
    space.tamper(&key("c"), None);
    assert_eq!((space.bytes(), space.sequence()), (0, 5));
}
