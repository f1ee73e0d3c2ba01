use super::*;
use crate::backend::Outcome;
use crate::space::Refusal;

fn new() -> State {
    State::new(JOURNAL, JournalOptions::default())
}

#[test]
fn a_session_comes_to_be_when_it_wins_and_losing_leaves_no_trace() {
    let (mut state, latch) = (new(), latch("leader"));
    assert_eq!(one(&mut state, acquire(1, &latch, false, None)), Answer::Acquire(Err(Refusal::NoSession)));
    let term = won(&one(&mut state, acquire(1, &latch, true, None)));
    assert_eq!(&*term.native, "session-1");
    let before = state.snapshot(&crate::backend::Scope::Below(Prefix::root()));
    let Answer::Acquire(Ok(Acquire::Held { by, .. })) = one(&mut state, acquire(2, &latch, true, None)) else {
        panic!("it is held");
    };
    assert_eq!((by.term, by.value), (term.clone(), "holder".into()));
    assert!(state.session("session-2").is_none());
    assert_eq!(one(&mut state, Operation::Renew { session: session(2) }), Answer::Renewed(false));
    assert_eq!(state.snapshot(&crate::backend::Scope::Below(Prefix::root())), before);
    assert_eq!(state.sessions().map(|(id, _)| &**id).collect::<Vec<_>>(), ["session-1"]);
    assert_eq!(state.session("session-1").unwrap().registration, registration());
    // The same question again has the same answer: so a lost one is found out.
    assert_eq!(won(&one(&mut state, acquire(1, &latch, true, None))), term);
    assert_eq!(won(&one(&mut state, acquire(1, &latch, false, None))), term);
}

#[test]
fn a_renewal_that_comes_before_the_judgement_of_silence_refutes_it() {
    let (mut state, latch) = (new(), latch("leader"));
    won(&one(&mut state, acquire(1, &latch, true, None)));
    let answers = publish(
        &mut state,
        vec![
            Operation::Renew { session: session(1) },
            end(1, Why::Silent { renewals: 0 }),
            end(1, Why::Silent { renewals: 2 }),
            end(1, Why::Silent { renewals: 1 }),
            end(1, Why::Silent { renewals: 1 }),
            Operation::Renew { session: session(1) },
            end(1, Why::Closed),
        ],
    );
    let ended = [true, false, false, true, false, false, false];
    let expected = |(at, yes)| if at == 0 || at == 5 { Answer::Renewed(yes) } else { Answer::Ended(yes) };
    assert_eq!(answers, ended.into_iter().enumerate().map(expected).collect::<Vec<_>>());
    assert_eq!(state.read(latch.key()).unwrap().held, None);
}

#[test]
fn the_end_of_a_session_fences_what_stands_behind_it_in_the_same_entry() {
    for why in [Why::Closed, Why::Revoked, Why::Dead, Why::Silent { renewals: 0 }] {
        let (mut state, latch) = (new(), latch("leader"));
        let term = won(&one(&mut state, acquire(1, &latch, true, None)));
        let fence = Fence { latch: latch.clone(), term: term.clone() };
        let write = |at: &str| {
            let commit = Commit::new(WriteId::from_bits(1, 1)).guarded_by(fence.clone());
            Operation::Commit(commit.put(key(at), Expect::Absent, "x".into()))
        };
        let operations = vec![write("a"), end(1, why), write("b"), acquire(2, &latch, true, None), write("c")];
        let answers = publish(&mut state, operations);
        assert!(matches!(answers[0], Answer::Commit(Outcome::Applied { .. })));
        assert_eq!(answers[1], Answer::Ended(true));
        assert_eq!([&answers[2], &answers[4]], [&Answer::Commit(Outcome::Fenced); 2]);
        assert!(won(&answers[3]).epoch > term.epoch);
    }
}

#[test]
fn over_ends_exactly_that_term_and_the_victim_keeps_its_other_latches() {
    let (mut state, first, second) = (new(), latch("one"), latch("two"));
    let dead = won(&one(&mut state, acquire(1, &first, true, None)));
    won(&one(&mut state, acquire(1, &second, false, None)));
    let wrong = Term { epoch: dead.epoch + 1, ..dead.clone() };
    assert!(matches!(
        one(&mut state, acquire(2, &first, true, Some(wrong))),
        Answer::Acquire(Ok(Acquire::Held { .. }))
    ));
    let taken = won(&one(&mut state, acquire(2, &first, true, Some(dead.clone()))));
    assert!(taken.epoch > dead.epoch);
    assert_eq!(state.held_by("session-1"), [second.key().clone()]);
    assert_eq!(state.held_by("session-2"), [first.key().clone()]);
    // A newer term is not touched, and the victim does not come back on the same session.
    assert!(matches!(one(&mut state, acquire(3, &first, true, Some(dead))), Answer::Acquire(Ok(Acquire::Held { .. }))));
    let back = one(&mut state, acquire(1, &first, true, Some(taken)));
    assert_eq!(back, Answer::Acquire(Err(Refusal::HeldBefore)));
}

#[test]
fn a_released_latch_is_not_taken_again_by_its_session_and_others_may_release_nothing() {
    let (mut state, latch) = (new(), latch("leader"));
    won(&one(&mut state, acquire(1, &latch, true, None)));
    for id in [2, 1, 1] {
        let release = Operation::Release { session: session(id), latch: latch.clone() };
        assert_eq!(one(&mut state, release), Answer::Released);
        assert_eq!(state.held_by("session-1").len(), usize::from(id == 2));
    }
    assert_eq!(one(&mut state, acquire(1, &latch, false, None)), Answer::Acquire(Err(Refusal::HeldBefore)));
    won(&one(&mut state, acquire(2, &latch, true, None)));
}

#[test]
fn epochs_grow_over_the_end_of_sessions_and_over_snapshots() {
    let options = JournalOptions::default().with_points(1, 1);
    let (mut state, latch) = (State::new(JOURNAL, options), latch("leader"));
    let mut last = 0;
    for id in 0..20 {
        let epoch = won(&one(&mut state, acquire(id, &latch, true, None))).epoch;
        assert!(epoch > last);
        last = epoch;
        assert_eq!(state.read(&latch.epoch_key()).unwrap().value, epoch.to_string());
        one(&mut state, end(id, Why::Closed));
        let bytes = state.encode_snapshot().unwrap();
        state = State::decode_snapshot(state.point().unwrap(), &bytes, JOURNAL, options).unwrap();
    }
}
