use super::operation::At;
use crate::history::{Event, What};

/// A time without faults: from a calm to whatever ends it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Calm<'h> {
    pub(super) began: At<'h>,
    /// Within how many nanoseconds the cluster heals.
    pub(super) heals_within_ns: u64,
    /// The first time that the cluster was seen whole.
    pub(super) healed: Option<At<'h>>,
    /// What ended it; `None` if it lasts to the end of the history.
    pub(super) ended: Option<At<'h>>,
}

impl Calm<'_> {
    /// By when the cluster must be whole.
    pub(super) fn due_ns(&self) -> u64 {
        self.began.event.at_ns.saturating_add(self.heals_within_ns)
    }
}

/// All times without faults.
pub(super) fn calms(history: &[Event]) -> Vec<Calm<'_>> {
    let mut calms: Vec<Calm<'_>> = Vec::new();
    for (position, event) in history.iter().enumerate() {
        let at = At { position, event };
        let current = calms.last_mut().filter(|calm| calm.ended.is_none());
        match (&event.what, current) {
            (What::Calm { .. } | What::Killed | What::Paused | What::Fault { on: true, .. }, Some(calm)) => {
                calm.ended = Some(at);
            }
            (What::Healed, Some(calm)) if calm.healed.is_none() => calm.healed = Some(at),
            _ => {}
        }
        if let What::Calm { heals_within_ns } = event.what {
            calms.push(Calm { began: at, heals_within_ns, healed: None, ended: None });
        }
    }
    calms
}
