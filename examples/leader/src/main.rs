//! The smallest program that leads: it campaigns on Consul, works while it leads, and hands over when it is asked to
//! end. Start it twice, and kill the one that leads.
//!
//! Consul is where the variables of its own command line say, else on this host: `consul agent -dev` will do.

use std::sync::Arc;
use std::time::Duration;

use ha_consul::{Consul, ConsulSettings};
use ha_core::election::{Leadership, Ran};
use ha_core::seam::Seam;
use ha_core::state::StateStorage;
use ha_core::{ComponentId, Error, HaServices, HighAvailabilityServices, ServicesOptions, termination};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let (seam, asked) = (Seam::system(), termination()?);
    let consul = Consul::connect(ConsulSettings::from_env()?, seam.clone()).await?;
    let options = ServicesOptions { cluster_id: "leader-example".into(), ..ServicesOptions::default() };
    // It stores nothing large, so the state may go anywhere.
    let states = StateStorage::open("memory://", seam.clone())?;
    let services = HaServices::new(Arc::new(consul), states, &options, seam.clone())?;
    let ended = tokio::select! {
        biased;
        signal = asked => { println!("asked to end: {signal:?}"); Ok(()) }
        ended = lead(&services, &seam) => ended,
    };
    // Gives up what it leads, so that another leads at once instead of after a silence.
    services.close().await?;
    ended
}

/// Leads again and again.
async fn lead(services: &HaServices, seam: &Seam) -> Result<(), Error> {
    let election = services.leader_election(ComponentId::new("worker")?)?;
    loop {
        println!("standing by");
        let leadership = election.campaign().await?;
        leadership.publish(&format!("process {}", std::process::id())).await?;
        println!("leading with fencing token {}", leadership.token());
        // The work is dropped the moment that leadership is lost.
        if let Ran::Lost(why) = leadership.run(work(&leadership, seam)).await {
            println!("lost leadership: {why}");
        }
    }
}

/// What only the leader does. Effects outside of the store carry the fencing token along.
async fn work(leadership: &Leadership, seam: &Seam) {
    loop {
        seam.sleep(Duration::from_secs(1)).await;
        println!("working under token {}", leadership.token());
    }
}
