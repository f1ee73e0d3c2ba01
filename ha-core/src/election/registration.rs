use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::elector::Elector;
use super::{Grant, LeaderInformation};
use crate::resolve::Committer;
use crate::{ComponentId, Error, ErrorKind};

/// Which components of this process contend for one latch. All gain and lose it together.
#[derive(Debug)]
pub(super) struct Registry {
    pub(super) elector: Arc<Elector>,
    members: Mutex<Members>,
}

#[derive(Debug, Default)]
struct Members {
    components: BTreeSet<ComponentId>,
    closed: bool,
}

impl Registry {
    pub(super) fn new(elector: Arc<Elector>) -> Arc<Self> {
        Arc::new(Self { elector, members: Mutex::default() })
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.members().closed
    }

    /// Whether that component could register now.
    pub(super) fn check(&self, component: &ComponentId) -> Result<(), Error> {
        let members = self.members();
        let refused = |kind| Error::new(kind, "leader election").at(component);
        if members.closed {
            return Err(refused(ErrorKind::Closed).because("the election service was closed; open another one"));
        }
        if members.components.contains(component) {
            return Err(refused(ErrorKind::IllegalState)
                .because("the component takes part already: close its election, or drop its leadership, first"));
        }
        Ok(())
    }

    /// Takes the component in; the first one brings the backend in.
    pub(super) fn register(self: &Arc<Self>, component: &ComponentId) -> Result<Registration, Error> {
        // Race: two may register the same component, or one may register while the service closes.
        // Closed by: checked again under the lock that registering and closing take.
        // Cost if missed: two leaders of one component in one process.
        self.check(component)?;
        let mut members = self.members();
        if members.closed || !members.components.insert(component.clone()) {
            drop(members);
            self.check(component)?;
            return Err(Error::new(ErrorKind::IllegalState, "leader election").at(component));
        }
        self.elector.want();
        drop(members);
        Ok(Registration { registry: Arc::clone(self), component: component.clone(), left: false })
    }

    /// Forbids all further registrations. Refused while somebody is registered.
    pub(super) fn close(&self) -> Result<(), Error> {
        let mut members = self.members();
        if let Some(component) = members.components.first() {
            return Err(Error::new(ErrorKind::IllegalState, "close election service")
                .at(component)
                .because("the component still takes part; close its election first"));
        }
        members.closed = true;
        drop(members);
        self.elector.stop();
        Ok(())
    }

    /// Forbids all further registrations and gives the latch up, whoever is registered.
    pub(super) fn shut(&self) -> u64 {
        let mut members = self.members();
        members.closed = true;
        self.elector.ask_to_leave()
    }

    /// Takes the component out. If it was the last, the latch is given up: what to wait for.
    fn remove(&self, component: &ComponentId) -> Option<u64> {
        // Race: another may register just when the last one leaves.
        // Closed by: both tell the elector under this lock, in the order in which they came.
        // Cost if missed: a contender that nobody contends for.
        let mut members = self.members();
        let last = members.components.remove(component) && members.components.is_empty();
        last.then(|| self.elector.ask_to_leave())
    }
}

/// One component's place among the contenders; given up when it is dropped.
pub(super) struct Registration {
    registry: Arc<Registry>,
    component: ComponentId,
    left: bool,
}

impl Registration {
    pub(super) fn component(&self) -> &ComponentId {
        &self.component
    }

    pub(super) fn elector(&self) -> &Arc<Elector> {
        &self.registry.elector
    }

    pub(super) fn committer(&self) -> &Arc<Committer> {
        self.registry.elector.committer()
    }

    pub(super) async fn publish(&self, grant: &Grant, information: LeaderInformation) -> Result<(), Error> {
        grant.fence()?;
        self.elector().publisher.publish(grant, &self.component, information).await
    }

    pub(super) async fn withdraw(&self, grant: &Grant) -> Result<(), Error> {
        self.elector().publisher.withdraw(grant, &self.component).await
    }

    /// Leaves, and returns when the latch is free if this was the last on it.
    pub(super) async fn leave(mut self) {
        self.left = true;
        if let Some(resignation) = self.registry.remove(&self.component) {
            self.elector().left(resignation).await;
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if !self.left {
            self.registry.remove(&self.component);
        }
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("component", &self.component).finish_non_exhaustive()
    }
}
