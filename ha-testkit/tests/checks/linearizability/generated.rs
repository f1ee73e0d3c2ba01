//! Histories of real sequential objects, with their calls drawn out at random so that they overlap: right by
//! construction. Changed in one place so that no order can explain them: wrong by construction.

use std::collections::BTreeMap;

use ha_testkit::checks::linearizability::{
    CheckpointCall, Checkpoints, Counter, CounterCall, End, Interval, Register, RegisterCall,
};
use ha_testkit::history::TakenFor;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::is_linearizable;

/// Calls that took effect one after another, each at ten times its position; some were never answered.
fn drawn_out<C>(random: &mut StdRng, effects: Vec<C>, unanswered: impl Fn(C) -> C) -> Vec<Interval<C>> {
    let draw = |(at, call): (usize, C)| {
        let effect = 1000 + 10 * at as u64;
        let invoked = effect - random.random_range(1..40);
        if random.random_range(0..10) == 0 {
            let until = random.random_bool(0.5).then(|| effect + random.random_range(1..40));
            return Interval { call: unanswered(call), invoked, end: End::Unknown { until } };
        }
        Interval { call, invoked, end: End::Returned(effect + random.random_range(1..40)) }
    };
    let mut calls: Vec<Interval<C>> = effects.into_iter().enumerate().map(draw).collect();
    calls.sort_by_key(|call| call.invoked);
    calls
}

fn random_register(random: &mut StdRng) -> Vec<RegisterCall<u64>> {
    let mut stored = None;
    (0..random.random_range(5..60))
        .map(|at| match random.random_range(0..10) {
            0..3 => {
                stored = Some(at);
                RegisterCall::Put(at)
            }
            3 => {
                stored = None;
                RegisterCall::Remove
            }
            _ => RegisterCall::Read(stored),
        })
        .collect()
}

#[test]
fn what_a_register_did_is_accepted_and_a_read_from_nowhere_refused() {
    for seed in 0..60 {
        let mut random = StdRng::seed_from_u64(seed);
        let effects = random_register(&mut random);
        let mut calls = drawn_out(&mut random, effects, |call| call);
        assert!(is_linearizable(&Register::default(), &calls), "seed {seed}: {calls:?}");
        let mut reads = calls.iter_mut().filter(|call| matches!(call.end, End::Returned(_)));
        if let Some(read) = reads.find(|call| matches!(call.call, RegisterCall::Read(_))) {
            read.call = RegisterCall::Read(Some(9999));
            assert!(!is_linearizable(&Register::default(), &calls), "seed {seed}: {calls:?}");
        }
    }
}

#[test]
fn a_value_that_is_read_long_after_it_was_replaced_is_refused() {
    for seed in 0..60 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut effects = random_register(&mut random);
        effects.extend([RegisterCall::Put(7000), RegisterCall::Put(7001)]);
        let mut calls = drawn_out(&mut random, effects, |call| call);
        // Both are answered, and do not overlap.
        for call in &mut calls {
            match call.call {
                RegisterCall::Put(7000) => (call.invoked, call.end) = (90_000, End::Returned(90_001)),
                RegisterCall::Put(7001) => (call.invoked, call.end) = (90_002, End::Returned(90_003)),
                _ => {}
            }
        }
        let read =
            |value| Interval { call: RegisterCall::Read(Some(value)), invoked: 90_004, end: End::Returned(90_005) };
        calls.push(read(7001));
        assert!(is_linearizable(&Register::default(), &calls), "seed {seed}");
        calls.push(read(7000));
        assert!(!is_linearizable(&Register::default(), &calls), "seed {seed}");
    }
}

#[test]
fn what_a_counter_did_is_accepted_and_an_id_that_is_given_twice_refused() {
    for seed in 0..60 {
        let mut random = StdRng::seed_from_u64(seed);
        let effects = (1..random.random_range(5..80)).map(|id| CounterCall::Next(Some(id))).collect();
        let mut calls = drawn_out(&mut random, effects, |_| CounterCall::Next(None));
        assert!(is_linearizable(&Counter, &calls), "seed {seed}: {calls:?}");
        let answered: Vec<usize> =
            (0..calls.len()).filter(|at| matches!(calls[*at].call, CounterCall::Next(Some(_)))).collect();
        if let [one, .., other] = answered[..] {
            calls[one].call = calls[other].call;
            assert!(!is_linearizable(&Counter, &calls), "seed {seed}: {calls:?}");
        }
    }
}

#[test]
fn what_a_checkpoint_store_did_is_accepted_and_one_that_went_missing_refused() {
    for seed in 0..60 {
        let mut random = StdRng::seed_from_u64(seed);
        let retain = random.random_range(1..4);
        let mut there: BTreeMap<u64, u64> = BTreeMap::new();
        let mut effects = Vec::new();
        for id in 1..random.random_range(5..40) {
            if random.random_bool(0.5) {
                there.insert(id, id);
                while there.len() > retain {
                    there.pop_first();
                }
                effects.push(CheckpointCall::Add {
                    id,
                    state: id,
                    retain,
                    taken_for: TakenFor::Checkpoint,
                    acknowledged: true,
                });
            } else {
                effects.push(CheckpointCall::Read(there.clone()));
            }
        }
        let mut calls = drawn_out(&mut random, effects, |call| match call {
            CheckpointCall::Add { id, state, retain, taken_for, .. } => {
                CheckpointCall::Add { id, state, retain, taken_for, acknowledged: false }
            }
            other => other,
        });
        assert!(is_linearizable(&Checkpoints::default(), &calls), "seed {seed}: {calls:?}");
        let (newest, invoked) = (9000, 90_000);
        let add = CheckpointCall::Add {
            id: newest,
            state: newest,
            retain,
            taken_for: TakenFor::Checkpoint,
            acknowledged: true,
        };
        calls.push(Interval { call: add, invoked, end: End::Returned(invoked + 1) });
        let read = CheckpointCall::Read(there);
        calls.push(Interval { call: read, invoked: invoked + 2, end: End::Returned(invoked + 3) });
        assert!(!is_linearizable(&Checkpoints::default(), &calls), "seed {seed}: {calls:?}");
    }
}
