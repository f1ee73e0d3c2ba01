use std::process::ExitCode;
use std::time::Duration;

use ha::inspect::{LatchView, Leaders};

use super::status::{Status, name, shown};
use crate::failure::{FINE, Failure, one_line, say};
use crate::open::Cluster;
use crate::output;
use crate::time::utc;

/// Independent latches are looked at this often; the cluster's one is followed.
const LOOK: Duration = Duration::from_secs(2);
/// The pause after the store has not answered.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn run(cluster: &Cluster, count: Option<u64>, json: bool) -> Result<ExitCode, Failure> {
    let inspector = cluster.inspector()?;
    // The first look must succeed: else there is nothing to watch.
    let mut seen = inspector.leaders().await?;
    tell(cluster, None, &seen, json)?;
    let (mut changes, mut failing) = (0, false);
    while count.is_none_or(|count| changes < count) {
        // What a failed watch would have told, the next look tells.
        let watched = cluster.seam.timeout(LOOK, inspector.changed(None, &seen.mark)).await;
        let looked = match watched {
            Some(Err(error)) => Err(error),
            _ => inspector.leaders().await,
        };
        match looked {
            Ok(now) => {
                if failing {
                    say("hactl", "the store answers again");
                }
                failing = false;
                if (&now.latches, &now.problems) != (&seen.latches, &seen.problems) {
                    changes += 1;
                    tell(cluster, Some(&seen), &now, json)?;
                }
                seen = now;
            }
            Err(error) => {
                if !failing {
                    say("hactl", &format!("{}; looking again until it answers", one_line(&error)));
                }
                failing = true;
                cluster.seam.sleep(PAUSE).await;
            }
        }
    }
    Ok(ExitCode::from(FINE))
}

fn tell(cluster: &Cluster, before: Option<&Leaders>, now: &Leaders, json: bool) -> Result<(), Failure> {
    if json {
        return output::json(&Status::of(cluster, now));
    }
    let Some(before) = before else { return output::print(&shown(cluster, now)) };
    let at = utc(cluster.seam.unix_ms());
    for latch in &now.latches {
        let old = before.latches.iter().find(|old| old.latch == latch.latch);
        let (was, is) = (old.map(shown_in_short), shown_in_short(latch));
        if was.as_deref() != Some(&*is) {
            output::print(&output::plain(&format!("{at}  {}  {is}", name(latch))))?;
        }
    }
    for gone in before.latches.iter().filter(|old| now.latches.iter().all(|latch| latch.latch != old.latch)) {
        output::print(&format!("{at}  {}  removed", name(gone)))?;
    }
    Ok(())
}

/// How a latch is, on one line; where that is the same, nothing changed that matters.
fn shown_in_short(now: &LatchView) -> String {
    let Some(epoch) = now.epoch else { return "vacant".to_owned() };
    let leader = now.holder.as_ref().map(|holder| holder.label.as_str()).unwrap_or_default();
    let current = now.components.iter().filter(|component| component.is_current);
    let addresses: Vec<String> = current.map(|one| format!("{} at {}", one.component, one.address)).collect();
    let mut text = format!("epoch {epoch}  {leader}  {}", addresses.join(", "));
    if now.step_down.as_ref().is_some_and(|one| one.is_current) {
        text.push_str("  asked to step down");
    }
    text
}
