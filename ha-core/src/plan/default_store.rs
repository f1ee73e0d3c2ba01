use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;

use super::listening::Listening;
use super::shared::Shared;
use super::{ExecutionPlan, ExecutionPlanListener, ExecutionPlanStore, watch};
use crate::discard::Discards;
use crate::names::layout;
use crate::state::StateStorage;
use crate::writer::Writer;
use crate::{Error, JobId};

/// How long stopping waits for a call that is under way. What it did is settled by the fence, not by this.
const STOP_AT_MOST: Duration = Duration::from_secs(5);

/// The [`ExecutionPlanStore`] on a backend and a state storage.
///
/// A plan is one state and one pointer. The state is written first; then one fenced commit creates
/// or replaces the pointer; the old state is deleted in the background once the replacement is
/// certain, the new one if it is certain that there was none, and nothing in doubt.
///
/// ```
/// # use ha_core::backend::{Acquire, Backend, Latch, Prefix, Session, SessionOptions};
/// # use ha_core::election::Grant;
/// # use ha_core::{resolve::Committer, seam::Seam};
/// use std::sync::Arc;
/// use ha_core::JobId;
/// use ha_core::plan::{DefaultExecutionPlanStore, ExecutionPlan, ExecutionPlanListener, ExecutionPlanStore};
/// use ha_core::state::StateStorage;
/// use ha_core::writer::{Authority, Writer};
///
/// struct Print;
/// impl ExecutionPlanListener for Print {
///     fn on_added_execution_plan(&self, job: &JobId) { println!("{job} was added"); }
///     fn on_removed_execution_plan(&self, job: &JobId) { println!("{job} was removed"); }
/// }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// # let seam = Seam::system();
/// # let backend = Arc::new(ha_embedded::Embedded::new(seam.clone()).connect());
/// # let session: Arc<dyn Session> = backend.open_session(&SessionOptions::default()).await?.into();
/// # let latch = Latch::below(&Prefix::new("leader")?);
/// # let Acquire::Won(term) = session.try_acquire(&latch, "me".into(), None).await? else { panic!() };
/// # let grant = Grant::hold(&seam, session, latch, term);
/// # let committer = Committer::new(backend, seam.clone());
/// // `grant` is the leadership that this process has won.
/// let writer = Writer::new(committer, Authority::Leader(grant));
/// let store = DefaultExecutionPlanStore::new(writer, StateStorage::open("memory://", seam)?);
/// store.start(Arc::new(Print)).await?;
/// let job = JobId::new("job-1")?;
/// store.put_execution_plan(&ExecutionPlan::new(job.clone(), "graph".into())).await?;
/// assert_eq!(store.recover_execution_plan(&job).await?.unwrap().plan, "graph");
/// store.global_cleanup(&job).await?;
/// assert!(store.job_ids().await?.is_empty());
/// # Ok::<(), ha_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct DefaultExecutionPlanStore {
    shared: Arc<Shared>,
}

impl DefaultExecutionPlanStore {
    /// A store that writes pointers by that writer and plans to that storage. No I/O.
    #[must_use]
    pub fn new(writer: Writer, storage: StateStorage) -> Self {
        let discards = Discards::new(writer.seam().clone(), storage.clone());
        let (listening, state) = (Listening::default(), Mutex::default());
        Self { shared: Arc::new(Shared { writer, storage, discards, listening, state }) }
    }

    /// How many deletions of states are under way in the background.
    #[must_use]
    pub fn outstanding_discards(&self) -> usize {
        self.shared.discards.outstanding()
    }

    /// Gives up that the job's plan belongs to this store, started or not.
    pub(crate) async fn forget(&self, job: &JobId) {
        self.shared.state.lock().await.owned.forget(job);
    }

    /// Waits until no deletion of a state is under way.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn discards_settled(&self) {
        self.shared.discards.settled().await;
    }
}

#[async_trait]
impl ExecutionPlanStore for DefaultExecutionPlanStore {
    async fn start(&self, listener: Arc<dyn ExecutionPlanListener>) -> Result<(), Error> {
        self.shared.listening.start(|start| watch::spawn(&self.shared, listener, start)).await;
        Ok(())
    }

    async fn stop(&self) -> Result<(), Error> {
        self.shared.listening.stop().await;
        // A commit that is on its way is waited for, so that who stops in good order leaves none behind.
        let state = self.shared.writer.seam().timeout(STOP_AT_MOST, self.shared.state.lock()).await;
        match state {
            // What it owned belongs to a start that is over, and is forgotten by the next.
            Some(_) => {}
            None => tracing::warn!("a call to the store of execution plans does not end; stopped without it"),
        }
        Ok(())
    }

    async fn recover_execution_plan(&self, job: &JobId) -> Result<Option<ExecutionPlan>, Error> {
        self.shared.recover(job).await
    }

    async fn put_execution_plan(&self, plan: &ExecutionPlan) -> Result<(), Error> {
        self.shared.put(plan).await
    }

    async fn put_job_resource_requirements(&self, job: &JobId, requirements: serde_json::Value) -> Result<(), Error> {
        self.shared.put_requirements(job, requirements).await
    }

    async fn job_ids(&self) -> Result<Vec<JobId>, Error> {
        let below = layout::execution_plans();
        let snapshot = self.shared.writer.backend().list(&below).await?;
        Ok(snapshot.entries.iter().filter_map(|entry| watch::job_of(&below, &entry.key)).collect())
    }

    async fn global_cleanup(&self, job: &JobId) -> Result<(), Error> {
        self.shared.remove(job).await?;
        self.shared.discards.settled().await;
        Ok(())
    }

    async fn local_cleanup(&self, job: &JobId) -> Result<(), Error> {
        self.shared.started("clean up execution plan").await?.owned.forget(job);
        Ok(())
    }
}
