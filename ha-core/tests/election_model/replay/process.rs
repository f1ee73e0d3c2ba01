use std::sync::{Arc, Mutex};
use std::time::Duration;

use ha_core::backend::{Expect, Key, Name, SessionOptions};
use ha_core::election::{LeaderElection, LeaderElectionService, Leadership};
use ha_core::record::Body;
use ha_core::seam::{Seam, Task};
use ha_core::state::StateStorage;
use ha_core::writer::{Committed, Writer};
use ha_core::{ComponentId, Error, HaServices, PresenceOptions, ServicesOptions, application_prefix};
use serde::{Deserialize, Serialize};

use super::TICK;
use super::gate::{Gate, Stored, Through};
use super::hand::Hand;
use crate::world::{Kind, SILENCE};

/// What the record says: which write of the model it is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Written {
    pub(crate) write: u8,
}

impl Body for Written {
    const KIND: &'static str = "written";
}

/// What a write came to.
pub(crate) type Outcome = Result<Committed, Error>;

/// One life of a process: the real services, over a gate.
pub(crate) struct Real {
    pub(crate) gate: Arc<Gate>,
    pub(crate) hand: Hand,
    seam: Seam,
    _services: HaServices,
    service: Arc<LeaderElectionService>,
    election: Arc<dyn LeaderElection>,
    candidacy: Option<Task>,
    /// Kept until the next one takes its place, as applications do.
    pub(crate) leadership: Arc<Mutex<Option<Leadership>>>,
    op: Option<Task>,
    pub(crate) outcome: Arc<Mutex<Option<Outcome>>>,
}

pub(crate) fn record_key() -> Key {
    application_prefix().key(&Name::new("record").unwrap())
}

impl Real {
    pub(crate) fn new(stored: &Stored, name: String, at: Duration, seed: u64) -> Self {
        let (gate, hand) = (Gate::new(stored, name), Hand::new(at));
        let seam = hand.seam(seed);
        // Between two ticks of the model's silence, so that its last tick is past it whatever was waited for before.
        let silence = TICK * u32::from(SILENCE) - TICK / 2;
        let session = SessionOptions { silence, label: "replayed".into() };
        let options = ServicesOptions { session, presence: PresenceOptions::Off, ..ServicesOptions::default() };
        let storage = StateStorage::open("memory://", seam.clone()).unwrap();
        let backend = Arc::new(Through(Arc::clone(&gate)));
        let services = HaServices::new(backend, storage, &options, seam.clone()).unwrap();
        let service = services.leader_election_service().unwrap();
        let election = service.create_leader_election(ComponentId::dispatcher()).unwrap();
        let (leadership, outcome) = (Arc::default(), Arc::default());
        let (candidacy, op) = (None, None);
        Self { gate, hand, seam, _services: services, service, election, candidacy, leadership, op, outcome }
    }

    /// What the process believes that it leads under, and whether it takes that for valid.
    pub(crate) fn believes(&self) -> Option<(u64, bool)> {
        let grant = self.service.current().borrow().clone()?;
        grant.loss().is_none().then(|| (grant.epoch(), grant.is_valid()))
    }

    pub(crate) fn want(&mut self) {
        let (election, slot) = (Arc::clone(&self.election), Arc::clone(&self.leadership));
        self.candidacy = Some(self.seam.spawn(async move {
            let won = election.campaign().await.unwrap();
            *slot.lock().unwrap() = Some(won);
        }));
    }

    pub(crate) fn resign(&mut self) {
        self.candidacy = None;
        let held = self.leadership.lock().unwrap().take();
        if let Some(leadership) = held {
            self.seam.spawn(async move { drop(leadership.resign().await) }).detach();
        }
    }

    pub(crate) fn begin(&mut self, kind: Kind, write: u8) {
        let writer = self.leadership.lock().unwrap().as_ref().expect("it leads").writer();
        let slot = Arc::clone(&self.outcome);
        *slot.lock().unwrap() = None;
        self.op = Some(self.seam.spawn(async move {
            let outcome = perform(&writer, kind, write).await;
            *slot.lock().unwrap() = Some(outcome);
        }));
    }

    pub(crate) fn is_writing(&self) -> bool {
        self.op.is_some() && self.outcome.lock().unwrap().is_none()
    }

    pub(crate) fn pass(&self, by: Duration) {
        self.hand.set(self.hand.reads() + by);
    }
}

async fn perform(writer: &Writer, kind: Kind, write: u8) -> Outcome {
    let key = record_key();
    let found = writer.backend().read(&key).await?;
    let draft = match (kind, found) {
        (Kind::Create, _) => writer.draft()?.put(key, Expect::Absent, &Written { write })?,
        (Kind::Remove, Some(entry)) => writer.draft()?.remove(key, entry.revision),
        (_, Some(entry)) => writer.draft()?.put(key, Expect::Revision(entry.revision), &Written { write })?,
        (_, None) => unreachable!("the model replaces and removes what is there"),
    };
    writer.commit(draft).await
}
