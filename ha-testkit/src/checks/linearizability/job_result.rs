use std::collections::BTreeSet;
use std::fmt::Debug;
use std::marker::PhantomData;

use super::Specification;

/// The result of one job: none, then dirty, then clean or gone.
///
/// To clean is idempotent: of several calls at once that found the same result each may be acknowledged. So an
/// acknowledged one that removes is two calls here, one after the other: it has found a result
/// ([`JobResultCall::Find`]), and what it found is gone ([`JobResultCall::Clear`]).
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
    /// The caller of that number has found a result, and is going to remove it.
    Find(usize),
    /// The caller of that number is told that what it had found is gone: it has removed it, or somebody else has.
    Clear(usize),
    /// This result is there, and clean or not; or none is.
    Read(Option<(V, bool)>),
}

impl<V: Clone + Ord + Debug> Specification for JobResults<V> {
    /// The result, and whether it is clean; and who has found one and was not told yet that it is gone.
    type State = (Option<(V, bool)>, BTreeSet<usize>);
    type Call = JobResultCall<V>;

    fn initial(&self) -> Self::State {
        (None, BTreeSet::new())
    }

    fn after(&self, (stored, found): &Self::State, call: &JobResultCall<V>) -> Vec<Self::State> {
        let with = |stored: Option<(V, bool)>| vec![(stored, found.clone())];
        match (call, stored) {
            (JobResultCall::Create(result), None) => with(Some((result.clone(), false))),
            (JobResultCall::CreateRefused, Some(_)) => with(stored.clone()),
            (JobResultCall::Clean { keeps: true }, Some((result, _))) => with(Some((result.clone(), true))),
            (JobResultCall::Clean { keeps: false }, Some(_)) => with(None),
            (JobResultCall::Find(number), Some(_)) => {
                let mut found = found.clone();
                found.insert(*number);
                vec![(stored.clone(), found)]
            }
            (JobResultCall::Clear(number), _) if found.contains(number) => {
                let mut found = found.clone();
                found.remove(number);
                vec![(None, found)]
            }
            (JobResultCall::Read(seen), _) if seen == stored => with(stored.clone()),
            _ => Vec::new(),
        }
    }
}
