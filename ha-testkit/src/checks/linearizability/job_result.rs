use std::fmt::Debug;
use std::marker::PhantomData;

use super::Specification;

/// The result of one job: none, then dirty, then clean or gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobResults<V>(PhantomData<V>);

impl<V> Default for JobResults<V> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

/// A call on the result of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobResultCall<V> {
    /// It was created, dirty; there was none.
    Create(V),
    /// It was refused, for there is one.
    CreateRefused,
    /// There was one, and it is clean now: it stays so, or is removed.
    Clean {
        /// Whether it stays.
        keeps: bool,
    },
    /// This result is there, and clean or not; or none is.
    Read(Option<(V, bool)>),
}

impl<V: Clone + Ord + Debug> Specification for JobResults<V> {
    /// The result, and whether it is clean.
    type State = Option<(V, bool)>;
    type Call = JobResultCall<V>;

    fn initial(&self) -> Self::State {
        None
    }

    fn after(&self, state: &Self::State, call: &JobResultCall<V>) -> Vec<Self::State> {
        match (call, state) {
            (JobResultCall::Create(result), None) => vec![Some((result.clone(), false))],
            (JobResultCall::CreateRefused, Some(_)) => vec![state.clone()],
            (JobResultCall::Clean { keeps: true }, Some((result, _))) => vec![Some((result.clone(), true))],
            (JobResultCall::Clean { keeps: false }, Some(_)) => vec![None],
            (JobResultCall::Read(seen), _) if seen == state => vec![state.clone()],
            _ => Vec::new(),
        }
    }
}
