use std::process::ExitCode;

use ha::inspect::{Problem, ResultView};
use ha::{JobId, JobStatus};
use serde::Serialize;

use super::{cluster_name, code, counted, problems_table};
use crate::failure::Failure;
use crate::open::Cluster;
use crate::output;
use crate::time::rough;

#[derive(Serialize)]
struct Results<'a> {
    cluster: String,
    results: Vec<Ended<'a>>,
    problems: Vec<&'a Problem>,
}

#[derive(Serialize)]
struct Ended<'a> {
    job: &'a JobId,
    status: JobStatus,
    state: &'static str,
    network_run_time_ms: u64,
    error: Option<&'a str>,
}

impl<'a> Ended<'a> {
    fn of(job: &'a JobId, result: &'a ResultView) -> Self {
        Self {
            job,
            status: result.status,
            state: if result.clean { "clean" } else { "dirty" },
            network_run_time_ms: result.network_run_time_ms,
            error: result.error.as_deref(),
        }
    }
}

pub(super) async fn run(cluster: &Cluster, json: bool) -> Result<ExitCode, Failure> {
    let contents = cluster.inspector()?.contents().await?;
    let results: Vec<Ended<'_>> =
        contents.jobs.iter().filter_map(|(job, view)| Some(Ended::of(job, view.result.as_ref()?))).collect();
    let problems: Vec<&Problem> = contents.problems.iter().filter(|one| one.key.starts_with("job-results/")).collect();
    let broken = !problems.is_empty();
    if json {
        output::json(&Results { cluster: cluster_name(cluster), results, problems })?;
        return Ok(code(broken));
    }
    let rows = results.iter().map(|one| {
        // A whole stack trace may stand there; JSON has all of it.
        let error: String = one.error.unwrap_or("-").chars().take(80).collect();
        [one.job.to_string(), one.status.to_string(), one.state.to_owned(), rough(one.network_run_time_ms), error]
    });
    let mut text = output::table(["JOB", "STATUS", "STATE", "RAN", "ERROR"], rows);
    text.push_str(&format!("\n\n{}", counted(results.len(), "result")));
    let problems: Vec<Problem> = problems.into_iter().cloned().collect();
    if let Some(problems) = problems_table(&problems) {
        text.push_str(&format!("\n{problems}"));
    }
    output::print(&text)?;
    Ok(code(broken))
}
