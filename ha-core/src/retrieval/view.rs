use uuid::Uuid;

use super::follower::{Freshness, View};
use crate::backend::{Key, Latch};
use crate::election::{FencingToken, LeaderInformation};
use crate::formats::Formats;
use crate::record::{self, Record};
use crate::seam::Moment;
use crate::{Error, ErrorKind};

/// A leader as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    /// Where it is reached.
    pub address: String,
    /// Its session id. A new one at the same address is a new leader.
    pub session_id: Uuid,
    /// Its fencing token.
    pub token: FencingToken,
}

/// Who leads, as far as is known. Level-triggered: the newest state, not every one in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaderView {
    /// The store was not read yet, or cannot be reached for longer than a leader could last.
    Unknown,
    /// Nobody leads, or the leader has not published its address yet.
    Vacant,
    /// Somebody leads. A leader is shown only while the latch is held under the term in its record.
    Leader(Leader),
}

impl LeaderView {
    /// The leader, if there is one.
    #[must_use]
    pub fn leader(&self) -> Option<&Leader> {
        match self {
            Self::Leader(leader) => Some(leader),
            Self::Unknown | Self::Vacant => None,
        }
    }
}

/// What a view of the store says of one component.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) view: LeaderView,
    /// The epoch that the latch is held under; 0 if it is not.
    pub(super) epoch: u64,
    pub(super) error: Option<Error>,
    /// When to look again although nothing has changed.
    pub(super) look_again: Option<Moment>,
}

/// Reads the component's leader from a view of the latch's home.
pub(super) fn read(
    view: &View,
    latch: &Latch,
    info_key: &Key,
    now: Moment,
    unknown_after: std::time::Duration,
    formats: Formats,
) -> Reading {
    let nothing = |view| Reading { view, epoch: 0, error: None, look_again: None };
    let (stale_until, error) = match &view.freshness {
        Freshness::Unread => return nothing(LeaderView::Unknown),
        Freshness::Fresh => (None, None),
        Freshness::Stale { since, error } => {
            let error = Some(error.clone());
            // As long as the leader itself may hold on without the store, and no longer.
            let until = *since + unknown_after;
            if now >= until {
                return Reading { error, ..nothing(LeaderView::Unknown) };
            }
            (Some(until), error)
        }
    };
    let held = view.entries.get(latch.key()).and_then(|entry| entry.held.as_ref());
    let Some(term) = held else {
        return Reading { error, look_again: stale_until, ..nothing(LeaderView::Vacant) };
    };
    let seen = Reading { view: LeaderView::Vacant, epoch: term.epoch, error, look_again: stale_until };
    let Some(entry) = view.entries.get(info_key) else { return seen };
    match record::decode_within::<LeaderInformation>(entry, formats) {
        Ok(record) if record.epoch == term.epoch => Reading { view: LeaderView::Leader(leader(record)), ..seen },
        // Of an earlier term: the present leader has not published yet.
        Ok(_) => seen,
        Err(error) => {
            let (kind, advice) = match error.kind() {
                kind @ (ErrorKind::NewerFormat | ErrorKind::Unsupported) => (kind, "run the version that it names"),
                _ => (ErrorKind::Corrupt, "the leader restores it"),
            };
            let error = Error::new(kind, "retrieve leader")
                .at(info_key)
                .because(format!("the leader information cannot be read: {advice}"))
                .caused_by(error);
            Reading { error: Some(error), ..seen }
        }
    }
}

fn leader(record: Record<LeaderInformation>) -> Leader {
    let LeaderInformation { address, session_id } = record.body;
    Leader { address, session_id, token: FencingToken::new(record.epoch) }
}
