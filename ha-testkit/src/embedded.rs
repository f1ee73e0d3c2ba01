use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use ha_core::Error;
use ha_core::backend::{Backend, Key, Prefix};
use ha_core::seam::Seam;
use ha_core::wrap::{Chroot, Metered, Traced};
use ha_embedded::Embedded;

use crate::factory::{BackendFactory, Missing, Store};

/// What stands between the suite and the embedded backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrap {
    Nothing,
    Chroot,
    Traced,
    Metered,
}

/// The in-process backend as the suites see it, bare or under one of the library's wrappers.
#[derive(Debug, Clone)]
pub struct EmbeddedFactory {
    wrap: Wrap,
}

impl EmbeddedFactory {
    /// The bare backend.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a factory is chosen, not defaulted")]
    pub fn new() -> Self {
        Self { wrap: Wrap::Nothing }
    }

    /// The backend below a prefix that nobody sees.
    #[must_use]
    pub fn chrooted() -> Self {
        Self { wrap: Wrap::Chroot }
    }

    /// The backend with every call traced.
    #[must_use]
    pub fn traced() -> Self {
        Self { wrap: Wrap::Traced }
    }

    /// The backend with every call counted and timed.
    #[must_use]
    pub fn metered() -> Self {
        Self { wrap: Wrap::Metered }
    }
}

#[async_trait]
impl BackendFactory for EmbeddedFactory {
    async fn open(&self) -> Result<Arc<dyn Store>, Missing> {
        let seam = Seam::system();
        Ok(Arc::new(EmbeddedStore { embedded: Embedded::new(seam.clone()), seam, wrap: self.wrap }))
    }
}

struct EmbeddedStore {
    embedded: Embedded,
    seam: Seam,
    wrap: Wrap,
}

impl EmbeddedStore {
    fn chroot() -> Prefix {
        Prefix::new("a/place/nobody-sees").expect("a valid prefix")
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    fn seam(&self) -> Seam {
        self.seam.clone()
    }

    async fn connect(&self) -> Result<Arc<dyn Backend>, Error> {
        let bare: Arc<dyn Backend> = Arc::new(self.embedded.connect());
        Ok(match self.wrap {
            Wrap::Nothing => bare,
            Wrap::Chroot => Arc::new(Chroot::new(bare, Self::chroot())),
            Wrap::Traced => Arc::new(Traced::new(bare)),
            Wrap::Metered => Arc::new(Metered::new(bare, self.seam.clone())),
        })
    }

    async fn expire(&self, session: &str) {
        self.embedded.expire(session).expect("a living session");
    }

    async fn revoke(&self, session: &str) {
        self.embedded.revoke(session).expect("a living session");
    }

    async fn freeze(&self, session: &str) {
        self.embedded.freeze(session).expect("a living session");
    }

    async fn heal(&self, session: &str) {
        self.embedded.heal(session).expect("a living session");
    }

    async fn tamper(&self, key: &Key, value: Option<Bytes>) {
        let outer = match self.wrap {
            Wrap::Chroot => Key::new(format!("{}{key}", Self::chroot().as_str())).expect("a valid key"),
            _ => key.clone(),
        };
        self.embedded.tamper(&outer, value);
    }

    fn waiting(&self) -> usize {
        self.embedded.waiting()
    }
}
