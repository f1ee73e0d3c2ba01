//! Leadership that passes on in good order, and how those hear of it who follow.

use std::path::Path;

use ha_core::HighAvailabilityServices;
use ha_core::seam::Seam;
use ha_testkit::bench::cluster::{Couple, Followers, Member as _, RETRIEVALS, SETTLED, addresses, lead};
use ha_testkit::bench::{self as table, Result, Times};
use ha_testkit::trials::Member as _;

use crate::bare::{Bare, newest_entry};
use crate::member::Member;

const HAND_OVERS: usize = 40;
const LEADER_CHANGES: usize = 30;

/// From the call of `resign` to the next leader's acknowledged publication, again and again between two. Bare is what
/// cannot be spared: three files, one for letting go, one for taking, one for the address.
pub(crate) async fn hand_over(below: &Path) -> Result<()> {
    let seam = Seam::system();
    let member = Member::new(below, "one");
    let mut couple = Couple::new(&member, &seam).await?;
    let (entry, mut plain) = (newest_entry(&member.directory)?, Bare::new(&member.directory, "hand-over")?);
    let (mut ours, mut bare) = (Times::new(), Times::new());
    for _ in 0..HAND_OVERS {
        ours.add(couple.hand_over(&seam).await?);
        let began = seam.now();
        for _ in 0..3 {
            plain.write(&entry)?;
            plain.tidy()?;
        }
        bare.add(seam.now().since(began));
    }
    table::head(&format!("{HAND_OVERS} hand-overs in good order, from `resign` to the next publication"));
    table::line("hand-over (goal 50 ms)", &ours, &bare);
    couple.close().await
}

/// Another handle publishes a new address; a thousand retrievals on this one learn it.
pub(crate) async fn leader_change(below: &Path) -> Result<()> {
    let seam = Seam::system();
    let member = Member::new(below, "leader");
    let leading = member.services(&Seam::system()).await?;
    let leadership = lead(&member, &leading).await?;
    let services = member.other("follower").services(&Seam::system()).await?;
    let mut followers = Followers::new(&seam, addresses(&services)?);
    let [mut first, mut spread] = [const { Times::new() }; 2];
    // A watch that was made later than the first read shows the leader without a change: so all wait for another.
    let host = |number: usize| format!("host:{number}");
    leadership.publish(&host(0)).await?;
    followers.all(&host(0), seam.now(), &mut Times::new(), &mut Times::new()).await?;
    for change in 1..=LEADER_CHANGES {
        seam.sleep(SETTLED).await;
        let began = seam.now();
        leadership.publish(&host(change)).await?;
        followers.all(&host(change), began, &mut first, &mut spread).await?;
    }
    table::head(&format!("{LEADER_CHANGES} leader changes to {RETRIEVALS} retrievals in one process"));
    table::alone("from the call to publish to the first that is told", &first);
    table::alone("from the first to the last (goal 5 ms)", &spread);
    drop(followers);
    leadership.resign().await?;
    services.close().await?;
    leading.close().await?;
    Ok(())
}
