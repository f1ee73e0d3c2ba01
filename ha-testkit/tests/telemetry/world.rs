//! Processes on one store and one state storage, both of which can fail.

use std::sync::Arc;
use std::time::Duration;

use ha_core::backend::SessionOptions;
use ha_core::cleanup::{CleanableResource, CleanupStrategy};
use ha_core::job_result::JobResult;
use ha_core::plan::ExecutionPlanListener;
use ha_core::record::Body;
use ha_core::seam::Seam;
use ha_core::state::StateStorage;
use ha_core::wrap::{Metered, Traced};
use ha_core::{Error, ErrorKind, HaServices, JobId, PresenceOptions, ServicesOptions};
use ha_embedded::Embedded;
use ha_testkit::faults::{Faulty, FaultyStates, Plan, StatePlan};
use object_store::memory::InMemory;
use serde::{Deserialize, Serialize};

/// Longer than any test: whoever leads was not let in by silence.
pub(crate) const LONG: Duration = Duration::from_secs(600);

pub(crate) struct World {
    pub(crate) seam: Seam,
    pub(crate) store: Embedded,
    states: Arc<InMemory>,
}

/// One process's services, and what goes wrong for it.
pub(crate) struct Process {
    pub(crate) services: HaServices,
    pub(crate) plan: Plan,
    pub(crate) states: StatePlan,
}

impl World {
    pub(crate) fn new() -> Self {
        let seam = Seam::system();
        Self { store: Embedded::new(seam.clone()), states: Arc::new(InMemory::new()), seam }
    }

    pub(crate) fn process(&self) -> Process {
        self.process_with(LONG, PresenceOptions::Off)
    }

    pub(crate) fn process_with(&self, silence: Duration, presence: PresenceOptions) -> Process {
        let (plan, states) = (Plan::none(), StatePlan::none());
        let faulty = Arc::new(Faulty::new(Arc::new(self.store.connect()), self.seam.clone(), plan.clone()));
        let backend = Arc::new(Metered::new(Arc::new(Traced::new(faulty)), self.seam.clone()));
        let bytes = FaultyStates::new(Arc::<InMemory>::clone(&self.states), self.seam.clone(), states.clone());
        let storage = StateStorage::over(Arc::new(bytes), "memory:///", self.seam.clone());
        let session = SessionOptions { silence, label: "test".into() };
        let options = ServicesOptions { session, presence, ..ServicesOptions::default() };
        let services = HaServices::new(backend, storage, &options, self.seam.clone()).unwrap();
        Process { services, plan, states }
    }

    /// Waits until it is so.
    pub(crate) async fn eventually(&self, what: &str, is_so: impl Fn() -> bool) {
        let give_up = self.seam.now() + Duration::from_secs(60);
        while !is_so() {
            assert!(self.seam.now() < give_up, "never came: {what}");
            self.seam.sleep(Duration::from_millis(5)).await;
        }
    }
}

pub(crate) fn job(name: &str) -> JobId {
    JobId::new(name).unwrap()
}

#[derive(Debug)]
pub(crate) struct Ignore;

impl ExecutionPlanListener for Ignore {
    fn on_added_execution_plan(&self, _: &JobId) {}
    fn on_removed_execution_plan(&self, _: &JobId) {}
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Note {
    pub(crate) text: String,
}

impl Body for Note {
    const KIND: &'static str = "note";
}

/// What cannot be taken away.
#[derive(Debug)]
pub(crate) struct Stuck;

#[async_trait::async_trait]
impl CleanableResource for Stuck {
    fn name(&self) -> &str {
        "stuck"
    }
    async fn global_cleanup(&self, _: &JobResult) -> Result<(), Error> {
        Err(Error::new(ErrorKind::Storage, "take away").because("it is stuck on purpose"))
    }
}

/// Two tries.
pub(crate) fn one_retry() -> CleanupStrategy {
    CleanupStrategy::FixedDelay { delay: Duration::from_millis(1), attempts: Some(1) }
}
