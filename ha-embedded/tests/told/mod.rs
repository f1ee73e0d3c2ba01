//! A contender and a listener that write down what they are told.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ha_core::election::LeaderContender;
use ha_core::retrieval::{Leader, LeaderRetrievalListener};
use ha_core::seam::Seam;
use ha_core::state::StateStorage;
use ha_core::{Error, ErrorKind};
use tokio::sync::watch;
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    Granted(Uuid),
    Revoked,
    Leader(Option<Leader>),
    Failed(ErrorKind),
}

/// What somebody was told, in order.
#[derive(Debug)]
pub(crate) struct Recorder {
    told: watch::Sender<Vec<Told>>,
    /// Panics at every call, after it has written it down.
    panics: Mutex<bool>,
}

impl Recorder {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { told: watch::Sender::new(Vec::new()), panics: Mutex::new(false) })
    }

    pub(crate) fn panicking() -> Arc<Self> {
        let recorder = Self::new();
        *recorder.panics.lock().unwrap() = true;
        recorder
    }

    pub(crate) fn told(&self) -> Vec<Told> {
        self.told.borrow().clone()
    }

    /// Waits until what was told fits, and returns it.
    pub(crate) async fn until(&self, what: &str, fits: impl FnMut(&Vec<Told>) -> bool) -> Vec<Told> {
        let mut told = self.told.subscribe();
        let waited = within(what, told.wait_for(fits)).await;
        waited.unwrap().clone()
    }

    fn note(&self, told: Told) {
        self.told.send_modify(|all| all.push(told));
        let panics = *self.panics.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(!panics, "a recorder of the test panics on demand");
    }
}

#[async_trait]
impl LeaderContender for Recorder {
    async fn grant_leadership(&self, session_id: Uuid) {
        self.note(Told::Granted(session_id));
    }

    async fn revoke_leadership(&self) {
        self.note(Told::Revoked);
    }

    async fn handle_error(&self, error: Error) {
        self.note(Told::Failed(error.kind()));
    }

    fn description(&self) -> String {
        "recorder".into()
    }
}

#[async_trait]
impl LeaderRetrievalListener for Recorder {
    async fn notify_leader(&self, leader: Option<Leader>) {
        self.note(Told::Leader(leader));
    }

    async fn handle_error(&self, error: Error) {
        self.note(Told::Failed(error.kind()));
    }
}

/// The future's output; fails the test if it takes longer than a noisy machine explains.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match Seam::system().timeout(Duration::from_secs(60), future).await {
        Some(output) => output,
        None => panic!("not within a minute: {what}"),
    }
}

pub(crate) fn memory(seam: &Seam) -> StateStorage {
    StateStorage::open("memory://", seam.clone()).unwrap()
}
