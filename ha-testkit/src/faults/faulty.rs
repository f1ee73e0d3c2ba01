use std::sync::Arc;

use async_trait::async_trait;
use ha_core::Error;
use ha_core::backend::{
    Backend, Change, Commit, Entry, Key, Mark, Outcome, Prefix, Profile, Scope, Session, SessionOptions, Snapshot,
};
use ha_core::seam::Seam;

use super::plan::{Call, Delivered, Fault, Plan, unavailable, unknown};
use super::session::FaultySession;

/// Carries out a [`Plan`] on the way to a backend. `close` and `profile` never go wrong.
#[derive(Debug)]
pub struct Faulty {
    inner: Arc<dyn Backend>,
    seam: Seam,
    plan: Plan,
}

impl Faulty {
    /// Lets the calls to `inner` go wrong as planned.
    #[must_use]
    pub fn new(inner: Arc<dyn Backend>, seam: Seam, plan: Plan) -> Self {
        Self { inner, seam, plan }
    }

    /// What goes wrong with a call that changes nothing.
    async fn reading(&self, call: Call, operation: &'static str, about: &str) -> Result<Option<Fault>, Error> {
        match self.plan.choose(call, [about]) {
            Some(Fault::Delay(by)) => self.seam.sleep(by).await,
            Some(Fault::Held) => self.plan.held().await,
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::LoseWakeUp) => return Ok(Some(Fault::LoseWakeUp)),
            Some(_) => return Err(unavailable(operation)),
            None => {}
        }
        Ok(None)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for Faulty {
    fn profile(&self) -> Profile {
        self.inner.profile()
    }

    async fn read(&self, key: &Key) -> Result<Option<Entry>, Error> {
        self.reading(Call::Read, "read", key.as_str()).await?;
        self.inner.read(key).await
    }

    async fn list(&self, below: &Prefix) -> Result<Snapshot, Error> {
        self.reading(Call::List, "list", below.as_str()).await?;
        self.inner.list(below).await
    }

    async fn changed(&self, scope: &Scope, seen: &Mark) -> Result<Change, Error> {
        let about = scope.to_string();
        let fault = self.reading(Call::Changed, "changed", &about).await?;
        let change = self.inner.changed(scope, seen).await?;
        match fault {
            Some(Fault::LoseWakeUp) => self.inner.changed(scope, &change.mark()).await,
            _ => Ok(change),
        }
    }

    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        let keys = commit.writes.iter().map(|write| write.key.as_str());
        match self.plan.choose(Call::Commit, keys) {
            None | Some(Fault::LoseWakeUp) => {}
            Some(Fault::Delay(by)) => self.seam.sleep(by).await,
            Some(Fault::Held) => self.plan.held().await,
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::FailBefore) => return Err(unavailable("commit")),
            Some(Fault::FailAfter) => {
                // Whatever the store answered, nobody hears it.
                let _ = self.inner.commit(commit).await;
                return Err(unknown("commit"));
            }
            Some(Fault::LostBefore) => return Err(unknown("commit")),
            Some(Fault::DeliveredTwice) => {
                let first = self.inner.commit(commit).await;
                let _ = self.inner.commit(commit).await;
                return first;
            }
            Some(Fault::DeliveredLate) => {
                let (inner, commit) = (Arc::clone(&self.inner), commit.clone());
                self.plan.hold_back(Box::pin(async move { Delivered::Commit(inner.commit(&commit).await) }));
                return Err(unknown("commit"));
            }
        }
        self.inner.commit(commit).await
    }

    async fn open_session(&self, options: &SessionOptions) -> Result<Box<dyn Session>, Error> {
        self.reading(Call::OpenSession, "open session", &options.label).await?;
        let inner = Arc::from(self.inner.open_session(options).await?);
        Ok(Box::new(FaultySession::new(inner, self.seam.clone(), self.plan.clone())))
    }

    async fn close(&self) -> Result<(), Error> {
        self.inner.close().await
    }
}
