use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::parts::expect_length;
use super::{Chunks, StateHandle, StateStorage, chunks};
use crate::{Error, ErrorKind};

impl StateStorage {
    /// Reads state and verifies length and checksum.
    ///
    /// # Errors
    /// * [`ErrorKind::StateMissing`]: nothing is there.
    /// * [`ErrorKind::Corrupt`]: something else is there.
    /// * [`ErrorKind::Invalid`]: the handle leads to another storage than this one.
    /// * [`ErrorKind::Storage`], [`ErrorKind::Denied`]: it could not be read; try again.
    ///
    /// Nothing is deleted in any of these cases.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn read(&self, handle: &StateHandle) -> Result<Bytes, Error> {
        let path = self.path_of(handle)?;
        let Some(limits) = self.limits_of_large(handle) else { return self.read_whole(handle, &path).await };
        let mut parts = chunks::verified(handle.clone(), self.parts(limits, handle, path).await?);
        let mut bytes = BytesMut::new();
        while let Some(part) = parts.next().await {
            bytes.extend_from_slice(&part?);
        }
        Ok(bytes.freeze())
    }

    /// With one request.
    async fn read_whole(&self, handle: &StateHandle, path: &Path) -> Result<Bytes, Error> {
        let read = async {
            let got = self.store.get(path).await.map_err(|e| self.failed("read state", path, e))?;
            // Looked at first: bytes that are not ours may be far more than we would want to load.
            expect_length(handle, got.meta.size)?;
            self.body(handle, path, got, handle.length).await
        };
        let bytes = self.bounded("read state", path, read).await?;
        handle.verify(&bytes)?;
        Ok(bytes)
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
        if let Some(limits) = self.limits_of_large(handle) {
            return Ok(chunks::verified(handle.clone(), self.parts(limits, handle, path).await?));
        }
        if self.network.is_some() {
            // Small, and nobody's pace but the store's decides how long its request takes.
            return Ok(chunks::chunks_of(self.read_whole(handle, &path).await?));
        }
        let storage = self.clone();
        let got = self.store.get(&path).await.map_err(|e| self.failed("read state", &path, e))?;
        expect_length(handle, got.meta.size)?;
        let source = got.into_stream().map(move |chunk| chunk.map_err(|e| storage.failed("read state", &path, e)));
        Ok(chunks::verified(handle.clone(), source.boxed()))
    }

    /// Set for states that are read in parts.
    fn limits_of_large(&self, handle: &StateHandle) -> Option<super::Limits> {
        let limits = self.network.as_ref()?.limits;
        (handle.length > limits.part_bytes as u64).then_some(limits)
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
        let look = async {
            match self.store.head(&path).await {
                Ok(meta) => Ok(meta.size == handle.length),
                Err(object_store::Error::NotFound { .. }) => Ok(false),
                Err(error) => Err(self.failed("look for state", &path, error)),
            }
        };
        self.bounded("look for state", &path, look).await
    }

    /// Deletes state. Success also if it is gone already.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`], [`ErrorKind::Denied`], [`ErrorKind::Invalid`]: the state is an orphan now.
    ///
    /// # Cancel safety
    /// After a drop the state may be deleted or not.
    pub async fn discard(&self, handle: &StateHandle) -> Result<(), Error> {
        let path = self.path_of(handle)?;
        self.delete("discard state", &path).await
    }

    /// Success also if it is gone already.
    pub(super) async fn delete(&self, operation: &'static str, path: &Path) -> Result<(), Error> {
        let delete = async {
            match self.store.delete(path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(self.failed(operation, path, error)),
            }
        };
        self.bounded(operation, path, delete).await
    }

    /// Whether exactly this state stands there, all of its bytes looked at; never more than a few parts are held.
    pub(super) async fn stands(&self, handle: &StateHandle) -> Result<bool, Error> {
        let read = async {
            let mut chunks = self.read_chunks(handle).await?;
            while let Some(chunk) = chunks.next().await {
                chunk?;
            }
            Ok::<_, Error>(())
        };
        match read.await {
            Ok(()) => Ok(true),
            Err(e) if matches!(e.kind(), ErrorKind::StateMissing | ErrorKind::Corrupt) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
