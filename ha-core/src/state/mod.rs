//! State storage: where the bytes live that are too large for a backend.
//!
//! A backend holds a [`StateHandle`] (where, how long, which checksum), the state storage holds
//! the bytes. The state is written and made durable first, the handle second: **a handle in the
//! backend implies that its state exists**; state without a handle is an orphan, and harmless.

mod chunks;
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
mod cloud;
mod failure;
mod folders;
mod handle;
mod keys;
mod modified;
mod open;
mod options;
mod origin;
mod parts;
mod read;
mod sweep;
mod upload;
mod write;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use object_store::ObjectStore;
use object_store::path::Path;

use crate::backend::{Name, Prefix};
use crate::seam::Seam;
use crate::{Error, ErrorKind};
use options::Limits;

pub use chunks::{Chunks, chunks_from_reader, chunks_of};
pub use handle::StateHandle;
pub use keys::{STORAGE_KEYS, StorageKey};
pub use options::StorageOptions;
pub(crate) use origin::{Origin, Tag};
pub(crate) use sweep::{Candidate, name_in};

/// A place that state is written to and read from, by URL. Clones are the same place.
///
/// Every state gets a name of its own and is never overwritten. On `file://` a write is durable
/// when it returns: file, directory entry, and every directory made on the way are fsynced. On an object store it is
/// durable when the store has acknowledged it.
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
    /// The same store for what must not exist yet. Its client sends a request once and never again by itself, so that
    /// "already exists" says something.
    creates: Arc<dyn ObjectStore>,
    /// Ends with a slash; without credentials.
    base: Arc<str>,
    /// Where in the object store the base lies: empty, or ending with a slash.
    below: Arc<str>,
    /// The directory of the object store, if it is one.
    directory: Option<Arc<std::path::Path>>,
    /// What holds for a store that is reached over a network.
    network: Option<Arc<Network>>,
    /// Stands in the names of states of one cluster; empty outside of a cluster.
    place: Arc<str>,
    seam: Seam,
}

/// A store that may be slow, gone, or answer something else than was asked.
struct Network {
    limits: Limits,
    /// How errors call what the states lie in; empty if they have no word for it.
    bucket: String,
    /// What no error may show.
    secrets: Vec<String>,
}

impl StateStorage {
    /// A place on an object store of your own. `base` is how handles name it: a URL without
    /// credentials that ends with a slash. Each operation is attempted once, and takes as long as the store takes.
    #[must_use]
    pub fn over(store: Arc<dyn ObjectStore>, base: &str, seam: Seam) -> Self {
        Self {
            creates: Arc::clone(&store),
            store,
            base: base.into(),
            below: "".into(),
            directory: None,
            network: None,
            place: "".into(),
            seam,
        }
    }

    /// As [`StateStorage::over`], of a store that is reached over a network: writes are tried again, large states go in
    /// parts, and every operation ends within the options' limits. The store tries again itself what changes nothing;
    /// it **must not re-send a conditional create** (`PutMode::Create`), or an orphan is left where its answer was lost.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`]: the options; see [`StorageOptions::check`].
    pub fn over_network(
        store: Arc<dyn ObjectStore>,
        base: &str,
        options: &StorageOptions,
        seam: Seam,
    ) -> Result<Self, Error> {
        options.check()?;
        let network = Network { limits: Limits::of(options)?, bucket: String::new(), secrets: options.secrets() };
        Ok(Self { network: Some(Arc::new(network)), ..Self::over(store, base, seam) })
    }

    /// The same place, behind something of your own: what counts or delays each call, or lets it go wrong on purpose.
    /// It is asked twice, for the two clients of one store: one that tries again itself, and one that never does.
    #[must_use]
    pub fn behind(self, wrap: impl Fn(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore>) -> Self {
        Self { store: wrap(self.store), creates: wrap(self.creates), ..self }
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

    /// Waits for what a store over a network does, at most as long as one operation may take. Whoever holds a lock
    /// meanwhile holds it no longer than that for each state.
    async fn bounded<T>(
        &self,
        operation: &'static str,
        path: &Path,
        work: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<T, Error> {
        let Some(network) = &self.network else { return work.await };
        let at_most = network.limits.operation();
        self.seam.timeout(at_most, work).await.unwrap_or_else(|| {
            Err(Error::new(ErrorKind::Storage, operation)
                .at(self.shown(path))
                .because(format!("the store gave no answer within {at_most:?}: is it overloaded, or cut off?")))
        })
    }
}

/// Does it as a task, which goes on while nobody looks: a request that is not polled is one that the store gives up.
/// Dropping what is answered ends it; `None`: the runtime has ended.
fn driven<T: Send + 'static>(
    seam: &Seam,
    work: impl Future<Output = T> + Send + 'static,
) -> BoxFuture<'static, Option<T>> {
    let (answer, answered) = tokio::sync::oneshot::channel();
    let task = seam.spawn(async move {
        // Whoever wanted it may have gone meanwhile.
        let _ = answer.send(work.await);
    });
    Box::pin(async move {
        let _task = task;
        answered.await.ok()
    })
}

impl fmt::Debug for StateStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The object store itself may hold credentials.
        f.debug_struct("StateStorage").field("base", &self.base).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
