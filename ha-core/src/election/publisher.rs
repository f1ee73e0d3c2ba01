use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tracing::Instrument;

use super::{Grant, LeaderInformation};
use crate::backend::{Entry, Expect, Latch, Revision};
use crate::names::layout;
use crate::record;
use crate::resolve::Committer;
use crate::retrieval::follower::SharedFollower;
use crate::seam::Moment;
use crate::telemetry::record as measured;
use crate::writer::{Authority, Committed, Writer};
use crate::{ComponentId, Error, ErrorKind};

/// How often a publication is made anew because somebody else had written in between.
const TRIES: usize = 8;
/// The first pause between two restorations of one component; it doubles up to the last.
const RESTORE_MIN: Duration = Duration::from_millis(50);
const RESTORE_MAX: Duration = Duration::from_secs(10);
/// How long the followed view may lag behind a publication before the store itself is asked.
const VIEW_LAG_MAX: Duration = Duration::from_millis(500);

/// Publishes where the leader of each component is reached, and keeps it published while the
/// leadership lasts: what others overwrite or remove is restored, fenced and ever more slowly.
#[derive(Debug)]
pub(super) struct Publisher {
    committer: Arc<Committer>,
    latch: Latch,
    follower: Arc<SharedFollower>,
    published: Mutex<Published>,
    changed: Notify,
    // One publication at a time, so that each knows what it replaces.
    publishing: tokio::sync::Mutex<()>,
}

/// What is published under one grant.
#[derive(Debug, Default)]
struct Published {
    grant: Option<Grant>,
    components: BTreeMap<ComponentId, Publication>,
    /// Those that were ever written for: what stands there may be ours though no answer said so.
    attempted: BTreeSet<ComponentId>,
}

#[derive(Debug, Clone)]
struct Publication {
    information: LeaderInformation,
    /// Which write of the key is ours, once that is known.
    revision: Option<Revision>,
    /// What our write replaced: a view that still shows it is old, not overwritten.
    replaced: Expect,
    /// Until when a view that shows what was replaced is taken for an old one. It could be a new one:
    /// somebody removed what we wrote where nothing was before.
    old_until: Moment,
    /// When it may be restored next.
    due: Moment,
    restorations: u32,
}

impl Published {
    /// Begins anew for a newer grant; `false` if this one is older than what is known.
    fn turn_to(&mut self, grant: &Grant) -> bool {
        if self.grant.as_ref() != Some(grant) {
            if self.grant.as_ref().is_some_and(|known| known.epoch() > grant.epoch()) {
                return false;
            }
            *self = Self { grant: Some(grant.clone()), ..Self::default() };
        }
        true
    }
}

impl Publisher {
    pub(super) fn new(committer: Arc<Committer>, latch: Latch, follower: Arc<SharedFollower>) -> Self {
        Self {
            committer,
            latch,
            follower,
            published: Mutex::default(),
            changed: Notify::new(),
            publishing: tokio::sync::Mutex::new(()),
        }
    }

    fn published(&self) -> MutexGuard<'_, Published> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes under that grant, and keeps it published while the grant lasts.
    pub(super) async fn publish(
        &self,
        grant: &Grant,
        component: &ComponentId,
        information: LeaderInformation,
    ) -> Result<(), Error> {
        let span = tracing::debug_span!("publish", %component, epoch = grant.epoch());
        self.publish_now(grant, component, information).instrument(span).await
    }

    async fn publish_now(
        &self,
        grant: &Grant,
        component: &ComponentId,
        information: LeaderInformation,
    ) -> Result<(), Error> {
        let _one = self.publishing.lock().await;
        self.attempt(grant, component);
        let result = self.write(grant, component, &information).await;
        measured::published(component, &result);
        match &result {
            Ok((revision, replaced)) => {
                tracing::debug!("leader information published");
                self.remember(grant, component, information, Some(*revision), *replaced);
            }
            // It may be there, and it is what we want to be there: see to it.
            Err(error) if error.may_have_applied() => {
                self.remember(grant, component, information, None, Expect::Absent);
            }
            Err(_) => {}
        }
        self.changed.notify_one();
        result.map(drop)
    }

    /// Notes that what stands under the component may be ours from here on, also if the future is
    /// dropped half-way.
    fn attempt(&self, grant: &Grant, component: &ComponentId) {
        let mut published = self.published();
        if published.turn_to(grant) {
            published.attempted.insert(component.clone());
        }
    }

    fn remember(
        &self,
        grant: &Grant,
        component: &ComponentId,
        information: LeaderInformation,
        revision: Option<Revision>,
        replaced: Expect,
    ) {
        let mut published = self.published();
        if !published.turn_to(grant) {
            return;
        }
        let now = self.committer.seam().now();
        let old_until = now + VIEW_LAG_MAX;
        let publication = Publication { information, revision, replaced, old_until, due: now, restorations: 0 };
        published.components.insert(component.clone(), publication);
    }

    async fn write(
        &self,
        grant: &Grant,
        component: &ComponentId,
        information: &LeaderInformation,
    ) -> Result<(Revision, Expect), Error> {
        let key = layout::connection_info(&self.latch, component);
        let writer = self.writer(grant);
        // The follower usually knows what stands there, so that a new leader publishes with one
        // request. If it is wrong, the conflict says what does.
        let mut expect = expect_of(self.follower.get().entry(&key).as_ref());
        for _ in 0..TRIES {
            let draft = writer.draft()?.put(key.clone(), expect, information)?;
            match writer.commit(draft).await? {
                Committed::Applied(revisions) => {
                    let revision = revisions.first().copied();
                    return revision.map(|revision| (revision, expect)).ok_or_else(|| {
                        Error::new(ErrorKind::Corrupt, "publish").at(&key).because("the backend names no revision")
                    });
                }
                Committed::Conflict { found, .. } => expect = expect_of(found.as_ref()),
            }
        }
        Err(Error::new(ErrorKind::Unavailable, "publish")
            .at(&key)
            .because("somebody overwrites the leader information again and again; find out who"))
    }

    /// Stops publishing the component and removes what is published, if the leadership still holds.
    pub(super) async fn withdraw(&self, grant: &Grant, component: &ComponentId) -> Result<(), Error> {
        if !self.disown(grant, component) {
            return Ok(());
        }
        self.remove(grant, component).await
    }

    /// Stops publishing the component; whether something of it may be stored.
    pub(super) fn disown(&self, grant: &Grant, component: &ComponentId) -> bool {
        let mut published = self.published();
        if published.grant.as_ref() != Some(grant) {
            return false;
        }
        published.components.remove(component);
        published.attempted.remove(component)
    }

    /// Removes what is stored of a component that was disowned, unless it publishes again.
    pub(super) async fn remove(&self, grant: &Grant, component: &ComponentId) -> Result<(), Error> {
        let _one = self.publishing.lock().await;
        if self.published().attempted.contains(component) {
            return Ok(());
        }
        let key = layout::connection_info(&self.latch, component);
        let writer = self.writer(grant);
        for _ in 0..TRIES {
            let Some(found) = self.committer.backend().read(&key).await? else { return Ok(()) };
            let draft = writer.draft()?.remove(key.clone(), found.revision);
            if let Committed::Applied(_) = writer.commit(draft).await? {
                return Ok(());
            }
        }
        Err(Error::new(ErrorKind::Unavailable, "withdraw")
            .at(&key)
            .because("somebody overwrites the leader information again and again; find out who"))
    }

    /// Forgets what was published under a grant that is over. What is stored stays: whoever is not
    /// leader writes nothing, and nobody is shown it.
    pub(super) fn forget(&self, grant: &Grant) {
        let mut published = self.published();
        if published.grant.as_ref() == Some(grant) {
            *published = Published::default();
        }
    }

    /// Compares what is stored with what is published whenever one of them changes, and restores
    /// what differs. Runs until it is dropped.
    pub(super) async fn keep(self: Arc<Self>) {
        let seam = self.committer.seam().clone();
        let follower = self.follower.get();
        let mut views = follower.views();
        loop {
            views.borrow_and_update();
            let pause = self.restore_all().await;
            let pause = async {
                match pause {
                    Some(pause) => seam.sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                changed = views.changed() => if changed.is_err() { return },
                () = self.changed.notified() => {}
                () = pause => {}
            }
        }
    }

    /// Restores what differs; says when to look again although nothing changed.
    async fn restore_all(&self) -> Option<Duration> {
        let mut look_again: Option<Moment> = None;
        let mut wrong = Vec::new();
        {
            let now = self.committer.seam().now();
            let mut published = self.published();
            let grant = published.grant.clone().filter(Grant::is_valid)?;
            for (component, publication) in &mut published.components {
                let Some(from) = self.differs_from(component, publication) else { continue };
                let mut next = from.max(publication.due);
                if next <= now {
                    // Each component for itself: a fight over one does not delay another. The next
                    // look comes after the pause, however often somebody overwrites it meanwhile.
                    let pause = RESTORE_MIN.saturating_mul(1 << publication.restorations.min(16)).min(RESTORE_MAX);
                    publication.due = now + pause;
                    next = publication.due;
                    wrong.push((grant.clone(), component.clone(), publication.clone()));
                }
                look_again = Some(look_again.map_or(next, |other| other.min(next)));
            }
        }
        for (grant, component, publication) in wrong {
            self.restore(&grant, &component, publication).await;
        }
        look_again.map(|at| at.since(self.committer.seam().now()))
    }

    /// From when on the view of a component counts as different from what is published; `None` if it
    /// is the same.
    fn differs_from(&self, component: &ComponentId, publication: &Publication) -> Option<Moment> {
        let found = self.follower.get().entry(&layout::connection_info(&self.latch, component));
        let seen = found.as_ref().map(|entry| entry.revision);
        match publication.revision {
            Some(ours) if seen == Some(ours) => None,
            Some(_) if publication.replaced.is_met_by(seen) => Some(publication.old_until),
            _ => Some(Moment::ORIGIN),
        }
    }

    async fn restore(&self, grant: &Grant, component: &ComponentId, publication: Publication) {
        let _one = self.publishing.lock().await;
        // Looked at again under the lock: it may have been withdrawn or published anew meanwhile.
        let still = {
            let published = self.published();
            let same = published.grant.as_ref() == Some(grant);
            let now = published.components.get(component);
            same && now.is_some_and(|now| now.revision == publication.revision)
        };
        if !still {
            return;
        }
        let key = layout::connection_info(&self.latch, component);
        let result = match self.committer.backend().read(&key).await {
            Ok(found) if self.is_ours(found.as_ref(), grant, &publication.information) => {
                let revision = found.map_or(Revision::from_native(0), |entry| entry.revision);
                Ok((revision, publication.replaced))
            }
            Ok(_) => {
                tracing::warn!(%key, epoch = grant.epoch(), "leader information was overwritten; restoring it");
                let written = self.write(grant, component, &publication.information).await;
                written.inspect(|_| measured::publication_restored(component))
            }
            Err(error) => Err(error),
        };
        let mut published = self.published();
        if published.grant.as_ref() != Some(grant) {
            return;
        }
        let Some(known) = published.components.get_mut(component) else { return };
        known.restorations += 1;
        match result {
            Ok((revision, replaced)) => {
                (known.revision, known.replaced) = (Some(revision), replaced);
                known.old_until = self.committer.seam().now() + VIEW_LAG_MAX;
            }
            Err(error) => tracing::warn!(%key, ?error, "leader information could not be restored; trying again"),
        }
    }

    fn is_ours(&self, found: Option<&Entry>, grant: &Grant, information: &LeaderInformation) -> bool {
        let record =
            found.and_then(|entry| record::decode_within::<LeaderInformation>(entry, self.committer.formats()).ok());
        record.is_some_and(|record| record.epoch == grant.epoch() && record.body == *information)
    }

    fn writer(&self, grant: &Grant) -> Writer {
        Writer::new(Arc::clone(&self.committer), Authority::Leader(grant.clone()))
    }
}

fn expect_of(found: Option<&Entry>) -> Expect {
    found.map_or(Expect::Absent, |entry| Expect::Revision(entry.revision))
}
