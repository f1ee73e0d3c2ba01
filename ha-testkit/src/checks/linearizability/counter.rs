use super::Specification;

/// A counter of ids: the first is 1, and each is given once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counter;

/// A call of a [`Counter`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CounterCall {
    /// An id was taken; which, if it was answered.
    Next(Option<u64>),
    /// That is the next id from now on.
    Set(u64),
    /// That would be the next id.
    Read(u64),
    /// The counter is gone.
    Remove,
}

impl Specification for Counter {
    /// The next id; `None` once it was removed. Then it may begin anew, or go on from what an instance of it remembers.
    type State = Option<u64>;
    type Call = CounterCall;

    fn initial(&self) -> Option<u64> {
        Some(1)
    }

    fn after(&self, state: &Option<u64>, call: &CounterCall) -> Vec<Option<u64>> {
        let is_next = |id: u64| state.is_none_or(|next| next == id);
        match *call {
            CounterCall::Next(Some(id)) if is_next(id) => id.checked_add(1).map(Some).into_iter().collect(),
            CounterCall::Next(None) => vec![state.and_then(|next| next.checked_add(1))],
            CounterCall::Set(to) if state.is_none_or(|next| to >= next) => vec![Some(to)],
            CounterCall::Read(id) if is_next(id) => vec![*state],
            CounterCall::Remove => vec![None],
            CounterCall::Next(_) | CounterCall::Set(_) | CounterCall::Read(_) => Vec::new(),
        }
    }
}
