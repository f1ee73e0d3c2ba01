use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ha_core::Error;
use ha_core::backend::{Backend, Key, Prefix};
use ha_core::seam::Seam;
use ha_core::wrap::Chroot;

/// Something that a suite needs from the outside of a store, beyond the contract itself: a hook, or a
/// promise that not every backend makes.
///
/// What a fixture can do is declared in the test, not asked of the fixture: if a hook that was
/// declared stops working, the cases that need it fail instead of being left out. A case that needs
/// what is not declared prints `SKIPPED` with the reason. So declare all that you can provide; what
/// stays unproved without it is said below, and `docs/conformance.md` names the cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Capability {
    /// [`Store::expire`]. Without it: that epochs grow over an expiry, and that all who wait for the
    /// end of a session hear of it.
    Expire,
    /// [`Store::revoke`]. Without it: the same for an operator who ends a session.
    Revoke,
    /// [`Store::freeze`] and [`Store::heal`]. Without it **nothing proves `valid_until`**: that silence
    /// gives a latch to nobody before its holder's own deadline.
    Freeze,
    /// [`Store::slow_answers`]. Without it: that the deadline counts from the sending of a renewal and
    /// not from its answer. Not for a store that counts and answers a renewal in one step, in memory:
    /// there an answer cannot be slow.
    SlowAnswers,
    /// [`Store::tamper`]. Without it: what happens when others edit latches and records, and how
    /// broken records are met.
    Tamper,
    /// [`Store::restart`]. Without it **nothing proves durability**.
    Restart,
    /// [`Store::waiting`]. Without it: that waits which ended or were dropped leave nothing behind.
    CountWaiters,
    /// A promise: every read sees what any handle committed before. Then the profile must say
    /// [`ReadGuarantee::Linearizable`](ha_core::backend::ReadGuarantee::Linearizable).
    LinearizableReads,
    /// A promise: dropping a session frees its latches at once, because the backend has evidence.
    FreeOnDrop,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What is not there, so that nothing can be tested: a server, a directory, a permission. The text says
/// what to start or to install.
///
/// Not for a backend that fails: a factory whose own backend cannot be opened where all that it needs is
/// there panics, and the case is red.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing(pub String);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes a fresh, empty namespace for each case.
///
/// Cases run in parallel, each on a runtime of its own with two threads: what `open` answers must be
/// shared with no other case. Implement it with [`async_trait`](crate::async_trait), which the kit
/// hands on.
#[async_trait]
pub trait BackendFactory: Send + Sync + 'static {
    /// Opens a namespace that no other case uses.
    ///
    /// # Errors
    /// [`Missing`]: what it needs is not here. The case is skipped visibly, or fails if the
    /// environment variable `CI` is set.
    async fn open(&self) -> Result<Arc<dyn Store>, Missing>;
}

/// One namespace of a backend, with several independent handles on it and hooks from outside.
///
/// A hook that is not declared as a [`Capability`] is never called; its default fails the case.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Time, randomness and tasks of the backend; all waiting of the suite goes through it.
    fn seam(&self) -> Seam;

    /// One more handle on the namespace, as another process would have it.
    ///
    /// # Errors
    /// The backend cannot be reached; the case fails.
    async fn connect(&self) -> Result<Arc<dyn Backend>, Error>;

    /// A handle that sees only one cluster of the namespace. The default is the library's
    /// [`Chroot`]; a backend with a separation of its own shows that one here.
    ///
    /// # Errors
    /// As [`Store::connect`].
    async fn connect_in(&self, cluster: &Prefix) -> Result<Arc<dyn Backend>, Error> {
        Ok(Arc::new(Chroot::new(self.connect().await?, cluster.clone())))
    }

    /// The silence that sessions of the suite are opened with: as short as the backend allows
    /// without being ended by a busy machine.
    fn silence(&self) -> Duration {
        Duration::from_secs(2)
    }

    /// How long the suite waits for something that must happen, beyond silence, before it fails.
    fn patience(&self) -> Duration {
        Duration::from_secs(40)
    }

    /// Ends a session as if its silence had run out: it is over with
    /// [`Ended::Expired`](ha_core::backend::Ended), and its latches become free. `session` is what
    /// [`Session::id`](ha_core::backend::Session::id) says; so for all hooks on sessions. One that is
    /// over already is left alone.
    async fn expire(&self, session: &str) {
        not_implemented("expire", session)
    }

    /// Ends a session as an operator would: it is over with [`Ended::Revoked`](ha_core::backend::Ended).
    async fn revoke(&self, session: &str) {
        not_implemented("revoke", session)
    }

    /// Lets no renewal of the session reach the store any more, as a cut network would. Its silence runs
    /// from the last one that did.
    async fn freeze(&self, session: &str) {
        not_implemented("freeze", session)
    }

    /// Lets renewals through again.
    async fn heal(&self, session: &str) {
        not_implemented("heal", session)
    }

    /// From now on answers to renewals reach their sender about that much later than the store
    /// counted them.
    async fn slow_answers(&self, by: Duration) {
        not_implemented("slow_answers", &format!("{by:?}"))
    }

    /// Writes, or with `None` removes, any key past all rules, as a foreign program would: with the
    /// store's own tools, on a connection that is none of the backend's. Keys of latches included. If nobody
    /// but the backend can write to the store (a file that one process locks), it is the edit that the
    /// backend offers to operators.
    async fn tamper(&self, key: &Key, value: Option<Bytes>) {
        not_implemented("tamper", &format!("{key} ({} bytes)", value.map_or(0, |value| value.len())))
    }

    /// Restarts the store for real: the server's process, or the file closed and opened again. What was
    /// acknowledged must be there, and handles that [`Store::connect`] gives out afterwards must work.
    /// Earlier handles and sessions may be over.
    async fn restart(&self) {
        not_implemented("restart", "the store")
    }

    /// How many calls of `changed` wait inside of the store, over all handles. An absolute number does not
    /// matter: cases compare it with what it was before.
    fn waiting(&self) -> usize {
        not_implemented("waiting", "the store")
    }

    /// Removes what the case left behind. Called in any case, after a panic too.
    async fn tear_down(&self) {}
}

fn not_implemented<T>(hook: &str, subject: &str) -> T {
    panic!("the hook `{hook}` ({subject}) is declared in the test, but the fixture does not implement it")
}
