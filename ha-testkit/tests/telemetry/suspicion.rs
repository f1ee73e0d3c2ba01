//! Evidence that is right, and evidence that is wrong because of what stands in between.

use std::net::SocketAddr;
use std::sync::Arc;

use ha_core::seam::{Seam, Task};
use ha_core::telemetry::names;
use ha_core::{HighAvailabilityServices, PresenceOptions};
use tokio::net::{TcpListener, TcpStream};

use super::recorder::Memory;
use super::world::{LONG, World};

/// Passes connections on; dropped, it closes them and refuses others.
async fn pass_on(listener: TcpListener, to: SocketAddr, seam: &Seam) -> Task {
    let own = seam.clone();
    seam.spawn(async move {
        let mut passing = Vec::new();
        while let Ok((mut from, _)) = listener.accept().await {
            passing.push(own.spawn(async move {
                if let Ok(mut on) = TcpStream::connect(to).await {
                    // It ends when either side does.
                    let _ = tokio::io::copy_bidirectional(&mut from, &mut on).await;
                }
            }));
        }
    })
}

async fn a_free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

pub(crate) async fn evidence_and_evidence_that_was_wrong(memory: &Memory) {
    let world = World::new();
    let bind = a_free_address().await;
    let between = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let advertise = Some(between.local_addr().unwrap());
    let way = pass_on(between, bind, &world.seam).await;
    let first = world.process_with(LONG, PresenceOptions::At { bind, advertise });
    let here = PresenceOptions::At { bind: "127.0.0.1:0".parse().unwrap(), advertise: None };
    let second = Arc::new(world.process_with(LONG, here));
    let leadership = first.services.dispatcher_leader_election().unwrap().campaign().await.unwrap();
    let standby = second.services.dispatcher_leader_election().unwrap();
    let contending = world.seam.spawn(async move {
        // It leads once the first one is taken for dead, and for as long as the test goes on.
        let _leads = standby.campaign().await;
        std::future::pending::<()>().await;
    });
    let seen = || memory.value(names::PRESENCE_HANDSHAKES.name, &[]) >= 1.0;
    world.eventually("the standby sees the leader alive", seen).await;

    drop(way);
    leadership.lost().await;
    let taken = || memory.value(names::PRESENCE_TAKEOVERS.name, &[]) >= 1.0;
    world.eventually("the takeover is counted", taken).await;
    assert!(memory.value(names::PRESENCE_EVIDENCE.name, &[]) >= 1.0);

    // The accused campaigns again, and reads in the latch against whom it was taken.
    let again = first.services.dispatcher_leader_election().unwrap();
    drop(leadership);
    let accused = world.seam.spawn(async move { drop(again.campaign().await) });
    let wrong = || memory.value(names::PRESENCE_WRONG_SUSPICIONS.name, &["accused_us"]) >= 1.0;
    world.eventually("the suspicion proves wrong", wrong).await;
    drop((contending, accused, second));
}
