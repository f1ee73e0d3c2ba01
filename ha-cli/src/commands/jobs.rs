use std::process::ExitCode;

use ha::JobId;
use ha::inspect::{Contents, JobView, Problem, ResultView};
use serde::Serialize;

use super::{cluster_name, code, counted, nothing_here, problems_table};
use crate::failure::{Failure, say};
use crate::open::Cluster;
use crate::output;
use crate::time::{bytes, rough};

#[derive(Serialize)]
struct Jobs<'a> {
    cluster: String,
    jobs: Vec<Job<'a>>,
    problems: &'a [Problem],
}

#[derive(Serialize)]
struct Job<'a> {
    job: &'a JobId,
    has_plan: bool,
    checkpoints: usize,
    savepoints: usize,
    latest_checkpoint: Option<Latest>,
    next_checkpoint_id: Option<u64>,
    result: Option<&'a ResultView>,
    blobs: usize,
    state_bytes: u64,
    problems: usize,
}

#[derive(Serialize)]
struct Latest {
    id: u64,
    timestamp_unix_ms: u64,
}

impl<'a> Job<'a> {
    fn of(job: &'a JobId, view: &'a JobView) -> Self {
        let savepoints = view.checkpoints.iter().filter(|one| one.checkpoint.kind.is_savepoint()).count();
        Self {
            job,
            has_plan: view.plan.is_some(),
            checkpoints: view.checkpoints.len() - savepoints,
            savepoints,
            latest_checkpoint: view.latest().map(|latest| Latest {
                id: latest.checkpoint.id,
                timestamp_unix_ms: latest.checkpoint.timestamp_unix_ms,
            }),
            next_checkpoint_id: view.next_checkpoint_id,
            result: view.result.as_ref(),
            blobs: view.blobs.len(),
            state_bytes: view.state_bytes(),
            problems: view.problems,
        }
    }
}

pub(super) async fn run(cluster: &Cluster, json: bool) -> Result<ExitCode, Failure> {
    let contents = cluster.inspector()?.contents().await?;
    let jobs: Vec<Job<'_>> = contents.jobs.iter().map(|(job, view)| Job::of(job, view)).collect();
    if json {
        output::json(&Jobs { cluster: cluster_name(cluster), jobs, problems: &contents.problems })?;
    } else if contents.entries == 0 {
        say("hactl", &nothing_here(cluster).await);
    } else {
        output::print(&shown(cluster, &contents, &jobs))?;
    }
    Ok(code(!contents.problems.is_empty()))
}

fn shown(cluster: &Cluster, contents: &Contents, jobs: &[Job<'_>]) -> String {
    let now = cluster.seam.unix_ms();
    let number = |count: usize| if count == 0 { "-".to_owned() } else { count.to_string() };
    let rows = jobs.iter().map(|job| {
        let latest = job.latest_checkpoint.as_ref().map_or_else(
            || "-".to_owned(),
            |latest| format!("{} ({} ago)", latest.id, rough(now.saturating_sub(latest.timestamp_unix_ms))),
        );
        let result = job.result.map_or_else(
            || "-".to_owned(),
            |result| format!("{} {}", result.status, if result.clean { "clean" } else { "dirty" }),
        );
        [
            job.job.to_string(),
            if job.has_plan { "yes" } else { "-" }.to_owned(),
            number(job.checkpoints),
            number(job.savepoints),
            latest,
            job.next_checkpoint_id.map_or_else(|| "-".to_owned(), |next| next.to_string()),
            number(job.blobs),
            bytes(job.state_bytes),
            result,
            number(job.problems),
        ]
    });
    let heads =
        ["JOB", "PLAN", "CHECKPOINTS", "SAVEPOINTS", "LATEST", "NEXT ID", "BLOBS", "STATE", "RESULT", "PROBLEMS"];
    let mut text = output::table(heads, rows);
    text.push_str(&format!("\n\n{}", counted(jobs.len(), "job")));
    if let Some(problems) = problems_table(&contents.problems) {
        text.push_str(&format!("\n{problems}"));
    }
    text
}
