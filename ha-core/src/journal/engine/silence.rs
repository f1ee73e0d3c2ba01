use std::time::Duration;

use crate::journal::SessionRecord;
use crate::seam::Moment;

/// A judge who was not heard tries again after this part of the silence.
const AGAIN: u32 = 8;

/// How long a session of the journal has been silent, by this handle's own clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) renewals: u64,
    /// When that many renewals were first seen.
    since: Moment,
    silence: Duration,
    /// Whether its end is on its way.
    pub(super) judged: bool,
    /// Not before this moment is it tried again.
    again: Moment,
}

impl Seen {
    pub(super) fn new(record: &SessionRecord, now: Moment) -> Self {
        let (renewals, silence) = (record.renewals, record.silence());
        Self { renewals, since: now, silence, judged: false, again: Moment::ORIGIN }
    }

    /// When its silence has lasted too long. A 64th is added, because no two clocks run alike; whoever has no stake
    /// in it adds `leisure` hundredths.
    pub(super) fn due(&self, leisure: u32) -> Moment {
        let patience = self.silence + self.silence / 64 + self.silence / 100 * leisure;
        (self.since + patience).max(self.again)
    }

    pub(super) fn judged_in_vain(&mut self, now: Moment) {
        self.judged = false;
        self.again = now + self.silence / AGAIN;
    }
}
