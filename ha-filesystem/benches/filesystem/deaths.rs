//! A leader that is a process of its own is killed; from `kill(2)` to its successor's acknowledged publication.

use std::path::Path;
use std::time::Duration;

use ha_core::backend::SessionOptions;
use ha_core::seam::Seam;
use ha_testkit::bench::cluster::{bare_death, fail_over};
use ha_testkit::bench::{self as table, Result, Times};

use crate::member::Member;

const BY_EVIDENCE: usize = 30;
const BY_SILENCE: usize = 6;
/// Until a standby waits for the lock.
const SETTLED: Duration = Duration::from_millis(200);

/// The lock of the dead process is free.
pub(crate) async fn by_evidence(below: &Path) -> Result<()> {
    let seam = Seam::system();
    let (mut ours, mut bare) = (Times::new(), Times::new());
    for _ in 0..BY_EVIDENCE {
        ours.add(fail_over(&seam, &Member::new(below, "leader"), SETTLED).await?);
        bare.add(bare_death(&seam).await?);
    }
    let silence = SessionOptions::default().silence;
    table::head(&format!("{BY_EVIDENCE} leaders killed on this host, from kill(2) on (silence {silence:?})"));
    table::line("by the lock (goal 100 ms); bare: a connection's end", &ours, &bare);
    Ok(())
}

/// As if the leader were on another host: its lock says nothing, its socket does.
pub(crate) async fn of_other_hosts(below: &Path) -> Result<()> {
    let seam = Seam::system();
    let mut ours = Times::new();
    for _ in 0..BY_EVIDENCE {
        let member = Member { presence: true, lock: false, ..Member::new(below, "leader") };
        ours.add(fail_over(&seam, &member, SETTLED).await?);
    }
    table::head(&format!("{BY_EVIDENCE} leaders killed on another host that can be reached, from kill(2) on"));
    table::alone("by presence (goal 100 ms)", &ours);
    Ok(())
}

/// Neither lock nor socket. All at once, for each waits for the silence. What is left of it at the death depends on the
/// last heartbeat: so they die at different moments.
pub(crate) async fn in_silence(below: &Path) -> Result<()> {
    let seam = Seam::system();
    let silence = SessionOptions::default().silence;
    let deaths = (0..BY_SILENCE).map(|number| {
        let member = Member { lock: false, ..Member::new(below, "leader") };
        let alive = Duration::from_secs(1) + silence / 3 * u32::try_from(number).unwrap_or(0) / BY_SILENCE as u32;
        let seam = &seam;
        async move { fail_over(seam, &member, alive).await }
    });
    let mut ours = Times::new();
    for took in futures_util::future::join_all(deaths).await {
        ours.add(took?);
    }
    table::head(&format!(
        "{} leaders killed on another host that cannot be reached (silence {silence:?})",
        ours.count()
    ));
    table::alone("by silence (goal: silence + 500 ms)", &ours);
    Ok(())
}
