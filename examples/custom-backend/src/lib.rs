//! A backend of one's own, complete and small: the contract of [`ha_core::backend`] on [`redb`], an
//! embedded database in one file. `docs/write-a-backend.md` walks through these files.
//!
//! * Durable: what was acknowledged is on the disk (one fsync), together with everything that was
//!   waiting at that moment.
//! * Any number of handles *within one process*. redb lets one process open a file; a second one is
//!   refused. So this backend suits services that share a process and want to survive its restart.
//! * Crash-only: closing the file does nothing that opening it would not do after a crash.
//! * A restart keeps keys, revisions and epochs, and ends all sessions: nobody leads afterwards, and
//!   whoever led before is fenced.
//!
//! ```
//! use custom_backend::RedbStore;
//! use ha_core::backend::{Backend, Key};
//! use ha_core::seam::Seam;
//!
//! # let directory = tempfile::tempdir().unwrap();
//! # let path = directory.path().join("ha.redb");
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let store = RedbStore::open(&path, Seam::system())?;
//! let (one, other) = (store.connect(), store.connect()); // as two processes would have them
//! assert_eq!(one.read(&Key::new("a/key")?).await?, other.read(&Key::new("a/key")?).await?);
//! store.close().await?;
//! # Ok::<(), ha_core::Error>(()) }).unwrap();
//! ```

mod commit;
mod core;
#[cfg(test)]
mod disk_tests;
mod handle;
mod hooks;
mod latch;
mod news;
mod session;
mod sessions;
mod tables;
mod writer;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use ha_core::seam::Seam;
use ha_core::{Error, ErrorKind};

pub use handle::RedbBackend;

use crate::core::Core;
use crate::writer::Writer;

/// A store in one file. Clones are the same store.
#[derive(Clone)]
pub struct RedbStore {
    core: Arc<Core>,
    writer: Writer,
}

impl RedbStore {
    /// Opens the file, or creates it. Whoever led when it was last closed, or crashed, is fenced from
    /// now on. Blocks while the file is read, and after a crash while redb repairs it.
    ///
    /// # Errors
    /// [`Unavailable`](ha_core::ErrorKind::Unavailable): the file cannot be opened, or another store has it open.
    pub fn open(path: impl AsRef<Path>, seam: Seam) -> Result<Self, Error> {
        let core = Arc::new(Core::open(path.as_ref(), seam)?);
        Ok(Self { writer: Writer::start(&core)?, core })
    }

    /// A handle on the store, as one process has it.
    #[must_use]
    pub fn connect(&self) -> RedbBackend {
        RedbBackend::new(self.clone())
    }

    /// Ends all sessions and closes the file, so that it can be opened again. Calls on handles of
    /// this store then fail as closed. A second call does nothing.
    ///
    /// # Errors
    /// The disk failed. The file is closed all the same, and what was acknowledged is in it.
    ///
    /// # Cancel safety
    /// Call again to go on.
    pub async fn close(&self) -> Result<(), Error> {
        // What was asked for before is done first, so that little is left to wait for below.
        let done = self.writer.write("close", |_| Ok(())).await;
        // The latches stay held in the file: opening frees them, as it must after a crash.
        self.core.sessions().end_all();
        self.core.close();
        match done {
            // It was closed before.
            Err(error) if error.kind() == ErrorKind::Closed => Ok(()),
            done => done,
        }
    }
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore").field("core", &self.core).finish_non_exhaustive()
    }
}
