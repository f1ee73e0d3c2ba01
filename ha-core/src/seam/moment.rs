use std::fmt;
use std::ops::Add;
use std::time::Duration;

/// A point on a [`Clock`](super::Clock)'s monotonic time line, in nanoseconds since an origin
/// that only that clock knows. Moments of two machines cannot be compared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The clock's origin.
    pub const ORIGIN: Self = Self(0);
    /// A moment that never comes (584 years after the origin).
    pub const NEVER: Self = Self(u64::MAX);

    /// The moment that long after the origin; [`Moment::NEVER`] if that is too far to count.
    #[must_use]
    pub fn after_origin(elapsed: Duration) -> Self {
        Self(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))
    }

    /// How long after the origin it is.
    #[must_use]
    pub fn since_origin(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// How long after `earlier` it is; zero if it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NEVER {
            return f.write_str("never");
        }
        write!(f, "{:?}", self.since_origin())
    }
}

/// The moment up to which a leadership or a session is certainly valid.
///
/// It moves only with renewals that the store itself acknowledged, each counted from when it
/// was *sent*, and so always lies before the moment at which silence could hand the latch to
/// another. Comparing it with the clock needs no I/O and no runtime.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline(Moment);

impl Deadline {
    /// Already past: nothing was acknowledged yet, or the session is over.
    pub const PAST: Self = Self(Moment::ORIGIN);
    /// Valid without end: a backend that has no liveness by silence.
    pub const NEVER: Self = Self(Moment::NEVER);

    /// Valid strictly before that moment.
    #[must_use]
    pub fn at(moment: Moment) -> Self {
        Self(moment)
    }

    /// The moment itself.
    #[must_use]
    pub fn moment(self) -> Moment {
        self.0
    }

    /// Whether it is past; at the very moment it is.
    #[must_use]
    pub fn is_past(self, now: Moment) -> bool {
        now >= self.0
    }

    /// How long it still holds; zero if it is past.
    #[must_use]
    pub fn remaining(self, now: Moment) -> Duration {
        self.0.since(now)
    }
}

impl fmt::Debug for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "until {:?}", self.0)
    }
}
