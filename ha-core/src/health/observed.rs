use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Contact;
use crate::Error;
use crate::backend::{
    Backend, Change, Commit, Entry, Key, Mark, Outcome, Prefix, Profile, Scope, Session, SessionOptions, Snapshot,
};
use crate::seam::Seam;

/// A backend whose calls are watched, for [`Health`](super::Health). It changes nothing.
#[derive(Debug)]
pub(crate) struct Observed {
    inner: Arc<dyn Backend>,
    contact: Arc<Contact>,
}

impl Observed {
    pub(crate) fn new(inner: Arc<dyn Backend>, silence: Duration, seam: Seam) -> Self {
        Self { inner, contact: Contact::new(silence, seam) }
    }

    pub(crate) fn store(&self) -> Arc<Contact> {
        Arc::clone(&self.contact)
    }

    async fn watch<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let watched = self.contact.begin(operation);
        let outcome = call.await;
        watched.ended(&outcome);
        outcome
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for Observed {
    fn profile(&self) -> Profile {
        self.inner.profile()
    }

    async fn read(&self, key: &Key) -> Result<Option<Entry>, Error> {
        self.watch("read", self.inner.read(key)).await
    }

    async fn list(&self, below: &Prefix) -> Result<Snapshot, Error> {
        self.watch("list", self.inner.list(below)).await
    }

    async fn changed(&self, scope: &Scope, seen: &Mark) -> Result<Change, Error> {
        let outcome = self.inner.changed(scope, seen).await;
        self.contact.note("changed", &outcome);
        outcome
    }

    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        self.watch("commit", self.inner.commit(commit)).await
    }

    async fn open_session(&self, options: &SessionOptions) -> Result<Box<dyn Session>, Error> {
        self.watch("open session", self.inner.open_session(options)).await
    }

    async fn close(&self) -> Result<(), Error> {
        self.inner.close().await
    }
}
