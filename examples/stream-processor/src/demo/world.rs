use std::sync::Arc;

use async_trait::async_trait;
use ha::HaServices;
use ha::seam::Moment;

use crate::cluster::Failure;
use crate::cluster::network::Network;
use crate::gate::Gate;

/// What members live on: threads of this process, or processes of their own.
#[async_trait]
pub(super) trait World: Send {
    /// How far sources may read.
    fn gate(&self) -> Arc<Gate>;

    /// Starts a job manager, which contends from now on.
    fn start_manager(&mut self, name: &str) -> Result<(), Failure>;

    /// Whether the job manager was started, and was not killed.
    fn has(&self, manager: &str) -> bool;

    /// Ends it where it stands: nothing is resigned, flushed or told. The moment just before, if there is such a one.
    fn kill(&mut self, manager: &str) -> Option<Moment>;

    /// Services of its own for a client, and its way to job managers.
    async fn client(&self) -> Result<(HaServices, Arc<dyn Network>), Failure>;

    /// Ends everybody in good order, and says what stays behind where others may find it.
    async fn end(&mut self) -> Option<String>;
}
