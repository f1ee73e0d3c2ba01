use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload, UploadPart};
use sha2::{Digest, Sha256};

use super::options::Limits;
use super::{Chunks, Origin, StateHandle, StateStorage, driven, handle};
use crate::backend::Name;
use crate::seam::Seam;
use crate::{Error, ErrorKind};

/// How much is gathered before it is sent to a store that is not reached over a network.
const PART_BYTES: usize = 8 << 20;
/// No object store takes more parts of one object.
const PARTS_MAX: usize = 10_000;

/// Where pieces go: gathered, until there are enough for a part.
struct Gathering {
    digest: Sha256,
    length: u64,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
    part_bytes: usize,
}

impl Gathering {
    fn new(part_bytes: usize) -> Self {
        Self { digest: Sha256::new(), length: 0, waiting: Vec::new(), waiting_bytes: 0, part_bytes }
    }

    /// Takes as much of the chunk as fits into the part in the making, and leaves the rest.
    fn take(&mut self, chunk: &mut Bytes) {
        let piece = chunk.split_to(chunk.len().min(self.part_bytes - self.waiting_bytes));
        self.digest.update(&piece);
        self.length += piece.len() as u64;
        self.waiting_bytes += piece.len();
        self.waiting.push(piece);
    }

    fn is_full(&self) -> bool {
        self.waiting_bytes == self.part_bytes
    }

    fn part(&mut self) -> PutPayload {
        self.waiting_bytes = 0;
        std::mem::take(&mut self.waiting).into_iter().collect()
    }

    fn sha256(&mut self) -> String {
        handle::hex_of(&std::mem::take(&mut self.digest).finalize())
    }
}

/// An upload in parts that is not complete: nothing of it is visible, and without an end nothing will ever be.
struct Upload {
    /// `None` when it is complete.
    inner: Option<Box<dyn MultipartUpload>>,
    on_their_way: FuturesUnordered<UploadPart>,
    parts: usize,
    path: Path,
    uri: String,
    /// Whom to withdraw it by if it is dropped, and how long that may take.
    network: Option<(Seam, Duration)>,
}

impl Drop for Upload {
    fn drop(&mut self) {
        // A directory's upload takes its file away itself.
        let (Some(mut upload), Some((seam, at_most))) = (self.inner.take(), self.network.take()) else { return };
        let (path, owned) = (self.path.clone(), seam.clone());
        let withdrawal = async move {
            match owned.timeout(at_most, upload.abort()).await {
                Some(Ok(())) => {}
                failed => {
                    tracing::debug!(%path, in_time = failed.is_some(), "an unfinished upload could not be withdrawn")
                }
            }
        };
        seam.spawn(withdrawal).detach();
    }
}

fn runtime_ended() -> object_store::Error {
    object_store::Error::Generic { store: "state storage", source: "the runtime has ended meanwhile".into() }
}

impl StateStorage {
    /// As [`StateStorage::write`], of state that is never held in memory as a whole: at most 8 MiB of it,
    /// and the piece that comes next; on a store over a network as many parts as its options say, and one more.
    /// Nothing is visible before all of it is durable.
    ///
    /// # Errors
    /// As [`StateStorage::write`]; [`ErrorKind::TooLarge`] for more than 10,000 parts on a store over a network, where the
    /// text names the option; and the error of a piece as it is. There is no handle then. What was sent is
    /// withdrawn; a process that is killed, or a store that cannot be reached, may keep an unfinished upload (on
    /// `file://` a file with `#` in its name; on object stores no name shows it: have the bucket's own rules end
    /// unfinished uploads).
    ///
    /// # Cancel safety
    /// After a drop there may be an orphan.
    pub async fn write_chunks(&self, folder: &[Name], chunks: Chunks<'_>) -> Result<StateHandle, Error> {
        self.write_chunks_as(&Origin::Unknown, folder, chunks).await
    }

    /// As [`StateStorage::write_chunks`], under a name that tells who may collect the state.
    pub(crate) async fn write_chunks_as(
        &self,
        origin: &Origin,
        folder: &[Name],
        mut chunks: Chunks<'_>,
    ) -> Result<StateHandle, Error> {
        let limits = self.network.as_ref().map(|network| network.limits);
        let mut gathering = Gathering::new(limits.map_or(PART_BYTES, |limits| limits.part_bytes));
        let mut upload: Option<Upload> = None;
        while let Some(chunk) = chunks.next().await {
            let mut chunk = chunk?;
            while !chunk.is_empty() {
                // Full, and there is more: so a state of exactly one part goes with one request.
                if gathering.is_full() {
                    let upload = match &mut upload {
                        Some(upload) => upload,
                        none => none.insert(self.begin_upload(origin, folder, limits).await?),
                    };
                    self.send_part(upload, gathering.part(), limits).await?;
                }
                gathering.take(&mut chunk);
            }
        }
        let (last, length, sha256) = (gathering.part(), gathering.length, gathering.sha256());
        let Some(mut upload) = upload else {
            return self.write_whole(origin, folder, last, length, sha256).await;
        };
        self.send_part(&mut upload, last, limits).await?;
        while !upload.on_their_way.is_empty() {
            self.part_arrived(&mut upload).await?;
        }
        let handle = StateHandle { uri: upload.uri.clone(), length, sha256 };
        self.complete(upload, &handle).await?;
        Ok(handle)
    }

    async fn begin_upload(&self, origin: &Origin, folder: &[Name], limits: Option<Limits>) -> Result<Upload, Error> {
        let (path, uri) = self.new_path(origin, folder);
        let begun = async {
            // Race: an upload in parts replaces whatever stands under its name when it is completed; there is no
            //       condition for it that all stores know.
            // Closed by: 122 random bits in the name; this look finds a generator that repeats itself (a machine that
            //            was cloned while it ran), but for one that does so within this very upload.
            // Cost if missed: another's state is replaced; its checksum tells whoever reads it.
            if self.network.is_some() && self.exists(&path).await? {
                return Err(Error::new(ErrorKind::Storage, "write state")
                    .at(self.shown(&path))
                    .because("a random name was taken: is the random source broken?"));
            }
            self.store.put_multipart(&path).await.map_err(|error| self.failed("write state", &path, error))
        };
        let inner = Some(self.bounded("write state", &path, begun).await?);
        let network = limits.map(|limits| (self.seam.clone(), limits.operation()));
        Ok(Upload { inner, on_their_way: FuturesUnordered::new(), parts: 0, path, uri, network })
    }

    async fn exists(&self, path: &Path) -> Result<bool, Error> {
        match self.store.head(path).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.failed("write state", path, error)),
        }
    }

    /// Returns when there is room for the next part.
    async fn send_part(&self, upload: &mut Upload, part: PutPayload, limits: Option<Limits>) -> Result<(), Error> {
        upload.parts += 1;
        if limits.is_some() && upload.parts > PARTS_MAX {
            return Err(Error::new(ErrorKind::TooLarge, "write state")
                .at(&upload.uri)
                .because(format!("more than {PARTS_MAX} parts; raise `{}`", super::keys::PART_SIZE)));
        }
        if let Some(inner) = &mut upload.inner {
            let sent = inner.put_part(part);
            upload.on_their_way.push(match &upload.network {
                // While the next piece is waited for, which may take long, this one must go on.
                Some((seam, _)) => {
                    let driven = driven(seam, sent);
                    Box::pin(async move { driven.await.unwrap_or_else(|| Err(runtime_ended())) })
                }
                None => sent,
            });
        }
        // On this machine one after the other: several on their way would be held in memory together for nothing.
        let most = limits.map_or(1, |limits| limits.parallelism);
        while upload.on_their_way.len() >= most {
            self.part_arrived(upload).await?;
        }
        Ok(())
    }

    async fn part_arrived(&self, upload: &mut Upload) -> Result<(), Error> {
        let Upload { on_their_way, path, .. } = upload;
        let arrived = async {
            match on_their_way.next().await {
                Some(Err(error)) => Err(self.failed("write state", path, error)),
                Some(Ok(())) | None => Ok(()),
            }
        };
        self.bounded("write state", path, arrived).await
    }

    /// Makes it visible as a whole.
    async fn complete(&self, mut upload: Upload, handle: &StateHandle) -> Result<(), Error> {
        let Some(inner) = &mut upload.inner else { return Ok(()) };
        let path = upload.path.clone();
        let complete = async { inner.complete().await.map_err(|error| self.failed("write state", &path, error)) };
        let error = match self.bounded("write state", &path, complete).await {
            Ok(_) => {
                upload.inner = None;
                return Ok(());
            }
            Err(error) => error,
        };
        // Race: the store has completed it, and the answer was lost; asked again it knows of no such upload.
        // Closed by: reading all that stands under the name. To withdraw what is complete is refused by the store, or
        //            does nothing.
        // Cost if missed: a failure reported for a state that stands: an orphan, and work done again.
        if self.network.is_some() && self.stands(handle).await.unwrap_or(false) {
            upload.inner = None;
            return Ok(());
        }
        Err(error)
    }
}
