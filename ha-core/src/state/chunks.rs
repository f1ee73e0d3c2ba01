use std::pin::Pin;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use object_store::{MultipartUpload, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, ReadBuf};

use super::{Origin, StateHandle, StateStorage, handle};
use crate::backend::Name;
use crate::excerpt::excerpt;
use crate::{Error, ErrorKind};

/// State that comes in pieces, in order. An error ends it.
pub type Chunks<'a> = BoxStream<'a, Result<Bytes, Error>>;

/// How much is gathered before it is sent. Object stores want parts of at least 5 MiB, all of one size.
const PART_BYTES: usize = 8 << 20;
/// How much is read from a reader at a time.
const READ_BYTES: usize = 64 << 10;
/// How many empty pieces in a row are taken for a file that was cut short while it was read: such a file gives
/// nothing more, and no end either.
const EMPTY_MAX: usize = 64;

/// The pieces that a reader gives, of at most 64 KiB each. An error of the reader is [`ErrorKind::Storage`].
pub fn chunks_from_reader<'a>(reader: impl AsyncRead + Send + Unpin + 'a) -> Chunks<'a> {
    let chunks = stream::try_unfold(reader, async |mut reader| {
        let mut buffer = vec![0; READ_BYTES];
        let length = std::future::poll_fn(|context| {
            let mut space = ReadBuf::new(&mut buffer);
            Pin::new(&mut reader).poll_read(context, &mut space).map_ok(|()| space.filled().len())
        })
        .await
        .map_err(|e| Error::new(ErrorKind::Storage, "read what the caller gave").caused_by(e))?;
        buffer.truncate(length);
        Ok((length > 0).then(|| (Bytes::from(buffer), reader)))
    });
    chunks.boxed()
}

/// The bytes as one piece.
#[must_use]
pub fn chunks_of(bytes: Bytes) -> Chunks<'static> {
    stream::iter([Ok(bytes)]).boxed()
}

/// Where pieces go: gathered, until there are enough for a part.
struct Gathering {
    digest: Sha256,
    length: u64,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
}

impl Gathering {
    /// Takes as much of the chunk as fits into the part in the making, and leaves the rest.
    fn take(&mut self, chunk: &mut Bytes) {
        let piece = chunk.split_to(chunk.len().min(PART_BYTES - self.waiting_bytes));
        self.digest.update(&piece);
        self.length += piece.len() as u64;
        self.waiting_bytes += piece.len();
        self.waiting.push(piece);
    }

    fn part(&mut self) -> PutPayload {
        self.waiting_bytes = 0;
        std::mem::take(&mut self.waiting).into_iter().collect()
    }
}

impl StateStorage {
    /// As [`StateStorage::write`], of state that is never held in memory as a whole: at most 8 MiB of it,
    /// and the piece that comes next. Nothing is visible before all of it is durable.
    ///
    /// # Errors
    /// As [`StateStorage::write`], and the error of a piece as it is. There is no handle then. A process
    /// that is killed may leave an unfinished upload behind (on `file://` a file with `#` in its name).
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
        let (path, uri) = self.new_path(origin, folder);
        let failed = |error| self.failed("write state", path.as_ref(), error);
        let mut upload: Option<Box<dyn MultipartUpload>> = None;
        let mut gathering = Gathering { digest: Sha256::new(), length: 0, waiting: Vec::new(), waiting_bytes: 0 };
        let sent = async {
            while let Some(chunk) = chunks.next().await {
                let mut chunk = chunk?;
                while !chunk.is_empty() {
                    gathering.take(&mut chunk);
                    if gathering.waiting_bytes == PART_BYTES {
                        let upload = match &mut upload {
                            Some(upload) => upload,
                            none => none.insert(self.store.put_multipart(&path).await.map_err(failed)?),
                        };
                        // One after the other: several on their way would be held in memory together.
                        upload.put_part(gathering.part()).await.map_err(failed)?;
                    }
                }
            }
            let last = gathering.part();
            match &mut upload {
                Some(upload) => {
                    if last.content_length() > 0 {
                        upload.put_part(last).await.map_err(failed)?;
                    }
                    upload.complete().await.map(drop).map_err(failed)
                }
                None => {
                    let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
                    self.store.put_opts(&path, last, create).await.map(drop).map_err(failed)
                }
            }
        };
        if let Err(error) = sent.await {
            if let Some(Err(also)) = abort(upload).await {
                tracing::debug!(%path, error = %also, "an unfinished upload could not be withdrawn; it is an orphan");
            }
            return Err(error);
        }
        let sha256 = handle::hex_of(&gathering.digest.finalize());
        Ok(StateHandle { uri, length: gathering.length, sha256 })
    }

    /// As [`StateStorage::read`], in pieces. The checksum is computed on the way, and **the last piece is
    /// handed over only when all were verified**: whoever has seen the end without an error has intact state,
    /// and nobody has all of it otherwise.
    ///
    /// # Errors
    /// As [`StateStorage::read`]: at once if that is known at once, else in place of the last piece. What
    /// was made of the pieces before must be thrown away then.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future, or the pieces.
    pub async fn read_chunks(&self, handle: &StateHandle) -> Result<Chunks<'static>, Error> {
        let path = self.path_of(handle)?;
        let got = self.store.get(&path).await.map_err(|e| self.failed("read state", path.as_ref(), e))?;
        if got.meta.size != handle.length {
            return Err(handle.corrupt(format!("{} bytes, {} were written", got.meta.size, handle.length)));
        }
        let storage = self.clone();
        let source =
            got.into_stream().map(move |chunk| chunk.map_err(|e| storage.failed("read state", path.as_ref(), e)));
        Ok(verified(handle.clone(), source.boxed()))
    }

    /// Whether there is state of the right length at this place. Its bytes are not looked at.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`], [`ErrorKind::Denied`], [`ErrorKind::Invalid`]: it could not be found out.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn seems_whole(&self, handle: &StateHandle) -> Result<bool, Error> {
        let path = self.path_of(handle)?;
        match self.store.head(&path).await {
            Ok(meta) => Ok(meta.size == handle.length),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.failed("look for state", path.as_ref(), error)),
        }
    }
}

async fn abort(upload: Option<Box<dyn MultipartUpload>>) -> Option<object_store::Result<()>> {
    Some(upload?.abort().await)
}

struct Verifying {
    handle: StateHandle,
    source: Chunks<'static>,
    digest: Sha256,
    length: u64,
    /// The newest piece, kept back: it may be the last.
    held: Option<Bytes>,
}

impl Verifying {
    /// The next piece that may be handed over.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let mut empty = 0;
        while let Some(chunk) = self.source.next().await {
            let chunk = chunk?;
            empty = if chunk.is_empty() { empty + 1 } else { 0 };
            if empty > EMPTY_MAX {
                break;
            }
            if chunk.is_empty() {
                continue;
            }
            self.digest.update(&chunk);
            self.length += chunk.len() as u64;
            if self.length > self.handle.length {
                return Err(self.handle.corrupt(format!("more than the {} bytes written", self.handle.length)));
            }
            if let Some(before) = self.held.replace(chunk) {
                return Ok(Some(before));
            }
        }
        if self.length != self.handle.length {
            let why = format!("it ends after {} bytes, {} were written", self.length, self.handle.length);
            return Err(self.handle.corrupt(why));
        }
        let found = handle::hex_of(&std::mem::take(&mut self.digest).finalize());
        if found != self.handle.sha256 {
            return Err(self
                .handle
                .corrupt(format!("SHA-256 {found}, {} was written", excerpt(&self.handle.sha256, 64))));
        }
        Ok(self.held.take())
    }
}

fn verified(handle: StateHandle, source: Chunks<'static>) -> Chunks<'static> {
    let state = Verifying { handle, source, digest: Sha256::new(), length: 0, held: None };
    stream::try_unfold(Some(state), async |state| {
        let Some(mut state) = state else { return Ok(None) };
        let chunk = state.next().await?;
        // After the last piece the source must not be asked again, nor the checksum be compared.
        Ok(chunk.map(|chunk| (chunk, state.held.is_some().then_some(state))))
    })
    .boxed()
}
