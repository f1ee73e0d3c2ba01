use std::process::ExitCode;

use ha::JobId;
use ha::checkpoint::{CheckpointKind, CheckpointOrigin, RetentionPolicy};
use ha::inspect::{CheckpointView, Problem};
use ha::state::StateHandle;
use serde::Serialize;

use super::{code, counted, problems_table};
use crate::failure::Failure;
use crate::open::Cluster;
use crate::output;
use crate::time::{bytes, rough, utc};

#[derive(Serialize)]
struct Checkpoints<'a> {
    job: &'a JobId,
    next_checkpoint_id: Option<u64>,
    checkpoints: Vec<Checkpoint<'a>>,
    problems: &'a [Problem],
}

#[derive(Serialize)]
struct Checkpoint<'a> {
    id: u64,
    kind: CheckpointKind,
    timestamp_unix_ms: u64,
    retention: RetentionPolicy,
    origin: CheckpointOrigin,
    external: Option<&'a str>,
    state: &'a StateHandle,
}

impl<'a> Checkpoint<'a> {
    fn of(view: &'a CheckpointView) -> Self {
        let checkpoint = &view.checkpoint;
        Self {
            id: checkpoint.id,
            kind: checkpoint.kind,
            timestamp_unix_ms: checkpoint.timestamp_unix_ms,
            retention: checkpoint.retention,
            origin: checkpoint.origin,
            external: checkpoint.external.as_deref(),
            state: &view.state,
        }
    }
}

pub(super) async fn run(cluster: &Cluster, job: &JobId, json: bool) -> Result<ExitCode, Failure> {
    let contents = cluster.inspector()?.contents_of(job).await?;
    let Some(view) = contents.jobs.get(job) else {
        return Err(Failure::not_done(format!(
            "nothing is stored of the job {job}; `hactl jobs` shows those there are"
        )));
    };
    let checkpoints: Vec<Checkpoint<'_>> = view.checkpoints.iter().map(Checkpoint::of).collect();
    if json {
        let next_checkpoint_id = view.next_checkpoint_id;
        output::json(&Checkpoints { job, next_checkpoint_id, checkpoints, problems: &contents.problems })?;
        return Ok(code(!contents.problems.is_empty()));
    }
    let now = cluster.seam.unix_ms();
    let rows = checkpoints.iter().map(|one| {
        let age = rough(now.saturating_sub(one.timestamp_unix_ms));
        [
            one.id.to_string(),
            word(&one.kind),
            format!("{} ({age} ago)", utc(one.timestamp_unix_ms)),
            bytes(one.state.length),
            word(&one.retention),
            one.state.uri.clone(),
        ]
    });
    let mut text = output::table(["ID", "KIND", "TAKEN", "STATE", "RETENTION", "WHERE"], rows);
    let next = view.next_checkpoint_id.map_or_else(|| "not counted".to_owned(), |next| next.to_string());
    text.push_str(&format!("\n\n{} of {job}; next id: {next}", counted(checkpoints.len(), "checkpoint")));
    if let Some(problems) = problems_table(&contents.problems) {
        text.push_str(&format!("\n{problems}"));
    }
    output::print(&text)?;
    Ok(code(!contents.problems.is_empty()))
}

/// As it is written in JSON.
fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        other => other.map(|value| value.to_string()).unwrap_or_default(),
    }
}
