//! A leader that is a process of its own is killed; from `kill(2)` to its successor's acknowledged publication.

use std::net::SocketAddr;
use std::time::Duration;

use ha_core::HighAvailabilityServices;
use ha_core::backend::SessionOptions;
use ha_core::seam::Seam;
use ha_testkit::process::{Process, Stage};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};

use crate::Result;
use crate::leader::Member;
use crate::table::{self, Times};

const BY_EVIDENCE: usize = 30;
const BY_SILENCE: usize = 6;

#[derive(Serialize, Deserialize)]
pub(crate) struct Nothing {}

/// The role of the leader.
pub(crate) async fn lead(member: Member, stage: Stage) {
    let leading = async {
        let services = member.services().await?;
        let leadership = member.lead(&services).await?;
        stage.tell("leading", ());
        // Held until the process is killed.
        let _held = (services, leadership);
        std::future::pending::<std::result::Result<(), ha_core::Error>>().await
    };
    if let Err(error) = leading.await {
        stage.tell("failed", error.to_string());
    }
}

/// The role of a process that only has a connection.
pub(crate) async fn listen(_: Nothing, stage: Stage) {
    let Ok(listener) = TcpListener::bind("127.0.0.1:0").await else { return };
    stage.tell("listening", listener.local_addr().ok());
    let held = listener.accept().await;
    stage.tell("accepted", held.is_ok());
    std::future::pending().await
}

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

/// One leader is killed; its standby has settled before.
async fn fail_over(seam: &Seam, member: &Member, alive: Duration) -> Result<Duration> {
    let mut leader = Process::spawn(seam.clone(), "leader", member);
    leader.told("leading").await;
    let standby = member.other("standby");
    let services = standby.services().await?;
    let settled = async {
        while member.presence && services.presence_stats().is_none_or(|stats| stats.handshakes == 0) {
            seam.sleep(Duration::from_millis(1)).await;
        }
        // Whatever the start of the two still brings about is over.
        seam.sleep(alive).await;
        leader.kill()
    };
    let (led, killed) = futures_util::future::join(standby.lead(&services), settled).await;
    let took = seam.now().since(killed);
    let leadership = led?;
    leader.exited().await;
    leadership.resign().await?;
    services.close().await?;
    Ok(took)
}

/// The same death without us: to the end of its one connection.
async fn bare_death(seam: &Seam) -> Result<Duration> {
    let mut process = Process::spawn(seam.clone(), "bare", &Nothing {});
    let address: SocketAddr = serde_json::from_value(process.told("listening").await.value)?;
    let connection = TcpStream::connect(address).await?;
    process.told("accepted").await;
    let killed = process.kill();
    // The end, or a reset.
    let _ = connection.readable().await;
    let ended = seam.now().since(killed);
    process.exited().await;
    Ok(ended)
}
