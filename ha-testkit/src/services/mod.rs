//! The cases of the services, on any backend: what contenders, followers and the users of the
//! stores may rely on. Each case runs several processes, every one with services of its own, on one
//! namespace, and carries the id that it has in the catalogue.

mod cluster;
mod contender;
mod factory;
mod line;
mod list;
mod telling;

#[doc(hidden)]
#[allow(missing_docs, clippy::unwrap_used, reason = "bodies of tests; what each claims stands in the list, once")]
pub mod blobs;
#[doc(hidden)]
#[allow(missing_docs, clippy::unwrap_used, reason = "bodies of tests; what each claims stands in the list, once")]
pub mod checkpoints;
#[doc(hidden)]
#[allow(missing_docs, clippy::unwrap_used, reason = "bodies of tests; what each claims stands in the list, once")]
pub mod cleanup;
#[doc(hidden)]
#[allow(missing_docs, clippy::unwrap_used, reason = "bodies of tests; what each claims stands in the list, once")]
pub mod counter;
#[doc(hidden)]
#[allow(missing_docs, clippy::unwrap_used, reason = "bodies of tests; what each claims stands in the list, once")]
pub mod deposed;
#[doc(hidden)]
#[allow(missing_docs, clippy::unwrap_used, reason = "bodies of tests; what each claims stands in the list, once")]
pub mod driver;
#[doc(hidden)]
#[allow(missing_docs, clippy::unwrap_used, reason = "bodies of tests; what each claims stands in the list, once")]
pub mod election;
#[doc(hidden)]
#[allow(missing_docs, clippy::unwrap_used, reason = "bodies of tests; what each claims stands in the list, once")]
pub mod endings;
#[doc(hidden)]
#[allow(missing_docs, clippy::unwrap_used, reason = "bodies of tests; what each claims stands in the list, once")]
pub mod formats;
#[doc(hidden)]
#[allow(missing_docs, clippy::unwrap_used, reason = "bodies of tests; what each claims stands in the list, once")]
pub mod information;
#[doc(hidden)]
#[allow(missing_docs, clippy::unwrap_used, reason = "bodies of tests; what each claims stands in the list, once")]
pub mod job_results;
#[doc(hidden)]
#[allow(missing_docs, clippy::unwrap_used, reason = "bodies of tests; what each claims stands in the list, once")]
pub mod plans;
#[doc(hidden)]
#[allow(missing_docs, clippy::unwrap_used, reason = "bodies of tests; what each claims stands in the list, once")]
pub mod result_races;
#[doc(hidden)]
#[allow(missing_docs, clippy::unwrap_used, reason = "bodies of tests; what each claims stands in the list, once")]
pub mod retrieval;
#[doc(hidden)]
#[allow(missing_docs, clippy::unwrap_used, reason = "bodies of tests; what each claims stands in the list, once")]
pub mod soak;
#[doc(hidden)]
#[allow(missing_docs, clippy::unwrap_used, reason = "bodies of tests; what each claims stands in the list, once")]
pub mod states;
#[doc(hidden)]
#[allow(missing_docs, clippy::unwrap_used, reason = "bodies of tests; what each claims stands in the list, once")]
pub mod storage;
#[doc(hidden)]
#[allow(missing_docs, clippy::unwrap_used, reason = "bodies of tests; what each claims stands in the list, once")]
pub mod told;
#[doc(hidden)]
#[allow(missing_docs, clippy::unwrap_used, reason = "bodies of tests; what each claims stands in the list, once")]
pub mod trouble;

pub use cluster::{Cluster, Process};
pub use contender::{Contending, Recorder, Told};
pub use factory::{Deployment, ServicesFactory, States};
pub use line::Line;

use async_trait::async_trait;

use crate::factory::Missing;
use crate::run::{Open, Opened};

/// Cases on the services of a deployment.
#[derive(Debug)]
pub struct OnServices<T>(pub T);

#[async_trait(?Send)]
impl<T: ServicesFactory> Open for OnServices<T> {
    type Fixture = Cluster;
    async fn open(&self) -> Result<Opened<Cluster>, Missing> {
        let deployment = self.0.open().await?;
        let store = deployment.store();
        let fixture = Cluster::new(deployment);
        let seam = store.seam();
        Ok(Opened { fixture, seam, tear_down: Box::pin(async move { store.tear_down().await }) })
    }
}

crate::services_cases! { __registry => Services }
crate::services_cases! { __dispatch => services Cluster }
