//! Execution plans: what a job is, kept so that the next leader can run it again.

mod default_store;
mod listening;
mod ownership;
mod pointer;
mod shared;
mod store;
mod watch;

use std::fmt;

use bytes::Bytes;

use crate::JobId;

pub use default_store::DefaultExecutionPlanStore;
#[cfg(feature = "fuzzing")]
pub(crate) use pointer::Pointer;
pub(crate) use pointer::state_in;
pub use store::{ExecutionPlanListener, ExecutionPlanStore};

/// What is needed to run a job again. Flink's `ExecutionPlan`, once `JobGraph`.
///
/// The plan is opaque bytes, written to the state storage. The resource requirements stand beside
/// the pointer to them, so that changing these rewrites no state.
///
/// ```
/// use ha_core::{JobId, plan::ExecutionPlan};
/// let plan = ExecutionPlan::new(JobId::new("job-1").unwrap(), "serialised graph".into());
/// assert_eq!(plan.requirements, None);
/// ```
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct ExecutionPlan {
    /// Of which job.
    pub job: JobId,
    /// The plan, as the application serialises it.
    pub plan: Bytes,
    /// How many resources the job is to get, as the application writes it; a JSON `null` counts as `None`.
    pub requirements: Option<serde_json::Value>,
}

impl ExecutionPlan {
    /// A plan without resource requirements.
    #[must_use]
    pub fn new(job: JobId, plan: Bytes) -> Self {
        Self { job, plan, requirements: None }
    }

    /// The same plan with these resource requirements.
    #[must_use]
    pub fn with_requirements(mut self, requirements: serde_json::Value) -> Self {
        self.requirements = Some(requirements);
        self
    }
}

impl fmt::Debug for ExecutionPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The plan may be large, and is the application's business.
        f.debug_struct("ExecutionPlan")
            .field("job", &self.job)
            .field("plan_bytes", &self.plan.len())
            .field("requirements", &self.requirements)
            .finish()
    }
}
