use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::ExecutionPlan;
use crate::{Error, JobId};

/// Hears of plans that *others* added or removed. Flink's `ExecutionPlanListener`.
///
/// What it hears is a hint: a plan may be gone or back when the call arrives, and one that is known
/// may be announced again, when another instance has changed it, say. A process that does not lead must ignore what was added.
///
/// The first change after a quiet time is told at once. What follows in quick succession is told together,
/// after some milliseconds, and up to a second later if there are tens of thousands of plans; what comes and
/// goes in between may not be told at all.
///
/// The calls come one at a time while the store is locked: they must not block, and must not wait
/// for the store; hand the job over to a task instead. A panic is caught and logged.
pub trait ExecutionPlanListener: Send + Sync + 'static {
    /// There is a plan that this store has neither put nor recovered.
    fn on_added_execution_plan(&self, job: &JobId);

    /// A plan that this store had put or recovered is gone. The store has forgotten it already.
    fn on_removed_execution_plan(&self, job: &JobId);
}

/// The plans of the jobs that must run. Flink's `ExecutionPlanStore`, once `JobGraphStore`.
///
/// A plan *belongs* to a store that has put or recovered it; only such a plan is replaced. The
/// operations of one store are done one at a time. All but [`job_ids`](Self::job_ids),
/// [`start`](Self::start) and [`stop`](Self::stop) need a started store.
///
/// # Errors
/// Common to all calls that write:
/// * [`NotLeader`](crate::ErrorKind::NotLeader), [`Fenced`](crate::ErrorKind::Fenced): the
///   leadership is over. Nothing was written. Stop the work.
/// * [`Indeterminate`](crate::ErrorKind::Indeterminate): it may be written. Nothing was deleted.
///   Call again: the store is read first.
/// * [`Corrupt`](crate::ErrorKind::Corrupt), [`NewerFormat`](crate::ErrorKind::NewerFormat),
///   [`Unsupported`](crate::ErrorKind::Unsupported): the stored pointer cannot be read, or the cluster writes
///   a format that this version does not know. Nothing was changed; see the text.
/// * [`Unavailable`](crate::ErrorKind::Unavailable), [`Denied`](crate::ErrorKind::Denied),
///   [`Storage`](crate::ErrorKind::Storage): nothing was written. Try again.
///
/// Common to all calls that need a started store, those that read too:
/// * [`IllegalState`](crate::ErrorKind::IllegalState): it is not started, or was stopped while the call
///   was under way. Nothing was written. Start it, then call again.
///
/// And to all calls: [`Closed`](crate::ErrorKind::Closed): the services or their backend were closed. Nothing
/// was written. Open others.
#[async_trait]
pub trait ExecutionPlanStore: fmt::Debug + Send + Sync {
    /// Makes the store ready and tells the listener what others do from now on; first of all, of
    /// plans that are there already and do not belong to this store. On a started store it does
    /// nothing; after a [`stop`](Self::stop) it starts again.
    ///
    /// # Errors
    /// The store cannot be used; call again.
    ///
    /// # Cancel safety
    /// Call again.
    async fn start(&self, listener: Arc<dyn ExecutionPlanListener>) -> Result<(), Error>;

    /// Ends the use of the store: the listener hears nothing after it returned, and no plan belongs to
    /// the store any more. Deletes nothing. On a stopped store it does nothing.
    ///
    /// It returns in a bounded time, whatever backend and state storage do, if the listener does. A put that
    /// still writes its state is refused when it goes on; a commit that is on its way is waited for, but only
    /// for some seconds, and may be applied later if the leadership still holds then.
    ///
    /// # Errors
    /// Call again.
    ///
    /// # Cancel safety
    /// Call again.
    async fn stop(&self) -> Result<(), Error>;

    /// Reads a plan, which belongs to this store from then on; `None` if there is none.
    ///
    /// # Errors
    /// * [`Corrupt`](crate::ErrorKind::Corrupt), [`NewerFormat`](crate::ErrorKind::NewerFormat),
    ///   [`StateMissing`](crate::ErrorKind::StateMissing): the plan is broken; the text names the job
    ///   and says what to do. It does not belong to this store by this call, and nothing was deleted.
    ///   Other jobs can be recovered.
    /// * [`Unsupported`](crate::ErrorKind::Unsupported): its pointer is of a format that is too old for this
    ///   version. Recover it with one that reads both.
    /// * [`Invalid`](crate::ErrorKind::Invalid): its state lies in another state storage than this store's.
    ///   Open that one.
    /// * [`Conflict`](crate::ErrorKind::Conflict): others wrote it anew whenever it was read. Nothing was
    ///   changed. Call again.
    /// * [`IllegalState`](crate::ErrorKind::IllegalState): the store is not started, or was stopped while the
    ///   plan was read. The plan does not belong to it. Start it, then call again.
    /// * [`Closed`](crate::ErrorKind::Closed): as the trait says.
    /// * [`Unavailable`](crate::ErrorKind::Unavailable), [`Denied`](crate::ErrorKind::Denied),
    ///   [`Storage`](crate::ErrorKind::Storage): try again.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    async fn recover_execution_plan(&self, job: &JobId) -> Result<Option<ExecutionPlan>, Error>;

    /// Stores a plan durably: creates it, or replaces one that belongs to this store. It belongs
    /// to the store afterwards.
    ///
    /// # Errors
    /// As the trait says, and
    /// * [`NotOwned`](crate::ErrorKind::NotOwned): there is a plan that this store has neither put
    ///   nor recovered. Nothing was written. Recover it first.
    /// * [`Conflict`](crate::ErrorKind::Conflict): somebody else replaced it since, or removed and created it
    ///   at every attempt. Nothing was written, and it does not belong to this store any more. Recover it first.
    /// * [`TooLarge`](crate::ErrorKind::TooLarge): the resource requirements are. Nothing was written.
    ///
    /// # Cancel safety
    /// After a drop it may be stored or not, and the next call finds out.
    async fn put_execution_plan(&self, plan: &ExecutionPlan) -> Result<(), Error>;

    /// Replaces the resource requirements of a job; the plan stays as it is, and belongs to this
    /// store afterwards.
    ///
    /// # Errors
    /// As the trait says, and
    /// * [`NotFound`](crate::ErrorKind::NotFound): no such job.
    /// * [`Conflict`](crate::ErrorKind::Conflict): others changed it at every attempt. Call again.
    /// * [`TooLarge`](crate::ErrorKind::TooLarge): nothing was written.
    ///
    /// # Cancel safety
    /// After a drop they may be replaced or not. Call again.
    async fn put_job_resource_requirements(&self, job: &JobId, requirements: serde_json::Value) -> Result<(), Error>;

    /// The jobs that have a plan, in the order of their ids. What is no plan is logged and left
    /// out. A plan may be gone when it is recovered.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable), [`Denied`](crate::ErrorKind::Denied),
    /// [`Closed`](crate::ErrorKind::Closed): they could not be read; it is never an incomplete list. Try again,
    /// or open others if it was closed.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    async fn job_ids(&self) -> Result<Vec<JobId>, Error>;

    /// Removes a plan for good: its pointer, then its state. Works for every job, known to this
    /// store or not; success if there is none. Only for jobs that are globally terminal.
    ///
    /// # Errors
    /// As the trait says, and [`Conflict`](crate::ErrorKind::Conflict): it was changed meanwhile.
    /// Nothing was deleted; call again if it is still to go.
    /// A state that cannot be deleted is no error: it is logged and left as an orphan.
    ///
    /// # Cancel safety
    /// After a drop it may be removed or not. Call again.
    async fn global_cleanup(&self, job: &JobId) -> Result<(), Error>;

    /// Forgets that the plan belongs to this store. Deletes nothing, needs no leadership.
    ///
    /// # Errors
    /// [`IllegalState`](crate::ErrorKind::IllegalState): not started, so no plan belongs to it.
    ///
    /// # Cancel safety
    /// Call again.
    async fn local_cleanup(&self, job: &JobId) -> Result<(), Error>;
}
