use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use serde::Serialize;

use super::failures::Failures;
use super::orphans::{Orphan, OrphanOptions, orphan, referenced};
use crate::backend::{Backend, Name, ReadGuarantee};
use crate::formats::{self, Formats};
use crate::inspect::held_epochs;
use crate::names::layout;
use crate::seam::Seam;
use crate::services::storage_of;
use crate::state::{Candidate, StateStorage};
use crate::wrap::Chroot;
use crate::{Error, ErrorKind, ServicesOptions};

/// How many are deleted at a time.
const PARALLEL: usize = 8;

/// What a sweep found, or did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
#[must_use = "it says whether there are more orphans"]
pub struct Swept {
    /// The orphans: found, or deleted.
    pub orphans: Vec<Orphan>,
    /// Latches that nobody holds, `leader` for the cluster's one: states of theirs were left alone.
    pub vacant: Vec<String>,
    /// Whether there are more than [`OrphanOptions::orphans_max`].
    pub may_be_more: bool,
}

/// Deletes states that nothing points to, as [`OrphanCollector`](super::OrphanCollector) does, **beside whoever
/// leads and without leading**: for an operator's tool.
///
/// It is as safe as that, by the same rule: a state gets its pointer in a commit under exactly the term that its name
/// says, so once a later term of the same latch has begun, it never gets one. The present term of each latch is read
/// first, then what points to states, then the states; and what points to states once more, before anything is
/// deleted. Of a latch that nobody holds it is not known which terms are over: its states are left alone.
///
/// What is never deleted, and what is not guaranteed, is as with the collector.
#[derive(Debug)]
pub struct OrphanSweep {
    backend: Arc<dyn Backend>,
    storage: StateStorage,
    formats: Formats,
    options: OrphanOptions,
    seam: Seam,
}

impl OrphanSweep {
    /// Of the cluster that the options name. No I/O.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`]: an option does not fit; the text names it.
    pub fn new(
        backend: Arc<dyn Backend>,
        storage: &StateStorage,
        services: &ServicesOptions,
        options: OrphanOptions,
        seam: Seam,
    ) -> Result<Self, Error> {
        let root = services.validate()?;
        let storage = storage_of(storage, services, &root, backend.profile().name)?;
        let backend: Arc<dyn Backend> = Arc::new(Chroot::new(backend, root));
        Ok(Self { backend, storage, formats: services.formats, options, seam })
    }

    /// Finds what [`OrphanSweep::collect`] would delete, and deletes nothing.
    ///
    /// # Errors
    /// As [`OrphanSweep::collect`].
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn find(&self) -> Result<Swept, Error> {
        let look = self.look().await?;
        Ok(Swept { orphans: look.orphans.iter().map(orphan).collect(), vacant: look.vacant, may_be_more: look.more })
    }

    /// Deletes the orphans.
    ///
    /// # Errors
    /// As [`OrphanCollector::collect`](super::OrphanCollector::collect), where nothing was deleted; none is
    /// [`NotLeader`](ErrorKind::NotLeader) or [`Fenced`](ErrorKind::Fenced).
    /// [`Storage`](ErrorKind::Storage): some could not be found or deleted. Call again.
    ///
    /// # Cancel safety
    /// After a drop some are deleted. Call again.
    pub async fn collect(&self) -> Result<Swept, Error> {
        let look = self.look().await?;
        let (mut failures, mut orphans) = (Failures::default(), Vec::new());
        let swept = stream::iter(look.orphans).map(|one| {
            let storage = self.storage.clone();
            async move { (storage.sweep(&one).await, orphan(&one)) }
        });
        let mut swept = std::pin::pin!(swept.buffered(PARALLEL));
        while let Some((swept, orphan)) = swept.next().await {
            match swept {
                Ok(()) => orphans.push(orphan),
                Err(error) => failures.push(error),
            }
        }
        failures.merged().map(|()| Swept { orphans, vacant: look.vacant, may_be_more: look.more })
    }

    async fn look(&self) -> Result<Look, Error> {
        let refused = |kind| Error::new(kind, "collect orphans").at(self.storage.base());
        if self.backend.profile().reads != ReadGuarantee::Linearizable {
            return Err(refused(ErrorKind::Unsupported)
                .because("the backend's reads may miss pointers that other processes have written"));
        }
        // Race: a state gets its pointer after the pointers were listed.
        // Closed by: the terms are read before that. Only states of earlier terms are candidates, and a commit under
        //            an earlier term was refused already when the pointers were listed; so a pointer to one is in the
        //            list, or never will be anywhere. Whether the term that was read is still the present one does not
        //            matter: a later one only makes more of them old.
        // Cost if missed: a pointer that leads to nothing, and a job that cannot be recovered.
        let held = held_epochs(&*self.backend).await?;
        let first = self.all_referenced().await?;
        let mut look = Look::default();
        let mut vacant = BTreeSet::new();
        for (folder, _) in layout::state_folders() {
            let (found, latest) = self.candidates(folder, &held, &first, &mut vacant, &mut look.more).await?;
            if let Some((latch, epoch, present)) = latest {
                return Err(refused(ErrorKind::IllegalState).because(format!(
                    "there is a state of epoch {epoch} of {latch}, and the present one is {present}: another store uses \
                     this place (give the clusters different ids or storages), this one was restored, or leaders \
                     changed just now. Nothing was deleted"
                )));
            }
            look.orphans.extend(found);
        }
        // Looked at a second time: a mistake of the first list (a backend that lies) would cost a job.
        let second = self.all_referenced().await?;
        look.orphans.retain(|one| !one.is_among(&second));
        // Race: a newer version leads, whose pointers this one does not look for.
        // Closed by: looking after the pointers were listed; see `OrphanCollector`.
        // Cost if missed: an older tool deletes the states of a newer leader.
        formats::read(&*self.backend, self.formats).await?;
        look.vacant = vacant.into_iter().collect();
        Ok(look)
    }

    async fn all_referenced(&self) -> Result<BTreeSet<String>, Error> {
        let mut all = BTreeSet::new();
        for (_, below) in layout::state_folders() {
            all.append(&mut referenced(&*self.backend, &below, self.formats).await?);
        }
        Ok(all)
    }

    /// The orphans of one folder, and a state that should not be there: its latch, its epoch and the present one.
    async fn candidates(
        &self,
        folder: &'static str,
        held: &BTreeMap<Option<Name>, u64>,
        referenced: &BTreeSet<String>,
        vacant: &mut BTreeSet<String>,
        more: &mut bool,
    ) -> Result<(Vec<Candidate>, Option<(String, u64, u64)>), Error> {
        let age_ms = u64::try_from(self.options.age_min.as_millis()).unwrap_or(u64::MAX);
        let old_enough = if age_ms == 0 { u64::MAX } else { self.seam.unix_ms().saturating_sub(age_ms) };
        let (mut later, mut count) = (None, 0);
        let shown = |latch: &Option<Name>| latch.as_ref().map_or_else(|| "leader".to_owned(), ToString::to_string);
        let wanted = |one: &Candidate| {
            if one.is_among(referenced) {
                return false;
            }
            let Some(present) = held.get(&one.tag.latch) else {
                vacant.insert(shown(&one.tag.latch));
                return false;
            };
            if one.tag.epoch > *present {
                later = Some((shown(&one.tag.latch), one.tag.epoch, *present));
            }
            let is_orphan = one.tag.epoch < *present && one.modified_unix_ms <= old_enough;
            count += usize::from(is_orphan);
            is_orphan && count <= self.options.orphans_max
        };
        let found = self.storage.candidates(folder, wanted).await?;
        *more |= count > self.options.orphans_max;
        Ok((found, later))
    }
}

#[derive(Default)]
struct Look {
    orphans: Vec<Candidate>,
    vacant: Vec<String>,
    more: bool,
}
