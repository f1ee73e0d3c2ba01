use std::future::Future;

use super::*;
use crate::ErrorKind;
use crate::backend::{Change, Mark, Scope};
use crate::journal::SnapshotName;

const SEEDS: std::ops::Range<u64> = 0..8;

#[test]
fn equal_entries_make_equal_states_and_equal_bytes() {
    let options = JournalOptions::default().with_points(7, 2_000);
    for seed in SEEDS {
        let (journal, written) = random_journal(seed, 120, options);
        let mut read = State::new(JOURNAL, options);
        replay(&mut read, &journal);
        assert_eq!(read.encode_snapshot().unwrap(), written.encode_snapshot().unwrap(), "seed {seed}");
        assert_eq!(read.last_point(), written.last_point());
    }
}

#[test]
fn a_snapshot_at_any_point_and_the_rest_of_the_entries_make_the_same_state_as_all_entries() {
    let options = JournalOptions::default().with_points(7, 2_000);
    for seed in SEEDS {
        let (journal, whole) = random_journal(seed, 120, options);
        let (mut state, mut points) = (State::new(JOURNAL, options), Vec::new());
        for number in 1..=journal.len() {
            replay(&mut state, &journal[..number]);
            let Some(name) = state.point() else { continue };
            let bytes = state.encode_snapshot().unwrap();
            assert_eq!((name, name.number), (state.capture().name(), number as u64));
            let mut loaded = State::decode_snapshot(name, &bytes, JOURNAL, options).unwrap();
            assert_eq!(loaded.encode_snapshot().unwrap(), bytes, "what is read is what was written");
            assert_eq!(loaded.point(), Some(name));
            replay(&mut loaded, &journal);
            assert_eq!(loaded.encode_snapshot().unwrap(), whole.encode_snapshot().unwrap(), "seed {seed}, {name:?}");
            assert_eq!(loaded.last_point(), whole.last_point());
            points.push(name);
        }
        assert!(points.len() >= 120 / 7, "{points:?}");
        let floors = points.windows(2).map(|pair| (pair[0].number, pair[1].floor));
        assert!(floors.into_iter().all(|(before, floor)| before == floor), "the floor is the point before: {points:?}");
        assert_eq!(points[0].floor, 0);
    }
}

#[test]
fn points_are_where_entries_or_their_bytes_are_enough() {
    let put = |state: &mut State, at: &str, bytes: usize| {
        let commit = Commit::new(WriteId::from_bits(0, 0)).put(key(at), Expect::Absent, vec![b'x'; bytes].into());
        publish(state, vec![Operation::Commit(commit)]);
        state.point()
    };
    let mut state = State::new(JOURNAL, JournalOptions::default().with_points(3, 10_000));
    assert_eq!(state.point(), None, "nothing was applied");
    assert_eq!(put(&mut state, "a", 1), None);
    assert_eq!(put(&mut state, "b", 1), None);
    assert_eq!(put(&mut state, "c", 1), Some(SnapshotName { number: 3, floor: 0 }), "by their number");
    assert_eq!(put(&mut state, "d", 9_900), Some(SnapshotName { number: 4, floor: 3 }), "by their bytes");
    assert_eq!(put(&mut state, "e", 30_000), None, "a snapshot costs more than the entries since the last one");
    assert_eq!(put(&mut state, "f", 1), None);
    assert_eq!(put(&mut state, "g", 1), Some(SnapshotName { number: 7, floor: 4 }), "by their number again");
}

#[test]
fn entries_are_applied_in_their_order_only() {
    let mut state = State::new(JOURNAL, JournalOptions::default());
    publish(&mut state, vec![]);
    let barrier = Entry { journal: JOURNAL, id: 9, operations: vec![] };
    for number in [0, 1, 3, u64::MAX] {
        assert_eq!(state.apply(number, &barrier, 1).unwrap_err().kind(), ErrorKind::IllegalState);
        assert_eq!(state.position(), 1);
    }
    assert_eq!(state.apply(2, &barrier, 1).unwrap(), []);
}

#[test]
fn a_state_that_was_loaded_tells_the_whole_scope_to_whoever_saw_an_earlier_one() {
    let options = JournalOptions::default().with_points(1, 1);
    let (_, mut old) = random_journal(1, 10, options);
    let (_, new) = random_journal(2, 60, options);
    let scope = Scope::Below(Prefix::root());
    let seen = old.snapshot(&scope).mark;
    let wake = Arc::new(tokio::sync::Notify::new());
    let number = old.waiters().add(&scope, &wake);
    let name = new.point().unwrap();
    let loaded = State::decode_snapshot(name, &new.encode_snapshot().unwrap(), JOURNAL, options).unwrap();
    assert_eq!(loaded.news(&scope, Mark::from_native(loaded.snapshot(&scope).mark.native())), None);
    old.replace(loaded);
    // The permit that the replacement left is there before anybody sleeps.
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(std::pin::pin!(wake.notified()).poll(&mut context).is_ready());
    assert!(matches!(old.news(&scope, seen), Some(Change::Snapshot(_))));
    old.waiters().remove(&scope, number);
    assert!(old.waiters().is_empty());
}
