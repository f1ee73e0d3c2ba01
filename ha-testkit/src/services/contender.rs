use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use ha_core::election::{LeaderContender, LeaderElection};
use ha_core::retrieval::{Leader, LeaderRetrievalListener};
use ha_core::{Error, ErrorKind};
use tokio::sync::watch;
use uuid::Uuid;

use super::Cluster;

/// What a contender was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Leadership under this session id.
    Grant(Uuid),
    /// That it is over.
    Revoke,
    /// An error of this kind.
    Error(ErrorKind),
}

/// A contender, or a listener, that writes down what it is told, and blocks or panics on demand.
#[derive(Debug)]
pub struct Recorder<T> {
    told: Mutex<Vec<T>>,
    blocked: watch::Sender<bool>,
    panics: bool,
}

impl<T: Clone + Send> Recorder<T> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { told: Mutex::default(), blocked: watch::Sender::new(false), panics: false })
    }

    /// One that panics after it has written down what it was told.
    pub(super) fn panicking() -> Arc<Self> {
        Arc::new(Self { told: Mutex::default(), blocked: watch::Sender::new(false), panics: true })
    }

    pub(super) fn told(&self) -> Vec<T> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Calls do not return from now on.
    pub(super) fn block(&self) {
        self.blocked.send_replace(true);
    }

    pub(super) fn unblock(&self) {
        self.blocked.send_replace(false);
    }

    async fn note(&self, told: T) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push(told);
        assert!(!self.panics, "a recorder of the suite panics on demand");
        // The sender lives in `self`.
        let _ = self.blocked.subscribe().wait_for(|blocked| !blocked).await;
    }

    /// Waits until it was told so often.
    pub(super) async fn until(&self, c: &Cluster, count: usize) -> Vec<T> {
        c.eventually(&format!("told {count} times"), || async { self.told().len() >= count }).await;
        self.told()
    }
}

#[async_trait]
impl LeaderContender for Recorder<Told> {
    async fn grant_leadership(&self, session_id: Uuid) {
        self.note(Told::Grant(session_id)).await;
    }

    async fn revoke_leadership(&self) {
        self.note(Told::Revoke).await;
    }

    async fn handle_error(&self, error: Error) {
        self.note(Told::Error(error.kind())).await;
    }

    fn description(&self) -> String {
        "recorder".into()
    }
}

/// What a listener was told.
pub(super) type Heard = Result<Option<Leader>, ErrorKind>;

#[async_trait]
impl LeaderRetrievalListener for Recorder<Heard> {
    async fn notify_leader(&self, leader: Option<Leader>) {
        self.note(Ok(leader)).await;
    }

    async fn handle_error(&self, error: Error) {
        self.note(Err(error.kind())).await;
    }
}

/// A started contender.
#[derive(Debug, Clone)]
pub struct Contending {
    pub(super) election: Arc<dyn LeaderElection>,
    pub(super) recorder: Arc<Recorder<Told>>,
}

impl Contending {
    /// Starts to contend by that recorder.
    pub(super) async fn start(election: Arc<dyn LeaderElection>, recorder: Arc<Recorder<Told>>) -> Self {
        election.start_leader_election(Arc::<Recorder<Told>>::clone(&recorder)).await.expect("a started contender");
        Self { election, recorder }
    }

    /// Waits for the n-th call, which must be a grant.
    pub(super) async fn granted(&self, c: &Cluster, count: usize) -> Uuid {
        match self.recorder.until(c, count).await[count - 1] {
            Told::Grant(id) => id,
            other => panic!("call {count} must be a grant, and is {other:?}"),
        }
    }

    pub(super) async fn close(&self, c: &Cluster) {
        c.in_time("the election closes", self.election.close()).await.expect("a closed election");
    }
}
