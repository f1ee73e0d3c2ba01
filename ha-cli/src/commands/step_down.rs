use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ha::backend::Name;
use ha::election::{StepDown, SteppedDown};
use ha::inspect::LatchView;
use ha::seam::Seam;

use crate::args::Place;
use crate::failure::{FINE, Failure, say};
use crate::open::Cluster;
use crate::output;

/// How long taking a request back may take after Ctrl-C.
const WITHDRAW_MAX: Duration = Duration::from_secs(5);

fn step_down(cluster: &Cluster) -> Result<StepDown, Failure> {
    Ok(StepDown::new(Arc::clone(&cluster.backend), &cluster.options, cluster.seam.clone())?)
}

pub(super) async fn run(
    cluster: &Cluster,
    latch: Option<&Name>,
    (stay_away, wait): (Duration, Duration),
    force: bool,
    json: bool,
) -> Result<ExitCode, Failure> {
    let tool = step_down(cluster)?;
    let answer = match force {
        true => tool.force(latch, wait).await?,
        false => tool.ask(latch, stay_away, wait).await?,
    };
    if json {
        output::json(&answer)?;
    }
    let shown = latch.map_or("leader", Name::as_str);
    let Some(epoch) = answer.epoch else {
        return Err(Failure::not_done(format!("nobody holds {shown}; nothing was done")));
    };
    if !answer.over {
        let left = match answer.request_left {
            true => "; the request could not be taken back, and may still be followed",
            false => "; the request was taken back",
        };
        return Err(Failure::not_done(format!(
            "the leader of epoch {epoch} has not stepped down within {wait:?}{left}. If its process hangs, or is of a \
             version that does not know requests: hactl step-down --force"
        )));
    }
    if !json {
        output::print(&told(cluster, latch, &answer, epoch, force).await)?;
    }
    match answer.now {
        Some(_) => Ok(ExitCode::from(FINE)),
        None => Err(Failure::not_done(format!("epoch {epoch} is over, and nobody leads within {wait:?}"))),
    }
}

async fn told(cluster: &Cluster, latch: Option<&Name>, answer: &SteppedDown, epoch: u64, force: bool) -> String {
    let how = if force { "was ended, and its leader is fenced" } else { "is over: its leader stepped down" };
    let Some(now) = answer.now else { return format!("epoch {epoch} {how}") };
    // Who that is, is worth a look, and no more.
    let leaders = match cluster.inspector() {
        Ok(inspector) => inspector.leaders().await.ok(),
        Err(_) => None,
    };
    let of = |view: &&LatchView| view.latch.as_deref() == latch.map(Name::as_str);
    let view = leaders.as_ref().and_then(|leaders| leaders.latches.iter().find(of));
    let label = view.and_then(|view| view.holder.as_ref()).map(|holder| output::plain(&holder.label));
    let label = label.filter(|label| !label.is_empty()).map(|label| format!(" ({label})")).unwrap_or_default();
    format!("epoch {epoch} {how}; now epoch {now} leads{label}")
}

/// Ctrl-C: the request that may stand is taken back.
pub(super) async fn withdraw(place: &Place, latch: Option<&Name>, seam: &Seam) {
    let withdrawn = async {
        let cluster = Cluster::open(place, seam).await?;
        step_down(&cluster)?.withdraw(latch).await.map_err(Failure::from)
    };
    match seam.timeout(WITHDRAW_MAX, withdrawn).await {
        Some(Ok(())) => say("hactl", "the request was taken back"),
        _ => say("hactl", "the request may still stand, and be followed by the leader that it names"),
    }
}
