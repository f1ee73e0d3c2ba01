use async_trait::async_trait;

use super::pointer::{Found, Pointer, broken};
use super::{BlobKey, BlobStore};
use crate::backend::{Entry, Expect};
use crate::discard::Discards;
use crate::names::layout;
use crate::state::{Chunks, StateHandle, StateStorage};
use crate::telemetry::record as measured;
use crate::writer::{Committed, Draft, Writer};
use crate::{Error, ErrorKind, JobId};

/// How often a write is made anew because others changed what it was based on.
const ATTEMPTS: usize = 4;
/// The most pointers that one commit removes; each is a short key.
const REMOVALS_MAX: usize = 32;

/// The [`BlobStore`] on a backend and a state storage.
///
/// The content is written to the state storage first, under a name of its own; then one fenced commit
/// creates the pointer to it. To delete is to remove the pointer in a fenced commit, and then the
/// content that it led to. An upload that was not finished has no pointer, so nobody sees it.
///
/// ```
/// # use std::sync::Arc;
/// # use ha_core::backend::{Acquire, Backend, Latch, Prefix, Session, SessionOptions};
/// # use ha_core::election::Grant;
/// # use ha_core::{resolve::Committer, seam::Seam};
/// use futures_util::TryStreamExt;
/// use ha_core::JobId;
/// use ha_core::blob::{BlobStore, DefaultBlobStore};
/// use ha_core::state::{StateStorage, chunks_of};
/// use ha_core::writer::{Authority, Writer};
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// # let seam = Seam::system();
/// # let backend = Arc::new(ha_embedded::Embedded::new(seam.clone()).connect());
/// # let session: Arc<dyn Session> = backend.open_session(&SessionOptions::default()).await?.into();
/// # let latch = Latch::below(&Prefix::new("leader")?);
/// # let Acquire::Won(term) = session.try_acquire(&latch, "me".into(), None).await? else { panic!() };
/// # let grant = Grant::hold(&seam, session, latch, term);
/// # let committer = Committer::new(backend, seam.clone());
/// // `grant` is the leadership that this process has won.
/// let writer = Writer::new(committer, Authority::Leader(grant));
/// let store = DefaultBlobStore::new(writer, StateStorage::open("memory://", seam)?);
/// let job = JobId::new("job-1")?;
/// let key = store.put(&job, chunks_of("a library".into())).await?;
/// let mut pieces = store.get(&job, &key).await?;
/// let mut content = Vec::new();
/// while let Some(piece) = pieces.try_next().await? {
///     content.extend_from_slice(&piece); // or write it to a temporary file
/// }
/// assert_eq!(content, b"a library");
/// store.delete_all(&job).await?;
/// # Ok::<(), ha_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct DefaultBlobStore {
    writer: Writer,
    storage: StateStorage,
    discards: Discards,
}

impl DefaultBlobStore {
    /// A store that writes pointers by that writer and content to that storage. No I/O.
    #[must_use]
    pub fn new(writer: Writer, storage: StateStorage) -> Self {
        let discards = Discards::new(writer.seam().clone(), storage.clone());
        Self { writer, storage, discards }
    }

    /// Waits until no deletion of content is under way in the background.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn discards_settled(&self) {
        self.discards.settled().await;
    }

    async fn find(&self, job: &JobId, key: &BlobKey) -> Result<Option<Found>, Error> {
        let entry = self.writer.backend().read(&layout::blob(job, &key.name())).await?;
        entry.map(|entry| Found::decode(job, key, &entry, self.writer.formats())).transpose()
    }

    /// Makes the pointer lead to this state, or finds that it leads to as good a one. Returns the state
    /// that nothing leads to any more, or never will.
    async fn link(
        &self,
        writer: &Writer,
        job: &JobId,
        key: &BlobKey,
        state: &StateHandle,
    ) -> Result<Option<StateHandle>, Error> {
        for _ in 0..ATTEMPTS {
            // Made first, so that a deposed leader is told so even if the blob is there.
            let draft = writer.draft()?;
            let found = self.find(job, key).await?;
            if let Some(found) = &found
                && self.storage.seems_whole(&found.state).await?
            {
                return Ok(Some(state.clone()));
            }
            let expect = found.as_ref().map_or(Expect::Absent, |found| Expect::Revision(found.revision));
            let pointer = Pointer { state: state.clone() };
            let draft = draft.put(layout::blob(job, &key.name()), expect, &pointer)?;
            if let Committed::Applied(_) = writer.commit(draft).await? {
                return Ok(found.map(|found| found.state));
            }
        }
        Err(conflict("put blob", job))
    }

    /// Removes these pointers in one commit, and then what they led to. Whether it was applied.
    async fn unlink(&self, job: &JobId, found: Vec<(BlobKey, Found)>) -> Result<bool, Error> {
        let remove = |draft: Draft, (key, found): &(BlobKey, Found)| {
            draft.remove(layout::blob(job, &key.name()), found.revision)
        };
        let draft = found.iter().fold(self.writer.draft()?, remove);
        let Committed::Applied(_) = self.writer.commit(draft).await? else { return Ok(false) };
        self.discards.room().await;
        self.discards.submit(found.into_iter().map(|(_, found)| found.state.into()).collect());
        Ok(true)
    }

    /// The blobs of the job, and the first pointer that cannot be read.
    async fn all(&self, job: &JobId) -> Result<(Vec<(BlobKey, Found)>, Option<Error>), Error> {
        let below = layout::blobs(job);
        let (mut all, mut unreadable) = (Vec::new(), None);
        for entry in self.writer.backend().list(&below).await?.entries {
            let decoded = |entry: &Entry| {
                let name = below.relative(&entry.key).and_then(|name| name.parse::<BlobKey>().ok());
                let key = name.ok_or_else(|| broken(job, entry, ErrorKind::Corrupt))?;
                Ok((key, Found::decode(job, &key, entry, self.writer.formats())?))
            };
            match decoded(&entry) {
                Ok(found) => all.push(found),
                Err(error) => unreadable = unreadable.or(Some(error)),
            }
        }
        Ok((all, unreadable))
    }

    /// Removes what there is, in as many commits as it takes. Whether all went; if not, others changed some.
    async fn unlink_all(&self, job: &JobId, mut all: Vec<(BlobKey, Found)>) -> Result<bool, Error> {
        let at_once = self.writer.operations_max().min(REMOVALS_MAX);
        let mut applied = true;
        while !all.is_empty() {
            let batch = all.split_off(all.len().saturating_sub(at_once));
            applied &= self.unlink(job, batch).await?;
        }
        Ok(applied)
    }
}

fn conflict(operation: &'static str, job: &JobId) -> Error {
    Error::new(ErrorKind::Conflict, operation).at(job).because("others changed it at every attempt; call again")
}

#[async_trait]
impl BlobStore for DefaultBlobStore {
    async fn put(&self, job: &JobId, content: Chunks<'_>) -> Result<BlobKey, Error> {
        // Looked at before content is written in vain; the commit decides.
        let writer = self.writer.pin()?;
        self.discards.room().await;
        let folder = layout::states(layout::BLOB_STATES, job);
        let origin = writer.origin();
        let write = self.storage.write_chunks_as(&origin, &folder, content);
        let state = measured::state_call(writer.seam(), "write", write, |state| state.length).await?;
        let key = BlobKey::of_state(&state).expect("a handle just made holds a checksum");
        let linked = self.link(&writer, job, &key, &state).await;
        let unused = match &linked {
            Ok(unused) => unused.clone(),
            // It may be what the pointer leads to: nothing is deleted in doubt.
            Err(error) if error.may_have_applied() => None,
            Err(_) => Some(state),
        };
        self.discards.submit(unused.into_iter().map(Into::into).collect());
        linked.map(|_| key)
    }

    async fn get(&self, job: &JobId, key: &BlobKey) -> Result<Chunks<'static>, Error> {
        let mut seen = None;
        for _ in 0..ATTEMPTS {
            let Some(found) = self.find(job, key).await? else {
                return Err(Error::new(ErrorKind::NotFound, "get blob")
                    .at(key)
                    .because(format!("{job} has no such blob")));
            };
            let (read, length) = (self.storage.read_chunks(&found.state), found.state.length);
            match measured::state_call(self.writer.seam(), "read", read, |_| length).await {
                // Race: the blob was deleted, and perhaps put again, after its pointer was read.
                // Closed by: the pointer is read again; only one that still stands is broken.
                // Cost if missed: a blob that is there is reported as lost.
                Err(error) if error.kind() == ErrorKind::StateMissing && seen != Some(found.revision) => {
                    seen = Some(found.revision);
                }
                other => return other,
            }
        }
        Err(conflict("get blob", job))
    }

    async fn delete(&self, job: &JobId, key: &BlobKey) -> Result<(), Error> {
        for _ in 0..ATTEMPTS {
            // Made first, so that a deposed leader is told so even if there is nothing to delete.
            let draft = self.writer.draft()?;
            // What is absent after this stays absent, also if a put whose answer was lost is on its way.
            self.writer.bar_late_creations(&draft, |doubted| *doubted == layout::blob(job, &key.name())).await?;
            let Some(found) = self.find(job, key).await? else { return Ok(()) };
            if self.unlink(job, vec![(*key, found)]).await? {
                self.discards.settled().await;
                return Ok(());
            }
        }
        Err(conflict("delete blob", job))
    }

    async fn delete_all(&self, job: &JobId) -> Result<(), Error> {
        for _ in 0..ATTEMPTS {
            let draft = self.writer.draft()?;
            self.writer.bar_late_creations(&draft, |doubted| layout::blobs(job).contains(doubted)).await?;
            let (all, unreadable) = self.all(job).await?;
            if !self.unlink_all(job, all).await? {
                continue;
            }
            self.discards.settled().await;
            return unreadable.map_or(Ok(()), Err);
        }
        Err(conflict("delete blobs", job))
    }
}
