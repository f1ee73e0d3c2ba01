//! Histories from the literature and from practice, in our own words.

use std::collections::BTreeMap;

use ha_testkit::checks::linearizability::{
    CheckpointCall, Checkpoints, Counter, CounterCall, Key, KeyCall, Register, RegisterCall, Verdict, linearize,
};
use ha_testkit::history::TakenFor;

use super::{call, is_linearizable, unknown, unknown_until};
use RegisterCall::{Put, Read, Remove};

fn register(calls: &[ha_testkit::checks::linearizability::Interval<RegisterCall<u8>>]) -> bool {
    is_linearizable(&Register::default(), calls)
}

#[test]
fn a_read_that_overlaps_a_write_sees_the_old_value_or_the_new_one() {
    assert!(register(&[call(Put(1), 1, 4), call(Read(Some(1)), 2, 3)]));
    assert!(register(&[call(Put(1), 1, 4), call(Read(None), 2, 3)]));
    assert!(!register(&[call(Put(1), 1, 4), call(Read(Some(2)), 2, 3)]));
}

#[test]
fn a_stale_read_is_refused() {
    assert!(!register(&[call(Put(1), 1, 2), call(Put(2), 3, 4), call(Read(Some(1)), 5, 6)]));
    assert!(!register(&[call(Put(1), 1, 2), call(Read(None), 3, 4)]));
}

/// A regular register allows it (Lamport's distinction of regular and atomic registers): both reads overlap the write,
/// the first sees it, the second does not.
#[test]
fn a_new_value_followed_by_the_old_one_is_refused_even_while_it_is_written() {
    assert!(register(&[call(Put(1), 1, 9), call(Read(None), 2, 3), call(Read(Some(1)), 4, 5)]));
    assert!(!register(&[call(Put(1), 1, 9), call(Read(Some(1)), 2, 3), call(Read(None), 4, 5)]));
}

/// Herlihy and Wing's first example, told of a register: everybody alone is right, together they are not.
#[test]
fn what_is_right_for_each_caller_can_be_wrong_for_all() {
    // Sequentially consistent: the second caller's read could be moved before the first one's write.
    assert!(!register(&[call(Put(1), 1, 2), call(Put(2), 1, 2), call(Read(Some(1)), 3, 4), call(Read(Some(2)), 5, 6)]));
    let overlapping = [call(Put(1), 1, 9), call(Put(2), 1, 9), call(Read(Some(1)), 3, 4), call(Read(Some(2)), 5, 6)];
    assert!(register(&overlapping));
}

/// What two replicas show that each apply writes in the order in which they hear of them.
#[test]
fn readers_that_see_two_writes_in_different_orders_are_refused() {
    let mut calls = vec![call(Put(1), 1, 20), call(Put(2), 1, 20)];
    calls.extend([call(Read(Some(1)), 2, 3), call(Read(Some(2)), 4, 5)]);
    assert!(register(&calls));
    calls.extend([call(Read(Some(2)), 2, 3), call(Read(Some(1)), 4, 5)]);
    assert!(!register(&calls));
}

/// A request that was given up by its client, and is delivered long after.
#[test]
fn a_write_of_unknown_outcome_may_come_late_or_never_but_once() {
    let (put, old) = (unknown(Put(2), 3), call(Put(1), 1, 2));
    assert!(register(&[old.clone(), put.clone(), call(Read(Some(1)), 50, 51)]));
    assert!(register(&[old.clone(), put.clone(), call(Read(Some(1)), 50, 51), call(Read(Some(2)), 60, 61)]));
    let again = call(Read(Some(2)), 80, 81);
    assert!(!register(&[old.clone(), put.clone(), call(Read(Some(2)), 60, 61), call(Put(3), 70, 71), again.clone()]));
    // Another try of the same write may explain it.
    assert!(register(&[old, put, unknown(Put(2), 65), call(Read(Some(2)), 60, 61), call(Put(3), 70, 71), again]));
}

#[test]
fn a_write_of_unknown_outcome_does_not_come_before_it_was_made() {
    assert!(!register(&[unknown(Put(1), 5), call(Read(Some(1)), 1, 2)]));
}

#[test]
fn a_write_of_unknown_outcome_does_not_come_after_its_fence() {
    let put = unknown_until(Put(1), 1, 10);
    assert!(register(&[put.clone(), call(Read(None), 2, 3), call(Read(Some(1)), 20, 21)]));
    assert!(register(&[put.clone(), call(Read(None), 20, 21)]));
    assert!(!register(&[put.clone(), call(Read(None), 11, 12), call(Read(Some(1)), 20, 21)]));
    // Its fence had closed before it was made.
    assert!(!register(&[unknown_until(Put(1), 5, 3), call(Read(Some(1)), 20, 21)]));
}

#[test]
fn a_write_that_was_refused_and_left_out_cannot_be_read() {
    // Whoever converts a history leaves refused writes out; then nothing explains this read.
    assert!(!register(&[call(Put(1), 1, 2), call(Remove, 3, 4), call(Read(Some(1)), 5, 6)]));
}

/// Two clients read one revision and both replace it: the second has lost the first one's update.
#[test]
fn a_lost_update_is_refused() {
    let put = |expect, value, revision| KeyCall::Put { expect, value, revision };
    let one = call(put(Some(1), 'b', Some(2)), 10, 20);
    let first = call(put(None, 'a', Some(1)), 1, 2);
    assert!(!is_linearizable(&Key::default(), &[first.clone(), one.clone(), call(put(Some(1), 'c', Some(3)), 10, 20)]));
    assert!(is_linearizable(
        &Key::default(),
        &[first.clone(), one.clone(), call(KeyCall::Refused { expect: Some(1) }, 10, 20)]
    ));
    assert!(is_linearizable(&Key::default(), &[first, one, call(put(Some(2), 'c', Some(3)), 10, 20)]));
}

/// A client repeats a conditional write whose answer was lost, and is told of a conflict: with its own write.
#[test]
fn a_conflict_with_ones_own_lost_write_is_explained_by_it_and_by_nothing_else() {
    let put = KeyCall::Put { expect: None, value: 'a', revision: None };
    let conflict = call(KeyCall::Refused { expect: None }, 10, 11);
    assert!(is_linearizable(&Key::default(), &[unknown(put, 1), conflict.clone()]));
    assert!(!is_linearizable(&Key::default(), std::slice::from_ref(&conflict)));
    assert!(!is_linearizable(&Key::default(), &[unknown(put, 1), conflict, call(KeyCall::Read(None), 20, 21)]));
}

#[test]
fn a_double_increment_is_refused() {
    let next = |id, at| call(CounterCall::Next(id), at, at + 1);
    assert!(is_linearizable(&Counter, &[next(Some(1), 1), next(Some(2), 3)]));
    assert!(!is_linearizable(&Counter, &[next(Some(1), 1), next(Some(3), 3)]));
    assert!(!is_linearizable(&Counter, &[next(Some(1), 1), next(Some(1), 3)]));
    // One lost answer explains one gap.
    assert!(is_linearizable(&Counter, &[unknown(CounterCall::Next(None), 1), next(Some(2), 3)]));
    assert!(!is_linearizable(&Counter, &[unknown(CounterCall::Next(None), 1), next(Some(3), 3)]));
}

#[test]
fn of_overlapping_adds_either_order_is_right_and_the_oldest_gives_way() {
    let add = |id, at, end| {
        call(
            CheckpointCall::Add { id, state: id, retain: 2, taken_for: TakenFor::Checkpoint, acknowledged: true },
            at,
            end,
        )
    };
    let read = |ids: &[u64], at| {
        call(CheckpointCall::Read(ids.iter().map(|id| (*id, *id)).collect::<BTreeMap<_, _>>()), at, at + 1)
    };
    let adds = [add(1, 1, 2), add(2, 3, 9), add(3, 3, 9)];
    for (ids, right) in [(&[2, 3][..], true), (&[1, 2, 3], false), (&[3], false), (&[1, 3], false), (&[], false)] {
        let calls = [&adds[..], &[read(ids, 20)]].concat();
        assert_eq!(is_linearizable(&Checkpoints::default(), &calls), right, "{ids:?}");
    }
    assert!(is_linearizable(&Checkpoints::default(), &[&adds[..], &[read(&[1, 3], 4)]].concat()));
}

#[test]
fn a_hundred_unanswered_steps_are_no_work() {
    // Tried in every order, they would be as many as there are atoms.
    let mut calls: Vec<_> = (0..100).map(|at| unknown(CounterCall::Next(None), at)).collect();
    calls.push(call(CounterCall::Next(Some(101)), 200, 201));
    assert!(is_linearizable(&Counter, &calls));
    calls.push(call(CounterCall::Next(Some(103)), 300, 301));
    assert!(!is_linearizable(&Counter, &calls));
}

#[test]
fn a_long_history_takes_about_as_many_steps_as_it_has_calls() {
    let calls: Vec<_> = (0..5000).map(|at| call(CounterCall::Next(Some(at + 1)), 2 * at, 2 * at + 1)).collect();
    assert!(matches!(linearize(&Counter, &calls, 4 * calls.len()), Verdict::Linearizable { .. }));
}

#[test]
fn a_history_made_to_exhaust_the_search_is_undecided() {
    // Twenty writes at once, and a read that none of them explains: all their orders are to be excluded.
    let mut calls: Vec<_> = (0..20).map(|value| call(Put(value), 1, 100)).collect();
    calls.push(call(Read(Some(99)), 2, 3));
    assert_eq!(linearize(&Register::default(), &calls, 1000), Verdict::Undecided { steps: 1000 });
}

#[test]
fn nothing_is_linearizable() {
    assert!(register(&[]));
    assert!(register(&[unknown(Put(1), 1)]));
}
