use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde::Serialize;

use super::failures::Failures;
use super::places;
use crate::backend::{Backend, Prefix, ReadGuarantee};
use crate::election::{Grant, Leadership};
use crate::formats::{self, Formats};
use crate::names::layout;
use crate::state::{Candidate, Origin, StateStorage, name_in};
use crate::telemetry::record as measured;
use crate::writer::Writer;
use crate::{Error, ErrorKind};

/// How many orphans are deleted at a time.
const PARALLEL: usize = 8;

/// How orphans are collected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrphanOptions {
    /// Younger states are spared, by the clocks of the storage and of this machine; a wrong clock spares more, or
    /// none. Collecting is safe without it. It is for those who may restore an older snapshot of the backend: the
    /// states that its pointers lead to must still be there. Default: zero.
    pub age_min: Duration,
    /// The most orphans that one run finds in each folder. Its memory also grows with the number of pointers of the
    /// cluster. Default: 100,000.
    pub orphans_max: usize,
}

impl Default for OrphanOptions {
    fn default() -> Self {
        Self { age_min: Duration::ZERO, orphans_max: 100_000 }
    }
}

/// A state that no pointer leads to, now or ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Orphan {
    /// Where it is.
    pub uri: String,
    /// How long it is, in bytes.
    pub bytes: u64,
    /// The epoch that it was written under.
    pub epoch: u64,
}

/// What a collection did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
#[must_use = "it says whether there are more orphans"]
pub struct Collected {
    /// The orphans that were deleted.
    pub deleted: Vec<Orphan>,
    /// Whether there are more than [`OrphanOptions::orphans_max`]: collect again.
    pub may_be_more: bool,
}

/// Deletes states that nothing points to: what a crash between state and pointer has left behind, or one between
/// pointer and state, a write whose outcome stayed unknown, an upload that was killed.
///
/// It is safe beside everything that goes on, without any assumption on time. Each state carries in its name the
/// latch and the epoch that it was written under, and gets its pointer in a commit under exactly that term. So
/// once a later term has begun, no state of an earlier one can get a pointer any more: the fence refuses it. The
/// collector of a leader deletes only states of earlier epochs of its own latch, and of these only what no
/// pointer leads to. A deposed leader that still collects does no harm: what it deletes is an orphan for ever.
///
/// Never deleted: states of the present epoch; of other latches (each leader collects those of its own); those of
/// savepoints, of snapshots restored without claiming, and of checkpoints that a policy may retain; of other
/// clusters; and everything that does not have the name of a state of this cluster. If a single pointer of
/// the cluster cannot be read, nothing is deleted, for it may lead to anything.
///
/// Not guaranteed: that an operator who restores an older snapshot of the backend finds the states that its
/// pointers lead to; see [`OrphanOptions::age_min`]. Two stores of one kind, with equal root and cluster id, must
/// not be given one state storage: their states cannot be told apart.
///
/// Run it once after leadership was gained, and now and then after that.
///
/// ```
/// # use std::sync::Arc;
/// # use ha_core::{HaServices, HighAvailabilityServices, ServicesOptions, seam::Seam, state::StateStorage};
/// use ha_core::cleanup::{OrphanCollector, OrphanOptions};
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// # let seam = Seam::system();
/// # let backend = Arc::new(ha_embedded::Embedded::new(seam.clone()).connect());
/// # let storage = StateStorage::open("memory://", seam.clone())?;
/// # let services = HaServices::new(backend, storage, &ServicesOptions::default(), seam)?;
/// let leadership = services.dispatcher_leader_election()?.campaign().await?;
/// let collector = OrphanCollector::of(&leadership, OrphanOptions::default());
/// assert!(collector.find().await?.is_empty()); // looks, and deletes nothing
/// let collected = collector.collect().await?;
/// println!("{} orphans deleted", collected.deleted.len());
/// # Ok::<(), ha_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct OrphanCollector {
    writer: Writer,
    storage: StateStorage,
    options: OrphanOptions,
}

impl OrphanCollector {
    /// The collector of that leadership. No I/O.
    #[must_use]
    pub fn of(leadership: &Leadership, options: OrphanOptions) -> Self {
        Self::new(leadership.writer(), leadership.storage().clone(), options)
    }

    /// `writer` is bound to one leadership.
    pub(super) fn new(writer: Writer, storage: StateStorage, options: OrphanOptions) -> Self {
        Self { writer, storage, options }
    }

    /// Finds what [`OrphanCollector::collect`] would delete, and deletes nothing.
    ///
    /// # Errors
    /// As [`OrphanCollector::collect`].
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn find(&self) -> Result<Vec<Orphan>, Error> {
        Ok(self.look().await?.0.iter().map(orphan).collect())
    }

    /// Deletes the orphans.
    ///
    /// # Errors
    /// Nothing was deleted in case of
    /// * [`NotLeader`](ErrorKind::NotLeader), [`Fenced`](ErrorKind::Fenced): the leadership is over.
    /// * [`Corrupt`](ErrorKind::Corrupt), [`NewerFormat`](ErrorKind::NewerFormat): a pointer cannot be read; the
    ///   text names it. Repair or remove it first. Or the [cluster's format](crate::formats) is beyond this version.
    /// * [`IllegalState`](ErrorKind::IllegalState): there are states of a later epoch than the present: another
    ///   store uses the same place, or this one was restored to what it was before them. Give clusters different
    ///   ids or storages. After a restore it is refused until the epochs have passed those; then what the restored
    ///   pointers do not lead to is collected.
    /// * [`Unsupported`](ErrorKind::Unsupported): the backend's reads may miss what another process has written; or
    ///   the leadership is of a latch of the application's own making.
    /// * [`Unavailable`](ErrorKind::Unavailable), [`Denied`](ErrorKind::Denied): try again.
    ///
    /// [`Storage`](ErrorKind::Storage): some could not be found or deleted. Call again.
    ///
    /// # Cancel safety
    /// After a drop some are deleted. Call again.
    pub async fn collect(&self) -> Result<Collected, Error> {
        let (orphans, may_be_more) = self.look().await?;
        let (mut failures, mut deleted) = (Failures::default(), Vec::new());
        let swept = stream::iter(orphans).map(|one| {
            let storage = self.storage.clone();
            async move { (storage.sweep(&one).await, orphan(&one)) }
        });
        let mut swept = std::pin::pin!(swept.buffered(PARALLEL));
        while let Some((swept, orphan)) = swept.next().await {
            match swept {
                Ok(()) => deleted.push(orphan),
                Err(error) => failures.push(error),
            }
        }
        if !deleted.is_empty() {
            tracing::info!(deleted = deleted.len(), "orphans were collected");
            measured::orphans_collected(deleted.len());
        }
        failures.merged().map(|()| Collected { deleted, may_be_more })
    }

    /// The orphans, and whether there may be more.
    async fn look(&self) -> Result<(Vec<Candidate>, bool), Error> {
        let refused = |kind| Error::new(kind, "collect orphans").at(self.storage.base());
        let writer = self.writer.pin()?;
        let (Origin::Term(own), Some(grant)) = (writer.origin(), writer.pinned()) else {
            return Err(refused(ErrorKind::Unsupported)
                .because("only the leader of one of the services' own latches can tell orphans"));
        };
        if !self.storage.is_of_cluster() {
            return Err(refused(ErrorKind::Unsupported).because("it is not the storage of one cluster alone"));
        }
        if writer.backend().profile().reads != ReadGuarantee::Linearizable {
            return Err(refused(ErrorKind::Unsupported)
                .because("the backend's reads may miss pointers that other processes have written"));
        }
        let old_enough = self.old_enough(&writer);
        let most = self.options.orphans_max;
        let (mut orphans, mut may_be_more) = (Vec::new(), false);
        for (folder, below) in layout::state_folders() {
            // Race: a state gets its pointer after the pointers were listed.
            // Closed by: only states of earlier terms are candidates, and a commit under an earlier term is
            //            refused since ours has begun; so a pointer to one is in the list, or never will be anywhere.
            // Cost if missed: a pointer that leads to nothing, and a job that cannot be recovered.
            let referenced = referenced(&**writer.backend(), &below, writer.formats()).await?;
            let (mut latest, mut count) = (0, 0);
            // Whatever is not to go does not count for the bound: it would be found at each run anew, and what lies
            // behind it never.
            let wanted = |one: &Candidate| {
                let ours = one.tag.latch == own.latch;
                latest = if ours { one.tag.epoch.max(latest) } else { latest };
                let orphan = ours
                    && one.tag.epoch < own.epoch
                    && one.modified_unix_ms <= old_enough
                    && !one.is_among(&referenced);
                count += usize::from(orphan);
                orphan && count <= most
            };
            let mut found = self.storage.candidates(folder, wanted).await?;
            if latest > own.epoch {
                return Err(self.later_than_ours(grant, latest).await);
            }
            may_be_more |= count > most;
            orphans.append(&mut found);
        }
        // Race: the cluster's format is raised, under this leadership of an independent latch or after ours was over
        //       without our knowing; then what leads to a state may be of a kind that this version does not look for.
        // Closed by: looking after the pointers were listed. If this version may still take part, they were all.
        // Cost if missed: an older process deletes the states of a newer one.
        formats::read(&**writer.backend(), writer.formats()).await?;
        Ok((orphans, may_be_more))
    }

    /// Up to when a state must have been written.
    fn old_enough(&self, writer: &Writer) -> u64 {
        let age_ms = u64::try_from(self.options.age_min.as_millis()).unwrap_or(u64::MAX);
        // The wall clock can spare an orphan here, and never make one.
        if age_ms == 0 { u64::MAX } else { writer.seam().unix_ms().saturating_sub(age_ms) }
    }

    /// Why there is a state of a later epoch than ours.
    async fn later_than_ours(&self, grant: &Grant, epoch: u64) -> Error {
        let refused = |kind| Error::new(kind, "collect orphans").at(self.storage.base());
        match self.writer.backend().read(grant.latch().key()).await {
            Err(error) => error,
            Ok(found) if found.as_ref().and_then(|entry| entry.held.as_ref()) == Some(grant.term()) => {
                refused(ErrorKind::IllegalState).because(format!(
                    "there is a state of epoch {epoch}, and the present one is {}: another store uses this place (give \
                     the clusters different ids or storages), or this one was restored. Nothing was deleted",
                    grant.epoch()
                ))
            }
            Ok(_) => {
                refused(ErrorKind::Fenced).because(format!("epoch {} is over; nothing was deleted", grant.epoch()))
            }
        }
    }
}

/// The names of all states that the pointers there lead to.
pub(crate) async fn referenced(
    backend: &dyn Backend,
    below: &Prefix,
    formats: Formats,
) -> Result<BTreeSet<String>, Error> {
    let mut names = BTreeSet::new();
    for entry in backend.list(below).await?.entries {
        if let Some((state, _)) = places::state_in(&entry, None, formats)? {
            names.insert(name_in(&state.uri).to_owned());
        }
    }
    Ok(names)
}

pub(super) fn orphan(candidate: &Candidate) -> Orphan {
    Orphan { uri: candidate.uri.clone(), bytes: candidate.bytes, epoch: candidate.tag.epoch }
}
