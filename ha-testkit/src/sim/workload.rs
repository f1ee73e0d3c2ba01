//! What the processes of a cluster do, in the simulation and on real machines alike: they contend, lead, publish, take
//! ids, add and subsume checkpoints, keep plans, results and blobs, recover, and follow the leader. All of it is noted.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ha_core::HaServices;
use ha_core::seam::{Deadline, Seam};
use tokio::sync::watch;

use super::life::{self, Own};
use crate::history::{Call, Scribe};

pub use super::world::LATCH;

/// What is around a member, and wants to know of it while the history is still being written. Whoever reads the history
/// itself needs none of it.
pub trait Surroundings: fmt::Debug + Send + Sync {
    /// How long a member rests now and then between two calls.
    fn leisure(&self) -> Duration;
    /// Within which silence its session ends.
    fn silence(&self) -> Duration;
    /// That deadline of the member's own clock, by the clock of the history, in nanoseconds; `None` if it is past.
    fn until_ns(&self, process: usize, seam: &Seam, until: Deadline) -> Option<u64>;
    /// It leads under that epoch; the second part is the store's own name of the term.
    fn leads(&self, _process: usize, _epoch: u64, _native: &Arc<str>) {}
    /// It does so no more.
    fn leads_no_more(&self, _process: usize, _epoch: u64) {}
    /// One of its observers shows that leader.
    fn shows(&self, _process: usize, _observer: &str, _epoch: Option<u64>) {}
    /// An address was published under that epoch.
    fn published(&self, _epoch: u64) {}
    /// A write under that epoch was acknowledged.
    fn written(&self, _epoch: u64, _call: &Call) {}
    /// A component of it was told that it leads under that epoch, or (`None`) that it does not.
    fn told(&self, _process: usize, _component: &str, _epoch: Option<u64>) {}
    /// One who audits has read everything.
    fn audited(&self) {}
}

/// What a member is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It contends for two components, works until it loses its leadership, and begins anew.
    Works,
    /// It contends for one component, and gives it up now and then.
    GivesUp,
    /// It leads once, reads everything, and keeps its leadership until it is told to stop.
    Audits,
}

/// One life of one member.
#[derive(Debug)]
pub struct Member {
    /// Its number, as its [`Surroundings`] know it.
    pub process: usize,
    /// What it is there for.
    pub part: Part,
    /// Its name in addresses.
    pub name: String,
    /// Which life it is.
    pub incarnation: u32,
    /// What it is noted with.
    pub scribe: Scribe,
    /// Time, randomness and tasks.
    pub seam: Seam,
    /// Its services.
    pub services: Arc<HaServices>,
    /// What is around it.
    pub around: Arc<dyn Surroundings>,
}

/// Lives until it is told to stop; then it resigns and closes its services. Its start and its end are noted by whoever
/// calls.
pub async fn live(member: Member, stop: &mut watch::Receiver<bool>) {
    let Member { process, part, name, incarnation, scribe, seam, services, around } = member;
    let address = format!("{name}-{incarnation}:6123");
    life::work(Own { world: around, process, part, seam, scribe, services, address }, stop).await;
}
