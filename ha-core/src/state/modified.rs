//! When states were written.

use object_store::ObjectStoreExt;

use super::{StateHandle, StateStorage};
use crate::Error;

impl StateStorage {
    /// When that state was written, by the clock of the storage, in milliseconds since 1970. For people, and for telling
    /// whether the clocks agree.
    ///
    /// # Errors
    /// As [`StateStorage::read`].
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn modified_unix_ms(&self, handle: &StateHandle) -> Result<u64, Error> {
        let path = self.path_of(handle)?;
        let look = async { self.store.head(&path).await.map_err(|error| self.failed("look for state", &path, error)) };
        let meta = self.bounded("look for state", &path, look).await?;
        Ok(u64::try_from(meta.last_modified.timestamp_millis()).unwrap_or(0))
    }
}
