//! Keeps the gauges of a session true while nothing renews it.

#[cfg(feature = "metrics")]
pub(crate) use with::Sampler;
#[cfg(not(feature = "metrics"))]
pub(crate) use without::Sampler;

#[cfg(feature = "metrics")]
mod with {
    use std::sync::{Arc, Weak};
    use std::time::Duration;

    use crate::backend::Session;
    use crate::seam::{Deadline, Seam, Task};
    use crate::telemetry::record;

    const PERIOD_MIN: Duration = Duration::from_millis(50);
    const PERIOD_MAX: Duration = Duration::from_secs(1);

    /// Looks at a session's deadline ten times in each silence time-out. A gauge that was set by renewals would show the
    /// last good value for ever in the one case that it is for. Dropping it ends it.
    ///
    /// Not on the thread that renews, although an application that starves its own threads would be seen from there:
    /// a recorder that blocks would keep the session from being renewed, and nothing that measures may end a leadership.
    #[derive(Debug)]
    pub(crate) struct Sampler {
        _task: Task,
    }

    impl Sampler {
        pub(crate) fn start(session: &Arc<dyn Session>, silence: Duration, seam: &Seam) -> Self {
            // Weak: a session that its owner has dropped is over, and must not live on for being looked at.
            let session = Arc::downgrade(session);
            let sampling = sample(session, silence, seam.clone());
            Self { _task: seam.spawn(sampling) }
        }
    }

    /// Zeroes the gauges however the sampling ends.
    struct Over;

    impl Drop for Over {
        fn drop(&mut self) {
            record::no_session();
        }
    }

    async fn sample(session: Weak<dyn Session>, silence: Duration, seam: Seam) {
        let _over = Over;
        let period = (silence / 10).clamp(PERIOD_MIN, PERIOD_MAX);
        loop {
            let Some(until) = session.upgrade().map(|session| session.valid_until()) else { return };
            let left = (until != Deadline::NEVER).then(|| until.remaining(seam.now()));
            record::session_sampled(left, silence);
            if left == Some(Duration::ZERO) {
                return;
            }
            seam.sleep(period).await;
        }
    }
}

#[cfg(not(feature = "metrics"))]
mod without {
    use std::sync::Arc;
    use std::time::Duration;

    use crate::backend::Session;
    use crate::seam::Seam;

    #[derive(Debug)]
    pub(crate) struct Sampler;

    impl Sampler {
        #[inline(always)]
        pub(crate) fn start(_: &Arc<dyn Session>, _: Duration, _: &Seam) -> Self {
            Self
        }
    }
}
