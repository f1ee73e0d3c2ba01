//! What the services cost over a real Consul, each beside the bare requests that do the same on the same agent.
//!
//! `cargo bench -p ha-consul`. The agent is a throw-away one in developer mode, on loopback. Ours and bare alternate,
//! request by request, so that a machine whose speed drifts slows both; what counts is the ratio of the medians.
//! Nothing here is an assertion. The crashed leaders are processes of their own.

mod bare;
mod deaths;
mod elections;
mod leader;
mod recovery;
mod rest;
mod stores;

use std::time::Duration;

use ha_core::seam::Seam;
use ha_testkit::Missing;
use ha_testkit::bench::{Result, cluster};
use ha_testkit::process::role;
use ha_testkit::servers::consul::{Agent, Options};

pub(crate) use ha_testkit::bench as table;

/// Each part is over long before, also on a busy machine.
const PART_MAX: Duration = Duration::from_secs(120);

fn main() -> Result<()> {
    cluster::roles::<leader::Member>();
    role("recovering", recovery::recover);
    ha_testkit::run::block_on(async {
        match Agent::start(Seam::system(), Options::developer()).await {
            Ok(agent) => measure(&agent.address()).await,
            Err(Missing(what)) => {
                println!("skipped: {what}");
                Ok(())
            }
        }
    })
}

async fn measure(agent: &str) -> Result<()> {
    let seam = Seam::system();
    let began = seam.now();
    table::machine();
    within("stores", stores::measure(agent)).await?;
    within("recovery", recovery::measure(agent)).await?;
    within("hand-over", elections::hand_over(agent)).await?;
    within("leader change", elections::leader_change(agent)).await?;
    within("deaths", deaths::with_presence(agent)).await?;
    // Both wait for the default silence and more, and use next to nothing meanwhile.
    let silent = within("deaths in silence", deaths::without_presence(agent));
    let (silent, rest) = futures_util::future::join(silent, within("rest", rest::watch(agent))).await;
    silent?;
    rest?.print();
    table::machine();
    println!("all of it took {:.0?}", seam.now().since(began));
    Ok(())
}

/// A part that hangs ends the benchmark.
async fn within<T>(what: &str, part: impl Future<Output = Result<T>>) -> Result<T> {
    let ended = Seam::system().timeout(PART_MAX, part).await;
    ended.unwrap_or_else(|| Err(format!("{what}: not over after {PART_MAX:?}").into()))
}
