//! What needs no leadership: reading.

use std::sync::Arc;
use std::time::Duration;

use ha_core::plan::ExecutionPlanListener;
use ha_core::{HighAvailabilityServices, JobId};

use super::life::Own;
use super::work::{JOBS, job, read_plan, read_result, recovered, recovered_by};
use crate::history::{Answer, Call};

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
    let Ok(factory) = own.services.checkpoint_recovery_factory() else { return };
    // One for as long as it reads: what it remembers of the count must not be what it tells.
    let counter = factory.create_checkpoint_id_counter(&job(JOBS[0]));
    if counter.start().await.is_err() {
        return;
    }
    let leisure = own.world.leisure() * 8;
    loop {
        own.rest(leisure).await;
        let job = job(JOBS[(own.seam.random_u64() % JOBS.len() as u64) as usize]);
        match own.seam.random_u64() % 6 {
            0 | 1 => drop(read_plan(&own, None, &*plans, &job).await),
            2 | 3 => drop(read_result(&own, None, &*results, &job).await),
            // Beside a leader that adds and subsumes.
            4 => {
                let call = Call::Recover { job: job.to_string() };
                drop(own.call(None, call, recovered_by(&*factory, &job), |(_, all)| recovered(all)).await);
            }
            _ => {
                let call = Call::ReadCounter { job: JOBS[0].into() };
                drop(own.call(None, call, counter.get(), |next| Answer::Id(*next)).await);
            }
        }
    }
}
