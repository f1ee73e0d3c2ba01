use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::Space;
use crate::backend::{Acquire, Holder, Key, Latch, Scope, Term};
use crate::{Error, ErrorKind};

/// Why a session may not take a latch at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no such session (any more).
    NoSession,
    /// The session has held the latch before, and has lost or released it.
    HeldBefore,
}

impl Refusal {
    /// The refusal as [`Session::try_acquire`](crate::backend::Session::try_acquire) answers it:
    /// [`ErrorKind::SessionEnded`], with what to do.
    #[must_use]
    pub fn to_error(self, latch: &Latch) -> Error {
        let why = match self {
            Self::NoSession => "open another session",
            Self::HeldBefore => "this session has held the latch before; open another one",
        };
        Error::new(ErrorKind::SessionEnded, "acquire").at(latch).because(why)
    }
}

/// Sessions and latches. A session is known by its id, which no other session ever has: it stands in the native part
/// of its terms.
impl Space {
    /// Lets a session take latches from now on. Opening one that is open changes nothing.
    pub fn open(&mut self, session: Arc<str>) {
        self.sessions.entry(session).or_default();
    }

    /// Whether the session is open.
    #[must_use]
    pub fn is_open(&self, session: &str) -> bool {
        self.sessions.contains_key(session)
    }

    /// Ends a session and frees what it holds, in one step; `false` if it is not open.
    pub fn end(&mut self, session: &str) -> bool {
        let Some(taken) = self.sessions.remove(session) else { return false };
        for latch in taken {
            if self.holds(session, &latch) {
                self.free(&latch);
            }
        }
        true
    }

    fn holds(&self, session: &str, latch: &Key) -> bool {
        self.latches.get(latch).is_some_and(|term| *term.native == *session)
    }

    fn free(&mut self, latch: &Key) {
        self.latches.remove(latch);
        self.put(latch, Bytes::new());
    }

    /// One attempt to take the latch, as [`Session::try_acquire`](crate::backend::Session::try_acquire) describes it.
    ///
    /// # Errors
    /// The session is over, or over for this latch: it needs another session, not another attempt.
    pub fn acquire(
        &mut self,
        session: &str,
        latch: &Latch,
        holder: Bytes,
        over: Option<&Term>,
    ) -> Result<Acquire, Refusal> {
        let Some((id, taken)) = self.sessions.get_key_value(session) else { return Err(Refusal::NoSession) };
        let key = latch.key();
        let held = self.latches.get(key);
        if let Some(term) = held.filter(|term| *term.native == *session) {
            return Ok(Acquire::Won(term.clone()));
        }
        // Before looking at who holds it: a session that has lost the latch must not wait for it.
        if taken.contains(key) {
            return Err(Refusal::HeldBefore);
        }
        if let Some(term) = held.filter(|term| over != Some(*term)) {
            return Ok(self.held(key, term.clone()));
        }
        let next = self.sequence + 1;
        let epoch = self.epochs.get(key).map_or(next, |stored| next.max(stored + 1));
        let term = Term { epoch, native: Arc::clone(id) };
        if let Some(taken) = self.sessions.get_mut(session) {
            taken.insert(key.clone());
        }
        self.epochs.insert(key.clone(), epoch);
        self.latches.insert(key.clone(), term.clone());
        self.put(key, holder);
        self.put(&latch.epoch_key(), epoch.to_string().into());
        Ok(Acquire::Won(term))
    }

    fn held(&self, key: &Key, term: Term) -> Acquire {
        let value = self.entries.get(key).map_or_else(Bytes::new, |stored| stored.value.clone());
        Acquire::Held { by: Holder { term, value }, wait: Scope::Key(key.clone()), seen: self.mark() }
    }

    /// Lets go of the latch if this session holds it.
    pub fn release(&mut self, session: &str, latch: &Latch) {
        if self.holds(session, latch.key()) {
            self.free(latch.key());
        }
    }

    /// The latches that a session holds, in the order of their keys.
    #[must_use]
    pub fn held_by(&self, session: &str) -> Vec<Key> {
        let taken: Option<&BTreeSet<Key>> = self.sessions.get(session);
        let held = taken.into_iter().flatten().filter(|latch| self.holds(session, latch));
        held.cloned().collect()
    }
}
