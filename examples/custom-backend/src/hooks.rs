//! What an operator does to a store from outside, and what tests need to make it fail.

use bytes::Bytes;
use ha_core::Error;
use ha_core::backend::{Ended, Key};

use crate::RedbStore;

impl RedbStore {
    /// Ends a session as an operator would, and lets others win its latches. Nothing happens if no
    /// such session is alive.
    pub fn revoke(&self, session: &str) {
        self.end(session, Ended::Revoked);
    }

    /// Ends a session as if its silence had run out.
    pub fn expire(&self, session: &str) {
        self.end(session, Ended::Expired);
    }

    /// Lets no renewal of a session through any more, as a cut network would, or lets them through
    /// again. Its silence runs.
    pub fn set_frozen(&self, session: &str, frozen: bool) {
        let mut sessions = self.core.sessions();
        if let Some(id) = sessions.named(session)
            && let Some(living) = sessions.get(id)
        {
            living.frozen = frozen;
        }
    }

    /// Writes, or with `None` removes, any key past all rules. No other program can edit the file while
    /// this one has it open, so a tool for repairs would do it here. Done to a latch, it fences the leader
    /// and lets others win.
    ///
    /// # Errors
    /// As any write.
    pub async fn edit(&self, key: &Key, value: Option<Bytes>) -> Result<(), Error> {
        let key = key.clone();
        let edit = self.writer.write("edit", move |tables| {
            tables.unhold(&key)?;
            match &value {
                Some(value) => tables.put(&key, value).map(drop),
                None => tables.remove(&key),
            }
        });
        edit.await
    }

    /// How many wait for a change at this moment.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.core.news.waiting()
    }

    fn end(&self, session: &str, why: Ended) {
        let mut sessions = self.core.sessions();
        if let Some(id) = sessions.named(session) {
            sessions.end(id, why);
        }
        drop(sessions);
        self.writer.poke();
    }
}
