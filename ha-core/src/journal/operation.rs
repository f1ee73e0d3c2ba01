use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::options::{
    self, LABEL_BYTES_MAX, LONG_KEY_BYTES_MAX, NATIVE_BYTES_MAX, SILENCE_MS_MAX, TESTIMONY_BYTES_MAX, VALUE_BYTES_MAX,
};
use crate::backend::{Acquire, Commit, Key, Latch, Name, Outcome, ReadGuarantee, Term};
use crate::excerpt::{beginning, excerpt};
use crate::space::Refusal;
use crate::{Error, ErrorKind};

/// One thing that an entry asks of the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    /// As [`Backend::commit`](crate::backend::Backend::commit).
    Commit(Commit),
    /// As [`Session::try_acquire`](crate::backend::Session::try_acquire).
    Acquire {
        /// Whose attempt it is.
        session: Arc<str>,
        /// Makes the session if there is none, and only if it wins.
        registers: Option<Registration>,
        /// Which latch.
        latch: Latch,
        /// What is put there.
        holder: Bytes,
        /// The term that is ended for it.
        over: Option<Term>,
    },
    /// The session is alive.
    Renew {
        /// Which session.
        session: Arc<str>,
    },
    /// As [`Session::release`](crate::backend::Session::release).
    Release {
        /// Which session.
        session: Arc<str>,
        /// Which latch.
        latch: Latch,
    },
    /// Ends a session and frees what it holds.
    End {
        /// Which session.
        session: Arc<str>,
        /// On what ground.
        why: Why,
    },
}

/// What is known of a session from when it wins its first latch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Registration {
    /// Who it is, for people. At most 1 KiB.
    pub(crate) label: String,
    /// How long the others wait in silence; 1 ms to a day.
    pub(crate) silence_ms: u64,
    /// What others need to check that its process is alive. At most 1 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) testimony: Option<String>,
}

impl Registration {
    /// A label that is too long is cut off. A part of a millisecond counts as a whole one: the others must never wait
    /// for less time than the owner relies on.
    pub(crate) fn new(label: &str, silence: Duration, testimony: Option<String>) -> Self {
        let silence_ms = u64::try_from(silence.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        Self { label: beginning(label, LABEL_BYTES_MAX).into(), silence_ms, testimony }
    }
}

/// On what ground a session is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Why {
    /// Its owner closed it.
    Closed,
    /// An operator ended it.
    Revoked,
    /// It was silent for too long since that many renewals. Counts only if there are no more by now.
    Silent {
        /// How many renewals the one who judges has seen.
        renewals: u64,
    },
    /// There is evidence that its process is gone.
    Dead,
}

/// What became of one [`Operation`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Of a commit.
    Commit(Outcome),
    /// Of an attempt to take a latch.
    Acquire(Result<Acquire, Refusal>),
    /// Of a renewal: whether there is such a session.
    Renewed(bool),
    /// Of a release, whether it was held or not.
    Released,
    /// Of an end: whether it ended the session just now.
    Ended(bool),
}

impl Operation {
    /// Refuses what no entry may contain: writers before they send anything, readers as corrupt.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] or [`ErrorKind::TooLarge`], with the reason.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self {
            Self::Commit(commit) => check_commit(commit),
            Self::Acquire { session, registers, latch, holder, over } => {
                check_session(session)?;
                check_latch(latch.key())?;
                over.iter().try_for_each(check_term)?;
                at_most(holder.len(), VALUE_BYTES_MAX, "the value of a holder")?;
                registers.iter().try_for_each(check_registration)
            }
            Self::Renew { session } | Self::End { session, .. } => check_session(session),
            Self::Release { session, latch } => {
                check_session(session)?;
                check_latch(latch.key())
            }
        }
    }

    /// At least as many bytes as the operation takes in an entry. One that passes [`check`](Self::check) takes less
    /// than 9 MiB.
    pub(crate) fn bytes_at_most(&self) -> usize {
        // Names, numbers and punctuation take less; a character of a text takes at most six when it is escaped.
        const FRAME: usize = 256;
        const PART: usize = 96;
        let term = |term: &Term| PART + 6 * term.native.len();
        FRAME
            + match self {
                Self::Commit(commit) => {
                    let guard = commit.guard.as_ref();
                    let guard = guard.map_or(0, |guard| guard.latch.key().as_str().len() + term(&guard.term));
                    commit.bytes() + PART * commit.operations() + guard
                }
                Self::Acquire { session, registers, latch, holder, over } => {
                    let testimony = |r: &Registration| r.testimony.as_ref().map_or(0, String::len);
                    let texts = registers.as_ref().map_or(0, |r| 6 * (r.label.len() + testimony(r)));
                    let over = over.as_ref().map_or(0, term);
                    session.len() + latch.key().as_str().len() + holder.len() + texts + over
                }
                Self::Release { session, latch } => session.len() + latch.key().as_str().len(),
                Self::Renew { session } | Self::End { session, .. } => session.len(),
            }
    }
}

fn invalid(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Invalid, "journal").because(what)
}

fn at_most(found: usize, most: usize, what: &str) -> Result<(), Error> {
    if found > most {
        let why = format!("{what} has {found} bytes; at most {most} are possible");
        return Err(Error::new(ErrorKind::TooLarge, "journal").because(why));
    }
    Ok(())
}

fn check_commit(commit: &Commit) -> Result<(), Error> {
    let profile = options::profile("a journal", ReadGuarantee::Linearizable);
    commit.validate(&profile)?;
    if let Some(guard) = &commit.guard {
        check_latch(guard.latch.key())?;
        check_term(&guard.term)?;
    }
    let mut keys = commit.writes.iter().map(|write| &write.key).chain(commit.checks.iter().map(|(key, _)| key));
    keys.try_for_each(check_key)
}

pub(super) fn check_key(key: &Key) -> Result<(), Error> {
    at_most(key.as_str().len(), LONG_KEY_BYTES_MAX, "a key")
}

fn check_latch(key: &Key) -> Result<(), Error> {
    if !Latch::is_latch(key) {
        return Err(invalid(format!("no latch can stand at {}", excerpt(key.as_str(), 64))));
    }
    check_key(key)
}

fn check_term(term: &Term) -> Result<(), Error> {
    at_most(term.native.len(), NATIVE_BYTES_MAX, "the native part of a term")
}

/// The id of a session is a name: files may be called after it.
pub(super) fn check_session(id: &str) -> Result<(), Error> {
    Name::new(id).map(drop)
}

pub(super) fn check_registration(registration: &Registration) -> Result<(), Error> {
    at_most(registration.label.len(), LABEL_BYTES_MAX, "a label")?;
    at_most(registration.testimony.as_ref().map_or(0, String::len), TESTIMONY_BYTES_MAX, "a testimony")?;
    if !(1..=SILENCE_MS_MAX).contains(&registration.silence_ms) {
        let why = format!("a silence of {} ms; from 1 ms to a day is possible", registration.silence_ms);
        return Err(invalid(why));
    }
    Ok(())
}
