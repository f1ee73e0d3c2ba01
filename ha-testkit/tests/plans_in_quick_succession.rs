//! What a store of execution plans costs while many plans are put one after the other.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test, as it should")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ha_core::backend::SessionOptions;
use ha_core::plan::{ExecutionPlan, ExecutionPlanListener};
use ha_core::seam::Seam;
use ha_core::state::StateStorage;
use ha_core::{HaServices, HighAvailabilityServices, JobId, ServicesOptions};
use ha_embedded::Embedded;
use ha_testkit::faults::{Call, Faulty, Plan};
use ha_testkit::sim;

const PLANS: usize = 300;

#[derive(Debug, Default)]
struct Heard(Mutex<BTreeSet<JobId>>);

impl Heard {
    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl ExecutionPlanListener for Heard {
    fn on_added_execution_plan(&self, job: &JobId) {
        self.0.lock().unwrap().insert(job.clone());
    }

    fn on_removed_execution_plan(&self, _job: &JobId) {}
}

fn services(store: &Embedded, states: &StateStorage, seam: &Seam, plan: &Plan) -> HaServices {
    let backend = Arc::new(Faulty::new(Arc::new(store.connect()), seam.clone(), plan.clone()));
    let session = SessionOptions { silence: Duration::from_secs(60), label: "one".into() };
    let options = ServicesOptions { session, ..ServicesOptions::default() };
    HaServices::new(backend, states.clone(), &options, seam.clone()).unwrap()
}

fn plan(number: usize) -> ExecutionPlan {
    ExecutionPlan::new(JobId::new(format!("job-{number:03}")).unwrap(), "graph".into())
}

/// By the clock of the simulation, which stands still while anybody is busy.
async fn heard_within(seam: &Seam, heard: &Heard, count: usize, at_most: Duration) {
    let before = seam.now();
    while heard.count() < count {
        let waited = seam.now().since(before);
        assert!(waited <= at_most, "{} of {count} plans were announced within {waited:?}", heard.count());
        seam.sleep(Duration::from_micros(100)).await;
    }
}

/// Fails if every change is looked at by itself: on a backend that answers a watch with all that there is,
/// n puts cost n looks at n plans then.
#[test]
fn plans_that_are_put_in_quick_succession_are_looked_at_together_and_the_first_one_at_once() {
    sim::run(1, async |seam| {
        let (store, states) = (Embedded::new(seam.clone()), StateStorage::open("memory://", seam.clone()).unwrap());
        let (leads, watches) = (Plan::none(), Plan::none());
        let leader = services(&store, &states, &seam, &leads);
        let leadership = leader.dispatcher_leader_election().unwrap().campaign().await.unwrap();
        let plans = leadership.execution_plan_store();
        plans.start(Arc::new(Heard::default())).await.unwrap();
        let other = services(&store, &states, &seam, &watches);
        let heard = Arc::new(Heard::default());
        let watching = other.execution_plan_store().unwrap();
        watching.start(Arc::<Heard>::clone(&heard)).await.unwrap();
        seam.sleep(Duration::from_secs(1)).await;

        plans.put_execution_plan(&plan(0)).await.unwrap();
        heard_within(&seam, &heard, 1, Duration::from_millis(1)).await;
        seam.sleep(Duration::from_secs(1)).await;

        let looks = watches.calls(Call::Changed);
        for number in 1..PLANS {
            plans.put_execution_plan(&plan(number)).await.unwrap();
            seam.sleep(Duration::from_millis(1)).await;
        }
        heard_within(&seam, &heard, PLANS, Duration::from_millis(50)).await;
        let looks = watches.calls(Call::Changed) - looks;
        assert!(looks <= PLANS / 4, "{looks} looks at {PLANS} plans");
    });
}

/// Fails if a put asks twice what only the commit decides.
#[test]
fn a_new_plan_costs_one_read_and_one_commit_and_a_known_one_no_read() {
    sim::run(1, async |seam| {
        let (store, states) = (Embedded::new(seam.clone()), StateStorage::open("memory://", seam.clone()).unwrap());
        let calls = Plan::none();
        let leader = services(&store, &states, &seam, &calls);
        let leadership = leader.dispatcher_leader_election().unwrap().campaign().await.unwrap();
        let plans = leadership.execution_plan_store();
        plans.start(Arc::new(Heard::default())).await.unwrap();
        // The first creation under a leadership also learns of its barrier.
        plans.put_execution_plan(&plan(0)).await.unwrap();
        for reads in [1, 0] {
            let before = (calls.calls(Call::Read), calls.calls(Call::Commit));
            plans.put_execution_plan(&plan(1)).await.unwrap();
            assert_eq!((calls.calls(Call::Read), calls.calls(Call::Commit)), (before.0 + reads, before.1 + 1));
        }
    });
}
