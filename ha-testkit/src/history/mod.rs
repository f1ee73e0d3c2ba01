//! What happened in a cluster, written down so that a program can judge it.
//!
//! A history is a list of [`Event`]s in the order of time: lives of processes, grants and revocations, calls and what
//! became of them, what observers were shown, faults. It says nothing of how it was made: a simulation and real
//! processes on real servers write the same one, and the checks judge both.
//!
//! # The rules for whoever writes one
//! * **Note an invocation before the call is made, and its return after the answer is there.** Then the call took
//!   effect, if it did, between the two. A call whose process was killed, or whose future was dropped, gets no return:
//!   its outcome is unknown.
//! * **One clock.** All times are nanoseconds of one monotonic clock: that of the simulation, or of the one machine
//!   that all processes run on.
//! * **Write what can be recognised.** Values that differ in each call (a plan with the number of the operation in
//!   it) let a check say which write a read has seen. Equal values are allowed, and weaken it.
//! * **Read from the store.** A read that is answered from memory is no read in a history.
//!
//! # The order of events
//! The position in the list is the order of time, also between events of one instant. A [`Recording`] gives every
//! event a time of its own (what happens in one instant is told apart by nanoseconds), so a written history keeps its
//! order; [`merge`] joins histories of several processes so that an equal time claims no order between calls.
//!
//! ```
//! use ha_testkit::history::{Answer, Call, Ending, Event, Outcome, Recording, Term, What, read_lines, write_lines};
//!
//! let recording = Recording::timeless();
//! let scribe = recording.scribe("jm-1", 1);
//! scribe.note(What::Started);
//! let term = Term::new("main", 7);
//! let call = scribe.invoked(Some(term), Call::PutPlan { job: "job".into(), plan: "plan 1".into() });
//! call.returned(Outcome::Done(Answer::Nothing));
//!
//! let lines = write_lines(&recording.events());
//! assert_eq!(lines.lines().count(), 3);
//! assert_eq!(read_lines(lines.as_bytes(), Ending::Whole).unwrap(), recording.events());
//! ```

mod call;
mod event;
mod lines;
mod merge;
mod outcome;
mod recording;

pub use call::{Call, TakenFor, Term};
pub use event::{EarlyEnd, Event, Leader, Loss, What};
pub use lines::{Ending, LineError, read_lines, write_lines};
pub use merge::merge;
pub use outcome::{Answer, Checkpoint, Outcome, StoredResult, StoredValue};
pub use recording::{Pending, Recording, Scribe};
