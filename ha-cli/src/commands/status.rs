use std::process::ExitCode;

use ha::inspect::{LatchView, Leaders, Problem};
use serde::Serialize;

use super::{cluster_name, code, nothing_here, problems_table};
use crate::failure::{Failure, say};
use crate::open::Cluster;
use crate::output;
use crate::time::{rough, utc};

#[derive(Serialize)]
pub(super) struct Status<'a> {
    cluster: String,
    backend: &'static str,
    latches: &'a [LatchView],
    independent_denied: bool,
    problems: &'a [Problem],
}

impl<'a> Status<'a> {
    pub(super) fn of(cluster: &Cluster, leaders: &'a Leaders) -> Self {
        Self {
            cluster: cluster_name(cluster),
            backend: cluster.backend.profile().name,
            latches: &leaders.latches,
            independent_denied: leaders.independent_denied,
            problems: &leaders.problems,
        }
    }
}

pub(super) async fn run(cluster: &Cluster, json: bool) -> Result<ExitCode, Failure> {
    let leaders = cluster.inspector()?.leaders().await?;
    let nobody = leaders.latches.iter().all(|latch| latch.epoch.is_none());
    if json {
        output::json(&Status::of(cluster, &leaders))?;
    } else {
        output::print(&shown(cluster, &leaders))?;
        if nobody && leaders.latches.iter().all(|latch| latch.components.is_empty()) {
            say("hactl", &nothing_here(cluster).await);
        }
    }
    let main_is_vacant = leaders.latches.first().is_none_or(|latch| latch.epoch.is_none());
    Ok(code(main_is_vacant || !leaders.problems.is_empty()))
}

/// The table of latches, and of problems below it.
pub(super) fn shown(cluster: &Cluster, leaders: &Leaders) -> String {
    let now = cluster.seam.unix_ms();
    let rows = leaders.latches.iter().flat_map(|latch| rows(latch, now));
    let heads = ["LATCH", "EPOCH", "LEADER", "SINCE", "SILENCE", "COMPONENT", "ADDRESS"];
    let mut text = output::table(heads, rows);
    for latch in leaders.latches.iter().filter(|latch| latch.step_down.as_ref().is_some_and(|one| one.is_current)) {
        text.push_str(&format!("\n{} is asked to step down", name(latch)));
    }
    if leaders.independent_denied {
        text.push_str("\nindependent latches may not be read here");
    }
    if let Some(problems) = problems_table(&leaders.problems) {
        text.push('\n');
        text.push_str(&problems);
    }
    text
}

pub(super) fn name(latch: &LatchView) -> &str {
    latch.latch.as_deref().unwrap_or("leader")
}

/// A row for each component; the latch itself is told once.
fn rows(latch: &LatchView, now: u64) -> Vec<[String; 7]> {
    let (epoch, leader) = match (latch.epoch, &latch.holder) {
        (None, _) => ("-".to_owned(), "(vacant)".to_owned()),
        (Some(epoch), None) => (epoch.to_string(), "(does not say)".to_owned()),
        (Some(epoch), Some(holder)) if holder.label.is_empty() => (epoch.to_string(), "(no label)".to_owned()),
        (Some(epoch), Some(holder)) => (epoch.to_string(), holder.label.clone()),
    };
    let holder = latch.holder.as_ref();
    let since = holder
        .map(|holder| format!("{} ({})", utc(holder.since_unix_ms), rough(now.saturating_sub(holder.since_unix_ms))));
    let silence = holder.and_then(|holder| holder.silence_ms).map(rough);
    let first = [name(latch).to_owned(), epoch, leader, since.unwrap_or_default(), silence.unwrap_or_default()];
    let current: Vec<_> = latch.components.iter().filter(|component| component.is_current).collect();
    if current.is_empty() {
        let [a, b, c, d, e] = first;
        return vec![[a, b, c, d, e, String::new(), String::new()]];
    }
    let mut beginnings = std::iter::once(first).chain(std::iter::repeat_with(Default::default));
    let row = |component: &&ha::inspect::ComponentView| {
        let [a, b, c, d, e] = beginnings.next().unwrap_or_default();
        [a, b, c, d, e, component.component.clone(), component.address.clone()]
    };
    current.iter().map(row).collect()
}
