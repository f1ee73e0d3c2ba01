use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ha::cleanup::{CleanupEnd, CleanupStrategy, ResourceCleaner};
use ha::election::Leadership;
use ha::inspect::{Contents, JobView};
use ha::{ComponentId, HaServices, HighAvailabilityServices, JobId};
use serde::Serialize;

use super::{cluster_name, counted};
use crate::failure::{FINE, Failure};
use crate::open::Cluster;
use crate::output;
use crate::time::bytes;

/// How long it is contended for a latch that nobody held a moment ago.
const WIN_MAX: Duration = Duration::from_secs(15);
/// How long giving it up again may take.
const LEAVE_MAX: Duration = Duration::from_secs(10);

/// A leadership of this tool's own, for as long as it takes.
pub(super) struct Led {
    services: HaServices,
    pub(super) leadership: Leadership,
    seam: ha::seam::Seam,
}

impl Led {
    /// Gives it up. What is not answered in time ends by silence.
    pub(super) async fn leave(self) {
        let Self { services, leadership, seam } = self;
        let left = async {
            let _withdrawn = leadership.resign().await;
            let _closed = services.close().await;
        };
        let _in_time = seam.timeout(LEAVE_MAX, left).await;
    }
}

/// Wins the cluster's latch, if nobody holds it. Nothing is published, so nobody takes this tool for a leader.
pub(super) async fn lead(cluster: &Cluster) -> Result<Led, Failure> {
    refuse_beside_a_leader(cluster).await?;
    let (backend, storage) = (Arc::clone(&cluster.backend), cluster.storage.clone());
    let services = HaServices::new(backend, storage, &cluster.options, cluster.seam.clone())?;
    let election = services.leader_election_service()?.create_leader_election(ComponentId::new("hactl")?)?;
    match cluster.seam.timeout(WIN_MAX, election.campaign()).await {
        Some(won) => Ok(Led { leadership: won?, services, seam: cluster.seam.clone() }),
        None => Err(Failure::not_done(format!("the latch was not won within {WIN_MAX:?}: somebody else leads now"))),
    }
}

async fn refuse_beside_a_leader(cluster: &Cluster) -> Result<(), Failure> {
    let leaders = cluster.inspector()?.leaders().await?;
    let Some((latch, epoch)) = leaders.latches.first().and_then(|latch| Some((latch, latch.epoch?))) else {
        return Ok(());
    };
    let label = latch.holder.as_ref().map(|holder| format!(" ({})", holder.label)).unwrap_or_default();
    Err(Failure::not_done(format!(
        "epoch {epoch}{label} leads this cluster, and only a leader may remove: let it clean up itself, or stop its \
         processes (if they are dead, `hactl step-down --force` ends the term) and call again; nothing was removed"
    )))
}

#[derive(Serialize)]
struct Cleaned<'a> {
    cluster: String,
    jobs: Vec<&'a JobId>,
    entries: usize,
    result_is_clean: Option<bool>,
}

pub(super) async fn run(cluster: &Cluster, job: Option<&JobId>, yes: bool, json: bool) -> Result<ExitCode, Failure> {
    let contents = look(cluster, job).await?;
    if let Some(job) = job.filter(|_| contents.entries == 0) {
        return Err(Failure::not_done(format!(
            "nothing is stored of the job {job}; `hactl jobs` shows those there are"
        )));
    }
    refuse_beside_a_leader(cluster).await?;
    if !yes {
        confirm(cluster, job, &contents).await?;
    }
    let result_is_clean = remove(cluster, job, &contents).await?;
    let jobs: Vec<&JobId> = job.map_or_else(|| contents.jobs.keys().collect(), |job| vec![job]);
    if json {
        let (cluster, entries) = (cluster_name(cluster), contents.entries);
        output::json(&Cleaned { cluster, jobs, entries, result_is_clean })?;
    } else {
        let what = job.map_or_else(|| counted(jobs.len(), "job"), |job| format!("the job {job}"));
        output::print(&format!("{what}: removed; results stay"))?;
    }
    Ok(ExitCode::from(FINE))
}

async fn look(cluster: &Cluster, job: Option<&JobId>) -> Result<Contents, Failure> {
    let inspector = cluster.inspector()?;
    Ok(match job {
        Some(job) => inspector.contents_of(job).await?,
        None => inspector.contents().await?,
    })
}

/// Removes what was looked at.
async fn remove(cluster: &Cluster, job: Option<&JobId>, seen: &Contents) -> Result<Option<bool>, Failure> {
    let led = lead(cluster).await?;
    let removed = remove_as_seen(cluster, &led, job, seen).await;
    led.leave().await;
    removed
}

// Race: while it is asked, or contended, a leader comes, cleans up after the job, accepts it anew, and goes.
// Closed by: looking again under our own leadership, when nobody else writes any more.
// Cost if missed: the plan and the checkpoints of a job that runs, which nobody has agreed to remove.
async fn remove_as_seen(
    cluster: &Cluster,
    led: &Led,
    job: Option<&JobId>,
    seen: &Contents,
) -> Result<Option<bool>, Failure> {
    if !look(cluster, job).await?.is_same(seen) {
        return Err(Failure::not_done(
            "what is stored has changed since it was looked at, for somebody led meanwhile: look at it, and call again; \
             nothing was removed",
        ));
    }
    match job {
        Some(job) => one_job(led, job).await,
        None => Ok(led.services.cleanup_all_data().await.map(|()| None)?),
    }
}

/// Whether the result is clean now; `None`: there is none that could be.
async fn one_job(led: &Led, job: &JobId) -> Result<Option<bool>, Failure> {
    let results = led.leadership.job_result_store();
    let dirty = results.dirty_results().await?;
    if let Some(broken) = dirty.broken.into_iter().find(|broken| broken.job.as_ref() == Some(job)) {
        return Err(Failure::not_done(format!(
            "how the job ended cannot be read; nothing was removed: {}",
            broken.error
        )));
    }
    let Some(result) = dirty.results.into_iter().find(|result| result.job == *job) else {
        led.services.global_cleanup(job).await?;
        return Ok(None);
    };
    match ResourceCleaner::of(&led.leadership, CleanupStrategy::default())?.clean_up(&result).await {
        CleanupEnd::Clean => Ok(Some(true)),
        CleanupEnd::GivenUp(error) | CleanupEnd::Stopped(error) => Err(error.into()),
    }
}

/// Asks on a terminal; where there is none, nobody could answer.
async fn confirm(cluster: &Cluster, job: Option<&JobId>, contents: &Contents) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(Failure::not_done("nobody can be asked here: say --yes if it is meant; nothing was removed"));
    }
    let sum = |of: fn(&JobView) -> u64| contents.jobs.values().map(of).fold(0_u64, u64::saturating_add);
    let checkpoints = sum(|view| view.checkpoints.len() as u64);
    let what = job.map_or_else(
        || format!("everything ({})", counted(contents.jobs.len(), "job")),
        |job| format!("the job {job}"),
    );
    let question = format!(
        "Remove {what} of {}: {} entries, {checkpoints} checkpoints, {} of states? [y/N] ",
        cluster_name(cluster),
        contents.entries,
        bytes(sum(JobView::state_bytes)),
    );
    // On a thread of its own, that nobody waits for: Ctrl-C must be heard while the question stands.
    let asking = tokio::task::spawn_blocking(move || {
        let mut answer = String::new();
        write!(std::io::stderr(), "{question}")?;
        std::io::stdin().lock().read_line(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    });
    match asking.await {
        Ok(Ok(answer)) if matches!(answer.trim(), "y" | "Y" | "yes") => Ok(()),
        _ => Err(Failure::not_done("declined; nothing was removed")),
    }
}

#[cfg(test)]
mod tests {
    use ha::blob::BlobKey;
    use ha::job_result::JobResult;
    use ha::seam::Seam;
    use ha::state::{StateStorage, chunks_of};
    use ha::{BackendSettings, JobStatus, ServicesOptions, Store};

    use super::*;

    struct World {
        store: Store,
        storage: StateStorage,
        seam: Seam,
        job: JobId,
    }

    impl World {
        async fn new() -> Self {
            let seam = Seam::system();
            let store = Store::open_with("embedded", BackendSettings::new(), &seam).unwrap();
            let storage = StateStorage::open("memory://", seam.clone()).unwrap();
            let job = JobId::new("payments").unwrap();
            Self { store, storage, seam, job }
        }

        /// As a call of the tool opens it; it closes it when it is done.
        async fn cluster(&self) -> Cluster {
            let (storage, seam) = (self.storage.clone(), self.seam.clone());
            let backend = self.store.connect().await.unwrap();
            Cluster { backend, storage, options: ServicesOptions::default(), seam }
        }

        async fn look(&self, job: Option<&JobId>) -> Contents {
            look(&self.cluster().await, job).await.unwrap()
        }

        async fn remove(&self, job: Option<&JobId>, seen: &Contents) -> Result<Option<bool>, Failure> {
            remove(&self.cluster().await, job, seen).await
        }

        /// A leader comes, the job runs, and it goes.
        async fn runs(&self, content: &str, ends: bool) -> BlobKey {
            let of = self.cluster().await;
            let services = HaServices::new(of.backend, of.storage, &of.options, of.seam).unwrap();
            let leadership = services.dispatcher_leader_election().unwrap().campaign().await.unwrap();
            let cleaner = ResourceCleaner::of(&leadership, CleanupStrategy::None).unwrap();
            let mut dirty = cleaner.clean_up_dirty_results().await.unwrap();
            dirty.finished().await;
            let key = leadership.blob_store().put(&self.job, chunks_of(content.to_owned().into())).await.unwrap();
            if ends {
                let result = JobResult::new(self.job.clone(), JobStatus::Failed);
                leadership.job_result_store().create_dirty_result(&result).await.unwrap();
            }
            leadership.resign().await.unwrap();
            services.close().await.unwrap();
            key
        }
    }

    #[test]
    fn a_job_that_was_submitted_anew_while_the_question_stood_is_not_removed() {
        // Fails if what is removed is what stands there by then, and not what was shown.
        ha_testkit::run::block_on(async {
            for one in [true, false] {
                let world = World::new().await;
                world.runs("of the first run", true).await;
                let job = one.then_some(&world.job);
                let seen = world.look(job).await;
                assert!(seen.jobs[&world.job].result.is_some());
                world.runs("of the second run", false).await;
                let refused = world.remove(job, &seen).await;
                let now = world.look(job).await;
                assert_eq!((now.jobs[&world.job].blobs.len(), refused.is_err()), (1, true), "{refused:?}");
                // Nothing has changed since that look.
                world.remove(job, &now).await.unwrap();
                assert_eq!(world.look(job).await.entries, 0);
            }
        });
    }

    #[test]
    fn a_job_whose_result_cannot_be_read_is_not_removed() {
        // Fails if a result that cannot be read is taken for none: a newer version may mean to keep what there is.
        use ha::backend::{Commit, Expect, Key};
        ha_testkit::run::block_on(async {
            let world = World::new().await;
            world.runs("of the first run", false).await;
            let key = Key::new("flink/default/job-results/payments").unwrap();
            let put = Commit::new(world.seam.write_id()).put(key, Expect::Absent, "?".into());
            world.cluster().await.backend.commit(&put).await.unwrap();
            let seen = world.look(Some(&world.job)).await;
            assert_eq!(seen.entries, 2, "the key is where results are");
            world.remove(Some(&world.job), &seen).await.unwrap_err();
            assert_eq!(world.look(Some(&world.job)).await.entries, 2);
        });
    }
}
