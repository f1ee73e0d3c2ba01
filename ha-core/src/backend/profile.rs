/// What the layers above size themselves by. A backend asks its store or its documentation; it
/// does not guess.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Profile {
    /// The backend's name, for logs and errors.
    pub name: &'static str,
    /// The largest value, in bytes.
    pub value_bytes_max: usize,
    /// The most writes and checks in one commit, the guard not counted.
    pub commit_operations_max: usize,
    /// The most bytes of keys and values in one commit.
    pub commit_bytes_max: usize,
    /// What a read is worth.
    pub reads: ReadGuarantee,
    /// In which ways a session can end before its `valid_until`. Empty: only by its owner.
    pub early_ends: Vec<EarlyEnd>,
    /// Where evidence comes from that the process of a session is dead.
    pub evidence: Evidence,
}

impl Profile {
    /// A profile with linearizable reads, no early ends, no evidence of its own, and these limits.
    #[must_use]
    pub fn new(
        name: &'static str,
        value_bytes_max: usize,
        commit_operations_max: usize,
        commit_bytes_max: usize,
    ) -> Self {
        Self {
            name,
            value_bytes_max,
            commit_operations_max,
            commit_bytes_max,
            reads: ReadGuarantee::Linearizable,
            early_ends: Vec::new(),
            evidence: Evidence::Wanted,
        }
    }

    /// The same profile with these early ends.
    #[must_use]
    pub fn with_early_ends(mut self, early_ends: impl Into<Vec<EarlyEnd>>) -> Self {
        self.early_ends = early_ends.into();
        self
    }

    /// The same profile with evidence from there.
    #[must_use]
    pub fn with_evidence(mut self, evidence: Evidence) -> Self {
        self.evidence = evidence;
        self
    }

    /// The same profile with that read guarantee.
    #[must_use]
    pub fn with_reads(mut self, reads: ReadGuarantee) -> Self {
        self.reads = reads;
        self
    }
}

/// What a read is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReadGuarantee {
    /// It sees every commit that was acknowledged before the read began.
    Linearizable,
    /// It sees what this process wrote, and never goes back; another's commit may be missing for
    /// a while. Commits are linearizable all the same.
    Monotonic,
}

/// A way in which a session can end before silence would have ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EarlyEnd {
    /// A contender with evidence that the holder is dead took its place.
    Evidence,
    /// An operator ended it.
    Operator,
    /// A verdict of the store's own failure detector.
    Gossip,
    /// The agent that the process talks to went away or started anew.
    Agent,
    /// An older state of the store was restored.
    Restore,
}

/// Where evidence comes from that the process of a session is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Evidence {
    /// The backend itself ends the sessions of a dead process at once; so does a store that lives in
    /// one process and begins without sessions.
    Own,
    /// The store only hears silence. Processes that find out about one another can spare the waiting; see
    /// [`PresenceOptions`](crate::PresenceOptions).
    Wanted,
}
