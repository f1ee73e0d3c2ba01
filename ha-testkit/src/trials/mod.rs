//! What tests have real processes do, and how it is judged, whatever backend the processes are on.
//!
//! A test says how one of its processes gets its services ([`Member`]), and plays one of these roles in it:
//!
//! | role | what it does | judged by |
//! |---|---|---|
//! | [`believe`] | contends, and asks itself all the time whether it leads | [`assert_never_two_at_once`] |
//! | [`count`] | counts while it leads, then lets another lead | [`assert_unique_and_growing`] |
//! | [`work_late`] | leads, is deposed without knowing, and then tries every kind of write | [`assert_all_was_refused`] |
//!
//! What befalls the processes meanwhile is the test's own affair.

mod beliefs;
mod counting;
mod late;

use async_trait::async_trait;
use ha_core::seam::{Moment, Seam};
use ha_core::{Error, HaServices};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use beliefs::{ASK_EVERY, Believes, assert_never_two_at_once, believe, believed, is_over};
pub use counting::{Counting, assert_unique_and_growing, count, ids};
pub use late::{Late, Work, assert_all_was_refused, files_below, work_late};

/// A process of a cluster: it says where it belongs, and opens its services itself, in whatever process it is sent to.
#[async_trait]
pub trait Member: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What it is called, and publishes as its address.
    fn label(&self) -> &str;

    /// Services of its own.
    ///
    /// # Errors
    /// The backend cannot be reached.
    ///
    /// # Cancel safety
    /// Nothing remains of a dropped call.
    async fn services(&self, seam: &Seam) -> Result<HaServices, Error>;
}

/// A moment as a number that every process of the machine understands: they have one clock.
///
/// # Panics
/// It is 584 years after the start of the machine.
#[must_use]
pub fn nanoseconds(moment: Moment) -> u64 {
    u64::try_from(moment.since_origin().as_nanos()).expect("a machine that was started lately")
}
