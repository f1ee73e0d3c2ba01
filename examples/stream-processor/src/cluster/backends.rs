//! The backends that leaders can be elected on, by name.
//!
//! The program knows those of the library; whoever links this crate adds more, as its tests do.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use ha::backend::Backend;
use ha::seam::Seam;
use ha::{BackendSettings, Error, ErrorKind, Store};

/// Who can see what is written to a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// This process alone.
    OneProcess,
    /// Every process that opens it in the same way.
    Processes,
}

/// What a process says about itself and the backend that it wants.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Where the backend is reached, in the backend's own words; empty if it was not said.
    pub endpoint: String,
    /// The backend's own settings beyond that.
    pub settings: BackendSettings,
    /// Who opens it, for people.
    pub label: String,
    /// Whether a crash is to be acted on at once, by evidence of the backend's own; else after a silence.
    pub evidence: bool,
    /// Time.
    pub seam: Seam,
}

/// A handle that is being opened.
pub type Opening = Pin<Box<dyn Future<Output = Result<Arc<dyn Backend>, Error>> + Send>>;

type Open = Arc<dyn Fn(Wanted) -> Opening + Send + Sync>;

/// Backends by name.
#[derive(Clone, Default)]
pub struct Backends {
    known: BTreeMap<String, (Sharing, Open)>,
}

impl Backends {
    /// Those that the library was compiled with.
    #[must_use]
    pub fn compiled_in() -> Self {
        let mut backends = Self::default();
        for name in Store::compiled_in() {
            let sharing = sharing_of(name);
            // One store for all handles of this process: with `embedded` it is what its members share.
            let store = Arc::new(OnceLock::<Store>::new());
            backends.add(name, sharing, move |wanted: Wanted| {
                let store = Arc::clone(&store);
                async move {
                    let opened = match (sharing, store.get()) {
                        (Sharing::Processes, _) => reached(name, &wanted)?,
                        (Sharing::OneProcess, Some(store)) => store.clone(),
                        (Sharing::OneProcess, None) => {
                            let opened = reached(name, &wanted)?;
                            store.get_or_init(|| opened).clone()
                        }
                    };
                    opened.connect().await
                }
            });
        }
        backends
    }

    /// Adds a backend, or replaces the one of that name.
    pub fn add<F, O>(&mut self, name: &str, sharing: Sharing, open: O)
    where
        O: Fn(Wanted) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Arc<dyn Backend>, Error>> + Send + 'static,
    {
        let open: Open = Arc::new(move |wanted| Box::pin(open(wanted)));
        self.known.insert(name.to_owned(), (sharing, open));
    }

    /// Who can see what is written to that backend.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`], [`ErrorKind::Unsupported`]: there is no such backend, or not in this build.
    pub fn sharing(&self, name: &str) -> Result<Sharing, Error> {
        self.find(name).map(|(sharing, _)| *sharing)
    }

    /// Opens a handle of its own.
    ///
    /// # Errors
    /// As [`Self::sharing`], and whatever the backend says.
    pub async fn open(&self, name: &str, wanted: Wanted) -> Result<Arc<dyn Backend>, Error> {
        let (_, open) = self.find(name)?;
        open(wanted).await
    }

    fn find(&self, name: &str) -> Result<&(Sharing, Open), Error> {
        if let Some(found) = self.known.get(name) {
            return Ok(found);
        }
        // The library knows which feature would bring it in.
        match Store::open(name, &Seam::system()) {
            Err(error) if error.kind() == ErrorKind::Unsupported => Err(error),
            _ => {
                let names: Vec<&str> = self.known.keys().map(String::as_str).collect();
                let why = format!("no such backend; there is: {}", names.join(", "));
                Err(Error::new(ErrorKind::Invalid, "open backend").at(format!("{name:.40?}")).because(why))
            }
        }
    }
}

/// The store of that name, where it is wanted, else where it is by default.
fn reached(name: &str, wanted: &Wanted) -> Result<Store, Error> {
    let mut settings = wanted.settings.clone();
    if !wanted.endpoint.is_empty() {
        settings = settings.with(endpoint_setting(name), wanted.endpoint.as_str());
    }
    if name == "filesystem" && !wanted.evidence {
        settings = settings.with("ignore-locks", "true");
    }
    Store::open_with(name, settings, &wanted.seam)
}

/// What the backend calls the setting that says where it is.
fn endpoint_setting(name: &str) -> &'static str {
    if name == "filesystem" { "directory" } else { "address" }
}

/// Every backend but the embedded one is there to be shared.
fn sharing_of(name: &str) -> Sharing {
    if name == "embedded" { Sharing::OneProcess } else { Sharing::Processes }
}

impl fmt::Debug for Backends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.known.keys()).finish()
    }
}
