//! How services write: under a leadership, as one commit, with every record stamped.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

use crate::backend::{Backend, Commit, Entry, Expect, Key, Outcome, Revision};
use crate::election::{Grant, LossReason};
use crate::formats::{self, Formats};
use crate::names::layout;
use crate::record::{self, Body};
use crate::resolve::Committer;
use crate::seam::Seam;
use crate::state::{Origin, Tag};
use crate::telemetry::record as measured;
use crate::{Error, ErrorKind};

/// How often a commit is sent again because the cluster's format was raised in between: an operator does
/// that once in a release.
const RAISED_MAX: usize = 4;

/// Under whose leadership something is written.
#[derive(Clone)]
pub enum Authority {
    /// Under exactly this one. Once it is over, every write fails.
    Leader(Grant),
    /// Under the one that this process holds at the time of each write, if it holds one.
    Current(watch::Receiver<Option<Grant>>),
    /// Under none: for tools in an operator's hand, while no leader runs. Nothing fences such a write,
    /// a running leader's view of the store may be wrong after it, and what it removes may come back if
    /// a leader's creation of it is still on its way.
    UnfencedAdministration,
}

impl Authority {
    fn grant(&self) -> Result<Option<Grant>, Error> {
        match self {
            Self::Leader(grant) => Ok(Some(grant.clone())),
            Self::Current(current) => match current.borrow().as_ref() {
                Some(grant) => Ok(Some(grant.clone())),
                None => Err(Error::new(ErrorKind::NotLeader, "write")
                    .because("this process holds no leadership at the moment; nothing was sent")),
            },
            Self::UnfencedAdministration => Ok(None),
        }
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leader(grant) => f.debug_tuple("Leader").field(grant).finish(),
            Self::Current(_) => f.write_str("Current"),
            Self::UnfencedAdministration => f.write_str("UnfencedAdministration"),
        }
    }
}

/// The way from a service to the store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Writer {
    committer: Arc<Committer>,
    authority: Authority,
}

/// What became of a [`Draft`]. That the leadership is over is an error here: no service can go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    /// All of it was applied; one revision for each write, in their order.
    Applied(Vec<Revision>),
    /// None of it was applied, and will not be.
    Conflict {
        /// The first key that was not as expected.
        key: Key,
        /// What was found there.
        found: Option<Entry>,
    },
}

impl Writer {
    /// Writes by that committer under that authority.
    #[must_use]
    pub fn new(committer: Arc<Committer>, authority: Authority) -> Self {
        Self { committer, authority }
    }

    /// The backend, for reading.
    #[must_use]
    pub fn backend(&self) -> &Arc<dyn Backend> {
        self.committer.backend()
    }

    /// Time, randomness and tasks.
    #[must_use]
    pub fn seam(&self) -> &Seam {
        self.committer.seam()
    }

    /// The most writes and checks that fit into one draft.
    #[must_use]
    pub fn operations_max(&self) -> usize {
        let format_check = match &self.authority {
            Authority::Leader(grant) => usize::from(grant.basis().is_checked()),
            Authority::Current(_) | Authority::UnfencedAdministration => 0,
        };
        self.committer.operations_max().saturating_sub(format_check).max(1)
    }

    /// The formats that this process reads.
    #[must_use]
    pub fn formats(&self) -> Formats {
        self.committer.formats()
    }

    /// The largest record, in bytes.
    #[must_use]
    pub fn value_bytes_max(&self) -> usize {
        self.committer.backend().profile().value_bytes_max
    }

    /// The same writer, bound to the leadership that holds now: once that is over, every write fails, also if
    /// this process leads again by then.
    ///
    /// An operation that writes state first and its pointer second pins its writer before both.
    // Race: leadership is lost and won again between the two, and the collection of orphans under the new epoch
    //       finds a state of the old one that nothing points to.
    // Closed by: the pointer is committed under the epoch that stands in the name of the state, or not at all.
    // Cost if missed: an acknowledged pointer to state that was collected.
    ///
    /// # Errors
    /// * [`ErrorKind::NotLeader`]: there is none. Nothing was sent.
    /// * [`ErrorKind::Closed`]: as [`Writer::draft`].
    pub fn pin(&self) -> Result<Self, Error> {
        self.check_open()?;
        let authority = match self.authority.grant()? {
            Some(grant) => {
                grant.fence()?;
                Authority::Leader(grant)
            }
            None => Authority::UnfencedAdministration,
        };
        Ok(Self { committer: Arc::clone(&self.committer), authority })
    }

    /// Before the question of who leads: to campaign again would not help.
    fn check_open(&self) -> Result<(), Error> {
        match self.committer.is_closed() {
            true => Err(Error::new(ErrorKind::Closed, "write").because("the services were closed; open others")),
            false => Ok(()),
        }
    }

    /// The leadership that a pinned writer writes under.
    pub(crate) fn pinned(&self) -> Option<&Grant> {
        match &self.authority {
            Authority::Leader(grant) => Some(grant),
            _ => None,
        }
    }

    /// What the states that a pinned writer leads to are named after.
    pub(crate) fn origin(&self) -> Origin {
        let Some(grant) = self.pinned() else { return Origin::Unknown };
        layout::latch_name(grant.latch())
            .map_or(Origin::Unknown, |latch| Origin::Term(Tag { latch, epoch: grant.epoch() }))
    }

    /// Begins a commit under the leadership that holds now. It stays under exactly that one.
    ///
    /// # Errors
    /// * [`ErrorKind::NotLeader`]: there is none. Nothing was sent.
    /// * [`ErrorKind::Closed`]: the services that this writer comes from were closed. Nothing was sent.
    pub fn draft(&self) -> Result<Draft, Error> {
        self.check_open()?;
        let commit = Commit::new(self.seam().write_id());
        let Some(grant) = self.authority.grant()? else {
            return Ok(Draft { commit, grant: None, format: self.formats().oldest() });
        };
        let commit = commit.guarded_by(grant.fence()?);
        // Once for the whole draft, so that a commit has one format, and checks what it goes by.
        let (format, check) = grant.basis().look();
        let commit = check.into_iter().fold(commit, |commit, (key, expect)| commit.check(key, expect));
        Ok(Draft { commit, grant: Some(grant), format })
    }

    /// As [`Committer::bar_late_creations`], under the leadership of that draft. An administration
    /// tool has no barrier; see [`Authority::UnfencedAdministration`].
    pub(crate) async fn bar_late_creations(&self, draft: &Draft, concerns: impl Fn(&Key) -> bool) -> Result<(), Error> {
        let Some(fence) = &draft.commit.guard else { return Ok(()) };
        let barred = self.committer.bar_late_creations(fence, concerns).await;
        if let (Err(error), Some(grant)) = (&barred, &draft.grant)
            && error.kind() == ErrorKind::Fenced
        {
            grant.end(LossReason::Fenced);
        }
        barred
    }

    /// Sends a draft and finds out what became of it.
    ///
    /// # Errors
    /// * [`ErrorKind::NotLeader`], [`ErrorKind::Fenced`]: the leadership is over. Nothing was written. Stop the work.
    /// * [`ErrorKind::Closed`]: as [`Writer::draft`]. Nothing was sent.
    /// * [`ErrorKind::Indeterminate`]: it may have been applied. Delete nothing because of it.
    /// * [`ErrorKind::NewerFormat`]: the [cluster's format](crate::formats) was raised above what this
    ///   version knows. Nothing was written, and the leadership is over. Upgrade this process.
    /// * others as [`Backend::commit`]: nothing was written.
    ///
    /// # Cancel safety
    /// After a drop it may have been applied.
    pub async fn commit(&self, draft: Draft) -> Result<Committed, Error> {
        // Whoever removes takes part as well: an older tool does not know what belongs together. The record itself may
        // be removed if it is broken.
        if draft.grant.is_none() && draft.commit.writes.iter().any(|write| write.key != layout::formats()) {
            formats::read(&**self.backend(), self.formats()).await?;
        }
        let Draft { mut commit, grant, format } = draft;
        for _ in 0..RAISED_MAX {
            // Race: the leadership is given up, or the services are closed, between the draft and its commit; and the
            //       latch is not let go of, because the store does not answer.
            // Closed by: looking here again. What is sent already is for the fence alone to refuse.
            // Cost if missed: a write after the end of a leadership that its own process has ended.
            self.check_open()?;
            grant.as_ref().map(Grant::fence).transpose()?;
            let checked = grant.as_ref().filter(|grant| grant.basis().is_checked());
            let kept = checked.map(|grant| (grant, commit.clone()));
            let subject = commit.writes.first().map(|write| write.key.clone());
            let outcome = match self.committer.commit(commit).await {
                // Raising the barrier was refused for the same reason as the commit itself would be.
                Err(error) if error.kind() == ErrorKind::Fenced => Outcome::Fenced,
                other => other?,
            };
            match (outcome, kept) {
                (Outcome::Conflict { key, found }, Some((grant, kept))) if key == layout::formats() => {
                    commit = self.rebased(kept, grant, format, found.as_ref())?;
                }
                (outcome, _) => return concluded(outcome, subject, grant.as_ref()),
            }
        }
        Err(Error::new(ErrorKind::Unavailable, "commit")
            .at(layout::formats())
            .because("the record of the cluster's format changes again and again; nothing was written"))
    }

    /// The commit as it is after the record of the cluster's format was found to be another.
    fn rebased(&self, mut commit: Commit, grant: &Grant, format: u32, found: Option<&Entry>) -> Result<Commit, Error> {
        let standing = formats::Standing::of(found)?.admit(self.formats()).inspect_err(|_| {
            // Nothing that it writes would be applied any more; everybody who holds the grant learns it.
            grant.end(LossReason::Outdated);
        })?;
        grant.basis().set(standing);
        // Raised, what the commit writes is older than the cluster's format now, and read by everybody.
        if standing.format < format {
            let why =
                format!("the cluster's format was set back to {}; nothing was written: try again", standing.format);
            return Err(Error::new(ErrorKind::Unavailable, "commit").at(layout::formats()).because(why));
        }
        for (key, expect) in &mut commit.checks {
            if *key == layout::formats() {
                *expect = standing.stands;
            }
        }
        Ok(commit)
    }
}

fn concluded(outcome: Outcome, subject: Option<Key>, grant: Option<&Grant>) -> Result<Committed, Error> {
    match outcome {
        Outcome::Applied { revisions } => {
            let key = subject.as_ref().map(tracing::field::display);
            tracing::debug!(key, epoch = grant.map(Grant::epoch), "commit applied");
            Ok(Committed::Applied(revisions))
        }
        Outcome::Conflict { key, found } => {
            tracing::debug!(%key, epoch = grant.map(Grant::epoch), "commit in conflict");
            Ok(Committed::Conflict { key, found })
        }
        Outcome::Fenced => {
            let mut error = Error::new(ErrorKind::Fenced, "commit");
            if let Some(subject) = subject {
                error = error.at(subject);
            }
            if let Some(grant) = grant {
                let (epoch, session_id) = (grant.epoch(), grant.session_id());
                tracing::warn!(latch = %grant.latch(), epoch, %session_id, "write fenced");
                measured::write_fenced(grant.latch());
                // The store knows better than our clock: everybody who holds the grant learns it.
                grant.end(LossReason::Fenced);
                error = error.because(format!("epoch {} is over; nothing was written", grant.epoch()));
            }
            Err(error)
        }
    }
}

/// A commit in the making. Records put into it carry its write id and epoch by construction.
#[derive(Debug)]
#[must_use = "a draft does nothing until it is committed"]
pub struct Draft {
    commit: Commit,
    grant: Option<Grant>,
    format: u32,
}

impl Draft {
    /// The format that its records are written in, all of them: what the cluster writes.
    #[must_use]
    pub fn format(&self) -> u32 {
        self.format
    }

    /// The epoch that the records carry; 0 for administration.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.grant.as_ref().map_or(0, Grant::epoch)
    }

    /// Stores a record.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`]: the body cannot be written as JSON, or not in the cluster's format.
    pub fn put<T: Body>(self, key: Key, expect: Expect, body: &T) -> Result<Self, Error> {
        let format = self.format;
        self.put_in(format, key, expect, body)
    }

    /// Stores a record in that format: for the one record that is always of the first.
    pub(crate) fn put_in<T: Body>(mut self, format: u32, key: Key, expect: Expect, body: &T) -> Result<Self, Error> {
        let value = record::encode_in(format, body, self.commit.id, self.epoch())?;
        self.commit = self.commit.put(key, expect, value);
        Ok(self)
    }

    /// Removes what was written by `revision`.
    pub fn remove(mut self, key: Key, revision: Revision) -> Self {
        self.commit = self.commit.remove(key, revision);
        self
    }

    /// Requires a key to be as expected without changing it.
    pub fn check(mut self, key: Key, expect: Expect) -> Self {
        self.commit = self.commit.check(key, expect);
        self
    }

    /// The keys that it writes so far.
    pub fn written_keys(&self) -> impl Iterator<Item = &Key> {
        self.commit.writes.iter().map(|write| &write.key)
    }

    /// How many operations it has so far.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.commit.operations()
    }
}
