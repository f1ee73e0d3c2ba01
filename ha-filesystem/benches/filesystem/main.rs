//! What the services cost on a shared directory, each beside the system calls that no program could do without.
//!
//! `cargo bench -p ha-filesystem`. The directory is a throw-away one below the target folder, or below the one that
//! `HA_BENCH_DIRECTORY` names; the device is printed. Ours and bare alternate, so that a disk whose speed drifts slows
//! both; what counts is the ratio of the medians. Nothing here is an assertion. Leaders that are killed are processes
//! of their own.

mod bare;
mod commits;
mod deaths;
mod elections;
mod history;
mod member;
mod recovery;
mod rest;
mod stores;

use std::path::{Path, PathBuf};
use std::time::Duration;

use ha_core::seam::Seam;
use ha_testkit::bench::{self as table, Result, cluster};

/// Each part is over long before, also on a slow disk.
const PART_MAX: Duration = Duration::from_secs(300);

fn main() -> Result<()> {
    cluster::roles::<member::Member>();
    recovery::role();
    rest::role();
    ha_testkit::run::block_on(measure())
}

async fn measure() -> Result<()> {
    let seam = Seam::system();
    let began = seam.now();
    table::machine();
    let below = match std::env::var_os("HA_BENCH_DIRECTORY") {
        Some(directory) => PathBuf::from(directory),
        None => PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
    };
    let place = Place::new(&below)?;
    within("commits", commits::measure(place.path())).await?;
    within("stores", stores::measure(place.path())).await?;
    within("recovery", recovery::measure(place.path())).await?;
    within("hand-over", elections::hand_over(place.path())).await?;
    within("leader change", elections::leader_change(place.path())).await?;
    within("deaths", deaths::by_evidence(place.path())).await?;
    // All wait for the default silence and more, and use next to nothing meanwhile.
    let (presence, rest) = (deaths::of_other_hosts(place.path()), rest::watch(place.path()));
    let silence = within("deaths in silence", deaths::in_silence(place.path()));
    let (silence, rest) = futures_util::future::join(silence, within("rest", rest)).await;
    silence?;
    rest?.print();
    within("deaths of other hosts", presence).await?;
    within("history", history::measure(place.path())).await?;
    table::machine();
    println!("all of it took {:.0?}", seam.now().since(began));
    Ok(())
}

/// Where the benchmark writes; gone with this value.
struct Place(tempfile::TempDir);

impl Place {
    fn new(below: &Path) -> Result<Self> {
        std::fs::create_dir_all(below)?;
        let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(below)?;
        println!("directory below {}: {}", below.display(), bare::device(folder.path())?);
        Ok(Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

/// A part that hangs ends the benchmark.
async fn within<T>(what: &str, part: impl Future<Output = Result<T>>) -> Result<T> {
    let ended = Seam::system().timeout(PART_MAX, part).await;
    ended.unwrap_or_else(|| Err(format!("{what}: not over after {PART_MAX:?}").into()))
}
