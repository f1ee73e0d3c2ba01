//! What is said between a client and the server.

use ha_core::backend::{
    Commit, Ended, Entry, Expect, Fence, Key, Latch, Mark, Name, Prefix, Revision, Scope, Snapshot, Term, Write,
    WriteId,
};
use serde::{Deserialize, Serialize};

pub(crate) use super::answer::Answer;
pub(crate) use super::frame::{HELLO_BYTES_MAX, MESSAGE_BYTES_MAX, frame, receive, send};
use super::hex::Hex;

/// The version of the protocol; both sides are of one build, so another one is refused.
pub(crate) const VERSION: u32 = 1;
/// The longest key on the wire: a wrapper that adds a prefix makes keys longer than its users can.
const KEY_BYTES_MAX: usize = 4096;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) version: u32,
    pub(crate) client: String,
    pub(crate) label: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Welcome {
    pub(crate) value_bytes_max: usize,
    pub(crate) commit_operations_max: usize,
    pub(crate) commit_bytes_max: usize,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    Read(String),
    List(String),
    Changed { scope: WireScope, seen: u64 },
    Commit(WireCommit),
    Open { silence_ns: u64, label: String },
    Renew(String),
    Ended(String),
    Acquire { session: String, home: String, holder: Hex, over: Option<WireTerm> },
    Release { session: String, home: String },
    CloseSession(String),
    Close,
}

impl Request {
    /// Whether it is of use only to one who is still there: it is given up when its sender is gone.
    /// Everything else takes effect once it has arrived, whoever sent it.
    pub(crate) fn is_wait(&self) -> bool {
        matches!(self, Self::Changed { .. } | Self::Renew(_) | Self::Ended(_) | Self::Read(_) | Self::List(_))
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WireTerm {
    epoch: u64,
    native: String,
}

impl WireTerm {
    pub(crate) fn new(term: &Term) -> Self {
        Self { epoch: term.epoch, native: term.native.as_ref().to_owned() }
    }

    pub(crate) fn term(self) -> Term {
        Term { epoch: self.epoch, native: self.native.into() }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum WireScope {
    Key(String),
    Below(String),
}

impl WireScope {
    pub(crate) fn new(scope: &Scope) -> Self {
        match scope {
            Scope::Key(key) => Self::Key(key.to_string()),
            Scope::Below(prefix) => Self::Below(prefix.to_string()),
        }
    }

    pub(crate) fn scope(&self) -> Option<Scope> {
        Some(match self {
            Self::Key(text) => Scope::Key(key(text)?),
            Self::Below(text) => Scope::Below(prefix(text)?),
        })
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WireEntry {
    key: String,
    value: Hex,
    revision: u64,
    held: Option<WireTerm>,
}

impl WireEntry {
    pub(crate) fn new(entry: &Entry) -> Self {
        Self {
            key: entry.key.to_string(),
            value: Hex::new(&entry.value),
            revision: entry.revision.native(),
            held: entry.held.as_ref().map(WireTerm::new),
        }
    }

    pub(crate) fn entry(self) -> Option<Entry> {
        Some(Entry {
            key: key(&self.key)?,
            value: self.value.bytes()?,
            revision: Revision::from_native(self.revision),
            held: self.held.map(WireTerm::term),
        })
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WireSnapshot {
    entries: Vec<WireEntry>,
    mark: u64,
}

impl WireSnapshot {
    pub(crate) fn new(snapshot: &Snapshot) -> Self {
        Self { entries: snapshot.entries.iter().map(WireEntry::new).collect(), mark: snapshot.mark.native() }
    }

    pub(crate) fn snapshot(self) -> Option<Snapshot> {
        Some(Snapshot { entries: entries(self.entries)?, mark: Mark::from_native(self.mark) })
    }
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum WireExpect {
    Absent,
    Revision(u64),
}

impl WireExpect {
    fn new(expect: Expect) -> Self {
        match expect {
            Expect::Absent => Self::Absent,
            Expect::Revision(revision) => Self::Revision(revision.native()),
        }
    }

    fn expect(self) -> Expect {
        match self {
            Self::Absent => Expect::Absent,
            Self::Revision(native) => Expect::Revision(Revision::from_native(native)),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WireCommit {
    id: String,
    guard: Option<(String, WireTerm)>,
    writes: Vec<(String, WireExpect, Option<Hex>)>,
    checks: Vec<(String, WireExpect)>,
}

impl WireCommit {
    pub(crate) fn new(commit: &Commit) -> Self {
        let write = |w: &Write| (w.key.to_string(), WireExpect::new(w.expect), w.value.as_deref().map(Hex::new));
        let guard = commit.guard.as_ref().map(|fence| (fence.latch.home().to_string(), WireTerm::new(&fence.term)));
        Self {
            id: commit.id.to_string(),
            guard,
            writes: commit.writes.iter().map(write).collect(),
            checks: commit.checks.iter().map(|(key, expect)| (key.to_string(), WireExpect::new(*expect))).collect(),
        }
    }

    pub(crate) fn commit(self) -> Option<Commit> {
        let mut commit = Commit::new(WriteId::parse(&self.id)?);
        if let Some((home, term)) = self.guard {
            commit = commit.guarded_by(Fence { latch: latch(&home)?, term: term.term() });
        }
        for (at, expect, value) in self.writes {
            let value = match value {
                Some(hex) => Some(hex.bytes()?),
                None => None,
            };
            commit.writes.push(Write { key: key(&at)?, expect: expect.expect(), value });
        }
        for (at, expect) in self.checks {
            commit.checks.push((key(&at)?, expect.expect()));
        }
        Some(commit)
    }
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum WireEnded {
    Closed,
    Expired,
    Revoked,
}

impl WireEnded {
    pub(crate) fn new(ended: Ended) -> Self {
        match ended {
            Ended::Closed => Self::Closed,
            Ended::Expired => Self::Expired,
            // Also for reasons that a later version of the library adds: the store ended it early.
            _ => Self::Revoked,
        }
    }

    pub(crate) fn ended(self) -> Ended {
        match self {
            Self::Closed => Ended::Closed,
            Self::Expired => Ended::Expired,
            Self::Revoked => Ended::Revoked,
        }
    }
}

pub(super) fn entries(entries: Vec<WireEntry>) -> Option<Vec<Entry>> {
    entries.into_iter().map(WireEntry::entry).collect()
}

/// A key by its parts, because a wrapper's keys may be longer than what a user may write.
pub(crate) fn key(text: &str) -> Option<Key> {
    let (home, last) = text.rsplit_once('/').unwrap_or(("", text));
    Some(prefix(home)?.key(&Name::new(last).ok()?))
}

pub(crate) fn prefix(text: &str) -> Option<Prefix> {
    let text = text.strip_suffix('/').unwrap_or(text);
    match text {
        "" => Some(Prefix::root()),
        long if long.len() > KEY_BYTES_MAX => None,
        _ => text.split('/').try_fold(Prefix::root(), |prefix, name| Some(prefix.below(&Name::new(name).ok()?))),
    }
}

pub(crate) fn latch(home: &str) -> Option<Latch> {
    prefix(home).map(|home| Latch::below(&home))
}
