use tokio::sync::{Mutex, MutexGuard};

use super::ExecutionPlan;
use super::listening::Listening;
use super::ownership::{Owned, Ownership, Stands};
use super::pointer::{Found, Pointer, broken};
use crate::backend::Expect;
use crate::discard::Discards;
use crate::names::layout;
use crate::state::{StateHandle, StateStorage};
use crate::telemetry::{Stopwatch, record as measured};
use crate::writer::{Committed, Writer};
use crate::{Error, ErrorKind, JobId};

/// How often a write is made anew because the plan vanished or changed under it.
const ATTEMPTS: usize = 4;
/// What a pointer takes beside the requirements and the base of the state's URL, generously.
const POINTER_BYTES: usize = 1024;

/// What the store and its watch have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) writer: Writer,
    pub(super) storage: StateStorage,
    pub(super) discards: Discards,
    pub(super) listening: Listening,
    /// Not locked while state is written or read: a state storage that hangs must hold up neither other
    /// plans, nor the listener, nor [`stop`](ExecutionPlanStore::stop).
    pub(super) state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) owned: Owned,
    /// Which start of the store the plans belong to; under a later one they belong to nobody.
    start: u64,
}

impl Shared {
    /// The state of the present start; `None` if the store is stopped.
    pub(super) async fn state(&self) -> Option<MutexGuard<'_, State>> {
        let mut state = self.state.lock().await;
        let start = self.listening.started().await?;
        if state.start != start {
            *state = State { start, ..State::default() };
        }
        Some(state)
    }

    pub(super) async fn started(&self, operation: &'static str) -> Result<MutexGuard<'_, State>, Error> {
        self.state().await.ok_or_else(|| {
            Error::new(ErrorKind::IllegalState, operation)
                .because("the execution plan store is not started; call start first")
        })
    }

    /// The state, if the store was not stopped since that start.
    async fn still_started(&self, start: u64, operation: &'static str) -> Result<MutexGuard<'_, State>, Error> {
        match self.state().await {
            Some(state) if state.start == start => Ok(state),
            _ => Err(Error::new(ErrorKind::IllegalState, operation)
                .because("the execution plan store was stopped meanwhile; nothing was written")),
        }
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
        writer: &Writer,
        state: &mut State,
        job: &JobId,
        replaces: Option<&Stands>,
        pointer: &Pointer,
    ) -> Result<Committed, Error> {
        let expect = replaces.map_or(Expect::Absent, |stands| Expect::Revision(stands.revision));
        let draft = writer.draft()?.put(layout::execution_plan(job), expect, pointer)?;
        let former = state.owned.get(job).cloned();
        // Race: this future may be dropped, or its answer lost, after the commit was sent.
        // Closed by: the revision that we know is taken out before, and put back after a definite
        //            answer alone.
        // Cost if missed: a wrong revision makes every later write of this plan fail.
        let before = replaces.map(|stands| stands.handle.clone());
        state.owned.set(job, Ownership::Doubtful { before, attempted: pointer.state.clone() });
        let sent = writer.commit(draft).await;
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

    /// Creates or replaces the pointer. Returns the state that was replaced. Nothing of this job was
    /// [replaceable](Self::replaceable) just before, or something was and is known.
    async fn link(
        &self,
        writer: &Writer,
        state: &mut State,
        job: &JobId,
        pointer: &Pointer,
    ) -> Result<Option<StateHandle>, Error> {
        for _ in 0..ATTEMPTS {
            // What is unknown to us was absent when it was looked for, or by the answer to the last attempt.
            // It is not looked for again: the commit expects the absence, and decides.
            let known = state.owned.contains(job);
            let replaces = if known { self.replaceable(state, job).await? } else { None };
            match self.send(writer, state, job, replaces.as_ref(), pointer).await? {
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

    pub(super) async fn put(&self, plan: &ExecutionPlan) -> Result<(), Error> {
        let job = &plan.job;
        let (start, writer) = {
            let mut state = self.started("put execution plan").await?;
            self.check_size(job, plan.requirements.as_ref())?;
            // Both are looked at before state is written in vain; the commit decides.
            let writer = self.writer.pin()?;
            self.replaceable(&mut state, job).await?;
            (state.start, writer)
        };
        self.discards.room().await;
        let folder = layout::states(layout::PLAN_STATES, job);
        let origin = writer.origin();
        let write = self.storage.write_as(&origin, &folder, plan.plan.clone());
        let handle = measured::state_call(writer.seam(), "write", write, |handle| handle.length).await?;
        let pointer = Pointer { state: handle.clone(), requirements: plan.requirements.clone() };
        let linked = match self.still_started(start, "put execution plan").await {
            Ok(mut state) => self.link(&writer, &mut state, job, &pointer).await,
            Err(error) => Err(error),
        };
        let unused = match linked {
            Ok(replaced) => (replaced, Ok(())),
            Err(error) if error.may_have_applied() => (None, Err(error)),
            Err(error) => (Some(handle), Err(error)),
        };
        self.discards.submit(unused.0.into_iter().map(Into::into).collect());
        unused.1
    }

    pub(super) async fn put_requirements(&self, job: &JobId, requirements: serde_json::Value) -> Result<(), Error> {
        let mut state = self.started("put resource requirements").await?;
        self.check_size(job, Some(&requirements))?;
        let writer = self.writer.pin()?;
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
            let sent = self.send(&writer, &mut state, job, Some(&stands), &pointer).await?;
            if matches!(sent, Committed::Applied(_)) {
                return Ok(());
            }
        }
        Err(Error::new(ErrorKind::Conflict, "put resource requirements")
            .at(job)
            .because("others changed the plan at every attempt; nothing was written, try again"))
    }

    pub(super) async fn recover(&self, job: &JobId) -> Result<Option<ExecutionPlan>, Error> {
        let mut seen = None;
        for _ in 0..=ATTEMPTS {
            let mut state = self.started("recover execution plan").await?;
            let seam = self.writer.seam();
            let listing = Stopwatch::start(seam);
            let Some(found) = self.find(job).await? else {
                state.owned.forget(job);
                return Ok(None);
            };
            measured::recovery_step("plans", "list", listing, seam);
            let (start, before) = (state.start, state.owned.get(job).cloned());
            drop(state);
            let loading = Stopwatch::start(seam);
            let read = self.storage.read(&found.pointer.state);
            let error = match measured::state_call(seam, "read", read, |plan| plan.len() as u64).await {
                Ok(plan) => {
                    measured::recovery_step("plans", "load", loading, seam);
                    measured::recovered("plans", 1);
                    tracing::debug!(%job, bytes = plan.len(), "execution plan recovered");
                    let mut state = self.still_started(start, "recover execution plan").await?;
                    // Race: another call of this store wrote the plan while its state was read.
                    // Closed by: what the store knows of the plan is still what it was, or is what was read.
                    // Cost if missed: an old revision makes the next write of this plan fail.
                    let now = state.owned.get(job);
                    if now != before.as_ref() && now != Some(&Ownership::Known(Stands::from(&found))) {
                        continue;
                    }
                    self.adopt(&mut state, job, &found);
                    let requirements = found.pointer.requirements;
                    return Ok(Some(ExecutionPlan { job: job.clone(), plan, requirements }));
                }
                Err(error) => error,
            };
            // Another instance may have replaced the plan, and its old state with it, since the
            // pointer was read. Then there is a newer pointer; if there is none, it is broken.
            if error.kind() != ErrorKind::StateMissing || seen == Some(found.revision) {
                return Err(broken(job, &format!("its state {}", found.pointer.state.shown()), error));
            }
            seen = Some(found.revision);
        }
        Err(Error::new(ErrorKind::Conflict, "recover execution plan")
            .at(job)
            .because("it was written anew whenever it was read; nothing was changed: try again"))
    }

    pub(super) async fn remove(&self, job: &JobId) -> Result<(), Error> {
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
