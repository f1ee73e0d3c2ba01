use std::fmt::Debug;

use super::Specification;

/// A place that holds one value or none: a plan, a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Register<V> {
    /// What it holds in the beginning.
    pub initially: Option<V>,
}

/// A call of a [`Register`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegisterCall<V> {
    /// The value is stored, whatever was there.
    Put(V),
    /// Nothing is there any more.
    Remove,
    /// That is there, or nothing is.
    Read(Option<V>),
}

impl<V: Clone + Ord + Debug> Specification for Register<V> {
    type State = Option<V>;
    type Call = RegisterCall<V>;

    fn initial(&self) -> Option<V> {
        self.initially.clone()
    }

    fn after(&self, state: &Option<V>, call: &RegisterCall<V>) -> Vec<Option<V>> {
        match call {
            RegisterCall::Put(value) => vec![Some(value.clone())],
            RegisterCall::Remove => vec![None],
            RegisterCall::Read(seen) if seen == state => vec![state.clone()],
            RegisterCall::Read(_) => Vec::new(),
        }
    }
}
