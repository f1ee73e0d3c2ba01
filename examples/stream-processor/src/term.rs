//! One number for two: whose leadership it is, and the how-many-eth start of a job within it.

/// Lower bits of an attempt, which count the starts within one leadership.
const RESTART_BITS: u32 = 16;

/// A start of a job. Later ones are greater, whoever leads: the fencing token grows with each leadership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Term {
    /// The leader's fencing token, below 2^48.
    pub token: u64,
    /// How often the job was started before under this leadership.
    pub restart: u16,
}

impl Term {
    /// The engine's attempt number; `None` if the token is too great for one.
    #[must_use]
    pub fn attempt(self) -> Option<u64> {
        let token = self.token.checked_mul(1 << RESTART_BITS)?;
        Some(token | u64::from(self.restart))
    }

    /// The term that an attempt number stands for.
    #[must_use]
    pub fn of_attempt(attempt: u64) -> Self {
        let restart = u16::try_from(attempt & u64::from(u16::MAX)).unwrap_or(u16::MAX);
        Self { token: attempt >> RESTART_BITS, restart }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_leadership_is_greater_than_every_start_of_an_earlier_one() {
        let (old, new) = (Term { token: 7, restart: u16::MAX }, Term { token: 8, restart: 0 });
        assert!(old.attempt() < new.attempt());
        for term in [old, new, Term { token: (1 << 48) - 1, restart: 3 }] {
            assert_eq!(term.attempt().map(Term::of_attempt), Some(term));
        }
        assert_eq!(Term { token: 1 << 48, restart: 0 }.attempt(), None);
    }
}
