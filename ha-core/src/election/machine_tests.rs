use super::*;
use crate::backend::{Ended, Holder, Prefix};

fn term(epoch: u64) -> Term {
    Term { epoch, native: "s".into() }
}

fn held() -> Acquire {
    let by = Holder { term: term(1), value: bytes::Bytes::new() };
    Acquire::Held { by, wait: Scope::Below(Prefix::root()), seen: Mark::UNSEEN }
}

fn error(kind: ErrorKind) -> Error {
    Error::new(kind, "test")
}

fn asked(epoch: u64) -> Event {
    Event::AskedToStepDown { term: term(epoch), stay_away: Duration::from_secs(5) }
}

fn machine() -> Machine {
    Machine::new(Duration::ZERO)
}

fn leading() -> Machine {
    let mut machine = machine();
    machine.step(Event::Wanted);
    machine.step(Event::Opened(Ok(())));
    assert_eq!(machine.step(Event::Attempted(Ok(Acquire::Won(term(7))))), [Effect::Grant(term(7))]);
    machine
}

#[test]
fn grant_and_revoke_alternate_over_every_short_sequence_of_events() {
    // Every sequence of six events out of fourteen (`Woken` is as `HolderDead`, without the term): what can be granted twice or revoked unheld shows.
    type Make = fn() -> Event;
    let events: [Make; 14] = [
        || Event::Wanted,
        || Event::Resigned { wanted: false },
        || Event::Resigned { wanted: true },
        || Event::Opened(Ok(())),
        || Event::Opened(Err(error(ErrorKind::Denied))),
        || Event::Attempted(Ok(Acquire::Won(term(1)))),
        || Event::Attempted(Ok(held())),
        || Event::Attempted(Err(error(ErrorKind::Indeterminate))),
        || Event::HolderDead(term(1)),
        || Event::PauseOver,
        || Event::Lost(LossReason::SessionEnded(Ended::Expired)),
        || Event::Released,
        || asked(1),
        || Event::Yielded,
    ];
    for mut sequence in 0..events.len().pow(6) {
        let (mut machine, mut granted, mut session) = (machine(), false, false);
        for _ in 0..6 {
            let opened = machine.state == State::Opening;
            let event = events[sequence % events.len()]();
            session |= opened && matches!(event, Event::Opened(Ok(())));
            sequence /= events.len();
            for effect in machine.step(event) {
                match effect {
                    Effect::Grant(_) => {
                        assert!(!granted && session);
                        granted = true;
                    }
                    Effect::Revoke(_) => {
                        assert!(granted);
                        granted = false;
                    }
                    Effect::DropSession => {
                        assert!(session && !matches!(machine.state, State::Leading(_)));
                        session = false;
                    }
                    Effect::Report(_) => {}
                }
            }
            assert_eq!(granted, matches!(machine.state, State::Leading(_)));
            assert_eq!(session, machine.has_session);
        }
    }
}

#[test]
fn an_attempt_that_is_given_up_gives_up_its_session_because_it_may_have_won() {
    let mut machine = machine();
    machine.step(Event::Wanted);
    machine.step(Event::Opened(Ok(())));
    assert_eq!(machine.step(Event::Resigned { wanted: false }), [Effect::DropSession]);
    assert_eq!(machine.state, State::Idle);
    assert!(machine.step(Event::Attempted(Ok(Acquire::Won(term(1))))).is_empty(), "too late to count");
}

#[test]
fn an_unknown_attempt_is_repeated_on_the_same_session() {
    let mut machine = machine();
    machine.step(Event::Wanted);
    machine.step(Event::Opened(Ok(())));
    assert!(machine.step(Event::Attempted(Err(error(ErrorKind::Indeterminate)))).is_empty());
    machine.step(Event::PauseOver);
    assert_eq!(machine.state, State::Attempting);
}

#[test]
fn a_lost_leadership_is_contended_for_again_on_a_new_session() {
    let mut machine = leading();
    let effects = machine.step(Event::Lost(LossReason::DeadlinePassed));
    assert_eq!(effects, [Effect::Revoke(LossReason::DeadlinePassed), Effect::DropSession]);
    assert!(matches!(machine.state, State::Pausing(_)), "whoever waits goes first: {:?}", machine.state);
    machine.step(Event::PauseOver);
    assert_eq!(machine.state, State::Opening);
}

#[test]
fn resigning_and_wanting_again_releases_in_between() {
    let mut machine = leading();
    assert_eq!(machine.step(Event::Resigned { wanted: true }), [Effect::Revoke(LossReason::Resigned)]);
    assert_eq!(machine.state, State::Releasing);
    assert_eq!(machine.step(Event::Released), [Effect::DropSession]);
    assert_eq!(machine.state, State::Opening);
}

#[test]
fn wanting_again_right_after_giving_up_is_not_overlooked() {
    let mut machine = machine();
    machine.step(Event::Resigned { wanted: true });
    assert_eq!(machine.state, State::Opening);
}

#[test]
fn what_no_attempt_can_mend_is_reported_and_pauses_grow_to_a_bound() {
    let mut machine = machine();
    machine.step(Event::Wanted);
    let mut last = Duration::ZERO;
    for _ in 0..20 {
        let effects = machine.step(Event::Opened(Err(error(ErrorKind::Denied))));
        assert!(matches!(effects.as_slice(), [Effect::Report(e)] if e.kind() == ErrorKind::Denied));
        let State::Pausing(pause) = machine.state else { panic!("{machine:?}") };
        assert!(pause >= last && pause <= PAUSE_MAX);
        last = pause;
        machine.step(Event::PauseOver);
    }
    assert_eq!(last, PAUSE_MAX);
}

#[test]
fn a_candidate_of_lower_priority_waits_before_it_tries() {
    let mut machine = Machine::new(Duration::from_secs(1));
    machine.step(Event::Wanted);
    machine.step(Event::Opened(Ok(())));
    assert_eq!(machine.state, State::Pausing(Duration::from_secs(1)), "also before the first attempt");
    machine.step(Event::PauseOver);
    machine.step(Event::Attempted(Ok(held())));
    machine.step(Event::Woken);
    assert_eq!(machine.state, State::Pausing(Duration::from_secs(1)));
}

#[test]
fn evidence_lets_the_next_answered_attempt_end_exactly_that_term() {
    let mut machine = waiting(Duration::ZERO);
    assert_eq!(machine.over(), None);
    machine.step(Event::HolderDead(term(1)));
    assert_eq!((&machine.state, machine.over()), (&State::Attempting, Some(&term(1))));
    // No answer: nobody knows whether it is ours, and the dead are still dead.
    machine.step(Event::Attempted(Err(error(ErrorKind::Indeterminate))));
    machine.step(Event::PauseOver);
    assert_eq!((&machine.state, machine.over()), (&State::Attempting, Some(&term(1))));
    // A session of ours that ends meanwhile changes nothing about that either.
    machine.step(Event::Lost(LossReason::SessionEnded(Ended::Expired)));
    machine.step(Event::PauseOver);
    machine.step(Event::Opened(Ok(())));
    assert_eq!(machine.over(), Some(&term(1)));
    machine.step(Event::Attempted(Ok(held())));
    assert!(matches!(machine.state, State::Waiting { .. }));
    assert_eq!(machine.over(), None);
}

#[test]
fn with_evidence_a_candidate_of_lower_priority_waits_as_without() {
    let mut machine = waiting(Duration::from_secs(1));
    machine.step(Event::HolderDead(term(1)));
    assert_eq!(machine.state, State::Pausing(Duration::from_secs(1)));
    machine.step(Event::PauseOver);
    assert_eq!((&machine.state, machine.over()), (&State::Attempting, Some(&term(1))));
}

#[test]
fn evidence_is_forgotten_with_the_wish_to_lead() {
    let mut machine = waiting(Duration::from_secs(1));
    machine.step(Event::HolderDead(term(1)));
    machine.step(Event::Resigned { wanted: false });
    assert_eq!((&machine.state, machine.over()), (&State::Idle, None));
}

fn waiting(handicap: Duration) -> Machine {
    let mut machine = Machine::new(handicap);
    machine.step(Event::Wanted);
    machine.step(Event::Opened(Ok(())));
    machine.step(Event::PauseOver);
    machine.step(Event::Attempted(Ok(held())));
    assert!(matches!(machine.state, State::Waiting { .. }));
    machine
}

#[test]
fn whoever_is_asked_to_step_down_yields_before_it_contends_again() {
    let mut machine = leading();
    machine.set_wanted(true);
    assert_eq!(machine.step(asked(7)), [Effect::Revoke(LossReason::AskedToStepDown)]);
    assert_eq!(machine.state, State::Releasing);
    assert_eq!(machine.step(Event::Released), [Effect::DropSession]);
    let yielding = State::Yielding { after: term(7), at_most: Duration::from_secs(5) };
    assert_eq!(machine.state, yielding);
    // What the owner of the lost leadership does: it leaves, and campaigns anew.
    for event in [Event::Resigned { wanted: false }, Event::Wanted, Event::Woken, Event::PauseOver, asked(7)] {
        assert_eq!(machine.step(event), []);
        assert_eq!(machine.state, yielding);
    }
    machine.step(Event::Yielded);
    assert_eq!(machine.state, State::Opening);
}

#[test]
fn whoever_yields_and_wants_nothing_more_is_idle_after_that() {
    let mut machine = leading();
    machine.step(asked(7));
    machine.step(Event::Released);
    machine.step(Event::Resigned { wanted: false });
    machine.step(Event::Yielded);
    assert_eq!(machine.state, State::Idle);
    machine.step(Event::Wanted);
    assert_eq!(machine.state, State::Opening);
}

#[test]
fn a_request_for_another_term_deposes_nobody() {
    let mut machine = leading();
    let other = Term { native: "another store's".into(), ..term(7) };
    let of_another = Event::AskedToStepDown { term: other, stay_away: Duration::ZERO };
    for event in [asked(6), asked(8), of_another] {
        assert_eq!(machine.step(event), []);
        assert_eq!(machine.state, State::Leading(term(7)));
    }
    let mut waiting = self::machine();
    waiting.step(Event::Wanted);
    waiting.step(Event::Opened(Ok(())));
    waiting.step(Event::Attempted(Ok(held())));
    assert_eq!(waiting.step(asked(1)), [], "not the leader's own, but what it waits for");
    assert!(matches!(waiting.state, State::Waiting { .. }));
}

#[test]
fn a_leadership_that_is_lost_before_the_request_is_carried_out_is_contended_for_at_once() {
    let mut machine = leading();
    machine.set_wanted(true);
    machine.step(Event::Lost(LossReason::Fenced));
    machine.step(asked(7));
    machine.step(Event::PauseOver);
    assert_eq!(machine.state, State::Opening);
}
