//! Is there one order in which the calls of a history could have been made, one after another?
//!
//! A store is *linearizable* if every call seems to take effect at one instant between its invocation and its return
//! (Herlihy and Wing, 1990). To judge a history is to look for such instants: an order of the calls that keeps the
//! order of those that did not overlap, and in which a plain sequential object would have answered as the store did.
//!
//! # How it is looked for
//! The search goes back to Wing and Gong (1993); that a call is placed only when it must be, at its return, and that a
//! situation seen before is not looked into again, is Lowe's *just-in-time linearization* (2017). Here, in short:
//!
//! 1. Go through the history in the order of time. A call that begins may take effect from now on.
//! 2. At a return, that call must have taken effect. If it has not yet, try what can come next: this call itself, or
//!    one of the others that are under way, and go on from there.
//! 3. If nothing fits, go back to the last choice. If no choice is left, no order explains the history.
//!
//! # Unknown outcomes
//! A call that was not answered may take effect at any time after its invocation, or never ([`End::Unknown`]). Where
//! something is known that makes a late effect impossible (a fence), it can be given as a bound.
//!
//! # Bounds
//! Deciding this is NP-hard. Histories of one key with few calls at once take about as many steps as they have
//! calls; a hostile one takes exponentially many. The search ends after a given number of steps with
//! [`Verdict::Undecided`], which is never to be taken for a pass.

mod checkpoints;
mod counter;
mod job_result;
mod key;
mod register;
mod search;

use std::fmt::Debug;

pub use checkpoints::{Added, CheckpointCall, Checkpoints};
pub use counter::{Counter, CounterCall};
pub use job_result::{JobResultCall, JobResults};
pub use key::{Key, KeyCall, KeyState, Written};
pub use register::{Register, RegisterCall};
pub use search::linearize;

/// An object as it would behave if there were only one caller at a time.
pub trait Specification {
    /// What the object remembers.
    type State: Clone + Ord + Debug;
    /// A call and, where it was answered, its answer.
    type Call: PartialEq + Debug;

    /// What it remembers in the beginning.
    fn initial(&self) -> Self::State;

    /// What it may remember after this call; nothing if it cannot have answered so. More than one where the object
    /// has a choice, or where the answer is not known.
    fn after(&self, state: &Self::State, call: &Self::Call) -> Vec<Self::State>;
}

/// One call of a history, and when it was under way. Times are only compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interval<C> {
    /// The call.
    pub call: C,
    /// When it was invoked.
    pub invoked: u64,
    /// What is known of its end.
    pub end: End,
}

/// What is known of the end of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It returned at that time, and has taken effect by then. At an equal time, an invocation comes first.
    Returned(u64),
    /// Whether it took effect is not known.
    Unknown {
        /// By when it has, if at all; `None` if it can be at any time.
        until: Option<u64>,
    },
}

/// What the search found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It is linearizable: in this order, among others. The numbers are positions in the history that was given;
    /// calls of unknown outcome that are not needed are left out.
    Linearizable {
        /// The order in which the calls can have taken effect.
        order: Vec<usize>,
    },
    /// No order explains it.
    Broken {
        /// The call whose return could not be explained, whatever was tried before.
        stuck: usize,
        /// The order that came that far; of several, the first that was found.
        order: Vec<usize>,
    },
    /// The steps that were granted did not suffice. It is not known to be right.
    Undecided {
        /// How many were taken.
        steps: usize,
    },
}
