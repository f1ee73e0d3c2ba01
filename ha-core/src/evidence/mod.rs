//! Evidence that the process of a holder is dead, so that nobody waits for its silence to run out.
//!
//! The elector speaks only to what is here. What finds the evidence (see `presence`, a cargo feature)
//! can be left out: then, and whenever it is in doubt, silence decides as it would anyway. Evidence
//! only *suggests* that a leader is gone: a false one costs a leader change, never data.

mod choice;
mod options;
mod stats;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::backend::Latch;
use crate::record::Body;

pub(crate) use choice::detector;
pub use options::PresenceOptions;
pub use stats::PresenceStats;

/// One life of a process: 128 bits that it drew at its start. A restarted process has another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Identity(u128);

impl Identity {
    #[cfg(any(test, feature = "presence"))]
    pub(crate) fn from_bits(high: u64, low: u64) -> Self {
        Self((u128::from(high) << 64) | u128::from(low))
    }
}

impl TryFrom<String> for Identity {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let hex = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let bits = hex.then(|| u128::from_str_radix(&text, 16).ok()).flatten();
        bits.map(Self).ok_or("an identity is 32 hexadecimal digits")
    }
}

impl From<Identity> for String {
    fn from(identity: Identity) -> Self {
        identity.to_string()
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a process can be seen to live. An address and never a name: behind a name may stand several
/// machines, and then one of them would speak for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Presence {
    pub(crate) address: SocketAddr,
    pub(crate) identity: Identity,
}

/// A leader says, for the epoch of this record, that its presence proves nothing any more.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PresenceWithdrawal {
    pub(crate) identity: Identity,
}

impl Body for PresenceWithdrawal {
    const KIND: &'static str = "presence_withdrawal";
}

/// What finds out that another process is dead, and lets others find out about this one. One per process.
pub(crate) trait Detector: fmt::Debug + Send + Sync {
    /// Lets others see that this process lives, from before its attempt to take a latch. `None`: it
    /// cannot be shown at the moment, and the attempt is made without.
    fn serve(&self) -> Option<Arc<dyn Serving>>;

    /// Begins to watch the process that was seen to hold a latch.
    fn watch(&self, presence: Presence) -> Box<dyn Suspect>;

    /// Evidence against that process was acted on: up to this epoch, it held the latch no more.
    /// `by_us`: this process took its place.
    fn evicted(&self, identity: Identity, latch: &Latch, epoch: u64, by_us: bool);

    /// That process was seen to hold the latch, and says on evidence against whom it took it.
    fn holds(&self, identity: Identity, latch: &Latch, epoch: u64, took_over_from: Option<Identity>);

    fn stats(&self) -> PresenceStats;

    /// Stops serving once nobody needs it any more, and for good.
    fn close(&self);
}

/// This process being seen to live. What is served lives as long as one of these.
#[async_trait]
pub(crate) trait Serving: fmt::Debug + Send + Sync {
    fn presence(&self) -> Presence;

    /// Returns when it cannot be served any more, while it has not ended yet.
    async fn broken(&self);

    /// Ends it for one latch. When it has ended for all, whoever watches takes that for the death of this process.
    fn close(&self);
}

/// The watch on the process of one holder, for one term of it.
#[async_trait]
pub(crate) trait Suspect: fmt::Debug + Send + Sync {
    /// Returns when there is evidence that the process is dead, and at once when asked again.
    async fn dead(&self);

    /// Whether the evidence still stands: it does not once the process was seen alive after it.
    fn is_dead(&self) -> bool;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_read_as_it_is_written_and_nothing_else_is_one() {
        let identity = Identity::from_bits(7, u64::MAX);
        assert_eq!(Identity::try_from(identity.to_string()), Ok(identity));
        let long = "0".repeat(33);
        for text in ["", "7", "+0000000000000000000000000000007", "000000000000000F0000000000000007", &long] {
            assert!(Identity::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_presence_has_an_address_and_no_host_name() {
        let json = |address: &str| format!(r#"{{"address":"{address}","identity":"{:032x}"}}"#, 7);
        assert!(serde_json::from_str::<Presence>(&json("[::1]:80")).is_ok());
        for address in ["localhost:80", "127.0.0.1", "127.0.0.1:99999", ""] {
            assert!(serde_json::from_str::<Presence>(&json(address)).is_err(), "{address}");
        }
    }
}
