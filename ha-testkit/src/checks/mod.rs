//! Judges a [history](crate::history) by what the library promises: one file for each invariant.
//!
//! Each [`Check`] says what sentence it proves and where that is promised. It looks at the whole history and nothing
//! else, so the same checks judge a simulation and real processes on real servers.
//!
//! # What a check may conclude
//! * A call that was acknowledged took effect between its invocation and its return.
//! * A call that was refused never takes effect.
//! * A call without a return, or of unknown outcome, may take effect at any time after its invocation, or never; if it
//!   was made under a term, not after a newer term began, for that is what a fence is.
//! * A term has begun by the time that somebody was granted it, was shown it, or had a write acknowledged under it.
//!
//! So a check never reports what could have happened in a correct cluster. It can miss what the history does not show.
//! That each can fail is shown by `ha-testkit/tests/checks`: for each way in which an invariant can be broken there is a
//! history in which it is, and the check must say so.
//!
//! ```
//! use ha_testkit::checks;
//! use ha_testkit::history::{Answer, Call, Outcome, Recording, Term};
//!
//! let recording = Recording::timeless();
//! for process in ["jm-1", "jm-2"] {
//!     let next = recording.scribe(process, 1).invoked(Some(Term::new("main", 7)), Call::NextId { job: "job".into() });
//!     next.returned(Outcome::Done(Answer::Id(1)));
//! }
//! let broken: Vec<&str> = checks::judge(&recording.events()).iter().map(|violation| violation.check).collect();
//! assert_eq!(broken, ["one writer per term", "ids are unique and grow", "linearizable"]);
//! ```

mod acknowledged_survives;
mod calm;
mod deposed;
mod exercised;
mod grants_alternate;
mod heals;
mod ids;
pub mod linearizability;
mod linearizable;
mod not_applied;
mod old_terms;
mod one_writer;
mod operation;
mod pointers_resolve;
mod recovered_prefix;
mod retrieval_hears;
mod retrieval_order;
mod silence;
mod terms;
mod terms_grow;
mod thing;
mod values;
mod violation;
mod well_formed;

use crate::history::Event;

pub use acknowledged_survives::AcknowledgedSurvives;
pub use deposed::DeposedAreTold;
pub use exercised::exercised;
pub use grants_alternate::GrantsAlternate;
pub use heals::Heals;
pub use ids::IdsAreUnique;
pub use linearizable::Linearizable;
pub use not_applied::NotAppliedNeverAppears;
pub use old_terms::OldTermsWriteNothing;
pub use one_writer::OneWriterPerTerm;
pub use pointers_resolve::PointersResolve;
pub use recovered_prefix::RecoveredPrefix;
pub use retrieval_hears::RetrievalHears;
pub use retrieval_order::RetrievalNeverGoesBack;
pub use silence::SilenceIsPatient;
pub(crate) use terms::must_write;
pub use terms_grow::TermsGrow;
pub use violation::{Place, Verdict, Violation};
pub use well_formed::WellFormed;

/// One invariant.
pub trait Check: std::fmt::Debug + Send + Sync {
    /// What it is called in reports.
    fn name(&self) -> &'static str;

    /// The sentence that it proves.
    fn promise(&self) -> &'static str;

    /// Where that is promised.
    fn promised_in(&self) -> Place;

    /// Judges a history.
    ///
    /// # Errors
    /// The history breaks the invariant, or it could not be decided. The first violation that is found is told; repair
    /// it before looking for others.
    fn check(&self, history: &[Event]) -> Result<(), Violation>;
}

/// All checks, the one first that says whether the history can be judged at all.
#[must_use]
pub fn all() -> Vec<Box<dyn Check>> {
    vec![
        Box::new(WellFormed),
        Box::new(OneWriterPerTerm),
        Box::new(TermsGrow),
        Box::new(OldTermsWriteNothing),
        Box::new(DeposedAreTold),
        Box::new(AcknowledgedSurvives),
        Box::new(NotAppliedNeverAppears),
        Box::new(IdsAreUnique),
        Box::new(PointersResolve),
        Box::new(RecoveredPrefix),
        Box::new(RetrievalNeverGoesBack),
        Box::new(RetrievalHears),
        Box::new(GrantsAlternate),
        Box::new(SilenceIsPatient),
        Box::new(Heals),
        Box::new(Linearizable::default()),
    ]
}

/// What all checks find in a history; nothing if it keeps every promise that it can show.
#[must_use]
pub fn judge(history: &[Event]) -> Vec<Violation> {
    all().iter().filter_map(|check| check.check(history).err()).collect()
}
