use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ha::inspect::{Depth, Problem};
use serde::Serialize;

use super::{cluster_name, code, problems_table, while_it_moves};
use crate::failure::Failure;
use crate::open::Cluster;
use crate::output::{self, Gauge};
use crate::time::bytes;

#[derive(Serialize)]
struct Verification<'a> {
    cluster: String,
    entries: usize,
    pointers: usize,
    intact: usize,
    changed: usize,
    bytes: u64,
    checksums: bool,
    problems: &'a [Problem],
}

pub(super) async fn run(cluster: &Cluster, quick: bool, at_most: Duration, json: bool) -> Result<ExitCode, Failure> {
    let inspector = cluster.inspector()?;
    let contents = inspector.contents().await?;
    let depth = if quick { Depth::Length } else { Depth::Checksum };
    let mut gauge = Gauge::default();
    let done = AtomicUsize::new(0);
    let progress = |now: ha::inspect::Progress| {
        done.store(now.done, Ordering::Relaxed);
        gauge.show(now.done, now.all, &format!("states, {}", bytes(now.bytes)));
    };
    let looking = inspector.verify(&contents, depth, progress);
    let verified = match quick {
        true => while_it_moves(&cluster.seam, at_most, &done, looking).await?,
        // Reading a large state takes as long as it takes; the storage bounds each request of that.
        false => looking.await?,
    };
    drop(gauge);
    let mut problems = contents.problems.clone();
    problems.extend(verified.problems.iter().cloned());
    if json {
        output::json(&Verification {
            cluster: cluster_name(cluster),
            entries: contents.entries,
            pointers: contents.pointers(),
            intact: verified.intact,
            changed: verified.changed,
            bytes: verified.bytes,
            checksums: !quick,
            problems: &problems,
        })?;
        return Ok(code(!problems.is_empty()));
    }
    let how = if quick { "of the right length" } else { "intact" };
    let mut text = format!(
        "{} entries, {} pointers: {} lead to states that are {how} ({})",
        contents.entries,
        contents.pointers(),
        verified.intact,
        bytes(verified.bytes)
    );
    if verified.changed > 0 {
        text.push_str(&format!("; {} were removed or replaced meanwhile", verified.changed));
    }
    if let Some(problems) = problems_table(&problems) {
        text.push_str(&format!("\n{problems}"));
    }
    output::print(&text)?;
    Ok(code(!problems.is_empty()))
}
