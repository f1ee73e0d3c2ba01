//! The end of services, and how they are until then.

use std::time::Duration;

use futures_util::future::join_all;
use sha2::{Digest, Sha256};

use super::{HaServices, ServicesOptions};
use crate::backend::{Prefix, Session};
use crate::cleanup::Failures;
use crate::election::LeaderElectionService;
use crate::health::{Health, LatchHealth, SessionHealth};
use crate::state::StateStorage;
use crate::{Error, ErrorKind};

/// How long it is looked whether a latch that was given up is free.
const LOOK_MAX: Duration = Duration::from_secs(2);

/// What becomes of what is stored when services are closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Closing {
    /// It stays, and another process recovers from it.
    #[default]
    KeepData,
    /// It is removed; see [`HighAvailabilityServices::cleanup_all_data`](super::HighAvailabilityServices::cleanup_all_data).
    CleanUpAllData,
}

/// The cluster's part of a state storage: below its id, with names that are not those of a cluster elsewhere.
pub(crate) fn storage_of(
    storage: &StateStorage,
    options: &ServicesOptions,
    root: &Prefix,
    backend: &str,
) -> Result<StateStorage, Error> {
    let digest = Sha256::digest(format!("{backend}:{root}"));
    let place: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    Ok(storage.of_cluster(&Prefix::new(&options.cluster_id)?, &place))
}

impl HaServices {
    pub(super) async fn resign_all(&self) -> Result<(), Error> {
        // Race: an election is got for another latch while those that there are give up theirs.
        // Closed by: under one lock, what there is is taken out, and what comes later is refused from its first day.
        // Cost if missed: a process that has resigned leads again, and is killed as a leader.
        let elections = {
            let mut parts = self.parts();
            parts.resigned = true;
            parts.elections.clone()
        };
        // At once: each may have to wait for a store that does not answer.
        let resigned = join_all(elections.values().map(|election| self.resign_from(election))).await;
        let mut failures = Failures::default();
        for resigned in resigned {
            failures.take(resigned);
        }
        failures.merged()
    }

    async fn resign_from(&self, election: &LeaderElectionService) -> Result<(), Error> {
        let grant = election.current().borrow().clone();
        election.shut().await;
        let Some(grant) = grant else { return Ok(()) };
        // A release that is not answered in time is given up, and nobody is told: the latch itself says it.
        let unknown = |why| Error::new(ErrorKind::Unavailable, "resign").at(grant.latch()).because(why);
        let read = self.committer.backend().read(grant.latch().key());
        let Some(found) = self.committer.seam().timeout(LOOK_MAX, read).await else {
            return Err(unknown("the store does not answer; others can take it when its session has ended by silence"));
        };
        match found?.and_then(|entry| entry.held) {
            Some(held) if held == *grant.term() => {
                Err(unknown("it was not let go of in time; others can take it when its session has ended by silence"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn look_after_itself(&self) -> Health {
        let seam = self.committer.seam();
        let now = seam.now();
        let silence = self.sessions.options().silence;
        let (elections, closed) = {
            let parts = self.parts();
            (parts.elections.clone(), parts.closed)
        };
        let latches = elections.iter().map(|(latch, election)| {
            let grant = election.current().borrow().clone();
            // One look at the deadline: it is past from the moment on at which the leadership is over, whatever else
            // was looked at before.
            let now = seam.now();
            let leads =
                grant.map(|grant| (grant.epoch(), grant.valid_until())).filter(|(_, until)| !until.is_past(now));
            LatchHealth::new(latch, leads, now)
        });
        let session = self.sessions.present().map(|session| SessionHealth::new(session.valid_until(), silence, now));
        let (store, presence) = (Some(self.store.health(now)), self.presence_stats());
        Health { closed, latches: latches.collect(), session, store, presence }
    }
}
