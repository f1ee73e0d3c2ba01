//! How long it takes from `kill(2)` on a leading process to the acknowledged publication of its successor.
//!
//! `cargo bench -p ha-testkit --bench presence`. The leader is a real process over a served store, the
//! standby is here and has settled: it waits, and saw the leader alive. Beside it stands what everybody must
//! pay: the same process killed with one bare connection to it, from `kill(2)` to the end of the connection,
//! and to its exit status. Both in the same run, alternating. Nothing here is an assertion.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ha_core::backend::SessionOptions;
use ha_core::election::Leadership;
use ha_core::seam::Seam;
use ha_core::state::StateStorage;
use ha_core::{Error, HaServices, HighAvailabilityServices, PresenceOptions, ServicesOptions};
use ha_embedded::Embedded;
use ha_testkit::process::{Process, Stage, role};
use ha_testkit::remote::{Remote, Server};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};

const RUNS: usize = 50;
const GOAL: Duration = Duration::from_millis(30);

#[derive(Serialize, Deserialize)]
struct Member {
    label: String,
    server: SocketAddr,
}

#[derive(Serialize, Deserialize)]
struct Nothing {}

fn main() -> Result<(), Error> {
    role("leader", lead);
    role("bare", async |_: Nothing, stage: Stage| {
        let Ok(listener) = TcpListener::bind("127.0.0.1:0").await else { return };
        stage.tell("listening", listener.local_addr().ok());
        let held = listener.accept().await;
        stage.tell("accepted", held.is_ok());
        std::future::pending().await
    });
    ha_testkit::run::block_on(measure())
}

async fn lead(member: Member, stage: Stage) {
    match services(&member, stage.seam()).await {
        Ok(services) => match campaign(&services, &member).await {
            Ok(_leadership) => {
                stage.tell("leading", ());
                std::future::pending().await
            }
            Err(error) => stage.tell("failed", error.to_string()),
        },
        Err(error) => stage.tell("failed", error.to_string()),
    }
}

async fn services(member: &Member, seam: &Seam) -> Result<HaServices, Error> {
    let backend = Remote::connect(member.server, &member.label, seam.clone()).await?;
    let storage = StateStorage::open("memory://", seam.clone())?;
    let session = SessionOptions { label: member.label.clone(), ..SessionOptions::default() };
    let options = ServicesOptions { session, presence: PresenceOptions::Automatic, ..ServicesOptions::default() };
    HaServices::new(Arc::new(backend), storage, &options, seam.clone())
}

async fn campaign(services: &HaServices, member: &Member) -> Result<Leadership, Error> {
    let leadership = services.dispatcher_leader_election()?.campaign().await?;
    leadership.publish(&member.label).await?;
    Ok(leadership)
}

async fn measure() -> Result<(), Error> {
    let seam = Seam::system();
    let (mut ours, mut end, mut exit) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        ours.push(fail_over(&seam).await?);
        let (ended, exited) = bare(&seam).await;
        end.push(ended);
        exit.push(exited);
    }
    let silence = SessionOptions::default().silence;
    println!("{RUNS} fail-overs by evidence (silence {silence:?}), and as many bare deaths, alternating:");
    println!("{:<58} {:>9} {:>9} {:>9}", "from kill(2) to", "median", "p90", "worst");
    print(&format!("the successor's publication acknowledged (goal {GOAL:?})"), &mut ours);
    print("bare: the end of a connection", &mut end);
    print("bare: the exit status", &mut exit);
    Ok(())
}

/// One leader is killed; its standby has settled before.
async fn fail_over(seam: &Seam) -> Result<Duration, Error> {
    // A seam of its own: the store is nobody's critical task here.
    let server = Server::start(Embedded::new(Seam::system()), Seam::system())?;
    let member = |label: &str| Member { label: label.into(), server: server.address() };
    let mut leader = Process::spawn(seam.clone(), "leader", &member("leader"));
    leader.told("leading").await;
    let (member, standby_seam) = (member("standby"), Seam::system());
    let standby = services(&member, &standby_seam).await?;
    let settled = async {
        while standby.presence_stats().is_none_or(|stats| stats.handshakes == 0) {
            seam.sleep(Duration::from_millis(1)).await;
        }
        // Whatever the start of the two still brings about is over.
        seam.sleep(Duration::from_millis(50)).await;
        leader.kill()
    };
    let (led, killed) = futures_util::future::join(campaign(&standby, &member), settled).await;
    let took = seam.now().since(killed);
    let leadership = led?;
    leader.exited().await;
    leadership.resign().await?;
    standby.close().await?;
    Ok(took)
}

/// The same death without us: to the end of its one connection, and to its exit status.
async fn bare(seam: &Seam) -> (Duration, Duration) {
    let mut process = Process::spawn(seam.clone(), "bare", &Nothing {});
    let address: SocketAddr = serde_json::from_value(process.told("listening").await.value).expect("an address");
    let connection = TcpStream::connect(address).await.expect("a process that listens");
    process.told("accepted").await;
    let killed = process.kill();
    // The end, or a reset.
    let _ = connection.readable().await;
    let ended = seam.now().since(killed);
    while process.status().is_none() {
        seam.sleep(Duration::from_millis(1)).await;
    }
    (ended, seam.now().since(killed))
}

fn print(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
    println!("{what:<58} {:>9.2?} {:>9.2?} {:>9.2?}", at(50), at(90), at(100));
}
