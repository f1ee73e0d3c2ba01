//! How services are, for probes.

mod contact;
mod observed;

use std::time::Duration;

use serde::Serialize;

use crate::backend::Latch;
use crate::seam::{Deadline, Moment};
use crate::{ErrorKind, PresenceStats};

pub(crate) use contact::Contact;
pub(crate) use observed::Observed;

/// How the services of one process are, as far as the process itself knows. Plain data for probes and dashboards;
/// no secret is in it.
///
/// ```
/// # use std::sync::Arc;
/// # use ha_core::{HaServices, HighAvailabilityServices, ServicesOptions, seam::Seam, state::StateStorage};
/// # use ha_embedded::Embedded;
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// # let seam = Seam::system();
/// # let backend = Arc::new(Embedded::new(seam.clone()).connect());
/// # let storage = StateStorage::open("memory://", seam.clone())?;
/// # let services = HaServices::new(backend, storage, &ServicesOptions::default(), seam)?;
/// let leadership = services.dispatcher_leader_election()?.campaign().await?;
/// let health = services.health();
/// assert!(health.is_live() && health.is_ready() && health.leads());
/// println!("{}", serde_json::to_string(&health).unwrap());
/// # Ok::<(), ha_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// Whether the services were closed.
    pub closed: bool,
    /// The latches that elections were got for, in the order of their keys.
    pub latches: Vec<LatchHealth>,
    /// The session that latches are held on; `None` if none is open.
    pub session: Option<SessionHealth>,
    /// The backend, as its last calls showed it; `None` for services without one.
    pub store: Option<StoreHealth>,
    /// What presence has seen and done; `None` if it is off.
    pub presence: Option<PresenceStats>,
}

impl Health {
    /// Whether these services can still come to work: `false` means that only a new process (or new services) can
    /// help, so this is the verdict for a liveness probe. Only closed services are not live: an unreachable store
    /// is not mended by a restart, which would only cost the leadership.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !self.closed
    }

    /// Whether these services work: they are not closed, and the store was reached and has not been failing for
    /// longer than one silence time-out since. The verdict for a readiness probe. A standby is ready; whoever wants
    /// to send requests to leaders alone asks [`Health::leads`] as well.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.closed && self.store.as_ref().is_none_or(|store| store.reached_ms_ago.is_some() && !store.is_failing)
    }

    /// Whether this process leads on some latch.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.latches.iter().any(|latch| latch.epoch.is_some())
    }
}

/// One latch, as this process sees its own part in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LatchHealth {
    /// Where it stands, below the cluster's place.
    pub latch: String,
    /// The epoch that this process leads under; `None` if it does not.
    pub epoch: Option<u64>,
    /// For how many milliseconds the leadership is certainly valid without another renewal; `None` if this process
    /// does not lead, or if silence ends nothing here.
    pub valid_for_ms: Option<u64>,
}

impl LatchHealth {
    pub(crate) fn new(latch: &Latch, leads: Option<(u64, Deadline)>, now: Moment) -> Self {
        Self {
            latch: latch.to_string(),
            epoch: leads.map(|(epoch, _)| epoch),
            valid_for_ms: leads.and_then(|(_, until)| remaining_ms(until, now)),
        }
    }
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SessionHealth {
    /// Whether it is certainly alive.
    pub alive: bool,
    /// For how many milliseconds without another renewal; `None` if silence does not end it.
    pub valid_for_ms: Option<u64>,
    /// How many milliseconds ago the last acknowledged renewal was sent, at least: what is left of the silence
    /// time-out tells it. `None` if silence does not end the session.
    pub renewed_ms_ago: Option<u64>,
}

impl SessionHealth {
    pub(crate) fn new(until: Deadline, silence: Duration, now: Moment) -> Self {
        let valid_for_ms = remaining_ms(until, now);
        let renewed_ms_ago = valid_for_ms.map(|left| millis(silence).saturating_sub(left));
        Self { alive: !until.is_past(now), valid_for_ms, renewed_ms_ago }
    }
}

/// The backend, as its last calls showed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StoreHealth {
    /// How many milliseconds ago it answered, in whatever way; `None` if it never did.
    pub reached_ms_ago: Option<u64>,
    /// The last call that failed; kept when others succeed after it.
    pub last_error: Option<LastError>,
    /// How many calls have failed since it answered.
    pub failures_in_a_row: u64,
    /// Whether it has been failing, or has left a call without an answer, for longer than one silence time-out.
    pub is_failing: bool,
}

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LastError {
    /// Which call of the backend.
    pub operation: &'static str,
    /// What kind of error; see [`ErrorKind`].
    pub kind: String,
    /// How many milliseconds ago.
    pub ms_ago: u64,
}

impl LastError {
    fn new(operation: &'static str, kind: ErrorKind, ms_ago: u64) -> Self {
        Self { operation, kind: format!("{kind:?}"), ms_ago }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn remaining_ms(until: Deadline, now: Moment) -> Option<u64> {
    (until != Deadline::NEVER).then(|| millis(until.remaining(now)))
}
