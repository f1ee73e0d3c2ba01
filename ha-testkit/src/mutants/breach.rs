use std::sync::Arc;

use async_trait::async_trait;
use ha_core::Error;
use ha_core::backend::{
    Backend, Change, Commit, Entry, Key, Mark, Outcome, Prefix, Profile, Scope, Session, SessionOptions, Snapshot,
};

/// A separation of clusters that separates nothing.
#[derive(Debug)]
pub(super) struct Breach {
    inner: Arc<dyn Backend>,
}

impl Breach {
    pub(super) fn new(inner: Arc<dyn Backend>) -> Self {
        Self { inner }
    }

    /// Values of two clusters stand side by side, told apart by what they say, for all to see.
    fn apart(commit: &Commit) -> Commit {
        let mut apart = commit.clone();
        for write in &mut apart.writes {
            let whose = write.value.as_ref().map(|value| String::from_utf8_lossy(value).replace(' ', "-"));
            if let Some(key) = whose.and_then(|whose| Key::new(format!("{}-{whose}", write.key)).ok()) {
                write.key = key;
            }
        }
        apart
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for Breach {
    fn profile(&self) -> Profile {
        self.inner.profile()
    }

    async fn read(&self, key: &Key) -> Result<Option<Entry>, Error> {
        self.inner.read(key).await
    }

    async fn list(&self, below: &Prefix) -> Result<Snapshot, Error> {
        self.inner.list(below).await
    }

    async fn changed(&self, scope: &Scope, seen: &Mark) -> Result<Change, Error> {
        self.inner.changed(scope, seen).await
    }

    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        self.inner.commit(&Self::apart(commit)).await
    }

    async fn open_session(&self, options: &SessionOptions) -> Result<Box<dyn Session>, Error> {
        self.inner.open_session(options).await
    }

    async fn close(&self) -> Result<(), Error> {
        self.inner.close().await
    }
}
