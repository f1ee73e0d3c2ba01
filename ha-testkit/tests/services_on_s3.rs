//! The suite of the services with their states on a real server that speaks S3, one for each case. Leadership and pointers
//! lie in this process: what is new here is the storage.

use std::sync::Arc;

use async_trait::async_trait;
use ha_core::state::StorageOptions;
use ha_testkit::servers::s3::S3;
use ha_testkit::services_conformance;
use ha_testkit::{BackendFactory, Deployment, EmbeddedFactory, Missing, ServicesFactory, States, Store};
use object_store::local::LocalFileSystem;

struct OnS3(EmbeddedFactory);

struct WithStates {
    store: Arc<dyn Store>,
    server: S3,
}

#[async_trait]
impl ServicesFactory for OnS3 {
    async fn open(&self) -> Result<Arc<dyn Deployment>, Missing> {
        let store = BackendFactory::open(&self.0).await?;
        let server = S3::start(store.seam()).await?;
        Ok(Arc::new(WithStates { store, server }))
    }
}

impl Deployment for WithStates {
    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    fn states(&self) -> States {
        // What the suite lets go wrong is not tried again; what takes long on a machine that is busy, is not wrong.
        let options = StorageOptions::new()
            .with("high-availability.storage.retry-timeout", "0 s")
            .with("high-availability.storage.request-timeout", "60 s");
        let storage = self.server.storage("ha", &options);
        // An object of the server's is a file.
        let folder = self.server.bucket().join("ha");
        std::fs::create_dir_all(&folder).expect("a folder of the test's own");
        let inside = LocalFileSystem::new_with_prefix(folder).expect("a folder that is there");
        States { storage, inside: Arc::new(inside) }
    }
}

services_conformance! {
    embedded_s3, OnS3(EmbeddedFactory::new()),
        can: [Expire, Revoke, Freeze, Tamper, CountWaiters, LinearizableReads, FreeOnDrop];
}
