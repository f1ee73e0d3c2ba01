//! Backend handles in processes of their own: the suites, with nothing shared but the store.
//!
//! A [`Hosted`] is a backend as any other. Each of its calls is made by a child process, the *host*, on the one
//! handle that this process has opened with [`host`]; so everything that a process has of its own, its locks, its
//! memory, its threads, its death, is there once for each handle, while the case that uses the handles stays one
//! function. What is forwarded is the handle as it is: a refusal, a deadline and an error are the host's.
//!
//! ```standalone_crate
//! use std::sync::Arc;
//! use ha_core::backend::{Backend, Key};
//! use ha_core::journal::{JournalBackend, JournalOptions};
//! use ha_core::seam::Seam;
//! use ha_testkit::hosted::{Hooked, Hosted, host};
//! use ha_testkit::journal::MemoryJournal; // stands for a device that processes share
//! use ha_testkit::process::role;
//!
//! fn main() {
//!     role("a host", |_: (), stage| async move {
//!         let seam = stage.seam().clone();
//!         host(stage, async {
//!             let device = MemoryJournal::new(seam.clone()).handle();
//!             let handle = JournalBackend::open(device, seam.clone(), JournalOptions::default()).await?;
//!             Ok(handle as Arc<dyn Hooked>)
//!         })
//!         .await;
//!     });
//!
//!     // The test itself.
//!     ha_testkit::run::block_on(async {
//!         let hosted = Hosted::spawn(Seam::system(), "a host", &()).await.unwrap();
//!         assert_eq!(hosted.read(&Key::new("k").unwrap()).await.unwrap(), None);
//!         hosted.kill();
//!         assert!(hosted.read(&Key::new("k").unwrap()).await.is_err());
//!     });
//! }
//! ```
//!
//! # The protocol
//! One connection on the loopback address carries everything, in frames of a length and JSON. Calls are numbered and
//! are begun by the host in the order in which they were made; their answers come as they are ready. A future that is
//! dropped here is dropped there. Before each answer the host tells what has changed of its sessions, so that nobody
//! who has an answer sees a deadline from before it; in between it looks, the more often the nearer the deadline is. A
//! deadline is a moment of the clock that all processes of a machine share, and one that comes late is only shorter
//! than the true one.
//!
//! # A hundred of them
//! A host at rest does next to nothing, so that a case with a hundred handles is one that a small machine bears: one
//! thread is enough for it ([`role_on_one_thread`](crate::process::role_on_one_thread)), it looks at a session a few
//! times in a second, and it ends with its handle, or when its parent is gone.

mod client;
mod host;
mod line;
mod message;
mod running;
mod session;

use ha_core::Error;
use ha_core::backend::Backend;
use ha_core::journal::JournalBackend;

pub use client::Hosted;
pub use host::host;

/// A handle with the hooks that only its own process can reach.
pub trait Hooked: Backend {
    /// Keeps everything that a session of this handle wants from the store, renewals above all, or lets it through
    /// again.
    ///
    /// # Errors
    /// [`NotFound`](ha_core::ErrorKind::NotFound): no session of this handle that lives.
    fn freeze(&self, session: &str, frozen: bool) -> Result<(), Error>;

    /// How many calls of [`changed`](Backend::changed) wait on this handle.
    fn waiting(&self) -> usize;
}

impl Hooked for JournalBackend {
    fn freeze(&self, session: &str, frozen: bool) -> Result<(), Error> {
        Self::freeze(self, session, frozen)
    }

    fn waiting(&self) -> usize {
        Self::waiting(self)
    }
}
