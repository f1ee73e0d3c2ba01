use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, PutMode, PutOptions, PutPayload};

use super::options::Limits;
use super::{Origin, StateHandle, StateStorage, failure, handle};
use crate::backend::Name;
use crate::{Error, ErrorKind};

/// How many names are tried before a collision is taken for a broken storage.
const NAME_TRIES: usize = 4;
/// Before the second attempt; it doubles up to the most.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// What became of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Created {
    /// The state stands under it.
    Ours,
    /// Something else does, or something of which it cannot be said.
    Taken,
}

impl StateStorage {
    /// Writes state under a new name in the folder, durably, and says where.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] or [`ErrorKind::Denied`]: full, read-only, unreachable, no such bucket. There may be
    /// an orphan; there is no handle to it.
    ///
    /// # Cancel safety
    /// After a drop there may be an orphan.
    pub async fn write(&self, folder: &[Name], bytes: Bytes) -> Result<StateHandle, Error> {
        self.write_as(&Origin::Unknown, folder, bytes).await
    }

    /// As [`StateStorage::write`], under a name that tells who may collect the state.
    pub(crate) async fn write_as(&self, origin: &Origin, folder: &[Name], bytes: Bytes) -> Result<StateHandle, Error> {
        if let Some(limits) = self.network.as_ref().map(|network| network.limits)
            && bytes.len() > limits.part_bytes
        {
            let began = self.seam.now();
            let written = self.write_chunks_as(origin, folder, super::chunks_of(bytes.clone())).await;
            return match written {
                // A store that died may have forgotten the upload. We have all of it still, and begin anew, once.
                Err(error) if self.seam.now().since(began) < limits.retry => {
                    tracing::debug!(%error, "a large state is written anew");
                    self.write_chunks_as(origin, folder, super::chunks_of(bytes)).await
                }
                written => written,
            };
        }
        let (length, sha256) = (bytes.len() as u64, handle::sha256_of(&bytes));
        self.write_whole(origin, folder, bytes.into(), length, sha256).await
    }

    /// Writes with one request what is small enough for it.
    pub(super) async fn write_whole(
        &self,
        origin: &Origin,
        folder: &[Name],
        payload: PutPayload,
        length: u64,
        sha256: String,
    ) -> Result<StateHandle, Error> {
        for _ in 0..NAME_TRIES {
            let (path, uri) = self.new_path(origin, folder);
            let handle = StateHandle { uri, length, sha256: sha256.clone() };
            let created = match &self.network {
                None => self.create_once(&path, payload.clone()).await?,
                Some(network) => {
                    let created = self.create_until_known(network.limits, &path, &handle, &payload);
                    self.bounded("write state", &path, created).await?
                }
            };
            if created == Created::Ours {
                return Ok(handle);
            }
        }
        Err(Error::new(ErrorKind::Storage, "write state")
            .at(&self.base)
            .because(format!("{NAME_TRIES} random names were all taken: is the random source broken?")))
    }

    async fn create_once(&self, path: &Path, payload: PutPayload) -> Result<Created, Error> {
        match self.creates.put_opts(path, payload, if_absent()).await {
            Ok(_) => Ok(Created::Ours),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(Created::Taken),
            Err(error) => Err(self.failed("write state", path, error)),
        }
    }

    /// Sends the same bytes under the same name until it is known that they stand there, or that something else does.
    async fn create_until_known(
        &self,
        limits: Limits,
        path: &Path,
        handle: &StateHandle,
        payload: &PutPayload,
    ) -> Result<Created, Error> {
        let until = self.seam.now() + limits.retry;
        let (mut pause, mut may_be_ours) = (PAUSE, false);
        loop {
            let error = match self.creates.put_opts(path, payload.clone(), if_absent()).await {
                Ok(_) => return Ok(Created::Ours),
                // Not applied, whatever became of the attempts before.
                Err(error) if failure::is_conflict_of_requests(&error) => {
                    if self.seam.now() + pause > until {
                        return Err(self.failed("write state", path, error));
                    }
                    self.seam.sleep(self.seam.jittered(pause)).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                    continue;
                }
                // Nobody but us was given this name; so whatever is there, a new name costs nothing.
                Err(object_store::Error::AlreadyExists { .. }) if !may_be_ours => return Ok(Created::Taken),
                // Race: an earlier attempt was applied, and its answer lost; this one finds its own state.
                // Closed by: reading what is there. The very same bytes are what the handle promises; others stay
                //            untouched, and the state gets another name.
                // Cost if missed: a failure reported for a state that stands (an orphan), or a handle to foreign bytes.
                Err(error @ object_store::Error::AlreadyExists { .. }) => match self.read(handle).await {
                    Ok(_) => return Ok(Created::Ours),
                    Err(read) if read.kind() == ErrorKind::Corrupt => return Ok(Created::Taken),
                    // A store may answer so, too, while the earlier attempt is still under way.
                    Err(read) if read.kind() == ErrorKind::StateMissing => error,
                    Err(read) => return Err(self.unknown(path, &read)),
                },
                Err(error) => error,
            };
            if failure::is_final(&error) || self.seam.now() + pause > until {
                return Err(self.failed("write state", path, error));
            }
            may_be_ours = true;
            tracing::debug!(%path, error = %self.cause(&error), ?pause, "a write of state is tried again");
            self.seam.sleep(self.seam.jittered(pause)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    fn unknown(&self, path: &Path, read: &Error) -> Error {
        Error::new(ErrorKind::Storage, "write state")
            .at(self.shown(path))
            .because("whether it was written could not be found out; there may be an orphan")
            .caused_by(read.clone())
    }
}

fn if_absent() -> PutOptions {
    PutOptions { mode: PutMode::Create, ..PutOptions::default() }
}
