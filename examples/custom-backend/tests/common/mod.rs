//! How the suites get at the store: a fresh file for each case, and the hooks.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are test code too")]

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use custom_backend::RedbStore;
use ha_core::Error;
use ha_core::backend::{Backend, Key};
use ha_core::seam::Seam;
use ha_testkit::{BackendFactory, Missing, Store, async_trait};
use tempfile::TempDir;

// guide: factory
/// Opens a store in a file of its own for each case.
pub(crate) struct Factory;

struct Namespace {
    seam: Seam,
    store: Mutex<RedbStore>,
    /// Removes the file when the case is over, after a panic too.
    directory: TempDir,
}

#[async_trait]
impl BackendFactory for Factory {
    async fn open(&self) -> Result<Arc<dyn Store>, Missing> {
        let directory = tempfile::tempdir().map_err(|error| Missing(format!("a temporary folder: {error}")))?;
        let seam = Seam::system();
        // Not `Missing`: a backend that cannot be opened is red.
        let store = RedbStore::open(directory.path().join("store"), seam.clone()).unwrap();
        Ok(Arc::new(Namespace { seam, store: Mutex::new(store), directory }))
    }
}
// guide: end

impl Namespace {
    fn store(&self) -> RedbStore {
        self.store.lock().unwrap().clone()
    }
}

#[async_trait]
impl Store for Namespace {
    // guide: hooks
    fn seam(&self) -> Seam {
        self.seam.clone()
    }

    async fn connect(&self) -> Result<Arc<dyn Backend>, Error> {
        Ok(Arc::new(self.store().connect()))
    }

    async fn restart(&self) {
        self.store().close().await.unwrap();
        let again = RedbStore::open(self.directory.path().join("store"), self.seam.clone()).unwrap();
        *self.store.lock().unwrap() = again;
    }

    async fn expire(&self, session: &str) {
        self.store().expire(session);
    }

    async fn revoke(&self, session: &str) {
        self.store().revoke(session);
    }

    async fn freeze(&self, session: &str) {
        self.store().set_frozen(session, true);
    }

    async fn heal(&self, session: &str) {
        self.store().set_frozen(session, false);
    }

    async fn tamper(&self, key: &Key, value: Option<Bytes>) {
        self.store().edit(key, value).await.unwrap();
    }

    fn waiting(&self) -> usize {
        self.store().waiting()
    }
    // guide: end
}
