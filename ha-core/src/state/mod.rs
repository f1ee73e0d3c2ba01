//! State storage: where the bytes live that are too large for a backend.
//!
//! A backend holds a [`StateHandle`] (where, how long, which checksum), the state storage holds
//! the bytes. The state is written and made durable first, the handle second: **a handle in the
//! backend implies that its state exists**; state without a handle is an orphan, and harmless.

mod chunks;
mod handle;
mod modified;
mod origin;
mod sweep;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use url::Url;

use crate::backend::{Name, Prefix};
use crate::seam::Seam;
use crate::{Error, ErrorKind};

pub use chunks::{Chunks, chunks_from_reader, chunks_of};
pub use handle::StateHandle;
pub(crate) use origin::{Origin, Tag};
pub(crate) use sweep::{Candidate, name_in};

/// How many names are tried before a collision is taken for a broken storage.
const NAME_TRIES: usize = 4;

/// A place that state is written to and read from, by URL. Clones are the same place.
///
/// Every state gets a name of its own and is never overwritten. On `file://` a write is durable
/// when it returns: file, directory entry, and every directory made on the way are fsynced.
///
/// ```
/// # use ha_core::{seam::Seam, state::StateStorage, backend::Name};
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let storage = StateStorage::open("memory://", Seam::system()).unwrap();
/// let folder = [Name::new("completedCheckpoint").unwrap(), Name::new("job-1").unwrap()];
/// let handle = storage.write(&folder, "state bytes".into()).await.unwrap();
/// assert_eq!(storage.read(&handle).await.unwrap(), "state bytes");
/// # });
/// ```
#[derive(Clone)]
pub struct StateStorage {
    store: Arc<dyn ObjectStore>,
    /// Ends with a slash; without credentials.
    base: Arc<str>,
    /// Where in the object store the base lies: empty, or ending with a slash.
    below: Arc<str>,
    /// The directory of the object store, if it is one.
    directory: Option<Arc<std::path::Path>>,
    /// Stands in the names of states of one cluster; empty outside of a cluster.
    place: Arc<str>,
    seam: Seam,
}

impl StateStorage {
    /// Opens the place that the URL names.
    ///
    /// * `file:///absolute/directory`: made if it is absent.
    /// * `memory://`: in this process, gone with the last clone of this value.
    ///
    /// # Errors
    /// * [`ErrorKind::Invalid`]: no URL, or a relative directory.
    /// * [`ErrorKind::Unsupported`]: a scheme that this build does not know; the text lists those it knows.
    /// * [`ErrorKind::Storage`]: the directory cannot be made or opened.
    pub fn open(url: &str, seam: Seam) -> Result<Self, Error> {
        let failed = |kind| Error::new(kind, "open state storage").at(without_credentials(url));
        let parsed = Url::parse(url).map_err(|e| {
            failed(ErrorKind::Invalid).because("write file:///absolute/directory or memory://").caused_by(e)
        })?;
        match parsed.scheme() {
            "memory" => Ok(Self::over(Arc::new(InMemory::new()), "memory:///", seam)),
            "file" => {
                let directory = parsed.to_file_path().map_err(|()| {
                    failed(ErrorKind::Invalid).because("write file:///absolute/directory, without a host")
                })?;
                make_durably(&directory)
                    .map_err(|e| failed(ErrorKind::Storage).because("the directory cannot be made").caused_by(e))?;
                let store = LocalFileSystem::new_with_prefix(&directory)
                    .map_err(|e| failed(ErrorKind::Storage).caused_by(e))?
                    // Off by default there; without it an acknowledged pointer could outlive its state.
                    .with_fsync(true);
                let base = format!("{}/", parsed.as_str().trim_end_matches('/'));
                Ok(Self { directory: Some(directory.into()), ..Self::over(Arc::new(store), &base, seam) })
            }
            other => Err(failed(ErrorKind::Unsupported)
                .because(format!("no state storage for {other}://; there are file:// and memory://"))),
        }
    }

    /// A place on an object store of your own. `base` is how handles name it: a URL without
    /// credentials that ends with a slash.
    #[must_use]
    pub fn over(store: Arc<dyn ObjectStore>, base: &str, seam: Seam) -> Self {
        Self { store, base: base.into(), below: "".into(), directory: None, place: "".into(), seam }
    }

    /// The part of this place that belongs to one cluster: `<base>/<cluster id>/`. States that are written under a
    /// leadership carry its epoch in their names there, and `place`, a few digits that are another's for every
    /// other cluster, so that clusters that share a folder by mistake do not collect each other's states.
    pub(crate) fn of_cluster(&self, cluster: &Prefix, place: &str) -> Self {
        let base = format!("{}{cluster}", self.base).into();
        let below = format!("{}{cluster}", self.below).into();
        Self { base, below, place: place.into(), ..self.clone() }
    }

    /// The URL that handles of this place begin with.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Writes state under a new name in the folder, durably, and says where.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] or [`ErrorKind::Denied`]: full, read-only, unreachable. There may be
    /// an orphan; there is no handle to it.
    ///
    /// # Cancel safety
    /// After a drop there may be an orphan.
    pub async fn write(&self, folder: &[Name], bytes: Bytes) -> Result<StateHandle, Error> {
        self.write_as(&Origin::Unknown, folder, bytes).await
    }

    /// As [`StateStorage::write`], under a name that tells who may collect the state.
    pub(crate) async fn write_as(&self, origin: &Origin, folder: &[Name], bytes: Bytes) -> Result<StateHandle, Error> {
        let (length, sha256) = (bytes.len() as u64, handle::sha256_of(&bytes));
        let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let mut collision = None;
        for _ in 0..NAME_TRIES {
            let (path, uri) = self.new_path(origin, folder);
            match self.store.put_opts(&path, bytes.clone().into(), create.clone()).await {
                Ok(_) => return Ok(StateHandle { uri, length, sha256 }),
                Err(error @ object_store::Error::AlreadyExists { .. }) => collision = Some(error),
                Err(error) => return Err(self.failed("write state", path.as_ref(), error)),
            }
        }
        let error = Error::new(ErrorKind::Storage, "write state")
            .at(&self.base)
            .because(format!("{NAME_TRIES} random names were all taken: is the random source broken?"));
        Err(match collision {
            Some(collision) => error.caused_by(collision),
            None => error,
        })
    }

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
        let got = self.store.get(&path).await.map_err(|e| self.failed("read state", path.as_ref(), e))?;
        // Looked at first: bytes that are not ours may be far more than we would want to load.
        if got.meta.size != handle.length {
            return Err(handle.corrupt(format!("{} bytes, {} were written", got.meta.size, handle.length)));
        }
        let bytes = got.bytes().await.map_err(|e| self.failed("read state", path.as_ref(), e))?;
        handle.verify(&bytes)?;
        Ok(bytes)
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
        match self.store.delete(&path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed("discard state", path.as_ref(), error)),
        }
    }

    /// A path in the object store that nothing has, and the URL of what will be there.
    fn new_path(&self, origin: &Origin, folder: &[Name]) -> (Path, String) {
        let name = origin.name(&self.place, &self.seam.uuid().simple().to_string());
        let mut below = String::new();
        for part in folder {
            below.push_str(part.as_str());
            below.push('/');
        }
        // Names are characters that need no escape.
        let path = Path::from(format!("{}{below}{name}", self.below));
        (path, format!("{}{below}{name}", self.base))
    }

    fn path_of(&self, handle: &StateHandle) -> Result<Path, Error> {
        let invalid =
            |why: String| Error::new(ErrorKind::Invalid, "resolve state handle").at(handle.shown()).because(why);
        let Some(path) = handle.uri.strip_prefix(&*self.base) else {
            return Err(invalid(format!("it does not lie in {}: open the storage it was written to", self.base)));
        };
        // `Path::parse` refuses `.` and `..`, and forgives extra slashes; we forgive nothing, so that
        // a handle cannot lead out of the base and one state has one name.
        match Path::parse(path) {
            Ok(parsed) if parsed.as_ref() == path && !path.is_empty() => {
                Ok(Path::from(format!("{}{path}", self.below)))
            }
            Ok(_) => Err(invalid("not a path that this library writes".into())),
            Err(e) => Err(invalid("not a path that this library writes".into()).caused_by(e)),
        }
    }

    fn failed(&self, operation: &'static str, path: &str, error: object_store::Error) -> Error {
        use object_store::Error as Store;
        let (kind, why) = match &error {
            Store::NotFound { .. } => (ErrorKind::StateMissing, "nothing is there; was it removed by hand?"),
            Store::PermissionDenied { .. } | Store::Unauthenticated { .. } => {
                (ErrorKind::Denied, "correct the permissions of the state storage")
            }
            _ => (ErrorKind::Storage, "is it full, read-only or unreachable?"),
        };
        let path = path.strip_prefix(&*self.below).unwrap_or(path);
        Error::new(kind, operation).at(handle::shown(&format!("{}{path}", self.base))).because(why).caused_by(error)
    }
}

/// Makes a directory and those above it. Each new entry is fsynced, as those are that are made later.
fn make_durably(directory: &std::path::Path) -> std::io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let Some(parent) = directory.parent() else { return Ok(()) };
    make_durably(parent)?;
    match std::fs::create_dir(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
        // Made by another just now: it may not have fsynced it yet.
        _ => {}
    }
    std::fs::File::open(parent)?.sync_all()
}

impl fmt::Debug for StateStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The object store itself may hold credentials.
        f.debug_struct("StateStorage").field("base", &self.base).finish_non_exhaustive()
    }
}

/// The URL as it may be shown: what stands before an `@` is left out.
fn without_credentials(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests;
