use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Key, Mark, Prefix, Scope};
use crate::Error;
use crate::seam::Deadline;

/// A latch: what contenders for one leadership compete for. It stands at `…/latch`; the counter
/// of its epochs stands beside it at `…/epoch`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Latch {
    key: Key,
}

impl Latch {
    /// The latch directly below that place.
    #[must_use]
    pub fn below(prefix: &Prefix) -> Self {
        Self { key: prefix.fixed_key("latch") }
    }

    /// Where the latch stands.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Where the counter of its epochs stands.
    #[must_use]
    pub fn epoch_key(&self) -> Key {
        self.home().fixed_key("epoch")
    }

    /// The place that the latch stands in; what concerns its leader is stored below it.
    #[must_use]
    pub fn home(&self) -> Prefix {
        self.key.home()
    }

    pub(crate) fn from_key(key: Key) -> Self {
        Self { key }
    }

    /// Whether a latch can stand there.
    #[cfg(feature = "journal")]
    pub(crate) fn is_latch(key: &Key) -> bool {
        key.last() == "latch"
    }
}

impl fmt::Debug for Latch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.key, f)
    }
}

impl fmt::Display for Latch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.key, f)
    }
}

/// One period of leadership under one latch.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Term {
    /// Strictly greater than that of every earlier term of the latch, on every backend: the
    /// fencing token that systems outside compare.
    pub epoch: u64,
    /// What the backend itself recognises the term by. The layers above only compare it. Together
    /// with the epoch it is that of no other term, of another latch neither.
    pub native: Arc<str>,
}

impl fmt::Debug for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.epoch, self.native)
    }
}

/// "This latch is held under exactly this term": the guard of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fence {
    /// Which latch.
    pub latch: Latch,
    /// Under which term.
    pub term: Term,
}

/// Who holds a latch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Under which term.
    pub term: Term,
    /// The bytes that the holder gave when it took the latch.
    pub value: Bytes,
}

/// What became of one attempt to take a latch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acquire {
    /// It is ours under this term.
    Won(Term),
    /// Somebody else holds it.
    Held {
        /// Who.
        by: Holder,
        /// What to wait for with [`changed`](super::Backend::changed) before the next attempt.
        wait: Scope,
        /// From where on.
        seen: Mark,
    },
}

/// How a session is to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionOptions {
    /// How long the store waits in silence before it gives the session up. From 100 ms to a day;
    /// a backend with a larger smallest value refuses less.
    pub silence: Duration,
    /// Who opens it, for people who look into the store. No secret.
    pub label: String,
}

impl Default for SessionOptions {
    /// Ten seconds: a paused or throttled process is not robbed of its leadership by impatience.
    /// A crashed one is found by evidence, which does not wait for it.
    fn default() -> Self {
        Self { silence: Duration::from_secs(10), label: String::new() }
    }
}

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ended {
    /// Its owner closed it, or the backend handle under it.
    Closed,
    /// No renewal was acknowledged in time.
    Expired,
    /// An operator, or the store itself, ended it early.
    Revoked,
}

/// A period during which a store counts this process as alive. Latches are held on it.
///
/// The session keeps itself alive: its implementation renews by
/// [`Seam::spawn_critical`](crate::seam::Seam::spawn_critical), on connections of its own.
///
/// # To ensure correctness
/// * [`valid_until`](Session::valid_until) moves only when the *store* acknowledges a renewal, and
///   then to no later than the sending of that renewal plus the silence that the store waits.
/// * The store never gives a latch of the session to another because of silence before that.
/// * A latch is taken at most once on one session. While it is held, a repeated attempt answers
///   the same term (a lost answer is found out so); after it was lost or released, it is refused
///   with [`ErrorKind::SessionEnded`](crate::ErrorKind::SessionEnded).
/// * Dropping the session does no blocking I/O. What it leaves behind ends by silence, or at once
///   where the backend has evidence.
#[async_trait]
pub trait Session: fmt::Debug + Send + Sync {
    /// A name for logs and operators; unique while the session lives.
    fn id(&self) -> &str;

    /// Makes one attempt to take the latch. It does not wait.
    ///
    /// Winning raises the latch's stored epoch in the same atomic step, to
    /// `max(stored + 1, native)`, where `native` is a number of the store's own that only grows (its
    /// revision, its index): so the epoch grows even if the stored one was lost. It puts `holder` at the
    /// latch's key and the epoch, in decimal, at [`Latch::epoch_key`]. With `over`, and only if the
    /// latch is held under exactly that term, the same step ends that term first and takes its place;
    /// a newer term is not touched.
    ///
    /// # Errors
    /// * [`ErrorKind::Indeterminate`](crate::ErrorKind::Indeterminate): it may be ours. Attempt
    ///   again on the same session to find out, or close the session.
    /// * [`ErrorKind::SessionEnded`](crate::ErrorKind::SessionEnded): the session is over, or has
    ///   held this latch before. Open another one.
    /// * [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable): nothing happened. Try later.
    ///
    /// # Cancel safety
    /// After a drop the latch may be ours, as with `Indeterminate`.
    async fn try_acquire(&self, latch: &Latch, holder: Bytes, over: Option<&Term>) -> Result<Acquire, Error>;

    /// Lets go of the latch if this session holds it; success if it does not.
    ///
    /// Whoever watches the latch's key hears of it. Whether the key stays, with whatever value, or
    /// goes is the backend's choice: [`Entry::held`](super::Entry::held) alone says that it is free.
    ///
    /// # Errors
    /// As any write; after `Indeterminate` it may still be held, until the session is closed.
    ///
    /// # Cancel safety
    /// After a drop the latch may be free or not.
    async fn release(&self, latch: &Latch) -> Result<(), Error>;

    /// Up to when the session is certainly alive; [`Deadline::PAST`] once it is over. No I/O, no lock
    /// that I/O is done under.
    fn valid_until(&self) -> Deadline;

    /// Waits until the session is over as far as this process can know. Many may wait.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    async fn ended(&self) -> Ended;

    /// Ends the session and lets go of all its latches: they are free when it returns, and
    /// [`Session::ended`] answers [`Ended::Closed`]. A second call does nothing.
    ///
    /// # Errors
    /// The store could not be told; it finds out by silence.
    ///
    /// # Cancel safety
    /// After a drop the session may live until its silence runs out.
    async fn close(&self) -> Result<(), Error>;
}
