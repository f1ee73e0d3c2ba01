use std::sync::Arc;

use async_trait::async_trait;
use ha_core::retrieval::LeaderRetrieval;
use ha_core::seam::Seam;
use ha_core::{ClientHighAvailabilityServices, ComponentId, Error, ErrorKind};

use super::StandaloneOptions;
use super::configured::{Closed, ConfiguredLeaderRetrieval};

/// What a client of a standalone cluster needs: the configured address of the REST endpoint. Flink's
/// `StandaloneClientHAServices`.
#[derive(Debug)]
pub struct StandaloneClientHaServices {
    address: String,
    seam: Seam,
    closed: Closed,
}

impl StandaloneClientHaServices {
    /// The services of one client. No I/O.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid): an option does not fit, or the REST endpoint has no address: nothing
    /// else would tell a client where it is.
    pub fn new(standalone: &StandaloneOptions, seam: Seam) -> Result<Self, Error> {
        standalone.validate()?;
        let component = ComponentId::rest_server();
        let Some(address) = standalone.addresses.get(&component) else {
            return Err(Error::new(ErrorKind::Invalid, "standalone options")
                .at(format!("address of {component}"))
                .because("not configured; without an election nothing else tells a client where it is"));
        };
        Ok(Self { address: address.clone(), seam, closed: Closed::default() })
    }
}

#[async_trait]
impl ClientHighAvailabilityServices for StandaloneClientHaServices {
    fn cluster_rest_endpoint_leader_retriever(&self) -> Result<Arc<dyn LeaderRetrieval>, Error> {
        ConfiguredLeaderRetrieval::open(&self.address, &self.seam, &self.closed)
    }

    async fn close(&self) -> Result<(), Error> {
        self.closed.set();
        Ok(())
    }
}
