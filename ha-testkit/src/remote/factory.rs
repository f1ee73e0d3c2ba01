use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ha_core::Error;
use ha_core::backend::{Backend, Key};
use ha_core::seam::Seam;
use ha_embedded::Embedded;

use super::{Remote, Server};
use crate::factory::{BackendFactory, Missing, Store};

/// The served store as the suites see it: each handle is a client of its own.
#[derive(Debug, Clone, Copy)]
pub struct RemoteFactory;

#[async_trait]
impl BackendFactory for RemoteFactory {
    async fn open(&self) -> Result<Arc<dyn Store>, Missing> {
        let seam = Seam::system();
        // A thread for the server alone, as if it were a process of its own.
        let serving = Seam::system();
        let server = Server::start(Embedded::new(serving.clone()), serving);
        let server = server.map_err(|error| Missing(error.to_string()))?;
        Ok(Arc::new(RemoteStore { server, seam }))
    }
}

struct RemoteStore {
    server: Server,
    seam: Seam,
}

#[async_trait]
impl Store for RemoteStore {
    fn seam(&self) -> Seam {
        self.seam.clone()
    }

    async fn connect(&self) -> Result<Arc<dyn Backend>, Error> {
        Ok(Arc::new(Remote::connect(self.server.address(), "conformance", self.seam.clone()).await?))
    }

    async fn expire(&self, session: &str) {
        self.server.store().expire(session).expect("a living session");
    }

    async fn revoke(&self, session: &str) {
        self.server.store().revoke(session).expect("a living session");
    }

    async fn freeze(&self, session: &str) {
        self.server.freeze(session).expect("a living session");
    }

    async fn heal(&self, session: &str) {
        self.server.heal(session).expect("a living session");
    }

    async fn slow_answers(&self, by: Duration) {
        self.server.slow_answers(by);
    }

    async fn tamper(&self, key: &Key, value: Option<Bytes>) {
        self.server.store().tamper(key, value);
    }

    async fn tear_down(&self) {
        self.server.go_down().await;
    }
}
