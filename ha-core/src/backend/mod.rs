//! The backend contract: a small, strongly consistent key-value space with conditional atomic
//! commits, change hints and liveness sessions. Everything this library promises stands on it.
//!
//! A backend knows keys and bytes. What the bytes mean is the business of the layers above, and
//! no backend may look into them.
//!
//! # Contract
//! The implementor promises, and `ha-testkit` proves clause by clause:
//!
//! 1. A commit is atomic and linearizable. Of several commits with equal expectations one wins.
//! 2. A commit with a [`Fence`] is applied only if that latch is held under exactly that term *at
//!    the moment of the write*, in the same atomic step; otherwise [`Outcome::Fenced`], which
//!    outranks [`Outcome::Conflict`].
//! 3. A [`Revision`] never repeats for a key, not even after removal and re-creation; writing the
//!    same bytes again is a write and gives a new one.
//! 4. A latch's epoch strictly grows over release, expiry, restart, and removal of its keys. It is
//!    raised in the same atomic step that takes the latch.
//! 5. A session takes a latch at most once. Silence never gives it to another before the
//!    session's `valid_until`.
//! 6. `read` and `list` see every commit acknowledged before they began (unless the profile says
//!    less). A prefix ends at a separator. A missing permission is an error, not an empty list.
//! 7. `changed` returns once something in the scope differs from what was seen. It may be late and
//!    may return for nothing; it does not stay silent for ever, and never goes back on one handle.
//! 8. What is too large or malformed is refused before anything is sent ([`Commit::validate`]).
//! 9. Nothing is sent twice: neither the backend nor its client library repeats a commit by
//!    itself. An error says whether the commit may have been applied.
//! 10. Dropping a future leaves its outcome unknown, and does nothing worse.
//! 11. A foreign edit of a latch's key fences its leader *and* lets others win.
//!
//! The user promises in turn: values put by one commit carry its [`WriteId`], and keys end in
//! `latch` or `epoch` only as those of a [`Latch`].

mod commit;
mod entry;
mod key;
mod profile;
mod session;

use std::fmt;

use async_trait::async_trait;

use crate::Error;

pub use commit::{Commit, Expect, Outcome, Write, WriteId};
pub use entry::{Change, Entry, Mark, Revision, Snapshot};
pub use key::{KEY_BYTES_MAX, Key, NAME_BYTES_MAX, Name, Prefix, Scope};
pub use profile::{EarlyEnd, Evidence, Profile, ReadGuarantee};
pub use session::{Acquire, Ended, Fence, Holder, Latch, Session, SessionOptions, Term};

/// A handle on a store, as one process has it. See the [module](self) for the contract.
#[async_trait]
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    /// What the layers above size themselves by. No I/O.
    fn profile(&self) -> Profile;

    /// Reads one key.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable), [`Denied`](crate::ErrorKind::Denied),
    /// [`Closed`](crate::ErrorKind::Closed). Absence is a value, not an error.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    async fn read(&self, key: &Key) -> Result<Option<Entry>, Error>;

    /// Reads all keys below a place as they stand together at one moment, those of latches included.
    ///
    /// # Errors
    /// As [`Backend::read`]. An answer that is not whole is an error.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    async fn list(&self, below: &Prefix) -> Result<Snapshot, Error>;

    /// Waits until something in the scope may differ from `seen`; with [`Mark::UNSEEN`] it answers
    /// at once. Watches are hints: losing or doubling one costs time, not correctness.
    ///
    /// # Errors
    /// As [`Backend::read`]. Wait a little, then read anew.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future: wait again from the same mark.
    async fn changed(&self, scope: &Scope, seen: &Mark) -> Result<Change, Error>;

    /// Applies all of the commit or none of it, in one atomic step with its guard and all its
    /// expectations. It is sent once.
    ///
    /// # Errors
    /// * [`Indeterminate`](crate::ErrorKind::Indeterminate): it may have been applied, or may
    ///   still be. Only the rule in [`Committer`](crate::resolve::Committer) may go on from here.
    /// * all others: it was not applied and never will be.
    ///
    /// # Cancel safety
    /// After a drop it may have been applied, as with `Indeterminate`.
    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error>;

    /// Opens a session that keeps itself alive until it is closed or dropped.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for options that the store cannot honour, else as
    /// [`Backend::read`].
    ///
    /// # Cancel safety
    /// After a drop a session may be left behind, which ends by silence.
    async fn open_session(&self, options: &SessionOptions) -> Result<Box<dyn Session>, Error>;

    /// Ends this handle, its sessions and its waiters. Data stays. A second call does nothing.
    ///
    /// # Errors
    /// Something could not be ended in order; it ends by silence.
    ///
    /// # Cancel safety
    /// Call again to go on.
    async fn close(&self) -> Result<(), Error>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_can_be_used_as_trait_objects() {
        fn assert_send_sync<T: Send + Sync + ?Sized>() {}
        assert_send_sync::<dyn Backend>();
        assert_send_sync::<dyn Session>();
    }

    #[test]
    fn a_prefix_ends_at_a_separator() {
        let one = Prefix::new("jobs/1").unwrap();
        assert!(one.contains(&Key::new("jobs/1/x").unwrap()));
        assert!(!one.contains(&Key::new("jobs/10/x").unwrap()));
        assert!(!one.contains(&Key::new("jobs/1").unwrap()));
    }

    #[test]
    fn a_name_that_could_be_a_path_is_refused_with_the_reason() {
        let too_long = "x".repeat(NAME_BYTES_MAX + 1);
        for name in ["", ".", "..", "a/b", "/a", "a b", "größe", "a\0b", "a\\b", ".hidden", &too_long] {
            let error = Name::new(name).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Invalid, "{name:?}");
            assert!(!error.to_string().is_empty());
        }
        assert!(Key::new("a//b").is_err());
        assert!(Key::new("a/../b").is_err());
        assert!(Key::new(["abc"; 200].join("/")).is_err());
    }
}
