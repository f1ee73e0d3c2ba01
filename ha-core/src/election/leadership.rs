use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::task::Poll;

use uuid::Uuid;

use super::registration::Registration;
use super::{FencingToken, Grant, LeaderInformation, LossReason};
use crate::blob::BlobStore;
use crate::checkpoint::CheckpointRecoveryFactory;
use crate::job_result::{DefaultJobResultStore, JobResultStore};
use crate::names::layout;
use crate::plan::ExecutionPlanStore;
use crate::seam::Deadline;
use crate::state::StateStorage;
use crate::stores::Stores;
use crate::writer::{Authority, Committed, Draft, Writer};
use crate::{Error, ErrorKind};

/// The leadership of one component, as a value that its leader owns.
///
/// It is the only source of writing handles: what is written through it is applied only while it
/// is current, in the same atomic step, on every backend. That nobody else leads *at this moment*
/// is not promised, and cannot be; that nobody else's writes are mixed with ours is.
///
/// Dropping it resigns in the background; [`Leadership::resign`] also waits for it.
#[must_use = "dropping a Leadership resigns"]
pub struct Leadership {
    registration: Registration,
    grant: Grant,
    stores: Stores,
}

/// How work under a leadership ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ran<T> {
    /// The work came to its end.
    Done(T),
    /// Leadership was lost first; the work was dropped where it stood.
    Lost(LossReason),
}

impl Leadership {
    pub(super) fn new(registration: Registration, grant: Grant, stores: Stores) -> Self {
        Self { registration, grant, stores }
    }

    /// The fencing token, to be passed along to systems outside of the store.
    #[must_use]
    pub fn token(&self) -> FencingToken {
        FencingToken::new(self.grant.epoch())
    }

    /// The leader session id: random, for comparing only.
    #[must_use]
    pub fn session_id(&self) -> Uuid {
        self.grant.session_id()
    }

    /// Up to when silence cannot have given the latch to another. It moves on with each
    /// acknowledged renewal, and is past for good once the leadership is over.
    #[must_use]
    pub fn valid_until(&self) -> Deadline {
        self.grant.valid_until()
    }

    /// Whether it holds as far as this process can know. Reads a clock; no I/O, no runtime: true to the
    /// deadline even while the application blocks every thread of its runtime, which costs no renewal.
    /// That the latch was taken away, while the session lives on, is learned by a task of that runtime; until
    /// then the fence refuses each write.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.grant.is_valid()
    }

    /// Waits until leadership is over, and says why. Many may wait. The reason comes from a task on the
    /// application's runtime: while that is blocked, ask [`Leadership::is_valid`].
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn lost(&self) -> LossReason {
        self.grant.lost().await
    }

    /// The grant itself: a handle to ask from elsewhere whether it still holds.
    #[must_use]
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// Lets everybody find this leader under the address. May be called again with another one.
    /// What others do to it is undone while the leadership lasts.
    ///
    /// # Errors
    /// * [`ErrorKind::NotLeader`], [`ErrorKind::Fenced`]: the leadership is over; nothing is published.
    /// * [`ErrorKind::Invalid`]: an empty or oversized address.
    /// * [`ErrorKind::Indeterminate`]: it may be published, and will be while the leadership lasts.
    ///
    /// # Cancel safety
    /// After a drop it may be published or not; publish again.
    pub async fn publish(&self, address: &str) -> Result<(), Error> {
        let information = LeaderInformation::new(address, self.grant.session_id())?;
        self.registration.publish(&self.grant, information).await
    }

    /// Gives the leadership up, and returns when others can take it. If other components of this
    /// process are on the same latch, they keep it, and only this one's address is withdrawn.
    ///
    /// # Errors
    /// The address could not be withdrawn; leadership is given up all the same.
    ///
    /// # Cancel safety
    /// After a drop the rest happens in the background.
    pub async fn resign(self) -> Result<(), Error> {
        let withdrawn = self.registration.withdraw(&self.grant).await;
        self.registration.leave().await;
        match withdrawn {
            // Lost in the meantime: then there is nothing to withdraw any more.
            Err(e) if matches!(e.kind(), ErrorKind::NotLeader | ErrorKind::Fenced) => Ok(()),
            other => other,
        }
    }

    /// A store of execution plans that writes under this leadership, not started.
    #[must_use]
    pub fn execution_plan_store(&self) -> Arc<dyn ExecutionPlanStore> {
        self.stores.execution_plan_store(self.writer())
    }

    /// A factory of checkpoint stores and counters that write under this leadership.
    #[must_use]
    pub fn checkpoint_recovery_factory(&self) -> Arc<dyn CheckpointRecoveryFactory> {
        self.stores.checkpoint_recovery_factory(self.writer())
    }

    /// The store of job results, which writes under this leadership.
    #[must_use]
    pub fn job_result_store(&self) -> Arc<dyn JobResultStore> {
        self.stores.job_result_store(self.writer())
    }

    /// The store of blobs, which writes under this leadership.
    #[must_use]
    pub fn blob_store(&self) -> Arc<dyn BlobStore> {
        self.stores.blob_store(self.writer())
    }

    pub(crate) fn default_job_result_store(&self) -> DefaultJobResultStore {
        self.stores.default_job_result_store(self.writer())
    }

    /// The way to write under this leadership, for stores of your own.
    #[must_use]
    pub fn writer(&self) -> Writer {
        Writer::new(Arc::clone(self.registration.committer()), Authority::Leader(self.grant.clone()))
    }

    /// The state storage that goes with the stores of this leadership.
    #[must_use]
    pub fn storage(&self) -> &StateStorage {
        &self.stores.storage
    }

    /// What the cluster writes, as far as this leader knows: under the process's one latch, just that.
    #[must_use]
    pub fn cluster_format(&self) -> u32 {
        self.grant.basis().standing().format
    }

    /// Raises what the cluster writes, once and for all: whoever does not know that format takes no part
    /// from here on. An operator decides that no such process is left; see [`formats`](crate::formats).
    ///
    /// One fenced commit, or none if the cluster writes that format already. What is stored is not
    /// rewritten.
    ///
    /// # Errors
    /// * [`ErrorKind::Invalid`]: this version does not know the format, the cluster writes a newer one, or
    ///   this is the leadership of an independent latch. Nothing was written.
    /// * [`ErrorKind::Indeterminate`]: it may be raised. Call again; what is written meanwhile is of the
    ///   older format, which is safe in both cases.
    /// * [`ErrorKind::Conflict`]: somebody changed the record who leads nothing. Find out who.
    /// * [`ErrorKind::NotLeader`], [`ErrorKind::Fenced`]: the leadership is over; nothing was written.
    ///
    /// # Cancel safety
    /// After a drop it may be raised or not; call again.
    pub async fn raise_format(&self, to: u32) -> Result<(), Error> {
        crate::formats::raise(&self.writer(), &self.grant, to).await
    }

    /// Writes records of the application's own in one fenced commit. Their keys lie below
    /// [`application_prefix`](crate::application_prefix).
    ///
    /// ```
    /// # use ha_core::{application_prefix, backend::{Expect, Name}, record::Body};
    /// # use ha_core::{election::Leadership, writer::Committed, Error};
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Shard { owner: String }
    /// impl Body for Shard { const KIND: &'static str = "shard"; }
    ///
    /// # async fn example(leadership: &Leadership) -> Result<(), Error> {
    /// let key = application_prefix().key(&Name::new("shard-1")?);
    /// let shard = Shard { owner: "node-7".into() };
    /// match leadership.guarded(|draft| draft.put(key, Expect::Absent, &shard)).await? {
    ///     Committed::Applied(_) => println!("assigned"),
    ///     Committed::Conflict { found, .. } => println!("already there: {found:?}"),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// * [`ErrorKind::NotLeader`], [`ErrorKind::Fenced`]: the leadership is over; nothing was written.
    /// * [`ErrorKind::Invalid`]: a key elsewhere; nothing was sent.
    /// * others as [`Writer::commit`].
    ///
    /// # Cancel safety
    /// After a drop it may have been applied.
    pub async fn guarded(&self, build: impl FnOnce(Draft) -> Result<Draft, Error> + Send) -> Result<Committed, Error> {
        let writer = self.writer();
        let draft = build(writer.draft()?)?;
        let prefix = layout::application();
        if let Some(key) = draft.written_keys().find(|key| !prefix.contains(key)) {
            return Err(Error::new(ErrorKind::Invalid, "guarded commit")
                .at(key)
                .because(format!("records of an application lie below {prefix}")));
        }
        writer.commit(draft).await
    }

    /// Runs work while the leadership lasts. When it is lost, or its deadline passes, the work is
    /// dropped at its next await; what it writes after that is refused anyway.
    ///
    /// # Cancel safety
    /// The work is dropped with the future.
    pub async fn run<F, T>(&self, work: F) -> Ran<T>
    where
        F: Future<Output = T> + Send,
    {
        // The clock is looked at before each step of the work, without help from any other task: the
        // one that ends the grant may not have run yet when the work held the thread for too long.
        let over = std::future::poll_fn(|_| match self.grant.is_valid() {
            true => Poll::Pending,
            false => Poll::Ready(self.grant.loss().unwrap_or(LossReason::DeadlinePassed)),
        });
        tokio::select! {
            biased;
            why = self.lost() => Ran::Lost(why),
            why = over => Ran::Lost(why),
            done = work => Ran::Done(done),
        }
    }
}

impl fmt::Debug for Leadership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leadership")
            .field("component", self.registration.component())
            .field("grant", &self.grant)
            .finish_non_exhaustive()
    }
}
