//! What a process remembers of evidence that was wrong, without sockets and clocks.

use std::collections::VecDeque;
use std::time::Duration;

use crate::backend::Latch;
use crate::evidence::Identity;
use crate::seam::Moment;

/// How many processes, and how many evictions, are remembered; the oldest are forgotten.
const MEMORY: usize = 64;
/// For so many silences a process is not suspected after evidence about it was wrong; it doubles each time.
const DISARMED_SILENCES: u32 = 10;
const DISARMED_MAX: Duration = Duration::from_secs(24 * 3600);

/// An identity belongs to one life of a process. One that takes a latch *after* it was evicted on evidence
/// was not dead, and whoever reads that it was evicted itself is not dead either. Something between the two
/// refuses what it should let through; it will do so again.
#[derive(Debug)]
pub(super) struct Suspicions {
    silence: Duration,
    evictions: VecDeque<Eviction>,
    accusations: VecDeque<(Latch, u64)>,
    pairs: VecDeque<Pair>,
}

/// That process held the latch no more at this epoch, because it was dead as far as anybody knew.
#[derive(Debug)]
struct Eviction {
    identity: Identity,
    latch: Latch,
    epoch: u64,
}

/// This process and another one about which evidence was wrong.
#[derive(Debug)]
struct Pair {
    identity: Identity,
    until: Moment,
    lasting: Duration,
}

impl Suspicions {
    pub(super) fn new(silence: Duration) -> Self {
        Self { silence, evictions: VecDeque::new(), accusations: VecDeque::new(), pairs: VecDeque::new() }
    }

    /// Whether evidence about that process may be acted on.
    pub(super) fn is_armed(&self, identity: Identity, now: Moment) -> bool {
        self.pairs.iter().all(|pair| pair.identity != identity || pair.until <= now)
    }

    /// About how many processes evidence is not acted on.
    pub(super) fn disarmed(&self, now: Moment) -> usize {
        self.pairs.iter().filter(|pair| pair.until > now).count()
    }

    pub(super) fn evicted(&mut self, identity: Identity, latch: &Latch, epoch: u64) {
        self.evictions.retain(|known| known.identity != identity || known.latch != *latch);
        push(&mut self.evictions, Eviction { identity, latch: latch.clone(), epoch });
    }

    /// A process was seen to hold the latch; whether that proves evidence about it wrong.
    pub(super) fn holds(&mut self, identity: Identity, latch: &Latch, epoch: u64, now: Moment) -> bool {
        let known = self.evictions.len();
        // Only a term that began after the eviction proves anything: it may have died in a later one
        // than we knew of.
        self.evictions.retain(|e| e.identity != identity || e.latch != *latch || e.epoch >= epoch);
        let proved = self.evictions.len() < known;
        if proved {
            self.disarm(identity, now);
        }
        proved
    }

    /// A process took the latch under this epoch on evidence against us; whether that is news.
    pub(super) fn accused(&mut self, by: Identity, latch: &Latch, epoch: u64, now: Moment) -> bool {
        if self.accusations.iter().any(|(known, at)| known == latch && *at >= epoch) {
            return false;
        }
        self.accusations.retain(|(known, _)| known != latch);
        push(&mut self.accusations, (latch.clone(), epoch));
        self.disarm(by, now);
        true
    }

    pub(super) fn disarm(&mut self, identity: Identity, now: Moment) {
        let known = self.pairs.iter().position(|pair| pair.identity == identity);
        let mut pair = known.and_then(|at| self.pairs.remove(at)).unwrap_or(Pair {
            identity,
            until: Moment::ORIGIN,
            lasting: Duration::ZERO,
        });
        // Proofs that come while it is disarmed are of the same mistake, on several latches perhaps.
        if pair.until <= now {
            let next = if pair.lasting.is_zero() { self.silence * DISARMED_SILENCES } else { pair.lasting * 2 };
            pair.lasting = next.min(DISARMED_MAX);
        }
        pair.until = now + pair.lasting;
        push(&mut self.pairs, pair);
    }
}

fn push<T>(memory: &mut VecDeque<T>, new: T) {
    if memory.len() >= MEMORY {
        memory.pop_front();
    }
    memory.push_back(new);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Prefix;

    const SILENCE: Duration = Duration::from_secs(10);

    fn process(number: u64) -> Identity {
        Identity::from_bits(0, number)
    }

    fn latch(name: &str) -> Latch {
        Latch::below(&Prefix::new(name).unwrap())
    }

    fn at(seconds: u64) -> Moment {
        Moment::after_origin(Duration::from_secs(1_000 + seconds))
    }

    #[test]
    fn who_takes_a_latch_after_it_was_evicted_is_not_suspected_for_ten_silences() {
        let (mut memory, a) = (Suspicions::new(SILENCE), latch("a"));
        memory.evicted(process(1), &a, 6);
        assert!(memory.is_armed(process(1), at(0)));
        assert!(memory.holds(process(1), &a, 7, at(0)));
        assert!(!memory.is_armed(process(1), at(99)) && memory.is_armed(process(1), at(100)));
        assert!(memory.is_armed(process(2), at(0)));
        assert_eq!((memory.disarmed(at(1)), memory.disarmed(at(100))), (1, 0));
        // Seen once more: the same term proves nothing new.
        assert!(!memory.holds(process(1), &a, 7, at(101)));
    }

    #[test]
    fn a_term_that_began_before_the_eviction_proves_nothing() {
        // The process may have held it, and died in it, before we found out.
        let (mut memory, a) = (Suspicions::new(SILENCE), latch("a"));
        memory.evicted(process(1), &a, 6);
        assert!(!memory.holds(process(1), &a, 6, at(0)) && !memory.holds(process(1), &latch("b"), 9, at(0)));
        assert!(!memory.holds(process(2), &a, 9, at(0)));
        assert!(memory.is_armed(process(1), at(0)));
    }

    #[test]
    fn each_further_mistake_doubles_the_time_up_to_a_day() {
        let (mut memory, a) = (Suspicions::new(SILENCE), latch("a"));
        let (mut now, mut last) = (at(0), Duration::ZERO);
        for epoch in 1..20 {
            assert!(memory.accused(process(1), &a, epoch, now));
            let lasting = (SILENCE * 10).saturating_mul(1 << (epoch - 1)).min(DISARMED_MAX);
            assert!(!memory.is_armed(process(1), now + (lasting - Duration::from_secs(1))));
            now = now + lasting;
            assert!(memory.is_armed(process(1), now), "epoch {epoch}");
            last = lasting;
        }
        assert_eq!(last, DISARMED_MAX);
    }

    #[test]
    fn one_mistake_on_many_latches_is_one_mistake() {
        let mut memory = Suspicions::new(SILENCE);
        for name in ["a", "b", "c"] {
            assert!(memory.accused(process(1), &latch(name), 5, at(0)));
            assert!(!memory.accused(process(1), &latch(name), 5, at(500)), "told twice");
        }
        assert!(memory.is_armed(process(1), at(100)));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut memory = Suspicions::new(SILENCE);
        for number in 0..10_000 {
            memory.evicted(process(number), &latch("a"), number);
            memory.accused(process(number), &latch(&format!("l{number}")), 1, at(0));
        }
        assert!(memory.evictions.len() <= MEMORY && memory.accusations.len() <= MEMORY);
        assert_eq!(memory.disarmed(at(0)), MEMORY);
        assert!(!memory.is_armed(process(9_999), at(0)));
    }
}
