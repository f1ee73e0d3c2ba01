//! How a job ends: the result first, then the clean-up, then the result is clean.
//!
//! Race: the leader is lost between any two of these steps.
//! Closed by: the order. Before the result is stored, the plan is there, and the next leader runs the job on from its
//!     last checkpoint, which is the final one. After that nobody runs it: the next leader finds the result dirty and
//!     takes every step again, each of which is success if there is nothing left to do.
//! Cost if missed: a plan that is removed before the end is stored: the client waits for ever for a job that nobody
//!     knows. A result that is stored after the plan is gone: the job is forgotten and may be run again.

use std::sync::Arc;

use ha::checkpoint::{DiscardStateOnly, RecoveryClaimMode};
use ha::election::Leadership;
use ha::job_result::JobResult;
use ha::plan::ExecutionPlanStore;
use ha::{Error, ErrorKind};

use super::history;

/// Accumulators of a result.
pub(super) const CHECKPOINT: &str = "checkpoint";
pub(super) const EVENTS: &str = "events";
pub(super) const RESTARTS: &str = "restarts";
pub(super) const SUBMISSION: &str = "submission";

/// A store that is opened to be emptied: nothing is added, so nothing is dropped for the sake of the number.
const RETAINED: usize = 1;
/// Tries to store a result whose outcome stays unknown.
const TRIES: u32 = 3;

/// Stores the result; from now on nobody runs the job again.
///
/// # Errors
/// It may be stored or not: do not report it. The next leader finds out.
pub(super) async fn store(leadership: &Leadership, result: &JobResult) -> Result<(), Error> {
    let results = leadership.job_result_store();
    let mut tries = TRIES;
    loop {
        tries -= 1;
        match results.create_dirty_result(result).await {
            // By a try of ours that was not answered: only the leader writes results, and it is still us.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Indeterminate && tries > 0 => {}
            stored => return stored,
        }
    }
}

/// Removes all that is stored of a job that has a result, and marks the result as clean.
///
/// # Errors
/// The result stays dirty, and the next leader calls this again.
pub(super) async fn clean_up(
    leadership: &Leadership,
    plans: &dyn ExecutionPlanStore,
    result: &JobResult,
) -> Result<(), Error> {
    let (job, status) = (&result.job, result.status);
    plans.global_cleanup(job).await?;
    let factory = leadership.checkpoint_recovery_factory();
    let (claim, discarder) = (RecoveryClaimMode::Claim, Arc::new(DiscardStateOnly));
    let checkpoints = factory.create_recovered_completed_checkpoint_store(job, RETAINED, claim, discarder).await?;
    checkpoints.shutdown(status).await?;
    factory.create_checkpoint_id_counter(job).shutdown(status).await?;
    leadership.blob_store().delete_all(job).await?;
    history::keep(leadership, result).await?;
    match leadership.job_result_store().mark_result_as_clean(job).await {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        marked => marked,
    }
}
