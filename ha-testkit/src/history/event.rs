use std::fmt;

use ha_core::backend::Ended;
use ha_core::election::LossReason;
use serde::{Deserialize, Serialize};

use super::{Call, Outcome, Term};

/// Something that happened, when, and to whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Nanoseconds of the one monotonic clock of the history.
    pub at_ns: u64,
    /// The process: a name that it keeps over restarts. What concerns the whole cluster (faults, the calm) is told by
    /// a name of its own, such as `nemesis`.
    pub process: String,
    /// Which life of the process: it grows with each start.
    pub incarnation: u32,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum What {
    /// The process began.
    Started,
    /// It was ended without a chance to say anything: noted once it is dead. What it had called and not heard of is
    /// unknown.
    Killed,
    /// It stands still and does not know it.
    Paused,
    /// It goes on.
    Resumed,
    /// It ended in order.
    Closed,

    /// A contender was told that it leads, or a campaign was won.
    Granted {
        /// Which component.
        component: String,
        /// Under which term.
        term: Term,
    },
    /// A contender was told that it leads no more, or a leadership told its loss; noted after a resignation, too.
    Revoked {
        /// Which component.
        component: String,
        /// The term that is over.
        term: Term,
        /// Why, if that was told.
        why: Loss,
    },
    /// A leader read its `valid_until`: silence cannot give its latch to another before that moment.
    Believes {
        /// The term that it holds.
        term: Term,
        /// That moment, by the clock of the history. If the process has a clock that goes otherwise, whoever writes
        /// the history has converted it.
        until_ns: u64,
    },
    /// Somebody ended a term otherwise than by silence, and otherwise than its holder by resigning or closing. Noted
    /// before the attempt, by whoever makes it: it is a permission, not a success.
    EndedEarly {
        /// The term.
        term: Term,
        /// By what.
        by: EarlyEnd,
    },

    /// A call is about to be made.
    Invoked {
        /// Its number, unique for the process and its incarnation.
        op: u64,
        /// The term under which it is made; `None` for what needs none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        under: Option<Term>,
        /// What is called.
        call: Call,
    },
    /// A call has returned. One without is unknown.
    Returned {
        /// Its number.
        op: u64,
        /// What became of it.
        outcome: Outcome,
    },

    /// An observer's view of the leader changed, or was read. Noted when it is made, too, whatever it shows then: an
    /// observer that was never noted cannot be missed.
    Shown {
        /// One watch or listener; a name that is unique for the process and its incarnation.
        observer: String,
        /// Of which component.
        component: String,
        /// The leader, or nobody (vacant or unknown).
        leader: Option<Leader>,
    },

    /// An observer was given up; nothing is expected of it any more.
    Unwatched {
        /// Which.
        observer: String,
    },

    /// A fault begins or ends.
    Fault {
        /// What it is called.
        name: String,
        /// Whether it begins.
        on: bool,
    },
    /// No fault is on from here on, and every process that is to run does. The cluster must heal. A kill, a pause or a
    /// fault after it ends the calm; another one may follow.
    Calm {
        /// Within how many nanoseconds.
        heals_within_ns: u64,
    },
    /// Whoever runs the cluster saw it whole: somebody leads and has published, every observer of a running process
    /// shows it, and a write was acknowledged.
    Healed,
}

/// A leader as it was shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leader {
    /// Its term.
    pub term: Term,
    /// Where it is reached.
    pub address: String,
}

/// Why a leadership is over: [`LossReason`], as it is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Its holder gave it up.
    Resigned,
    /// The local deadline passed.
    DeadlinePassed,
    /// The session was closed by its owner.
    SessionClosed,
    /// The session expired.
    SessionExpired,
    /// The session was ended from outside.
    SessionRevoked,
    /// The latch was taken away.
    Evicted,
    /// A write was fenced.
    Fenced,
    /// The cluster's format is beyond this version.
    Outdated,
    /// An operator asked for it.
    AskedToStepDown,
    /// Nobody said: a callback tells no reason.
    Untold,
}

impl Loss {
    /// Whether the holder itself let go, so that the latch is free at once.
    #[must_use]
    pub fn is_own_doing(self) -> bool {
        matches!(self, Self::Resigned | Self::SessionClosed | Self::Outdated | Self::AskedToStepDown)
    }
}

impl From<LossReason> for Loss {
    fn from(reason: LossReason) -> Self {
        match reason {
            LossReason::Resigned => Self::Resigned,
            LossReason::DeadlinePassed => Self::DeadlinePassed,
            LossReason::SessionEnded(Ended::Closed) => Self::SessionClosed,
            LossReason::SessionEnded(Ended::Expired) => Self::SessionExpired,
            LossReason::SessionEnded(Ended::Revoked) => Self::SessionRevoked,
            LossReason::Evicted => Self::Evicted,
            LossReason::Fenced => Self::Fenced,
            LossReason::Outdated => Self::Outdated,
            LossReason::AskedToStepDown => Self::AskedToStepDown,
            _ => Self::Untold,
        }
    }
}

/// What may end a term before its holder's `valid_until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EarlyEnd {
    /// A standby acts on evidence that the holder's process is dead, right or wrong.
    Evidence,
    /// An operator ends the session, or changes or removes the latch.
    Operator,
    /// The store itself: it restarts without its sessions, an older state of it is restored.
    Store,
}

/// As it is read in a report: `12.345678901 jm-1/2 granted dispatcher …`.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.at_ns / 1_000_000_000, self.at_ns % 1_000_000_000);
        write!(f, "{seconds}.{nanos:09} {}/{} ", self.process, self.incarnation)?;
        match &self.what {
            What::Granted { component, term } => write!(f, "granted {component} under {term}"),
            What::Revoked { component, term, why } => write!(f, "revoked {component} under {term}: {why:?}"),
            What::Believes { term, until_ns } => {
                write!(f, "believes in {term} until {}.{:09}", until_ns / 1_000_000_000, until_ns % 1_000_000_000)
            }
            What::EndedEarly { term, by } => write!(f, "may end {term} early: {by:?}"),
            What::Invoked { op, under: Some(term), call } => write!(f, "invoked {op} under {term}: {call:?}"),
            What::Invoked { op, under: None, call } => write!(f, "invoked {op}: {call:?}"),
            What::Returned { op, outcome } => write!(f, "returned {op}: {outcome:?}"),
            What::Shown { observer, component, leader: Some(leader) } => {
                write!(f, "{observer} shows {component} at {} under {}", leader.address, leader.term)
            }
            What::Shown { observer, component, leader: None } => write!(f, "{observer} shows nobody for {component}"),
            What::Unwatched { observer } => write!(f, "{observer} is given up"),
            What::Fault { name, on } => write!(f, "fault {name} {}", if *on { "begins" } else { "ends" }),
            What::Calm { heals_within_ns } => write!(f, "calm: heals within {heals_within_ns} ns"),
            What::Started | What::Killed | What::Paused | What::Resumed | What::Closed | What::Healed => {
                write!(f, "{:?}", self.what)
            }
        }
    }
}
