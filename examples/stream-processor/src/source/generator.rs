use super::{Cursor, Next};
use crate::event::Event;

const PAGES: u64 = 1000;
const START_MS: u64 = 1_700_000_000_000;
/// Ten events per millisecond of event time.
const EVENTS_PER_MS: u64 = 10;

/// Clicks on pages. Event *n* is a function of the seed and *n*, so any position is found in one step.
///
/// Most events are up to 200 ms out of order; one in 256 lags by up to 8 s, so that lateness is exercised too.
#[derive(Debug)]
pub(crate) struct Generator {
    seed: u64,
    end: u64,
    cursor: Cursor,
    key: String,
}

impl Generator {
    pub(super) fn new(seed: u64, end: u64, cursor: Cursor) -> Self {
        Self { seed, end, cursor, key: String::with_capacity(16) }
    }

    #[inline]
    pub(super) fn next(&mut self) -> Next<'_> {
        let number = self.cursor.records;
        if number >= self.end {
            return Next::End;
        }
        self.cursor.records += 1;
        self.cursor.accepted += 1;
        let chance = mix(self.seed ^ mix(number));
        // The smaller of two draws: the first pages are visited more than the last ones.
        let page = ((chance & 0xffff).min(chance >> 16 & 0xffff) * PAGES) >> 16;
        let lag_ms = if chance >> 56 == 0 { (chance >> 32) % 8000 } else { (chance >> 32) % 200 };
        write_key(&mut self.key, page);
        Next::Event(Event {
            key: &self.key,
            time_ms: (START_MS + number / EVENTS_PER_MS - lag_ms).min(crate::event::TIME_MAX_MS),
            value: i64::try_from(chance >> 24 & 0x7f).unwrap_or(0) - 27,
        })
    }

    pub(super) fn cursor(&self) -> &Cursor {
        &self.cursor
    }
}

/// `page-007`, without the cost of the formatting machinery.
fn write_key(key: &mut String, page: u64) {
    key.clear();
    key.push_str("page-");
    for place in [100, 10, 1] {
        key.push(char::from(b'0' + u8::try_from(page / place % 10).unwrap_or(0)));
    }
}

/// The finishing step of splitmix64: a bijection in which every bit of the input moves half of the output.
fn mix(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}
