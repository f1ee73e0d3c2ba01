use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ha::cleanup::{Orphan, OrphanCollector, OrphanOptions, OrphanSweep, Swept};
use serde::Serialize;

use super::cleanup::lead;
use super::counted;
use crate::failure::{FINE, Failure, say};
use crate::open::Cluster;
use crate::output;
use crate::time::bytes;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    DryRun,
    Delete,
}

#[derive(Serialize)]
struct Collection<'a> {
    deleted: bool,
    orphans: &'a [Orphan],
    vacant: &'a [String],
    may_be_more: bool,
}

pub(super) async fn run(
    cluster: &Cluster,
    older_than: Duration,
    mode: Mode,
    may_lead: bool,
    json: bool,
) -> Result<ExitCode, Failure> {
    let options = OrphanOptions { age_min: older_than, ..OrphanOptions::default() };
    let backend = Arc::clone(&cluster.backend);
    let sweep = OrphanSweep::new(backend, &cluster.storage, &cluster.options, options.clone(), cluster.seam.clone())?;
    let swept = match mode {
        Mode::DryRun => sweep.find().await?,
        Mode::Delete => sweep.collect().await?,
    };
    let Swept { mut orphans, mut vacant, mut may_be_more, .. } = swept;
    // A look contends for nothing: that writes.
    if may_lead && mode == Mode::Delete && vacant.iter().any(|latch| latch == "leader") {
        // Under a leadership of our own all earlier terms are over.
        let services = lead(cluster).await?;
        let collector = OrphanCollector::of(&services.leadership, options);
        let collected = collector.collect().await;
        services.leave().await;
        let collected = collected?;
        orphans.extend(collected.deleted);
        may_be_more |= collected.may_be_more;
        vacant.retain(|latch| latch != "leader");
    }
    let deleted = mode == Mode::Delete;
    if json {
        output::json(&Collection { deleted, orphans: &orphans, vacant: &vacant, may_be_more })?;
    } else {
        output::print(&shown(&orphans, deleted))?;
    }
    for latch in &vacant {
        let way =
            if latch == "leader" { "while a leader is there, or with --lead" } else { "while somebody leads there" };
        say("hactl", &format!("nobody holds {latch}, so it is not known which of its terms are over: run it {way}"));
    }
    if may_be_more {
        say("hactl", "there are more: run it again");
    }
    Ok(ExitCode::from(FINE))
}

fn shown(orphans: &[Orphan], deleted: bool) -> String {
    let sum = orphans.iter().fold(0_u64, |sum, orphan| sum.saturating_add(orphan.bytes));
    let what = if deleted { "deleted" } else { "that would be deleted" };
    let line = format!("{} {what}, {}", counted(orphans.len(), "orphan"), bytes(sum));
    if orphans.is_empty() {
        return line;
    }
    let rows = orphans.iter().map(|one| [one.epoch.to_string(), bytes(one.bytes), one.uri.clone()]);
    format!("{}\n\n{line}", output::table(["EPOCH", "STATE", "WHERE"], rows))
}
