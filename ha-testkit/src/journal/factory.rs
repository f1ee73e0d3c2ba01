use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ha_core::backend::Backend;
use ha_core::journal::{JournalBackend, JournalOptions};
use ha_core::seam::Seam;
use ha_core::{Error, ErrorKind};

use super::{MemoryHandle, MemoryJournal};
use crate::factory::{BackendFactory, Missing, Store};

/// What kind of journal the suites run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Monotonic,
    Witness,
}

/// The journal backend over a device in memory, as the suites see it.
#[derive(Debug, Clone)]
pub struct JournalFactory {
    kind: Kind,
    options: JournalOptions,
}

impl JournalFactory {
    /// With the options that are the default.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a factory is chosen, not defaulted")]
    pub fn new() -> Self {
        Self { kind: Kind::Plain, options: JournalOptions::default() }
    }

    /// With a snapshot and a sweep after every eight entries.
    #[must_use]
    pub fn always_sweeping() -> Self {
        Self { kind: Kind::Plain, options: JournalOptions::default().with_points(8, 1 << 20) }
    }

    /// On a device that may not show what others wrote. Each read is an entry there: with a point after eight of them,
    /// a thread that is not scheduled for a moment finds its number swept, and its outcome unknown.
    #[must_use]
    pub fn with_monotonic_reads() -> Self {
        Self { kind: Kind::Monotonic, options: JournalOptions::default().with_points(64, 1 << 20) }
    }

    /// On a device that sees processes ending.
    #[must_use]
    pub fn with_witness() -> Self {
        Self { kind: Kind::Witness, ..Self::always_sweeping() }
    }
}

#[async_trait]
impl BackendFactory for JournalFactory {
    async fn open(&self) -> Result<Arc<dyn Store>, Missing> {
        let seam = Seam::system();
        let journal = match self.kind {
            Kind::Plain => MemoryJournal::new(seam.clone()),
            Kind::Monotonic => MemoryJournal::with_monotonic_reads(seam.clone()),
            Kind::Witness => MemoryJournal::with_witness(seam.clone()),
        };
        let (options, connected) = (self.options, Mutex::default());
        Ok(Arc::new(JournalStore { journal, seam, options, connected }))
    }
}

struct JournalStore {
    journal: MemoryJournal,
    seam: Seam,
    options: JournalOptions,
    connected: Mutex<Connected>,
}

/// Every handle that was given out. They are held weakly: a handle that is dropped must end as one.
#[derive(Default)]
struct Connected {
    handles: Vec<(std::sync::Weak<JournalBackend>, Arc<MemoryHandle>)>,
    slow: Duration,
}

impl JournalStore {
    fn connected(&self) -> MutexGuard<'_, Connected> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn backends(&self) -> Vec<Arc<JournalBackend>> {
        self.connected().handles.iter().filter_map(|(backend, _)| backend.upgrade()).collect()
    }

    /// Another process, which an operator's tools run in.
    async fn operator(&self) -> Arc<JournalBackend> {
        let opened = JournalBackend::open(self.journal.handle(), self.seam.clone(), self.options).await;
        opened.expect("a handle for the operator")
    }

    fn freeze_to(&self, session: &str, frozen: bool) {
        let known = self.backends().iter().any(|backend| backend.freeze(session, frozen).is_ok());
        assert!(known, "no living session {session}");
    }
}

/// A session that has won nothing stands in no list; it hears of its end all the same.
fn ended(result: Result<(), Error>) {
    match result {
        Err(error) if error.kind() != ErrorKind::NotFound => panic!("the session could not be ended: {error}"),
        _ => {}
    }
}

#[async_trait]
impl Store for JournalStore {
    fn seam(&self) -> Seam {
        self.seam.clone()
    }

    async fn connect(&self) -> Result<Arc<dyn Backend>, Error> {
        let device = self.journal.handle();
        device.faults().slow(Duration::ZERO, self.connected().slow);
        let shared: Arc<MemoryHandle> = Arc::clone(&device);
        let backend = JournalBackend::open(shared, self.seam.clone(), self.options).await?;
        self.connected().handles.push((Arc::downgrade(&backend), device));
        Ok(backend)
    }

    async fn expire(&self, session: &str) {
        let operator = self.operator().await;
        ended(operator.expire(session).await);
        operator.close().await.expect("closing");
    }

    async fn revoke(&self, session: &str) {
        let operator = self.operator().await;
        ended(operator.revoke(session).await);
        operator.close().await.expect("closing");
    }

    async fn freeze(&self, session: &str) {
        self.freeze_to(session, true);
    }

    async fn heal(&self, session: &str) {
        self.freeze_to(session, false);
    }

    async fn slow_answers(&self, by: Duration) {
        let mut connected = self.connected();
        connected.slow = by;
        connected.handles.iter().for_each(|(_, device)| device.faults().slow(Duration::ZERO, by));
    }

    // As if every process was killed: nothing of them reaches the device any more.
    async fn restart(&self) {
        let mut connected = self.connected();
        connected.handles.drain(..).for_each(|(_, device)| device.faults().cut_off(true));
    }

    fn waiting(&self) -> usize {
        self.backends().iter().map(|backend| backend.waiting()).sum()
    }
}
