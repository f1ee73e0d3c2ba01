//! Tells a listener what others do to the plans. Level-triggered: what it tells follows from what
//! is stored and what belongs to the store, so that a lost or doubled hint costs time alone.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::ExecutionPlanListener;
use super::shared::Shared;
use crate::backend::{Change, Entry, Key, Mark, Prefix, Revision, Scope};
use crate::names::layout;
use crate::seam::Task;
use crate::telemetry::record as measured;
use crate::writer::Writer;
use crate::{Error, ErrorKind, JobId};

/// More plans than this are looked up by one list.
const READS_MAX: usize = 8;
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long it rests after a look, and how much longer for each entry that the look went through: what
/// comes in quick succession is looked at together.
const REST: Duration = Duration::from_millis(5);
const REST_PER_ENTRY: Duration = Duration::from_micros(20);
const REST_MAX: Duration = Duration::from_secs(1);

/// Watches until the store is stopped or dropped.
pub(super) fn spawn(shared: &Arc<Shared>, listener: Arc<dyn ExecutionPlanListener>, start: u64) -> Task {
    // Weak: the store owns the task, so the task must not own the store.
    let watch = Watch { shared: Arc::downgrade(shared), listener, start, present: BTreeMap::new() };
    let writer = shared.writer.clone();
    shared.writer.seam().spawn(async move { watch.run(&writer).await })
}

/// The job whose plan stands there; what is no plan is logged.
pub(super) fn job_of(below: &Prefix, key: &Key) -> Option<JobId> {
    let job = below.relative(key).and_then(|name| JobId::new(name).ok());
    if job.is_none() {
        tracing::warn!(%key, "is not the name of an execution plan; skipped");
    }
    job
}

struct Watch {
    shared: Weak<Shared>,
    listener: Arc<dyn ExecutionPlanListener>,
    start: u64,
    /// The plans that were there when we last looked, and which write of them. A revision tells a
    /// plan from one that was removed and created anew between two looks.
    present: BTreeMap<JobId, Revision>,
}

/// What a look has brought: plans that are there, and plans that may be gone.
enum News {
    All(BTreeMap<JobId, Revision>),
    Some { present: BTreeMap<JobId, Revision>, absent: BTreeSet<JobId> },
}

impl News {
    fn entries(&self) -> usize {
        match self {
            Self::All(present) => present.len(),
            Self::Some { present, absent } => present.len() + absent.len(),
        }
    }
}

/// Whether to go on, and after which rest.
enum Next {
    Wait { rest: Duration },
    End,
}

impl Watch {
    async fn run(mut self, writer: &Writer) {
        let (backend, seam) = (writer.backend(), writer.seam());
        let scope = Scope::Below(layout::execution_plans());
        let (mut seen, mut pause) = (Mark::UNSEEN, PAUSE_MIN);
        loop {
            let looked = match backend.changed(&scope, &seen).await {
                Ok(change) => self.look(writer, change).await,
                Err(error) => Err(error),
            };
            match looked {
                Ok((_, Next::End)) => return,
                Ok((mark, Next::Wait { rest })) => {
                    (seen, pause) = (mark, PAUSE_MIN);
                    // A backend that answers with all that there is, or with a hint, makes each look as dear
                    // as there are plans: n changes one by one would cost n looks at up to n plans. With
                    // the rest a look takes all changes since the one before; the first is told at once.
                    seam.sleep(rest).await;
                }
                // Nothing changes there any more for us, however often we ask.
                Err(error) if error.kind() == ErrorKind::Closed => return,
                Err(error) => {
                    tracing::warn!(%error, "the watch of execution plans failed; it looks again after a pause");
                    measured::watch_failed("plans");
                    seam.sleep(seam.jittered(pause)).await;
                    // What was missed is not known, so all is read anew.
                    (seen, pause) = (Mark::UNSEEN, (pause * 2).min(PAUSE_MAX));
                }
            }
        }
    }

    async fn look(&mut self, writer: &Writer, change: Change) -> Result<(Mark, Next), Error> {
        let below = layout::execution_plans();
        let plans = |entries: &[Entry]| {
            let plan = |entry: &Entry| Some((job_of(&below, &entry.key)?, entry.revision));
            entries.iter().filter_map(plan).collect()
        };
        let (mark, news) = match change {
            Change::Snapshot(snapshot) => (snapshot.mark, News::All(plans(&snapshot.entries))),
            Change::Hint { mark } => (mark, News::All(plans(&writer.backend().list(&below).await?.entries))),
            Change::Delta { entries, removed, mark } => {
                let absent = removed.iter().filter_map(|key| job_of(&below, key)).collect();
                (mark, News::Some { present: plans(&entries), absent })
            }
        };
        let rest = rest_after(news.entries());
        Ok((mark, if self.tell(news).await? { Next::Wait { rest } } else { Next::End }))
    }

    /// `false` once there is nobody to tell any more.
    async fn tell(&mut self, news: News) -> Result<bool, Error> {
        let Some(shared) = self.shared.upgrade() else { return Ok(false) };
        // Under the lock of the store: a put of its own that is under way is finished then, and what
        // it put belongs to it.
        let Some(mut state) = shared.state().await else { return Ok(false) };
        if shared.listening.started().await != Some(self.start) {
            return Ok(false);
        }
        let (present, absent) = match news {
            News::All(present) => {
                let absent = state.owned.known().filter(|job| !present.contains_key(*job)).cloned().collect();
                self.present.retain(|job, _| present.contains_key(job));
                (present, absent)
            }
            News::Some { present, absent } => {
                for job in &absent {
                    self.present.remove(job);
                }
                (present, absent)
            }
        };
        let mut added = Vec::new();
        for (job, revision) in present {
            let news = self.present.insert(job.clone(), revision) != Some(revision);
            if news && !state.owned.contains(&job) {
                added.push(job);
            }
        }
        let removed: Vec<JobId> = absent.into_iter().filter(|job| state.owned.is_known(job)).collect();
        measured::looked("plans", true, !(added.is_empty() && removed.is_empty()));
        // Race: the news is older than what this store did since; it may have removed what is called
        //       present, and put anew what is called absent.
        // Closed by: looking again under the store's lock.
        // Cost if missed: the store forgets a plan of its own and refuses to update it; or a job
        //                 that is over is announced.
        let concerned: Vec<&JobId> = added.iter().chain(&removed).collect();
        let there = present_now(&shared, &concerned).await.inspect_err(|_| self.present.clear())?;
        let Some(_undisturbed) = shared.listening.undisturbed(self.start).await else { return Ok(false) };
        for job in added.into_iter().filter(|job| there.contains(job)) {
            self.isolated(&job, |listener| listener.on_added_execution_plan(&job));
        }
        for job in removed.into_iter().filter(|job| !there.contains(job)) {
            state.owned.forget(&job);
            self.isolated(&job, |listener| listener.on_removed_execution_plan(&job));
        }
        Ok(true)
    }

    fn isolated(&self, job: &JobId, call: impl FnOnce(&dyn ExecutionPlanListener)) {
        // Foreign code: its panic must not end the watch, or the store would go deaf.
        if catch_unwind(AssertUnwindSafe(|| call(self.listener.as_ref()))).is_err() {
            tracing::error!(%job, "the listener for execution plans panicked; the watch goes on");
        }
    }
}

/// How long to rest after a look at that many entries.
fn rest_after(entries: usize) -> Duration {
    let entries = u32::try_from(entries).unwrap_or(u32::MAX);
    (REST + REST_PER_ENTRY.saturating_mul(entries)).min(REST_MAX)
}

/// Which of these have a plan at this moment.
async fn present_now(shared: &Shared, jobs: &[&JobId]) -> Result<BTreeSet<JobId>, Error> {
    let (backend, below) = (shared.writer.backend(), layout::execution_plans());
    if jobs.len() > READS_MAX {
        let snapshot = backend.list(&below).await?;
        return Ok(snapshot.entries.iter().filter_map(|entry| job_of(&below, &entry.key)).collect());
    }
    let mut present = BTreeSet::new();
    for job in jobs {
        if backend.read(&layout::execution_plan(job)).await?.is_some() {
            present.insert((*job).clone());
        }
    }
    Ok(present)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_grows_with_what_was_looked_at_and_has_a_bound() {
        assert_eq!(rest_after(1), Duration::from_micros(5020));
        assert_eq!(rest_after(10_000), Duration::from_millis(205));
        assert_eq!(rest_after(usize::MAX), REST_MAX);
    }
}
