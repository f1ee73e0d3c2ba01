use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Mutex, MutexGuard};

use super::ownership::{Owned, Ownership, Stands};
use super::pointer::{Found, Pointer, broken};
use super::{ExecutionPlan, ExecutionPlanListener, ExecutionPlanStore, watch};
use crate::backend::{Expect, Name};
use crate::discard::Discards;
use crate::names::layout;
use crate::seam::Task;
use crate::state::{StateHandle, StateStorage};
use crate::writer::{Committed, Writer};
use crate::{Error, ErrorKind, JobId};

/// How often a write is made anew because the plan vanished or changed under it.
const ATTEMPTS: usize = 4;
/// What a pointer takes beside the requirements and the base of the state's URL, generously.
const POINTER_BYTES: usize = 1024;

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

/// What the store and its watch have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) writer: Writer,
    storage: StateStorage,
    discards: Discards,
    pub(super) state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) owned: Owned,
    /// Which start the present watch belongs to; an older one that still runs must do nothing.
    pub(super) starts: u64,
    /// The watch; there is one exactly while the store is started.
    pub(super) watch: Option<Task>,
}

impl DefaultExecutionPlanStore {
    /// A store that writes pointers by that writer and plans to that storage. No I/O.
    #[must_use]
    pub fn new(writer: Writer, storage: StateStorage) -> Self {
        let discards = Discards::new(writer.seam().clone(), storage.clone());
        Self { shared: Arc::new(Shared { writer, storage, discards, state: Mutex::default() }) }
    }

    /// How many deletions of states are under way in the background.
    #[must_use]
    pub fn outstanding_discards(&self) -> usize {
        self.shared.discards.outstanding()
    }

    /// Waits until no deletion of a state is under way.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn discards_settled(&self) {
        self.shared.discards.settled().await;
    }
}

impl Shared {
    async fn started(&self, operation: &'static str) -> Result<MutexGuard<'_, State>, Error> {
        let state = self.state.lock().await;
        if state.watch.is_some() {
            return Ok(state);
        }
        Err(Error::new(ErrorKind::IllegalState, operation)
            .because("the execution plan store is not started; call start first"))
    }

    async fn find(&self, job: &JobId) -> Result<Option<Found>, Error> {
        let entry = self.writer.backend().read(&layout::execution_plan(job)).await?;
        entry.map(|entry| Found::decode(job, &entry, self.writer.formats())).transpose()
    }

    /// Takes the plan as ours; deletes the state that it is now proven to have replaced.
    fn adopt(&self, state: &mut State, job: &JobId, found: &Found) {
        let replaced = state.owned.adopt(job, found);
        self.discards.submit(replaced.into_iter().map(Into::into).collect());
    }

    /// What the next put of this plan replaces: the last write of ours, or nothing.
    async fn replaceable(&self, state: &mut State, job: &JobId) -> Result<Option<Stands>, Error> {
        let (before, attempted) = match state.owned.get(job).cloned() {
            Some(Ownership::Known(stands)) => return Ok(Some(stands)),
            Some(Ownership::Doubtful { before, attempted }) => (before, Some(attempted)),
            None => (None, None),
        };
        let Some(found) = self.find(job).await? else { return Ok(None) };
        let handle = Some(&found.pointer.state);
        if handle == before.as_ref() || handle == attempted.as_ref() {
            self.adopt(state, job, &found);
            return Ok(Some(Stands::from(&found)));
        }
        state.owned.forget(job);
        Err(Error::new(ErrorKind::NotOwned, "put execution plan")
            .at(job)
            .because("there is a plan that this store has neither put nor recovered; recover it first"))
    }

    /// One commit that stores the pointer. The ownership is doubtful until it is answered.
    async fn send(
        &self,
        state: &mut State,
        job: &JobId,
        replaces: Option<&Stands>,
        pointer: &Pointer,
    ) -> Result<Committed, Error> {
        let expect = replaces.map_or(Expect::Absent, |stands| Expect::Revision(stands.revision));
        let draft = self.writer.draft()?.put(layout::execution_plan(job), expect, pointer)?;
        let former = state.owned.get(job).cloned();
        // Race: this future may be dropped, or its answer lost, after the commit was sent.
        // Closed by: the revision that we know is taken out before, and put back after a definite
        //            answer alone.
        // Cost if missed: a wrong revision makes every later write of this plan fail.
        let before = replaces.map(|stands| stands.handle.clone());
        state.owned.set(job, Ownership::Doubtful { before, attempted: pointer.state.clone() });
        let sent = self.writer.commit(draft).await;
        match &sent {
            Ok(Committed::Applied(revisions)) => {
                if let Some(revision) = revisions.first() {
                    let stands = Stands { revision: *revision, handle: pointer.state.clone() };
                    state.owned.set(job, Ownership::Known(stands));
                }
            }
            Err(error) if error.may_have_applied() => {}
            _ => state.owned.restore(job, former),
        }
        sent
    }

    /// Creates or replaces the pointer. Returns the state that was replaced.
    async fn link(&self, state: &mut State, job: &JobId, pointer: &Pointer) -> Result<Option<StateHandle>, Error> {
        for _ in 0..ATTEMPTS {
            let replaces = self.replaceable(state, job).await?;
            match self.send(state, job, replaces.as_ref(), pointer).await? {
                Committed::Applied(_) => return Ok(replaces.map(|stands| stands.handle)),
                // Vanished, or somebody was faster: what there is now decides.
                Committed::Conflict { found: None, .. } => state.owned.forget(job),
                Committed::Conflict { found: Some(_), .. } => {
                    let kind = if replaces.is_some() { ErrorKind::Conflict } else { ErrorKind::NotOwned };
                    state.owned.forget(job);
                    return Err(Error::new(kind, "put execution plan")
                        .at(job)
                        .because("somebody else wrote it meanwhile; recover it first"));
                }
            }
        }
        Err(Error::new(ErrorKind::Conflict, "put execution plan")
            .at(job)
            .because("it was removed and created by others at every attempt; nothing was written"))
    }

    /// Refuses requirements that cannot fit beside a pointer, before any state is written.
    fn check_size(&self, job: &JobId, requirements: Option<&serde_json::Value>) -> Result<(), Error> {
        let bytes = requirements.map_or(0, |requirements| requirements.to_string().len());
        let most = self.writer.value_bytes_max().saturating_sub(POINTER_BYTES + self.storage.base().len());
        if bytes <= most {
            return Ok(());
        }
        Err(Error::new(ErrorKind::TooLarge, "put execution plan")
            .at(job)
            .because(format!("{bytes} bytes of resource requirements; at most {most} fit beside a plan's pointer")))
    }

    async fn put(&self, plan: &ExecutionPlan) -> Result<(), Error> {
        let job = &plan.job;
        let mut state = self.started("put execution plan").await?;
        self.check_size(job, plan.requirements.as_ref())?;
        // Both are looked at before state is written in vain; the commit decides.
        self.writer.draft().map(drop)?;
        self.replaceable(&mut state, job).await?;
        self.discards.room().await;
        let folder = [Name::new("submittedJobGraph").expect("letters are a name"), job.name().clone()];
        let handle = self.storage.write(&folder, plan.plan.clone()).await?;
        let pointer = Pointer { state: handle.clone(), requirements: plan.requirements.clone() };
        let unused = match self.link(&mut state, job, &pointer).await {
            Ok(replaced) => (replaced, Ok(())),
            Err(error) if error.may_have_applied() => (None, Err(error)),
            Err(error) => (Some(handle), Err(error)),
        };
        self.discards.submit(unused.0.into_iter().map(Into::into).collect());
        unused.1
    }

    async fn put_requirements(&self, job: &JobId, requirements: serde_json::Value) -> Result<(), Error> {
        let mut state = self.started("put resource requirements").await?;
        self.check_size(job, Some(&requirements))?;
        self.writer.draft().map(drop)?;
        for _ in 0..ATTEMPTS {
            let Some(found) = self.find(job).await? else {
                state.owned.forget(job);
                return Err(Error::new(ErrorKind::NotFound, "put resource requirements")
                    .at(job)
                    .because("there is no plan of this job; put it first"));
            };
            self.adopt(&mut state, job, &found);
            let stands = Stands::from(&found);
            let pointer = Pointer { requirements: Some(requirements.clone()), ..found.pointer };
            let sent = self.send(&mut state, job, Some(&stands), &pointer).await?;
            if matches!(sent, Committed::Applied(_)) {
                return Ok(());
            }
        }
        Err(Error::new(ErrorKind::Conflict, "put resource requirements")
            .at(job)
            .because("others changed the plan at every attempt; nothing was written, try again"))
    }

    async fn recover(&self, job: &JobId) -> Result<Option<ExecutionPlan>, Error> {
        let mut state = self.started("recover execution plan").await?;
        let (mut seen, mut attempts) = (None, ATTEMPTS);
        loop {
            let Some(found) = self.find(job).await? else {
                state.owned.forget(job);
                return Ok(None);
            };
            let error = match self.storage.read(&found.pointer.state).await {
                Ok(plan) => {
                    self.adopt(&mut state, job, &found);
                    let requirements = found.pointer.requirements;
                    return Ok(Some(ExecutionPlan { job: job.clone(), plan, requirements }));
                }
                Err(error) => error,
            };
            // Another instance may have replaced the plan, and its old state with it, since the
            // pointer was read. Then there is a newer pointer; if there is none, it is broken.
            let replaced = error.kind() == ErrorKind::StateMissing && seen.is_none_or(|seen| seen != found.revision);
            if !replaced || attempts == 0 {
                return Err(broken(job, &format!("its state {}", found.pointer.state.uri), error));
            }
            seen = Some(found.revision);
            attempts -= 1;
        }
    }

    async fn remove(&self, job: &JobId) -> Result<(), Error> {
        let mut state = self.started("clean up execution plan").await?;
        // Made first, so that a deposed leader is told so even if there is nothing to remove.
        let draft = self.writer.draft()?;
        let key = layout::execution_plan(job);
        self.writer.bar_late_creations(&draft, |doubted| *doubted == key).await?;
        let Some(found) = self.find(job).await? else {
            state.owned.forget(job);
            return Ok(());
        };
        match self.writer.commit(draft.remove(key, found.revision)).await? {
            Committed::Applied(_) => self.discards.submit(vec![found.pointer.state.into()]),
            // Somebody else removed it, and deletes its state.
            Committed::Conflict { found: None, .. } => {}
            Committed::Conflict { found: Some(_), .. } => {
                return Err(Error::new(ErrorKind::Conflict, "clean up execution plan")
                    .at(job)
                    .because("it was changed meanwhile; nothing was deleted: call again if it is still to go"));
            }
        }
        state.owned.forget(job);
        Ok(())
    }
}

#[async_trait]
impl ExecutionPlanStore for DefaultExecutionPlanStore {
    async fn start(&self, listener: Arc<dyn ExecutionPlanListener>) -> Result<(), Error> {
        let mut state = self.shared.state.lock().await;
        if state.watch.is_none() {
            state.starts += 1;
            state.watch = Some(watch::spawn(&self.shared, listener, state.starts));
        }
        Ok(())
    }

    async fn stop(&self) -> Result<(), Error> {
        // The listener is called under this lock: once we have it, no call is under way.
        let mut state = self.shared.state.lock().await;
        state.watch = None;
        state.owned.clear();
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
