//! Backends that are broken on purpose, to prove that the suite notices.
//!
//! A small model of a store, written for this purpose alone, carries one [`Defect`] at a time.
//! With [`Defect::None`] it passes the whole suite; with any other the case that is meant to catch
//! that defect must fail, and fail by its own assertion. `cargo test -p ha-testkit mutants` shows
//! each.

mod breach;
pub(crate) mod model;
mod session;
mod state;

use ha_core::Error;
use ha_core::backend::{Backend, Key, Prefix};
use ha_core::seam::Seam;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::factory::{BackendFactory, Capability, Missing, Store};
use model::{Handle, Shared};

/// An enumeration whose members can be gone through.
macro_rules! defects {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What is broken.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Defect {
            $($(#[$doc])* $name,)*
        }

        impl Defect {
            /// All of them, [`Defect::None`] first.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

defects! {
    /// Nothing: the model keeps the contract.
    None,
    /// Guards are not looked at.
    FenceIgnored,
    /// The guard is looked at, and then, in a step of its own, the write is applied.
    FenceBeforeTheWrite,
    /// A conflict is reported although the guard is broken as well.
    ConflictOutranksFenced,
    /// Revisions count per key and start anew when the key is created again.
    RevisionReused,
    /// A release takes the epoch with it.
    EpochRestartsAfterRelease,
    /// The epoch lives in its visible key alone.
    EpochRestartsAfterKeyRemoval,
    /// The writes of one commit are applied one after another, for all to see.
    CommitNotAtomic,
    /// Writing the bytes that are there already is taken for no write.
    IdenticalWriteSwallowed,
    /// The client sends a commit once more when the next one is sent.
    AppliedTwice,
    /// Removals wake nobody.
    WakeUpLost,
    /// Prefixes are compared without their last slash.
    PrefixWithoutSeparator,
    /// The separation of clusters lets everything through.
    AnotherClusterVisible,
    /// The deadline of a session is counted from the answer to its renewal.
    DeadlineFromTheAnswer,
    /// A take-over names a term, and ends whichever stands there.
    TakeOverOfAnyTerm,
    /// Anybody can release a latch.
    ReleaseByAnybody,
    /// A session that has lost a latch can take it again.
    LatchTakenAgain,
    /// An edit of the latch's key by a foreigner goes unnoticed.
    ForeignEditIgnored,
}

/// What the model's fixture can do; the declaration for tests over it.
pub const CAN: &[Capability] = &[
    Capability::Expire,
    Capability::Revoke,
    Capability::Freeze,
    Capability::SlowAnswers,
    Capability::Tamper,
    Capability::LinearizableReads,
    Capability::FreeOnDrop,
];

/// Makes models with one defect.
#[derive(Debug, Clone, Copy)]
pub struct ModelFactory {
    defect: Defect,
}

impl ModelFactory {
    /// Models with that defect.
    #[must_use]
    pub fn new(defect: Defect) -> Self {
        Self { defect }
    }
}

#[async_trait]
impl BackendFactory for ModelFactory {
    async fn open(&self) -> Result<Arc<dyn Store>, Missing> {
        let seam = Seam::system();
        Ok(Arc::new(ModelStore { shared: Shared::new(seam, self.defect) }))
    }
}

struct ModelStore {
    shared: Arc<Shared>,
}

#[async_trait]
impl Store for ModelStore {
    fn seam(&self) -> Seam {
        self.shared.seam.clone()
    }

    async fn connect(&self) -> Result<Arc<dyn Backend>, Error> {
        Ok(Arc::new(Handle::new(&self.shared)))
    }

    async fn connect_in(&self, cluster: &Prefix) -> Result<Arc<dyn Backend>, Error> {
        let inner = self.connect().await?;
        if self.shared.defect == Defect::AnotherClusterVisible {
            return Ok(Arc::new(breach::Breach::new(inner)));
        }
        Ok(Arc::new(ha_core::wrap::Chroot::new(inner, cluster.clone())))
    }

    fn patience(&self) -> Duration {
        // The defect that shows itself as silence is waited for to the end. None of the others is found in this way, and
        // a machine that is slow must not be taken for it.
        Duration::from_secs(if self.shared.defect == Defect::WakeUpLost { 3 } else { 40 })
    }

    async fn expire(&self, session: &str) {
        self.shared.end(session, ha_core::backend::Ended::Expired);
    }

    async fn revoke(&self, session: &str) {
        self.shared.end(session, ha_core::backend::Ended::Revoked);
    }

    async fn freeze(&self, session: &str) {
        self.shared.set_frozen(session, Some(()));
    }

    async fn heal(&self, session: &str) {
        self.shared.set_frozen(session, None);
    }

    async fn slow_answers(&self, by: Duration) {
        self.shared.slow_answers(by);
    }

    async fn tamper(&self, key: &Key, value: Option<Bytes>) {
        self.shared.tamper(key, value);
    }
}
