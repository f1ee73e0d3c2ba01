use std::pin::Pin;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, ReadBuf};

use super::{StateHandle, handle};
use crate::excerpt::excerpt;
use crate::{Error, ErrorKind};

/// State that comes in pieces, in order. An error ends it.
pub type Chunks<'a> = BoxStream<'a, Result<Bytes, Error>>;

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

pub(super) fn verified(handle: StateHandle, source: Chunks<'static>) -> Chunks<'static> {
    let state = Verifying { handle, source, digest: Sha256::new(), length: 0, held: None };
    stream::try_unfold(Some(state), async |state| {
        let Some(mut state) = state else { return Ok(None) };
        let chunk = state.next().await?;
        // After the last piece the source must not be asked again, nor the checksum be compared.
        Ok(chunk.map(|chunk| (chunk, state.held.is_some().then_some(state))))
    })
    .boxed()
}
