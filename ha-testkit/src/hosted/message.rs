//! What is said between a process that uses a handle and the one that has it.

use ha_core::backend::{EarlyEnd, Evidence, Profile, ReadGuarantee};
use serde::{Deserialize, Serialize};

use crate::remote::errors::WireError;
use crate::remote::wire::{Answer, Request, WireEnded};

/// To the host. Numbers are given once.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToHost {
    /// A call on the handle, or on one of its sessions.
    Call { number: u64, request: Request },
    /// Nobody waits for that call any more: it is dropped, and with it the session that it has opened.
    Forget(u64),
    /// See [`Hooked::freeze`](super::Hooked::freeze).
    Freeze { number: u64, session: String, frozen: bool },
    /// See [`Hooked::waiting`](super::Hooked::waiting).
    Waiting { number: u64 },
}

/// From the host.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum FromHost {
    /// The handle is open. The first word.
    Welcome(WireProfile),
    /// There is no handle. The first word, and the last.
    Refused(WireError),
    /// The answer to a call, or to a hook.
    Answer { number: u64, answer: Answer },
    /// How many wait.
    Waiting { number: u64, count: usize },
    /// What its owner reads of a session without I/O: the one that this call has opened.
    Session { opened: u64, valid_until_ns: u64, ended: Option<WireEnded> },
}

/// A profile without its name, which has to live as long as the program.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct WireProfile {
    value_bytes_max: usize,
    commit_operations_max: usize,
    commit_bytes_max: usize,
    linearizable: bool,
    early_ends: Vec<WireEarlyEnd>,
    own_evidence: bool,
}

#[derive(Debug, Serialize, Deserialize)]
enum WireEarlyEnd {
    Evidence,
    Operator,
    Gossip,
    Agent,
    Restore,
}

impl WireProfile {
    pub(super) fn new(profile: &Profile) -> Self {
        Self {
            value_bytes_max: profile.value_bytes_max,
            commit_operations_max: profile.commit_operations_max,
            commit_bytes_max: profile.commit_bytes_max,
            // What a later version of the library adds is taken for the weaker of the two; so below.
            linearizable: profile.reads == ReadGuarantee::Linearizable,
            early_ends: profile.early_ends.iter().map(WireEarlyEnd::new).collect(),
            own_evidence: profile.evidence == Evidence::Own,
        }
    }

    pub(super) fn profile(self) -> Profile {
        let reads = if self.linearizable { ReadGuarantee::Linearizable } else { ReadGuarantee::Monotonic };
        let evidence = if self.own_evidence { Evidence::Own } else { Evidence::Wanted };
        let early_ends: Vec<EarlyEnd> = self.early_ends.into_iter().map(WireEarlyEnd::early_end).collect();
        Profile::new("hosted", self.value_bytes_max, self.commit_operations_max, self.commit_bytes_max)
            .with_reads(reads)
            .with_early_ends(early_ends)
            .with_evidence(evidence)
    }
}

impl WireEarlyEnd {
    fn new(end: &EarlyEnd) -> Self {
        match end {
            EarlyEnd::Evidence => Self::Evidence,
            EarlyEnd::Gossip => Self::Gossip,
            EarlyEnd::Agent => Self::Agent,
            EarlyEnd::Restore => Self::Restore,
            _ => Self::Operator,
        }
    }

    fn early_end(self) -> EarlyEnd {
        match self {
            Self::Evidence => EarlyEnd::Evidence,
            Self::Operator => EarlyEnd::Operator,
            Self::Gossip => EarlyEnd::Gossip,
            Self::Agent => EarlyEnd::Agent,
            Self::Restore => EarlyEnd::Restore,
        }
    }
}
