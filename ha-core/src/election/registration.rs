use std::collections::BTreeMap;
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
    components: BTreeMap<ComponentId, Member>,
    next: u64,
    closed: bool,
}

#[derive(Debug)]
struct Member {
    /// Tells a registration from a later one of the same component.
    number: u64,
    interest: Interest,
}

/// For how long a member wants this process to lead.
#[derive(Debug)]
enum Interest {
    /// Until it leaves: a contender, or a campaign under way.
    Standing,
    /// While this grant holds: a leadership that somebody owns as a value. When it is lost, its
    /// owner decides whether to campaign again.
    Held(Grant),
}

impl Member {
    fn is_interested(&self) -> bool {
        match &self.interest {
            Interest::Standing => true,
            Interest::Held(grant) => grant.loss().is_none(),
        }
    }
}

impl Registry {
    pub(super) fn new(elector: Arc<Elector>) -> Arc<Self> {
        let registry = Arc::new(Self { elector, members: Mutex::default() });
        registry.elector.set_members(Arc::downgrade(&registry));
        registry
    }

    /// Whether somebody wants this process to lead.
    pub(super) fn is_wanted(&self) -> bool {
        let members = self.members();
        // Race: the services are closed while contenders still stand; the runner asks after it has given
        //       the latch up.
        // Closed by: who is closed wants nothing, whoever is registered.
        // Cost if missed: a closing process takes the latch once more, and its contenders are granted
        //                 a leadership that is gone at once.
        !members.closed && members.components.values().any(Member::is_interested)
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.members().closed
    }

    /// Whether that component could register now.
    pub(super) fn check(&self, component: &ComponentId) -> Result<(), Error> {
        self.members().check(component)
    }

    /// Takes the component in; the first one brings the backend in.
    pub(super) fn register(self: &Arc<Self>, component: &ComponentId) -> Result<Registration, Error> {
        let mut members = self.members();
        members.check(component)?;
        members.next += 1;
        let number = members.next;
        members.components.insert(component.clone(), Member { number, interest: Interest::Standing });
        self.elector.want();
        drop(members);
        Ok(Registration { registry: Arc::clone(self), component: component.clone(), number })
    }

    /// Forbids all further registrations. Refused while somebody is registered.
    pub(super) fn close(&self) -> Result<(), Error> {
        let mut members = self.members();
        if let Some((component, _)) = members.components.first_key_value() {
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

    /// Takes a registration out. If nobody is left who wants to lead, the latch is given up: what
    /// to wait for.
    ///
    /// What the component published is disowned under the same lock, so that it is out before the
    /// same component can come again.
    fn remove(&self, component: &ComponentId, number: u64) -> Option<u64> {
        // Race: another may register just when the last one leaves.
        // Closed by: both tell the elector under this lock, in the order in which they came.
        // Cost if missed: a contender that nobody contends for.
        let mut members = self.members();
        if members.components.get(component).is_none_or(|member| member.number != number) {
            return None;
        }
        members.components.remove(component);
        self.withdraw_left_behind(component);
        let nobody = !members.components.values().any(Member::is_interested);
        nobody.then(|| self.elector.ask_to_leave())
    }
}

impl Registry {
    /// Withdraws in the background what a component that leaves without a word has published: others
    /// of this process may keep the latch, and with it the address would be shown on.
    fn withdraw_left_behind(&self, component: &ComponentId) {
        let Some(grant) = self.elector.current().borrow().clone().filter(Grant::is_valid) else { return };
        if !self.elector.publisher.disown(&grant, component) {
            return;
        }
        let (publisher, component) = (Arc::clone(&self.elector.publisher), component.clone());
        let withdraw = async move {
            if let Err(error) = publisher.remove(&grant, &component).await {
                tracing::debug!(%component, ?error, "an address was not withdrawn; it is not shown beyond this term");
            }
        };
        self.elector.seam().spawn(withdraw).detach();
    }
}

impl Members {
    fn check(&self, component: &ComponentId) -> Result<(), Error> {
        let refused = |kind| Error::new(kind, "leader election").at(component);
        if self.closed {
            return Err(refused(ErrorKind::Closed).because("the election service was closed; open another one"));
        }
        if self.components.get(component).is_some_and(Member::is_interested) {
            return Err(refused(ErrorKind::IllegalState)
                .because("the component takes part already: close its election, or drop its leadership, first"));
        }
        Ok(())
    }
}

/// One component's place among the contenders; given up when it is dropped.
pub(super) struct Registration {
    registry: Arc<Registry>,
    component: ComponentId,
    number: u64,
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

    /// From now on this registration wants to lead only while that grant holds; `false` if it is
    /// lost already.
    pub(super) fn hold(&self, grant: &Grant) -> bool {
        // Race: the grant may be lost while it is handed over.
        // Closed by: the elector ends a grant first and asks then, under this lock, who still wants to
        //            lead; so either we see the end here, or it sees that we hold what has ended.
        // Cost if missed: a process that leads with nobody in it who knows.
        let mut members = self.registry.members();
        let Some(member) = members.components.get_mut(&self.component) else { return false };
        let holds = grant.loss().is_none();
        if holds {
            member.interest = Interest::Held(grant.clone());
        }
        holds
    }

    /// Leaves, and returns when the latch is free if this was the last on it.
    pub(super) async fn leave(self) {
        if let Some(resignation) = self.registry.remove(&self.component, self.number) {
            self.elector().left(resignation).await;
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // After `leave` there is nothing left to remove.
        self.registry.remove(&self.component, self.number);
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("component", &self.component).finish_non_exhaustive()
    }
}
