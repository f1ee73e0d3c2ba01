//! A leader that is a process of its own is killed; from `kill(2)` to its successor's acknowledged publication.

use std::path::Path;
use std::time::Duration;

use ha_core::backend::SessionOptions;
use ha_core::seam::Seam;
use ha_testkit::bench::cluster::{bare_death, fail_over, fail_over_in_silence};
use ha_testkit::bench::{self as table, Result, Times};

use crate::member::Member;

const BY_EVIDENCE: usize = 30;
const BY_SILENCE: u32 = 6;
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

/// Neither lock nor socket.
pub(crate) async fn in_silence(below: &Path) -> Result<()> {
    let silence = SessionOptions::default().silence;
    let member = || Member { lock: false, ..Member::new(below, "leader") };
    let ours = fail_over_in_silence(&Seam::system(), BY_SILENCE, member).await?;
    table::head(&format!(
        "{} leaders killed on another host that cannot be reached (silence {silence:?})",
        ours.count()
    ));
    table::alone("by silence (goal: silence + 500 ms)", &ours);
    Ok(())
}
