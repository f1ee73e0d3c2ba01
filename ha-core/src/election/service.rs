use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use uuid::Uuid;

use super::contender::{Delivered, Delivery};
use super::elector::{Elector, Parts};
use super::registration::{Registration, Registry};
use super::{Grant, LeaderContender, LeaderInformation, Leadership};
use crate::backend::Latch;
use crate::seam::Task;
use crate::stores::Stores;
use crate::{ComponentId, Error, ErrorKind};

/// How long closing an election waits for a contender that does not return from a call.
const CLOSE_MAX: Duration = Duration::from_secs(5);

/// One component's part in an election. Flink's `LeaderElection`, and the Rust face beside it.
///
/// Both faces stand on one state machine. A component uses one of them at a time: it campaigns for
/// a [`Leadership`], or it starts a [`LeaderContender`].
#[async_trait]
pub trait LeaderElection: fmt::Debug + Send + Sync {
    /// The component.
    fn component(&self) -> &ComponentId;

    /// Contends until leadership is won, and hands it over as a value.
    ///
    /// # Errors
    /// * [`ErrorKind::IllegalState`]: the component takes part already.
    /// * [`ErrorKind::Denied`] and others that another attempt will not mend: correct what they name.
    /// * [`ErrorKind::NewerFormat`], [`ErrorKind::Unsupported`]: this version does not know what the cluster
    ///   [writes](crate::formats), and takes no part. Nothing was changed.
    /// * [`ErrorKind::Closed`]: the service or the backend was closed.
    ///
    /// # Cancel safety
    /// Dropping the future ends the campaign; a latch that it may have won is given up.
    async fn campaign(&self) -> Result<Leadership, Error>;

    /// Lets the contender know, from now on, when leadership is gained and lost. If this process
    /// leads already, the contender is granted the current term soon, and never from within this call.
    ///
    /// # Errors
    /// [`ErrorKind::IllegalState`], [`ErrorKind::Closed`] as [`LeaderElection::campaign`].
    ///
    /// # Cancel safety
    /// It does not wait.
    async fn start_leader_election(&self, contender: Arc<dyn LeaderContender>) -> Result<(), Error>;

    /// The contender has stored the session id: publishes the address under which it is found.
    ///
    /// # Errors
    /// * [`ErrorKind::NotLeader`]: that id is not the current one. Nothing was published.
    /// * [`ErrorKind::IllegalState`]: confirmed in this term already, or not started.
    /// * others as [`Leadership::publish`].
    ///
    /// # Cancel safety
    /// After a drop it may be published or not; it can be confirmed again.
    async fn confirm_leadership(&self, session_id: Uuid, address: &str) -> Result<(), Error>;

    /// Whether the contender was granted leadership under that id and it holds right now. False as
    /// soon as this process can know that it is lost, before the contender is told.
    fn has_leadership(&self, session_id: Uuid) -> bool;

    /// Takes the component out. If it led, it is revoked, and its address withdrawn. Returns when
    /// the contender has returned from its last call, or has not within five seconds; no call
    /// reaches it afterwards. A second call does nothing.
    ///
    /// # Errors
    /// The address could not be withdrawn; the component is out all the same.
    ///
    /// # Cancel safety
    /// After a drop the rest happens in the background.
    async fn close(&self) -> Result<(), Error>;
}

/// The election on one latch for any number of components of this process.
///
/// The backend is first contacted when the first component takes part, and let go of with the last.
#[derive(Debug)]
pub struct LeaderElectionService {
    registry: Arc<Registry>,
    stores: Stores,
}

impl LeaderElectionService {
    pub(crate) fn new(latch: Latch, parts: ElectionParts, stores: Stores) -> Self {
        let registry = Registry::new(Elector::new(latch, parts.0));
        Self { registry, stores }
    }

    /// A handle for one component. It takes part once it is started or campaigns.
    ///
    /// # Errors
    /// * [`ErrorKind::IllegalState`]: the component takes part already.
    /// * [`ErrorKind::Closed`]: the service was closed.
    pub fn create_leader_election(&self, component: ComponentId) -> Result<Arc<dyn LeaderElection>, Error> {
        self.registry.check(&component)?;
        Ok(Arc::new(DefaultLeaderElection {
            component,
            registry: Arc::clone(&self.registry),
            stores: self.stores.clone(),
            active: Mutex::new(None),
        }))
    }

    /// What this process holds of the latch now, for services that bind to it at each write.
    #[must_use]
    pub fn current(&self) -> watch::Receiver<Option<Grant>> {
        self.registry.elector.current()
    }

    /// Ends the service for good. A second call does nothing.
    ///
    /// # Errors
    /// [`ErrorKind::IllegalState`]: a component still takes part.
    pub fn close(&self) -> Result<(), Error> {
        self.registry.close()
    }

    /// Refuses everybody from here on, before anybody took part.
    pub(crate) fn refuse(&self) {
        self.registry.shut();
    }

    /// Ends the service whoever takes part: leaderships are given up in order, contenders are told.
    pub(crate) async fn shut(&self) {
        let resignation = self.registry.shut();
        self.registry.elector.left(resignation).await;
        self.registry.elector.stop();
    }
}

impl Drop for LeaderElectionService {
    fn drop(&mut self) {
        self.registry.shut();
        self.registry.elector.stop();
    }
}

/// What an election is made of; kept together so that its maker need not know.
#[derive(Debug, Clone)]
pub(crate) struct ElectionParts(Parts);

impl ElectionParts {
    pub(crate) fn new(
        committer: Arc<crate::resolve::Committer>,
        sessions: Arc<super::sessions::Sessions>,
        follower: Arc<crate::retrieval::follower::SharedFollower>,
        handicap: Duration,
        session_id: Option<Uuid>,
    ) -> Self {
        Self(Parts { committer, sessions, follower, handicap, session_id })
    }
}

/// The one implementation of [`LeaderElection`] over backends.
#[derive(Debug)]
struct DefaultLeaderElection {
    component: ComponentId,
    registry: Arc<Registry>,
    stores: Stores,
    active: Mutex<Option<Active>>,
}

/// A started contender.
#[derive(Debug)]
struct Active {
    registration: Registration,
    delivered: Delivered,
    /// The session id that was confirmed last.
    confirmed: Option<Uuid>,
    stop: watch::Sender<bool>,
    silenced: Arc<AtomicBool>,
    done: watch::Receiver<bool>,
    delivery: Task,
}

impl DefaultLeaderElection {
    fn active(&self) -> MutexGuard<'_, Option<Active>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The grant that may be confirmed under that id; it counts as confirmed from here on.
    fn begin_confirmation(&self, session_id: Uuid) -> Result<Grant, Error> {
        let refused = |kind| Error::new(kind, "confirm leadership").at(&self.component);
        let mut active = self.active();
        let Some(active) = active.as_mut() else {
            return Err(refused(ErrorKind::IllegalState).because("the election was not started, or was closed"));
        };
        let current = active.delivered.get().filter(|grant| grant.session_id() == session_id && grant.is_valid());
        let Some(grant) = current else {
            return Err(refused(ErrorKind::NotLeader).because(format!("{session_id} is not the current session id")));
        };
        if active.confirmed == Some(session_id) {
            return Err(refused(ErrorKind::IllegalState).because("confirmed already in this term"));
        }
        active.confirmed = Some(session_id);
        Ok(grant)
    }

    fn undo_confirmation(&self, session_id: Uuid) {
        if let Some(active) = self.active().as_mut()
            && active.confirmed == Some(session_id)
        {
            active.confirmed = None;
        }
    }
}

impl Drop for DefaultLeaderElection {
    fn drop(&mut self) {
        let active = self.active.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(active) = active {
            // The contender is told, in its own time, that what it may have been granted is over.
            active.stop.send_replace(true);
            active.delivery.detach();
        }
    }
}

/// Takes a confirmation back unless it came through, whatever way the call ends.
struct Confirmation<'a> {
    election: &'a DefaultLeaderElection,
    session_id: Option<Uuid>,
}

impl Drop for Confirmation<'_> {
    fn drop(&mut self) {
        if let Some(session_id) = self.session_id {
            self.election.undo_confirmation(session_id);
        }
    }
}

#[async_trait]
impl LeaderElection for DefaultLeaderElection {
    fn component(&self) -> &ComponentId {
        &self.component
    }

    async fn campaign(&self) -> Result<Leadership, Error> {
        let registration = self.registry.register(&self.component)?;
        let elector = Arc::clone(registration.elector());
        let (mut current, mut errors) = (elector.current(), elector.errors());
        errors.mark_unchanged();
        loop {
            let held = current.borrow_and_update().clone().filter(Grant::is_valid);
            if let Some(grant) = held
                && registration.hold(&grant)
            {
                return Ok(Leadership::new(registration, grant, self.stores.clone()));
            }
            if self.registry.is_closed() {
                return Err(Error::new(ErrorKind::Closed, "campaign").at(&self.component));
            }
            tokio::select! {
                biased;
                _ = current.changed() => {}
                _ = errors.changed() => {
                    let error = errors.borrow_and_update().1.clone();
                    if let Some(error) = error {
                        return Err(error);
                    }
                }
            }
        }
    }

    async fn start_leader_election(&self, contender: Arc<dyn LeaderContender>) -> Result<(), Error> {
        let mut active = self.active();
        let registration = self.registry.register(&self.component)?;
        let elector = registration.elector();
        let (stop, stopped) = watch::channel(false);
        let (finished, done) = watch::channel(false);
        let (delivered, silenced) = (Delivered::default(), Arc::new(AtomicBool::new(false)));
        let delivery = Delivery {
            component: self.component.clone(),
            contender,
            delivered: delivered.clone(),
            current: elector.current(),
            errors: elector.errors(),
            stop: stopped,
            silenced: Arc::clone(&silenced),
        };
        let run = async move {
            delivery.run().await;
            finished.send_replace(true);
        };
        let task = elector.seam().spawn(run);
        *active = Some(Active { registration, delivered, confirmed: None, stop, silenced, done, delivery: task });
        Ok(())
    }

    async fn confirm_leadership(&self, session_id: Uuid, address: &str) -> Result<(), Error> {
        let information = LeaderInformation::new(address, session_id)?;
        let grant = self.begin_confirmation(session_id)?;
        let mut confirmation = Confirmation { election: self, session_id: Some(session_id) };
        grant.fence()?;
        self.registry.elector.publisher.publish(&grant, &self.component, information).await?;
        confirmation.session_id = None;
        Ok(())
    }

    fn has_leadership(&self, session_id: Uuid) -> bool {
        let active = self.active();
        let granted = active.as_ref().and_then(|active| active.delivered.get());
        granted.is_some_and(|grant| grant.session_id() == session_id && grant.is_valid())
    }

    async fn close(&self) -> Result<(), Error> {
        let Some(active) = self.active().take() else { return Ok(()) };
        let (answer, closed) = tokio::sync::oneshot::channel();
        let elector = Arc::clone(&self.registry.elector);
        // A task of its own, so that a caller who stops waiting does not stop the closing.
        let task = self.registry.elector.seam().spawn(async move {
            // Nobody may be waiting for the answer any more.
            let _ = answer.send(active.close(&elector).await);
        });
        task.detach();
        // No answer: the runtime is shutting down, and everything ends with it.
        closed.await.unwrap_or(Ok(()))
    }
}

impl Active {
    async fn close(self, elector: &Elector) -> Result<(), Error> {
        let grant = self.delivered.get();
        self.stop.send_replace(true);
        let mut done = self.done.clone();
        // An error says that the task is gone: it calls nobody any more.
        if elector.seam().timeout(CLOSE_MAX, done.wait_for(|done| *done)).await.is_none() {
            let component = self.registration.component();
            self.silenced.store(true, Ordering::Release);
            tracing::warn!(%component, "the contender does not return from a call; closing without it");
        }
        let withdrawn = match &grant {
            Some(grant) if grant.is_valid() => self.registration.withdraw(grant).await,
            _ => Ok(()),
        };
        self.registration.leave().await;
        drop(self.delivery);
        match withdrawn {
            // Lost in the meantime: then there is nothing to withdraw any more.
            Err(e) if matches!(e.kind(), ErrorKind::NotLeader | ErrorKind::Fenced) => Ok(()),
            other => other,
        }
    }
}
