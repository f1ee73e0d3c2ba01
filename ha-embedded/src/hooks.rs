//! What tests and operators do to a store from outside.

use bytes::Bytes;
use ha_core::backend::{Ended, Key};
use ha_core::{Error, ErrorKind};

use crate::Embedded;
use crate::store::State;

/// A session as the store sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// As [`Session::id`](ha_core::backend::Session::id) says it.
    pub id: String,
    /// As its owner gave it.
    pub label: String,
    /// The latches that it holds.
    pub holds: Vec<Key>,
}

/// The hooks. Each acts at once and is one atomic step.
impl Embedded {
    /// The sessions that are alive.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionInfo> {
        let state = self.shared.state();
        let info = |living: &crate::store::Living| SessionInfo {
            id: living.id.as_ref().into(),
            label: living.label.clone(),
            holds: state.space.held_by(&living.id),
        };
        state.sessions.values().map(info).collect()
    }

    /// Ends a session as if its silence had run out, without waiting for it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]: no such session is alive.
    pub fn expire(&self, session: &str) -> Result<(), Error> {
        self.on(session, |state, id| state.end(id, Ended::Expired))
    }

    /// Ends a session as an operator would.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]: no such session is alive.
    pub fn revoke(&self, session: &str) -> Result<(), Error> {
        self.on(session, |state, id| state.end(id, Ended::Revoked))
    }

    /// Lets no renewal of the session through any more, as a cut network would. Its silence runs.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]: no such session is alive.
    pub fn freeze(&self, session: &str) -> Result<(), Error> {
        self.set_frozen(session, true)
    }

    /// Lets renewals through again.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]: no such session is alive; its silence has run out, perhaps.
    pub fn heal(&self, session: &str) -> Result<(), Error> {
        self.set_frozen(session, false)
    }

    /// Writes (or with `None` removes) any key past all rules, as a foreign program would. Done to
    /// a latch it fences the leader and lets others win.
    pub fn tamper(&self, key: &Key, value: Option<Bytes>) {
        self.shared.state().space.tamper(key, value);
    }

    /// How many wait for a change at this moment.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.state().space.waiters().len()
    }

    fn set_frozen(&self, session: &str, frozen: bool) -> Result<(), Error> {
        self.on(session, |state, id| {
            if let Some(living) = state.sessions.get_mut(&id) {
                living.frozen = frozen;
            }
        })
    }

    fn on(&self, session: &str, act: impl FnOnce(&mut State, u64)) -> Result<(), Error> {
        let number = session.strip_prefix("session-").and_then(|number| number.parse().ok());
        let mut state = self.shared.state();
        match number.filter(|number| state.sessions.contains_key(number)) {
            Some(number) => {
                act(&mut state, number);
                Ok(())
            }
            None => Err(Error::new(ErrorKind::NotFound, "session hook").at(session)),
        }
    }
}
