//! A leader that is a process of its own is killed; from `kill(2)` to its successor's acknowledged publication.

use std::time::Duration;

use ha_core::backend::SessionOptions;
use ha_core::seam::Seam;
use ha_testkit::bench::Result;
use ha_testkit::bench::cluster::{bare_death, fail_over};

use crate::leader::Member;
use crate::table::{self, Times};

const BY_EVIDENCE: usize = 30;
const BY_SILENCE: usize = 6;

pub(crate) async fn with_presence(agent: &str) -> Result<()> {
    let seam = Seam::system();
    let (mut ours, mut bare) = (Times::new(), Times::new());
    for _ in 0..BY_EVIDENCE {
        let member = Member::new(agent, "leader");
        ours.add(fail_over(&seam, &member, Duration::from_millis(50)).await?);
        bare.add(bare_death(&seam).await?);
    }
    let silence = SessionOptions::default().silence;
    table::head(&format!("{BY_EVIDENCE} leaders killed, from kill(2) on (silence {silence:?})"));
    table::line("with presence (goal 100 ms); bare: a connection's end", &ours, &bare);
    Ok(())
}

/// All at once, for each waits for the silence. What is left of it at the death depends on the last heartbeat: so
/// they die at different moments.
pub(crate) async fn without_presence(agent: &str) -> Result<()> {
    let seam = Seam::system();
    let silence = SessionOptions::default().silence;
    let deaths = (0..BY_SILENCE).map(|number| {
        let member = Member { presence: false, ..Member::new(agent, "leader") };
        let alive = Duration::from_secs(1) + silence / 3 * u32::try_from(number).unwrap_or(0) / BY_SILENCE as u32;
        let seam = &seam;
        async move { fail_over(seam, &member, alive).await }
    });
    let mut ours = Times::new();
    for took in futures_util::future::join_all(deaths).await {
        ours.add(took?);
    }
    table::head(&format!("{} leaders killed without presence (silence {silence:?})", ours.count()));
    table::alone("without presence (goal: silence + 500 ms)", &ours);
    Ok(())
}
