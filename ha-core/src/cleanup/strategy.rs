use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind};

/// The longest pause: a week, so that a typing error does not postpone a clean-up for ever.
const DELAY_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// When a failed clean-up is tried again. Flink's `cleanup-strategy`.
///
/// ```
/// use std::time::Duration;
/// use ha_core::cleanup::CleanupStrategy;
/// let strategy = CleanupStrategy::default();
/// assert_eq!(strategy.delay_before(1), Some(Duration::from_secs(1)));
/// assert_eq!(strategy.delay_before(2), Some(Duration::from_secs(2)));
/// assert_eq!(strategy.delay_before(1000), Some(Duration::from_secs(3600)));
/// assert_eq!(CleanupStrategy::None.delay_before(1), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum CleanupStrategy {
    /// Never: one try. The result of the job stays dirty, for the next leader.
    None,
    /// After the same pause each time.
    FixedDelay {
        /// The pause. Flink's default is a minute.
        delay: Duration,
        /// After how many further tries it is given up; `None`: never.
        attempts: Option<u32>,
    },
    /// After pauses that double.
    ExponentialDelay {
        /// The first pause.
        initial_backoff: Duration,
        /// The longest pause.
        max_backoff: Duration,
        /// After how many further tries it is given up; `None`: never.
        attempts: Option<u32>,
    },
}

impl Default for CleanupStrategy {
    /// From a second to an hour, without end: what is left of a job that is over costs space and nothing else, so
    /// there is no reason to give up, nor to hurry.
    fn default() -> Self {
        Self::ExponentialDelay {
            initial_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(3600),
            attempts: None,
        }
    }
}

impl CleanupStrategy {
    /// How long to wait before the `retry`-th further try, the first being 1; `None`: it is given up.
    #[must_use]
    pub fn delay_before(&self, retry: u32) -> Option<Duration> {
        let within = |attempts: &Option<u32>| attempts.is_none_or(|most| retry <= most);
        match self {
            Self::None => None,
            Self::FixedDelay { delay, attempts } => within(attempts).then_some(*delay),
            Self::ExponentialDelay { initial_backoff, max_backoff, attempts } => {
                let doublings = retry.saturating_sub(1).min(31);
                within(attempts).then(|| initial_backoff.saturating_mul(1 << doublings).min(*max_backoff))
            }
        }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`]: names the field, the value and the bound.
    pub fn validate(&self) -> Result<(), Error> {
        let invalid =
            |field, why: String| Err(Error::new(ErrorKind::Invalid, "cleanup strategy").at(field).because(why));
        let delay = |field, value: Duration| match value {
            value if value.is_zero() => invalid(field, "zero; a clean-up would be tried again without a pause".into()),
            value if value > DELAY_MAX => invalid(field, format!("{value:?}; at most {DELAY_MAX:?} are allowed")),
            _ => Ok(()),
        };
        match *self {
            Self::None => Ok(()),
            Self::FixedDelay { delay: pause, .. } => delay("delay", pause),
            Self::ExponentialDelay { initial_backoff, max_backoff, .. } => {
                delay("initial_backoff", initial_backoff)?;
                delay("max_backoff", max_backoff)?;
                if max_backoff < initial_backoff {
                    return invalid(
                        "max_backoff",
                        format!("{max_backoff:?}, less than the initial {initial_backoff:?}"),
                    );
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn attempts_are_counted_and_pauses_are_bounded() {
        let fixed = CleanupStrategy::FixedDelay { delay: SECOND, attempts: Some(2) };
        assert_eq!([1, 2, 3].map(|n| fixed.delay_before(n)), [Some(SECOND), Some(SECOND), None]);
        let growing =
            CleanupStrategy::ExponentialDelay { initial_backoff: SECOND, max_backoff: 5 * SECOND, attempts: Some(4) };
        let pauses = [1, 2, 3, 4, 5].map(|n| growing.delay_before(n).map(|delay| delay.as_secs()));
        assert_eq!(pauses, [Some(1), Some(2), Some(4), Some(5), None]);
        assert_eq!(CleanupStrategy::default().delay_before(u32::MAX), Some(3600 * SECOND));
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let exponential = |initial, max| CleanupStrategy::ExponentialDelay {
            initial_backoff: initial,
            max_backoff: max,
            attempts: None,
        };
        for (strategy, field) in [
            (CleanupStrategy::FixedDelay { delay: Duration::ZERO, attempts: None }, "delay"),
            (CleanupStrategy::FixedDelay { delay: Duration::MAX, attempts: None }, "delay"),
            (exponential(Duration::ZERO, SECOND), "initial_backoff"),
            (exponential(2 * SECOND, SECOND), "max_backoff"),
            (exponential(SECOND, Duration::MAX), "max_backoff"),
        ] {
            let error = strategy.validate().unwrap_err();
            assert_eq!((error.kind(), error.subject()), (ErrorKind::Invalid, field), "{strategy:?}");
        }
        assert!(CleanupStrategy::default().validate().is_ok() && CleanupStrategy::None.validate().is_ok());
    }
}
