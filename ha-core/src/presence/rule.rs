//! What counts as evidence of death: the rule, without sockets and clocks.
//!
//! ```text
//!              greeted                ended                 refused, 3 in a row over 15 ms
//!   Seeking ────────────▶ Connected ─────────▶ Confirming ─────────────────────────────────▶ evidence
//!    ▲  ▲  │ anything else    │ anything else     │   │ hung up: count anew, for at most a second
//!    │  └──┘ later            │                   │   │ greeted: Connected
//!    └────────────────────────┴───────────────────┘ anything else
//! ```
//! A connection that ends soon after its greeting, for the third time in a row, is silence too (Seeking).
//! Whoever was never seen alive cannot be seen to have died: a refusal is worth nothing while seeking.

use std::time::Duration;

use crate::seam::Moment;

/// So many attempts in a row must be refused...
const REFUSALS: u32 = 3;
/// ...and so long after the first of them the last must be made: a process that starts its server anew, or
/// a packet filter that is being loaded, is not dead.
const REFUSED_FOR: Duration = Duration::from_millis(15);
/// The pause between the first two of them.
const REFUSAL_PAUSE: Duration = Duration::from_millis(7);
/// How long after its loss a connection may still lead to evidence. A process that is ending closes one
/// descriptor after the other: for a moment, whoever connects is let in and then thrown out.
const GRACE: Duration = Duration::from_secs(1);
const HUNG_UP_PAUSE: Duration = Duration::from_millis(10);
/// The first pause between two attempts to see the holder alive; it doubles up to the last.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A connection that stood for so long was a good one: what comes after it begins with the first pause.
const LASTING: Duration = Duration::from_secs(10);

/// What became of one attempt to connect, or of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sighting {
    /// Connected, and greeted with exactly the recorded identity.
    Greeted,
    /// The greeted connection came to its end, or was reset.
    Ended,
    /// Nobody listens there.
    Refused,
    /// Accepted, and ended before the greeting was whole.
    HungUp,
    /// A time-out, nobody reached, another answer, another error: silence.
    Other,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Wait for the end of the connection.
    Hold,
    /// Attempt to connect after that pause.
    Connect { after: Duration },
    /// The process is dead. Then attempt to connect after that pause (before jitter), in case it is not.
    Evidence { after: Duration },
    /// As `Connect`, give or take half of the pause, so that many do not come at once.
    Seek { after: Duration },
}

/// So many connections in a row that did not stand for so long may be made anew at once.
const SHORT_MAX: u32 = 2;

#[derive(Debug)]
pub(super) struct Rule {
    state: State,
    failures: u32,
    /// Connections in a row that did not last.
    short: u32,
}

#[derive(Debug)]
enum State {
    Seeking,
    Connected { since: Moment },
    Confirming { lost: Moment, first: Option<Moment>, refusals: u32 },
}

impl Rule {
    pub(super) fn new() -> Self {
        Self { state: State::Seeking, failures: 0, short: 0 }
    }

    /// Takes in what was seen just now, and says what to do next.
    pub(super) fn step(&mut self, seen: Sighting, now: Moment) -> Next {
        match (&mut self.state, seen) {
            (State::Seeking | State::Confirming { .. }, Sighting::Greeted) => {
                self.state = State::Connected { since: now };
                Next::Hold
            }
            (State::Connected { since }, Sighting::Ended) => {
                if now.since(*since) >= LASTING {
                    (self.failures, self.short) = (0, 0);
                } else {
                    self.short += 1;
                }
                // Race: the holder lets go of this connection because it is one too many; made anew at once, it
                //       takes the place of another standby's, which does the same.
                // Closed by: who is lost soon after it was greeted, again and again, seeks like everybody else.
                // Cost if missed: a storm of connections for as long as there are more standbys than places.
                if self.short > SHORT_MAX {
                    return Next::Seek { after: self.seek() };
                }
                self.state = State::Confirming { lost: now, first: None, refusals: 0 };
                Next::Connect { after: Duration::ZERO }
            }
            (State::Confirming { first, refusals, .. }, Sighting::Refused) => {
                let first = *first.get_or_insert(now);
                *refusals += 1;
                let refused_for = now.since(first);
                if *refusals >= REFUSALS && refused_for >= REFUSED_FOR {
                    return Next::Evidence { after: self.seek() };
                }
                let left = REFUSED_FOR.saturating_sub(refused_for);
                let pause = if *refusals + 1 >= REFUSALS { left } else { REFUSAL_PAUSE };
                Next::Connect { after: pause }
            }
            (State::Confirming { lost, first, refusals }, Sighting::HungUp) if now.since(*lost) < GRACE => {
                (*first, *refusals) = (None, 0);
                Next::Connect { after: HUNG_UP_PAUSE }
            }
            _ => Next::Seek { after: self.seek() },
        }
    }

    /// Whatever was seen before is void: the holder has to be seen alive first.
    fn seek(&mut self) -> Duration {
        self.state = State::Seeking;
        let pause = PAUSE_MIN.saturating_mul(1 << self.failures.min(16)).min(PAUSE_MAX);
        self.failures += 1;
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Sighting::{Ended, Greeted, HungUp, Other, Refused};

    fn at(ms: u64) -> Moment {
        Moment::after_origin(Duration::from_millis(ms))
    }

    /// Follows the script; says after how many steps there was evidence first.
    fn evidence(script: &[(u64, Sighting)]) -> Option<usize> {
        let mut rule = Rule::new();
        let steps = script.iter().map(|(ms, seen)| rule.step(*seen, at(*ms)));
        steps.enumerate().find(|(_, next)| matches!(next, Next::Evidence { .. })).map(|(step, _)| step + 1)
    }

    #[test]
    fn a_lost_connection_and_three_refusals_over_fifteen_milliseconds_are_evidence() {
        assert_eq!(evidence(&[(0, Greeted), (9, Ended), (9, Refused), (16, Refused), (24, Refused)]), Some(5));
    }

    #[test]
    fn the_pauses_make_the_third_attempt_as_soon_as_it_counts() {
        let mut rule = Rule::new();
        rule.step(Greeted, at(0));
        assert_eq!(rule.step(Ended, at(10)), Next::Connect { after: Duration::ZERO });
        assert_eq!(rule.step(Refused, at(10)), Next::Connect { after: REFUSAL_PAUSE });
        assert_eq!(rule.step(Refused, at(17)), Next::Connect { after: Duration::from_millis(8) });
        assert!(matches!(rule.step(Refused, at(25)), Next::Evidence { .. }));
    }

    #[test]
    fn refusals_within_less_time_are_not_enough() {
        let soon = [(0, Greeted), (9, Ended), (9, Refused), (10, Refused), (11, Refused), (23, Refused)];
        assert_eq!(evidence(&soon), None);
    }

    #[test]
    fn who_was_never_seen_alive_cannot_be_seen_dead() {
        let refused: Vec<_> = (0..100).map(|n| (n * 10, Refused)).collect();
        assert_eq!(evidence(&refused), None);
        let ended = [(0, Ended), (1, Refused), (10, Refused), (30, Refused), (50, Refused)];
        assert_eq!(evidence(&ended), None);
    }

    #[test]
    fn whatever_is_no_refusal_voids_what_was_seen() {
        for odd in [Other, Ended] {
            for place in 2..5 {
                let mut script = vec![Greeted, Ended, Refused, Refused, Refused, Refused, Refused, Refused];
                script.insert(place, odd);
                let script: Vec<_> = script.into_iter().enumerate().map(|(n, seen)| (n as u64 * 10, seen)).collect();
                assert_eq!(evidence(&script), None, "{odd:?} at {place}");
            }
        }
    }

    #[test]
    fn an_end_that_is_no_end_is_silence() {
        assert_eq!(evidence(&[(0, Greeted), (9, Other), (9, Refused), (20, Refused), (40, Refused)]), None);
    }

    #[test]
    fn being_let_in_and_thrown_out_delays_evidence_and_does_not_prevent_it() {
        let closing = [(0, Greeted), (9, Ended), (9, HungUp), (20, Refused), (27, HungUp), (40, Refused)];
        assert_eq!(evidence(&closing), None);
        let closed = [&closing[..], &[(47, Refused), (55, Refused)]].concat();
        assert_eq!(evidence(&closed), Some(8));
    }

    #[test]
    fn who_throws_out_for_longer_than_a_moment_is_alive_in_some_way() {
        let mut script = vec![(0, Greeted), (9, Ended)];
        script.extend((1..200).map(|n| (n * 10, HungUp)));
        script.extend((200..220).map(|n| (n * 10, Refused)));
        assert_eq!(evidence(&script), None);
    }

    #[test]
    fn a_holder_that_answers_again_has_to_be_lost_again() {
        let script = [(0, Greeted), (9, Ended), (9, Refused), (20, Greeted), (21, Refused), (40, Refused)];
        assert_eq!(evidence(&script), None);
        let anew = [(0, Greeted), (1, Ended), (2, Greeted), (3, Ended), (4, Refused), (11, Refused), (19, Refused)];
        assert_eq!(evidence(&anew), Some(7));
    }

    #[test]
    fn after_evidence_the_holder_has_to_be_seen_alive_first() {
        let mut rule = Rule::new();
        let dead = [(0, Greeted), (9, Ended), (9, Refused), (16, Refused), (24, Refused)];
        for (ms, seen) in dead {
            rule.step(seen, at(ms));
        }
        for n in 3..50 {
            assert!(matches!(rule.step(Refused, at(n * 10)), Next::Seek { .. }));
        }
    }

    #[test]
    fn no_sequence_of_sightings_gives_evidence_without_greeting_end_and_three_refusals() {
        // Every sequence of eight sightings, each ten milliseconds after the other.
        let all = [Greeted, Ended, Refused, HungUp, Other];
        for number in 0..all.len().pow(8) {
            let script: Vec<Sighting> = (0..8).map(|n| all[number / all.len().pow(n) % all.len()]).collect();
            let mut rule = Rule::new();
            for (n, seen) in script.iter().enumerate() {
                if matches!(rule.step(*seen, at(n as u64 * 10)), Next::Evidence { .. }) {
                    let before = &script[..=n];
                    assert!(before.ends_with(&[Refused; 3]), "{before:?}");
                    let lost = before.iter().rposition(|s| *s == Ended).expect("a connection that ended");
                    assert!(lost > 0 && before[lost - 1] == Greeted, "{before:?}");
                    assert!(before[lost + 1..].iter().all(|s| matches!(s, Refused | HungUp)), "{before:?}");
                }
            }
        }
    }

    #[test]
    fn who_greets_and_ends_again_and_again_is_not_asked_in_a_busy_loop() {
        // A holder with more standbys than it holds connections, and one that wants to keep them busy.
        let mut rule = Rule::new();
        let mut at_once = 0;
        for n in 0..100 {
            rule.step(Greeted, at(n * 2));
            let next = rule.step(Ended, at(n * 2 + 1));
            at_once += u32::from(next == Next::Connect { after: Duration::ZERO });
        }
        assert!(at_once <= 2, "{at_once} times at once");
        // One that stood for long clears the account.
        rule.step(Greeted, at(1_000));
        assert_eq!(rule.step(Ended, at(1_000) + LASTING), Next::Connect { after: Duration::ZERO });
    }

    #[test]
    fn the_pauses_grow_to_a_bound_and_begin_anew_after_a_lasting_connection() {
        let mut rule = Rule::new();
        let pauses: Vec<_> = (0..20).map(|n| rule.step(Refused, at(n))).collect();
        assert_eq!(pauses[0], Next::Seek { after: PAUSE_MIN });
        assert_eq!(pauses[19], Next::Seek { after: PAUSE_MAX });
        // One that is thrown out as soon as it comes does not come faster for it.
        rule.step(Greeted, at(30));
        rule.step(Ended, at(31));
        assert_eq!(rule.step(Other, at(32)), Next::Seek { after: PAUSE_MAX });
        rule.step(Greeted, at(40));
        rule.step(Ended, at(40) + LASTING);
        assert_eq!(rule.step(Other, at(41) + LASTING), Next::Seek { after: PAUSE_MIN });
    }
}
