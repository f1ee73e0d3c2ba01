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
    let inspector = cluster.inspector()?;
    let contents = match job {
        Some(job) => inspector.contents_of(job).await?,
        None => inspector.contents().await?,
    };
    if let Some(job) = job.filter(|_| contents.entries == 0) {
        return Err(Failure::not_done(format!(
            "nothing is stored of the job {job}; `hactl jobs` shows those there are"
        )));
    }
    refuse_beside_a_leader(cluster).await?;
    if !yes {
        confirm(cluster, job, &contents).await?;
    }
    let led = lead(cluster).await?;
    let cleaned = match job {
        Some(job) => one_job(&led, job).await,
        None => led.services.cleanup_all_data().await.map(|()| None).map_err(Failure::from),
    };
    led.leave().await;
    let result_is_clean = cleaned?;
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

/// Whether the result is clean now; `None`: there is none that could be.
async fn one_job(led: &Led, job: &JobId) -> Result<Option<bool>, Failure> {
    let results = led.leadership.job_result_store();
    let dirty = results.dirty_results().await?;
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
