use std::fmt::Debug;
use std::marker::PhantomData;

use super::Specification;

/// One key of a backend: a register with compare-and-set by revision.
///
/// A write names the revision that must be there before; no write is blind. So one that was not answered is found out
/// by whoever reads its revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key<V>(PhantomData<V>);

impl<V> Default for Key<V> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

/// What a key holds: the revision of its last write and the value, or nothing.
pub type KeyState<V> = Option<(Written, V)>;

/// Which write is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Written {
    /// That of this revision.
    Revision(u64),
    /// One that was not answered. Whatever revision somebody names next is its.
    NotSeenYet,
}

/// A call on a [`Key`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyCall<V> {
    /// The write of a value was applied, or its outcome is unknown.
    Put {
        /// The revision that was there before; `None`: nothing was.
        expect: Option<u64>,
        /// The value.
        value: V,
        /// Its revision, if it was answered.
        revision: Option<u64>,
    },
    /// What was there under this revision was removed.
    Remove {
        /// The revision.
        expect: u64,
    },
    /// A write was refused, for something else was there.
    Refused {
        /// The revision that was expected.
        expect: Option<u64>,
    },
    /// That was there under this revision, or nothing was.
    Read(Option<(u64, V)>),
}

/// Whether a key in that state can be what was expected.
fn can_be<V>(state: &KeyState<V>, expect: Option<u64>) -> bool {
    match (state, expect) {
        (None, None) | (Some((Written::NotSeenYet, _)), Some(_)) => true,
        (Some((Written::Revision(found), _)), Some(expected)) => *found == expected,
        _ => false,
    }
}

impl<V: Clone + Ord + Debug> Specification for Key<V> {
    type State = KeyState<V>;
    type Call = KeyCall<V>;

    fn initial(&self) -> KeyState<V> {
        None
    }

    fn after(&self, state: &KeyState<V>, call: &KeyCall<V>) -> Vec<KeyState<V>> {
        let is_met = match call {
            KeyCall::Put { expect, revision, .. } => {
                can_be(state, *expect) && (revision.is_none() || revision != expect)
            }
            KeyCall::Remove { expect } => can_be(state, Some(*expect)),
            KeyCall::Refused { expect } => match state {
                // It may be any revision, so also another one.
                Some((Written::NotSeenYet, _)) => true,
                _ => !can_be(state, *expect),
            },
            KeyCall::Read(seen) => {
                let value_is_same = seen.as_ref().map(|(_, value)| value) == state.as_ref().map(|(_, value)| value);
                can_be(state, seen.as_ref().map(|(revision, _)| *revision)) && value_is_same
            }
        };
        if !is_met {
            return Vec::new();
        }
        vec![match call {
            KeyCall::Put { value, revision, .. } => {
                Some((revision.map_or(Written::NotSeenYet, Written::Revision), value.clone()))
            }
            KeyCall::Remove { .. } => None,
            KeyCall::Refused { .. } => state.clone(),
            KeyCall::Read(seen) => seen.as_ref().map(|(revision, value)| (Written::Revision(*revision), value.clone())),
        }]
    }
}
