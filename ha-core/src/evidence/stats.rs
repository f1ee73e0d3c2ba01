use std::net::SocketAddr;

use serde::Serialize;

/// What the presence of a process has seen and done since its start. Plain numbers, for probes and people.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PresenceStats {
    /// Where this process is seen to live at the moment; `None` if it is not.
    pub address: Option<SocketAddr>,
    /// How often this process saw the identity of a leader with its own eyes.
    pub handshakes: u64,
    /// How often it found evidence that a leader is dead.
    pub evidence: u64,
    /// How many latches it took on evidence.
    pub takeovers: u64,
    /// How often evidence was proved wrong: its own against another, or another's against it.
    pub wrong_suspicions: u64,
    /// With how many processes it waits for silence at the moment, because evidence about them was wrong.
    pub disarmed: u64,
}
