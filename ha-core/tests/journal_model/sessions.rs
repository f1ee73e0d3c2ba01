//! Liveness by silence: a session registers itself and renews by entries, a judge ends it by an entry. Silence never
//! gives the latch away before the moment up to which the session's owner relies on it.

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model, Property};

/// The clock ends here. Leader and judge have the same: the protocol asks that clocks run at one rate.
const END: u8 = 8;
/// The silence that a session agreed to, in ticks.
const SILENCE: u8 = 3;
/// Renewals that the owner sends.
const RENEWALS: u8 = 2;
/// How often the owner reads to the end of the journal while it is not registered.
const READINGS: u8 = 1;

/// What keeps silence from deciding too early; the model can leave out one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guard {
    /// An ending for silence counts only if no renewal came in between.
    CompareCount,
    /// The owner counts a renewal, and the acquire that registered it, from when it was sent.
    FromSending,
    /// The owner counts a renewal only if its entry found the session alive.
    FoundAlive,
    /// A reading proves a session alive only if, after it, the session is still not registered.
    StillUnregistered,
    /// The judge starts anew with each new count that it sees.
    SilenceOfThatCount,
    /// The judge counts from when itself saw the count, on its own clock.
    SeenByJudge,
}

#[derive(Debug, Clone)]
struct Silence {
    without: Option<Guard>,
}

/// A renewal on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Renewal {
    sent: u8,
    /// What its entry found at replay, once it has a number: whether the session was alive.
    applied: Option<bool>,
}

/// What the state says of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Session {
    /// It has won nothing yet.
    Unknown,
    Alive {
        renewals: u8,
    },
    Ended {
        at: u8,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Moment {
    now: u8,
    session: Session,
    /// When the acquire was sent that registers the session. Its entry may come into being much later.
    acquire: Option<u8>,
    /// Whether the owner has replayed that entry.
    knows: bool,
    /// A reading to the end: when it began, and whether the session was registered then.
    reading: Option<(u8, bool)>,
    readings: u8,
    /// Renewals sent; the one under way. It may get its number late, and its answer later.
    sent: u8,
    renewal: Option<Renewal>,
    /// The owner has given up on a renewal, and it gets its number all the same.
    astray: bool,
    valid_until: u8,
    /// The count that the judge saw last, and since when.
    judged: Option<(u8, u8)>,
    /// An ending that is on its way: the count that it names.
    ending: Option<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Tick,
    Acquire,
    ApplyAcquire,
    LearnOfAcquire,
    BeginReading,
    EndReading,
    Renew,
    ApplyRenewal,
    Acknowledge,
    GiveUp,
    ApplyAstray,
    Look,
    Judge,
    ApplyEnding,
}

impl Moment {
    fn extend(&mut self, sent: u8) {
        self.valid_until = self.valid_until.max(sent + SILENCE);
    }

    /// A renewal gets its number: whether it finds the session alive.
    fn renew(&mut self) -> bool {
        if let Session::Alive { renewals } = &mut self.session {
            *renewals += 1;
        }
        matches!(self.session, Session::Alive { .. })
    }
}

impl Silence {
    fn lacks(&self, guard: Guard) -> bool {
        self.without == Some(guard)
    }

    /// The count that the judge has seen for long enough. The margin of a 64th of the silence is left out: it is for
    /// clocks that differ a little, and these do not.
    fn due(&self, moment: &Moment) -> Option<u8> {
        let (count, since) = moment.judged?;
        let since = if self.lacks(Guard::SeenByJudge) { 0 } else { since };
        (moment.now >= since + SILENCE).then_some(count)
    }

    fn learn(&self, moment: &mut Moment) {
        let sent = moment.acquire.unwrap_or_default();
        moment.knows = true;
        moment.extend(if self.lacks(Guard::FromSending) { moment.now } else { sent });
    }

    fn end_reading(&self, moment: &mut Moment) {
        let Some((began, registered)) = moment.reading.take() else { return };
        if registered {
            self.learn(moment);
        }
        // It may have learned of its registration in another way meanwhile.
        if !moment.knows || self.lacks(Guard::StillUnregistered) {
            moment.extend(began);
        }
    }

    fn acknowledge(&self, moment: &mut Moment) {
        let Some(renewal) = moment.renewal.take() else { return };
        if renewal.applied == Some(true) || self.lacks(Guard::FoundAlive) {
            moment.extend(if self.lacks(Guard::FromSending) { moment.now } else { renewal.sent });
        }
    }

    fn look(&self, moment: &mut Moment) {
        let Session::Alive { renewals } = moment.session else { return };
        let since = match moment.judged {
            Some((count, since)) if count == renewals || self.lacks(Guard::SilenceOfThatCount) => since,
            _ => moment.now,
        };
        moment.judged = Some((renewals, since));
    }

    fn apply_ending(&self, moment: &mut Moment) {
        let (Some(count), Session::Alive { renewals }) = (moment.ending.take(), moment.session) else { return };
        if count == renewals || self.lacks(Guard::CompareCount) {
            moment.session = Session::Ended { at: moment.now };
        }
    }

    fn owner_steps(moment: &Moment, steps: &mut Vec<Step>) {
        match (moment.acquire, moment.session) {
            (None, _) => steps.push(Step::Acquire),
            (Some(_), Session::Unknown) => steps.push(Step::ApplyAcquire),
            (Some(_), _) => steps.extend((!moment.knows).then_some(Step::LearnOfAcquire)),
        }
        match moment.reading {
            None => steps.extend((!moment.knows && moment.readings < READINGS).then_some(Step::BeginReading)),
            Some(_) => steps.push(Step::EndReading),
        }
        match moment.renewal {
            None => steps.extend((moment.knows && moment.sent < RENEWALS).then_some(Step::Renew)),
            Some(Renewal { applied: None, .. }) => {
                steps.push(Step::ApplyRenewal);
                steps.extend((!moment.astray).then_some(Step::GiveUp));
            }
            Some(_) => steps.push(Step::Acknowledge),
        }
        steps.extend(moment.astray.then_some(Step::ApplyAstray));
    }
}

const NOT_TOO_EARLY: &str = "silence ends no session before its owner's valid_until";

impl Model for Silence {
    type State = Moment;
    type Action = Step;

    fn init_states(&self) -> Vec<Moment> {
        vec![Moment {
            now: 0,
            session: Session::Unknown,
            acquire: None,
            knows: false,
            reading: None,
            readings: 0,
            sent: 0,
            renewal: None,
            astray: false,
            valid_until: SILENCE,
            judged: None,
            ending: None,
        }]
    }

    fn actions(&self, moment: &Moment, steps: &mut Vec<Step>) {
        steps.extend((moment.now < END).then_some(Step::Tick));
        Self::owner_steps(moment, steps);
        if matches!(moment.session, Session::Alive { .. }) {
            steps.push(Step::Look);
            steps.extend((moment.ending.is_none() && self.due(moment).is_some()).then_some(Step::Judge));
        }
        steps.extend(moment.ending.map(|_| Step::ApplyEnding));
    }

    fn next_state(&self, moment: &Moment, step: Step) -> Option<Moment> {
        let mut next = moment.clone();
        match step {
            Step::Tick => next.now += 1,
            Step::Acquire => next.acquire = Some(next.now),
            Step::ApplyAcquire => next.session = Session::Alive { renewals: 0 },
            Step::LearnOfAcquire => self.learn(&mut next),
            Step::BeginReading => {
                next.readings += 1;
                next.reading = Some((next.now, next.session != Session::Unknown));
            }
            Step::EndReading => self.end_reading(&mut next),
            Step::Renew => {
                next.sent += 1;
                next.renewal = Some(Renewal { sent: next.now, applied: None });
            }
            Step::ApplyRenewal => {
                let alive = next.renew();
                next.renewal.as_mut()?.applied = Some(alive);
            }
            Step::Acknowledge => self.acknowledge(&mut next),
            Step::GiveUp => (next.renewal, next.astray) = (None, true),
            Step::ApplyAstray => {
                next.astray = false;
                next.renew();
            }
            Step::Look => self.look(&mut next),
            Step::Judge => next.ending = self.due(moment),
            Step::ApplyEnding => self.apply_ending(&mut next),
        }
        (next != *moment).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(NOT_TOO_EARLY, |_, moment: &Moment| match moment.session {
                Session::Ended { at } => moment.valid_until <= at,
                Session::Unknown | Session::Alive { .. } => true,
            }),
            Property::sometimes("silence ends a session", |_, moment: &Moment| {
                matches!(moment.session, Session::Ended { .. })
            }),
            Property::sometimes("a renewal comes too late, and its owner learns of it", |_, moment: &Moment| {
                moment.renewal.is_some_and(|renewal| renewal.applied == Some(false))
            }),
            Property::sometimes(
                "an ending finds that the session was renewed",
                |_, moment: &Moment| matches!((moment.ending, moment.session), (Some(count), Session::Alive { renewals }) if count < renewals),
            ),
            Property::sometimes("an owner learns of its registration by reading", |_, moment: &Moment| {
                matches!(moment.reading, Some((_, true))) && !moment.knows
            }),
            Property::sometimes("an owner relies on its last renewal", |_, moment: &Moment| {
                moment.session == (Session::Alive { renewals: RENEWALS }) && moment.valid_until > 2 * SILENCE
            }),
        ]
    }
}

/// Without the guard silence comes too early. One step more at a time is allowed, so the shortest way is found.
fn breaks(without: Guard) {
    for steps in 1..32 {
        let found = HasDiscoveries::AllOf(BTreeSet::from([NOT_TOO_EARLY]));
        let checker = Silence { without: Some(without) }.checker().finish_when(found);
        let checker = checker.target_max_depth(steps + 2).spawn_bfs().join();
        if let Some(path) = checker.discovery(NOT_TOO_EARLY) {
            let way = path.into_actions();
            assert_eq!(way.len(), steps);
            println!("without {without:?}: broken in {steps} steps: {NOT_TOO_EARLY}");
            println!("    {way:?}");
            return;
        }
    }
    panic!("without {without:?} it still holds: {NOT_TOO_EARLY}");
}

#[test]
fn silence_never_ends_a_session_before_its_owner_stops_relying_on_it() {
    let checker = Silence { without: None }.checker().spawn_bfs().join();
    println!("silence: {} states, depth {}", checker.unique_state_count(), checker.max_depth());
    checker.assert_properties();
}

#[test]
fn an_ending_compares_the_count_of_renewals() {
    breaks(Guard::CompareCount);
}

#[test]
fn a_renewal_counts_from_when_it_was_sent() {
    breaks(Guard::FromSending);
}

#[test]
fn a_renewal_counts_only_if_it_found_the_session_alive() {
    breaks(Guard::FoundAlive);
}

#[test]
fn a_reading_proves_nothing_for_a_session_that_it_finds_registered() {
    breaks(Guard::StillUnregistered);
}

#[test]
fn silence_is_counted_anew_with_each_renewal() {
    breaks(Guard::SilenceOfThatCount);
}

#[test]
fn silence_is_counted_from_when_the_judge_saw_the_renewal() {
    breaks(Guard::SeenByJudge);
}
