use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::evidence::{Identity, Presence};
use crate::record::Body;
use crate::{Error, ErrorKind};

/// The longest address, in bytes.
pub const ADDRESS_BYTES_MAX: usize = 4096;

/// What a leader publishes of itself: where it is reached, and under which session id. The
/// record around it carries the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderInformation {
    /// Where the leader is reached; what it means is agreed on by those who publish and read it.
    pub address: String,
    /// The leader session id.
    pub session_id: Uuid,
}

impl Body for LeaderInformation {
    const KIND: &'static str = "leader_information";
}

impl LeaderInformation {
    /// Checks and takes an address.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`]: empty, or longer than 4096 bytes.
    pub fn new(address: &str, session_id: Uuid) -> Result<Self, Error> {
        let invalid = |why: String| Err(Error::new(ErrorKind::Invalid, "leader address").because(why));
        if address.is_empty() {
            return invalid("it is empty; publish where the leader is reached, or do not publish".into());
        }
        if address.len() > ADDRESS_BYTES_MAX {
            return invalid(format!("{} bytes; at most {ADDRESS_BYTES_MAX} are allowed", address.len()));
        }
        Ok(Self { address: address.to_owned(), session_id })
    }
}

/// What stands in a held latch, for people who look into the store and for standbys.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HolderInformation {
    /// As the session's options give it.
    pub(crate) label: String,
    /// By the holder's wall clock.
    pub(crate) since_unix_ms: u64,
    /// After how long a silence it gives the latch up by itself, and others may take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) silence_ms: Option<u64>,
    /// Where the holder can be seen to live. Without it, nobody can find out but by its silence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) presence: Option<Presence>,
    /// Whose place was taken on evidence that it is dead. Whoever reads itself here knows better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) took_over_from: Option<Identity>,
}

impl Body for HolderInformation {
    const KIND: &'static str = "holder";
}
