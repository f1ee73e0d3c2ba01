use ha_testkit::checks::linearizability::{
    Counter, CounterCall, End, Interval, Key, KeyCall, Register, RegisterCall, Specification,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{call, explains, is_linearizable, unknown, unknown_until};

/// Every order of every choice of the calls: slow, and too simple to be wrong.
fn by_brute_force<S: Specification>(specification: &S, calls: &[Interval<S::Call>], order: &mut Vec<usize>) -> bool {
    if explains(specification, calls, order) {
        return true;
    }
    (0..calls.len()).any(|next| {
        if order.contains(&next) {
            return false;
        }
        order.push(next);
        let explained = by_brute_force(specification, calls, order);
        order.pop();
        explained
    })
}

/// Up to five random calls at random times. Most such histories are wrong, and many are right.
fn compare<S: Specification>(name: &str, specification: &S, one: impl Fn(&mut StdRng) -> S::Call) {
    let (mut right, mut wrong) = (0, 0);
    for seed in 0..4000 {
        let mut random = StdRng::seed_from_u64(seed);
        let calls: Vec<Interval<S::Call>> = (0..random.random_range(1..=5))
            .map(|_| {
                let (invoked, length) = (random.random_range(0..12), random.random_range(1..8));
                let called = one(&mut random);
                match random.random_range(0..6) {
                    0 => unknown(called, invoked),
                    1 => unknown_until(called, invoked, invoked + length),
                    _ => call(called, invoked, invoked + length),
                }
            })
            .collect();
        let expected = by_brute_force(specification, &calls, &mut Vec::new());
        assert_eq!(is_linearizable(specification, &calls), expected, "{name}, seed {seed}: {calls:?}");
        *(if expected { &mut right } else { &mut wrong }) += 1;
    }
    // Otherwise the comparison would have compared nothing.
    assert!(right > 200 && wrong > 200, "{name}: {right} right, {wrong} wrong");
}

#[test]
fn the_search_and_brute_force_agree_on_registers() {
    compare("register", &Register::default(), |random| match random.random_range(0..5) {
        0 | 1 => RegisterCall::Put(random.random_range(0..3_u8)),
        2 => RegisterCall::Remove,
        3 => RegisterCall::Read(None),
        _ => RegisterCall::Read(Some(random.random_range(0..3_u8))),
    });
}

#[test]
fn the_search_and_brute_force_agree_on_counters() {
    compare("counter", &Counter, |random| match random.random_range(0..8) {
        0..=3 => CounterCall::Next(Some(random.random_range(1..4))),
        4 => CounterCall::Next(None),
        5 => CounterCall::Read(random.random_range(1..4)),
        6 => CounterCall::Set(random.random_range(1..4)),
        _ => CounterCall::Remove,
    });
}

#[test]
fn the_search_and_brute_force_agree_on_keys() {
    compare("key", &Key::default(), |random| {
        let expect = Some(random.random_range(0..3)).filter(|revision| *revision > 0);
        let value = random.random_range(0..2_u8);
        match random.random_range(0..6) {
            0 | 1 => KeyCall::Put { expect, value, revision: Some(random.random_range(1..3)) },
            2 => KeyCall::Put { expect, value, revision: None },
            3 => KeyCall::Remove { expect: random.random_range(1..3) },
            4 => KeyCall::Refused { expect },
            _ => KeyCall::Read(expect.map(|revision| (revision, value))),
        }
    });
}

#[test]
fn an_interval_that_ends_before_it_begins_has_no_effect() {
    let calls = [Interval { call: RegisterCall::Put(1), invoked: 9, end: End::Unknown { until: Some(3) } }];
    assert!(is_linearizable(&Register::default(), &calls));
}
