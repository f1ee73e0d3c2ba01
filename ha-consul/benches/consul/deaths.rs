//! A leader that is a process of its own is killed; from `kill(2)` to its successor's acknowledged publication.

use std::time::Duration;

use ha_core::backend::SessionOptions;
use ha_core::seam::Seam;
use ha_testkit::bench::Result;
use ha_testkit::bench::cluster::{bare_death, fail_over, fail_over_in_silence};

use crate::leader::Member;
use crate::table::{self, Times};

const BY_EVIDENCE: usize = 30;
const BY_SILENCE: u32 = 6;

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

pub(crate) async fn without_presence(agent: &str) -> Result<()> {
    let silence = SessionOptions::default().silence;
    let member = || Member { presence: false, ..Member::new(agent, "leader") };
    let ours = fail_over_in_silence(&Seam::system(), BY_SILENCE, member).await?;
    table::head(&format!("{} leaders killed without presence (silence {silence:?})", ours.count()));
    table::alone("without presence (goal: silence + 500 ms)", &ours);
    Ok(())
}
