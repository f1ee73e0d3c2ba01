//! Removals whose requests and answers go astray: what is removed stays removed, and what is not stays whole.

use std::sync::Arc;
use std::time::Duration;

use ha_core::checkpoint::{DiscardStateOnly, RecoveryClaimMode};
use ha_core::election::Leadership;
use ha_core::plan::{ExecutionPlan, ExecutionPlanListener, ExecutionPlanStore};
use ha_core::{Error, HighAvailabilityServices, JobId};
use ha_testkit::Missing;
use ha_testkit::proxy::{Matching, Proxy, Treatment};

use crate::answers::TREATMENTS;
use crate::member::checkpoint;
use crate::world::{World, in_time, leadership, run};

#[derive(Debug)]
struct Deaf;

impl ExecutionPlanListener for Deaf {
    fn on_added_execution_plan(&self, _: &JobId) {}
    fn on_removed_execution_plan(&self, _: &JobId) {}
}

async fn started(leads: &Leadership) -> Arc<dyn ExecutionPlanStore> {
    let plans = leads.execution_plan_store();
    plans.start(Arc::new(Deaf)).await.unwrap();
    plans
}

/// Adds checkpoints of which one is retained, so that each but the first removes another's pointer.
async fn subsume(leads: &Leadership, job: &JobId, first: u64) -> Result<u64, Error> {
    let (mode, discarder) = (RecoveryClaimMode::default(), Arc::new(DiscardStateOnly));
    let factory = leads.checkpoint_recovery_factory();
    let store = factory.create_recovered_completed_checkpoint_store(job, 1, mode, discarder).await?;
    for id in first..first + 3 {
        store.add_checkpoint_and_subsume_oldest_one(checkpoint(id)).await?;
    }
    let latest = store.get_latest_checkpoint().await?.expect("what was acknowledged");
    assert_eq!(latest.state, format!("state {}", latest.id), "a pointer to what was removed");
    Ok(latest.id)
}

async fn removals(treatment: Treatment) -> Result<(), Missing> {
    let w = World::shared().await?;
    let proxy = Proxy::to(w.agent.address(), w.seam.clone()).await;
    let services = w.place.member("leader", &[proxy.address().to_owned()]).services(&w.seam).await;
    let rule = proxy.treat(Matching::path("/v1/txn").body("\"Verb\":\"delete\"").times(4), treatment);
    let job = JobId::new("job").unwrap();
    let plan = ExecutionPlan::new(job.clone(), "graph".into());
    let mut latest = 0;
    let all = async {
        loop {
            let leads = leadership(&w.seam, &services).await;
            let once = async {
                let plans = started(&leads).await;
                // What was there before is this plan, whether its removal was applied or not.
                if plans.recover_execution_plan(&job).await?.is_none() {
                    plans.put_execution_plan(&plan).await?;
                }
                plans.global_cleanup(&job).await?;
                assert!(plans.recover_execution_plan(&job).await?.is_none(), "removed, and there");
                latest = subsume(&leads, &job, latest + 1).await?;
                Ok::<(), Error>(())
            };
            let done = once.await.is_ok();
            let _ = leads.resign().await;
            // Those that came late or twice may still come.
            if done && rule.count() >= 4 {
                return;
            }
            w.seam.sleep(Duration::from_millis(20)).await;
        }
    };
    in_time(&w.seam, "all is removed", all).await;
    w.seam.sleep(Duration::from_millis(1300)).await;
    let _ = in_time(&w.seam, "it is closed", services.close()).await;
    let successor = w.services("successor").await;
    let leads = w.leadership(&successor).await;
    assert!(started(&leads).await.recover_execution_plan(&job).await.unwrap().is_none(), "{treatment:?}: it came back");
    assert!(subsume(&leads, &job, latest + 1).await.unwrap() > latest, "{treatment:?}");
    successor.close().await.unwrap();
    Ok(())
}

#[test]
fn every_fault_of_a_removal_leaves_it_applied_or_not_and_nothing_comes_back() {
    run(async {
        let all = TREATMENTS.iter().map(|treatment| removals(*treatment));
        futures_util::future::join_all(all).await.into_iter().collect()
    });
}
