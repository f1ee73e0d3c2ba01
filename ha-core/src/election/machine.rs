//! The election as a pure state machine: what to do next, given what has happened.
//!
//! It does no I/O, holds no clock and spawns nothing; the [runner](super::elector) carries events
//! in and effects out. The state itself says what the runner has to wait for:
//!
//! ```text
//!            wanted                opened              won
//!   Idle ───────────▶ Opening ───────────▶ Attempting ─────▶ Leading
//!    ▲                     ▲   pause over    │    ▲             │  lost: revoke, drop the session
//!    │                     └── Pausing ◀─────┤    │ woken       ├───────────────▶ Pausing (or Idle)
//!    │ released                   failed     ▼    │             │  resigned: revoke
//!    └──── Releasing                       Waiting ┘            ▼
//!      (or Opening, if wanted again)        (held)          Releasing
//! ```
//! Whoever was asked to step down goes from `Releasing` to `Yielding`, and contends again only when somebody else
//! leads, or nobody has come in time.

use std::time::Duration;

use super::LossReason;
use crate::backend::{Acquire, Mark, Scope, Term};
use crate::{Error, ErrorKind};

/// The first pause after a failure; it doubles with each one up to the last.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Where the election stands, and so what the runner waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Nobody wants to lead.
    Idle,
    /// A session is being opened.
    Opening,
    /// The latch is being tried for.
    Attempting,
    /// Somebody else holds the latch; until this changes.
    Waiting { wait: Scope, seen: Mark },
    /// For that long (before jitter), then go on: with an attempt if there is a session.
    Pausing(Duration),
    /// We lead.
    Leading(Term),
    /// The latch is being let go of.
    Releasing,
    /// It was let go of for somebody else: until one leads after this term, and at most that long.
    Yielding { after: Term, at_most: Duration },
}

/// What has happened.
#[derive(Debug)]
pub(super) enum Event {
    /// Somebody wants to lead.
    Wanted,
    /// Whoever led gives it up; whether somebody wants to lead afterwards.
    Resigned { wanted: bool },
    /// A session was opened, or not.
    Opened(Result<(), Error>),
    /// The latch was tried for.
    Attempted(Result<Acquire, Error>),
    /// The latch was won, and this process may not lead: its session is given up.
    Refused { won: Term, error: Error },
    /// The latch may be free.
    Woken,
    /// There is evidence that the process that holds the latch under this term is dead.
    HolderDead(Term),
    /// The watch on the latch failed.
    WatchFailed,
    /// The pause is over.
    PauseOver,
    /// The session, and what was held on it, is over.
    Lost(LossReason),
    /// An operator asks whoever leads under this term to give it up, and to let others go first for that long.
    AskedToStepDown { term: Term, stay_away: Duration },
    /// The latch was let go of, or that failed and its session is given up.
    Released,
    /// Somebody else leads, or had the time to.
    Yielded,
}

/// What the runner has to do at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// Tell everybody that we lead.
    Grant(Term),
    /// Tell everybody that we do not lead any more.
    Revoke(LossReason),
    /// Give the session up; what it holds of this latch goes with it.
    DropSession,
    /// Tell everybody of an error that another attempt will not mend.
    Report(Error),
}

#[derive(Debug)]
pub(super) struct Machine {
    pub(super) state: State,
    wanted: bool,
    has_session: bool,
    failures: u32,
    /// The term that the next attempt is to end, until an attempt is answered.
    over: Option<Term>,
    /// The term that is being given up for others, and how long they may take.
    yielding: Option<(Term, Duration)>,
    /// How long a candidate of lower priority waits before each attempt.
    handicap: Duration,
}

impl Machine {
    pub(super) fn new(handicap: Duration) -> Self {
        Self {
            state: State::Idle,
            wanted: false,
            has_session: false,
            failures: 0,
            over: None,
            yielding: None,
            handicap,
        }
    }

    /// Takes one event in and says what to do at once. An event that does not fit the state came
    /// too late and changes nothing.
    pub(super) fn step(&mut self, event: Event) -> Vec<Effect> {
        match event {
            Event::Wanted => self.wanted(),
            Event::Resigned { wanted } => self.resigned(wanted),
            Event::Opened(result) if self.state == State::Opening => self.opened(result),
            Event::Attempted(result) if self.state == State::Attempting => self.attempted(result),
            Event::Refused { error, .. } if self.state == State::Attempting => self.refused(error),
            Event::Woken if matches!(self.state, State::Waiting { .. }) => self.woken(),
            Event::HolderDead(term) if matches!(self.state, State::Waiting { .. }) => self.holder_dead(term),
            Event::WatchFailed if matches!(self.state, State::Waiting { .. }) => self.pause(),
            Event::PauseOver if matches!(self.state, State::Pausing(_)) => self.go_on(),
            Event::Lost(why) => self.lost(why),
            Event::AskedToStepDown { term, stay_away } => self.asked_to_step_down(&term, stay_away),
            Event::Released if self.state == State::Releasing => self.released(),
            Event::Yielded if matches!(self.state, State::Yielding { .. }) => self.yielded(),
            _ => Vec::new(),
        }
    }

    /// The term of a dead holder that an attempt may end. Nothing newer is touched by that, so it does no
    /// harm if the latch has changed hands since.
    pub(super) fn over(&self) -> Option<&Term> {
        self.over.as_ref()
    }

    /// Whether somebody wants to lead after the leadership that is about to be reported lost.
    pub(super) fn set_wanted(&mut self, wanted: bool) {
        self.wanted = wanted;
    }

    fn wanted(&mut self) -> Vec<Effect> {
        self.wanted = true;
        if self.state == State::Idle {
            self.state = State::Opening;
        }
        Vec::new()
    }

    fn resigned(&mut self, wanted: bool) -> Vec<Effect> {
        self.wanted = wanted;
        if !wanted {
            self.over = None;
        }
        match self.state {
            // Race: the attempt under way may win after we stopped wanting to.
            // Closed by: its session is given up, and the latch with it.
            // Cost if missed: a latch that nobody knows to hold, until its session ends.
            State::Opening | State::Attempting | State::Waiting { .. } | State::Pausing(_) if !wanted => {
                self.state = State::Idle;
                self.drop_session()
            }
            State::Leading(_) => {
                self.state = State::Releasing;
                vec![Effect::Revoke(LossReason::Resigned)]
            }
            // Given up and wanted again before we looked.
            State::Idle if wanted => self.wanted(),
            _ => Vec::new(),
        }
    }

    fn opened(&mut self, result: Result<(), Error>) -> Vec<Effect> {
        match result {
            Ok(()) => {
                self.has_session = true;
                self.try_soon();
                Vec::new()
            }
            Err(error) => self.failed(error),
        }
    }

    fn attempted(&mut self, result: Result<Acquire, Error>) -> Vec<Effect> {
        // An attempt that was not answered is made again, over the same term: nobody rises from the dead.
        if result.is_ok() {
            self.over = None;
        }
        match result {
            Ok(Acquire::Won(term)) => {
                self.failures = 0;
                self.state = State::Leading(term.clone());
                vec![Effect::Grant(term)]
            }
            Ok(Acquire::Held { wait, seen, .. }) => {
                self.failures = 0;
                self.state = State::Waiting { wait, seen };
                Vec::new()
            }
            Err(error) if error.kind() == ErrorKind::SessionEnded => {
                let mut effects = self.drop_session();
                effects.extend(self.pause());
                effects
            }
            // Whether it may be ours or certainly is not: the same session asks again, and the
            // answer tells.
            Err(error) => self.failed(error),
        }
    }

    fn refused(&mut self, error: Error) -> Vec<Effect> {
        // The dead one's term is over; what was won goes with the session: to others, before anything else is tried.
        self.over = None;
        let mut effects = self.drop_session();
        effects.extend(self.failed(error));
        effects
    }

    fn failed(&mut self, error: Error) -> Vec<Effect> {
        let mut effects = self.pause();
        let passing =
            matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Indeterminate | ErrorKind::SessionEnded);
        if !passing {
            effects.push(Effect::Report(error));
        }
        effects
    }

    fn pause(&mut self) -> Vec<Effect> {
        let pause = PAUSE_MIN.saturating_mul(1 << self.failures.min(16)).min(PAUSE_MAX);
        self.failures += 1;
        self.state = State::Pausing(pause);
        Vec::new()
    }

    fn woken(&mut self) -> Vec<Effect> {
        self.try_soon();
        Vec::new()
    }

    fn holder_dead(&mut self, term: Term) -> Vec<Effect> {
        self.over = Some(term);
        self.try_soon();
        Vec::new()
    }

    /// The latch may be free: tries for it, or lets others of higher priority go first.
    fn try_soon(&mut self) {
        self.state = if self.handicap.is_zero() { State::Attempting } else { State::Pausing(self.handicap) };
    }

    fn go_on(&mut self) -> Vec<Effect> {
        self.state = if self.has_session { State::Attempting } else { State::Opening };
        Vec::new()
    }

    fn lost(&mut self, why: LossReason) -> Vec<Effect> {
        match self.state {
            State::Idle | State::Opening | State::Releasing | State::Yielding { .. } => Vec::new(),
            State::Leading(_) => {
                let mut effects = vec![Effect::Revoke(why)];
                effects.extend(self.drop_session());
                // On a new session: this one has held the latch, and may not again. After a short pause:
                // whoever waits goes first, and somebody who takes the latch away again and again
                // does not keep us busy.
                if self.wanted {
                    effects.extend(self.pause());
                } else {
                    self.state = State::Idle;
                }
                effects
            }
            State::Attempting | State::Waiting { .. } | State::Pausing(_) => {
                let mut effects = self.drop_session();
                effects.extend(self.pause());
                effects
            }
        }
    }

    // Race: the request is for a term that is over, and a later one is led under by now, by us or by another.
    // Closed by: it names its term; only exactly that one is given up for it.
    // Cost if missed: whoever was to take over is deposed by the request that made it leader.
    fn asked_to_step_down(&mut self, asked: &Term, stay_away: Duration) -> Vec<Effect> {
        if !matches!(&self.state, State::Leading(term) if term == asked) {
            return Vec::new();
        }
        self.yielding = Some((asked.clone(), stay_away));
        self.state = State::Releasing;
        vec![Effect::Revoke(LossReason::AskedToStepDown)]
    }

    // Race: whoever wants to lead in this process contends again at once, and is faster than the others.
    // Closed by: after a hand-over nothing is begun before somebody else leads, or had the time to; also not for
    //            who comes anew meanwhile, as the owner of a leadership does that was just lost.
    // Cost if missed: a hand-over that hands nothing over.
    fn released(&mut self) -> Vec<Effect> {
        self.state = match self.yielding.take() {
            Some((after, at_most)) => State::Yielding { after, at_most },
            None if self.wanted => State::Opening,
            None => State::Idle,
        };
        self.drop_session()
    }

    fn yielded(&mut self) -> Vec<Effect> {
        self.state = if self.wanted { State::Opening } else { State::Idle };
        Vec::new()
    }

    fn drop_session(&mut self) -> Vec<Effect> {
        let had = std::mem::replace(&mut self.has_session, false);
        if had { vec![Effect::DropSession] } else { Vec::new() }
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
