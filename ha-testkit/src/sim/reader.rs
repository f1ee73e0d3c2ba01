//! What needs no leadership: reading.

use std::sync::Arc;
use std::time::Duration;

use ha_core::plan::ExecutionPlanListener;
use ha_core::{HighAvailabilityServices, JobId};

use super::life::Own;
use super::work::{JOBS, job, read_plan, read_result};

/// Hears of others' plans, and does nothing about it.
#[derive(Debug)]
pub(super) struct Indifferent;

impl ExecutionPlanListener for Indifferent {
    fn on_added_execution_plan(&self, _: &JobId) {}
    fn on_removed_execution_plan(&self, _: &JobId) {}
}

pub(super) async fn read_now_and_then(own: Own) {
    let Ok(plans) = own.services.execution_plan_store() else { return };
    let Ok(results) = own.services.job_result_store() else { return };
    while plans.start(Arc::new(Indifferent)).await.is_err() {
        own.rest(Duration::from_millis(500)).await;
    }
    let leisure = own.world.leisure() * 8;
    loop {
        own.rest(leisure).await;
        let job = job(JOBS[(own.seam.random_u64() % JOBS.len() as u64) as usize]);
        match own.chance(2) {
            true => drop(read_plan(&own, None, &*plans, &job).await),
            false => drop(read_result(&own, None, &*results, &job).await),
        }
    }
}
