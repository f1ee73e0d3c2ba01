//! One file for each command.

mod checkpoints;
mod cleanup;
mod completions;
mod doctor;
mod gc;
mod jobs;
mod results;
mod status;
mod step_down;
mod verify;
mod watch;

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ha::backend::Name;
use ha::inspect::Problem;
use ha::seam::Seam;
use ha::{Error, ErrorKind, JobId};

use crate::args::{Arguments, Command};
use crate::failure::{FINE, Failure, PROBLEMS};
use crate::open::Cluster;
use crate::output;

/// How long letting go of a latch is given after Ctrl-C.
const LET_GO: Duration = Duration::from_secs(1);

/// Does what was asked for.
pub(crate) async fn run(arguments: &Arguments, seam: &Seam) -> Result<ExitCode, Failure> {
    if let Command::Completions { shell } = arguments.command {
        return completions::run(shell);
    }
    let cluster = Cluster::open(&arguments.place, seam).await?;
    let json = arguments.place.json;
    let bounded = Bounded { seam, at_most: arguments.place.timeout };
    match &arguments.command {
        Command::Status => bounded.run(status::run(&cluster, json)).await,
        Command::Jobs => bounded.run(jobs::run(&cluster, json)).await,
        Command::Checkpoints { job } => bounded.run(checkpoints::run(&cluster, &job_id(job)?, json)).await,
        Command::Results => bounded.run(results::run(&cluster, json)).await,
        Command::Watch { count } => watch::run(&cluster, *count, json).await,
        Command::Doctor { read_only } => doctor::run(&cluster, *read_only, arguments.place.timeout, json).await,
        Command::Verify { quick } => verify::run(&cluster, *quick, arguments.place.timeout, json).await,
        Command::StepDown { latch, stay_away, wait, force } => {
            let latch = latch_name(latch.as_deref())?;
            step_down::run(&cluster, latch.as_ref(), (*stay_away, *wait), *force, json).await
        }
        Command::Gc { older_than, dry_run, lead } => {
            let mode = if *dry_run { gc::Mode::DryRun } else { gc::Mode::Delete };
            gc::run(&cluster, *older_than, mode, *lead, json).await
        }
        Command::Cleanup { job, yes, .. } => {
            let job = job.as_deref().map(job_id).transpose()?;
            cleanup::run(&cluster, job.as_ref(), *yes, json).await
        }
        Command::Completions { .. } => Ok(ExitCode::from(FINE)),
    }
}

/// Somebody pressed Ctrl-C: what must not be left behind is taken back.
pub(crate) async fn interrupted(arguments: &Arguments, seam: &Seam) {
    match &arguments.command {
        Command::StepDown { latch, force: false, .. } => {
            let Ok(latch) = latch_name(latch.as_deref()) else { return };
            step_down::withdraw(&arguments.place, latch.as_ref(), seam).await;
        }
        // What was held was dropped, and is let go of in the background; what is not in time ends by silence.
        Command::StepDown { .. } | Command::Cleanup { .. } | Command::Gc { lead: true, .. } => {
            seam.sleep(LET_GO).await;
        }
        _ => {}
    }
}

/// What only reads is given up when the store takes too long.
struct Bounded<'a> {
    seam: &'a Seam,
    at_most: Duration,
}

impl Bounded<'_> {
    async fn run(&self, command: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
        let late =
            || Failure::unreachable(format!("the store has not answered within {:?}; see --timeout", self.at_most));
        self.seam.timeout(self.at_most, command).await.unwrap_or_else(|| Err(late()))
    }
}

/// Requests, one after another, are given up when none of them is answered for so long; `done` counts those that were.
async fn while_it_moves<T>(
    seam: &Seam,
    at_most: Duration,
    done: &AtomicUsize,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let mut work = std::pin::pin!(work);
    loop {
        let before = done.load(Ordering::Relaxed);
        if let Some(ended) = seam.timeout(at_most, work.as_mut()).await {
            return ended;
        }
        if done.load(Ordering::Relaxed) == before {
            let why = format!("the state storage has not answered within {at_most:?}; see --timeout");
            return Err(Error::new(ErrorKind::Storage, "follow pointers").because(why));
        }
    }
}

fn job_id(text: &str) -> Result<JobId, Failure> {
    JobId::new(text).map_err(|error| Failure::usage(error.to_string()))
}

fn latch_name(text: Option<&str>) -> Result<Option<Name>, Failure> {
    text.map(Name::new).transpose().map_err(|error| Failure::usage(format!("--latch: {error}")))
}

/// The status for what was looked at.
fn code(problems: bool) -> ExitCode {
    ExitCode::from(if problems { PROBLEMS } else { FINE })
}

/// `1 job`, `2 jobs`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The problems as a table below a line of their number; nothing if there are none.
fn problems_table(problems: &[Problem]) -> Option<String> {
    if problems.is_empty() {
        return None;
    }
    let rows = problems.iter().map(|one| [one.kind.text().to_owned(), one.key.clone(), one.detail.clone()]);
    Some(format!("\n{}:\n{}", counted(problems.len(), "problem"), output::table(["KIND", "KEY", "WHY"], rows)))
}

/// The name of the cluster, as it is shown.
fn cluster_name(cluster: &Cluster) -> String {
    let root = cluster.options.root.trim_matches('/');
    format!("{root}/{}", cluster.options.cluster_id.trim_matches('/'))
}

/// What to say where nothing is stored: which clusters there are, if that can be found out.
async fn nothing_here(cluster: &Cluster) -> String {
    let name = cluster_name(cluster);
    let others = ha::inspect::clusters(&*cluster.backend, &cluster.options.root).await.unwrap_or_default();
    // What leaders leave behind stands there, and no job.
    if others.iter().any(|other| *other == cluster.options.cluster_id.trim_matches('/')) {
        return format!("no job is stored for the cluster {name}");
    }
    if others.is_empty() {
        return format!("nothing is stored for the cluster {name}");
    }
    let shown: Vec<&str> = others.iter().take(10).map(String::as_str).collect();
    format!("nothing is stored for the cluster {name}; below this root there are: {}", shown.join(", "))
}
