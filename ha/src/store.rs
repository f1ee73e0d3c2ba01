use std::fmt;
use std::sync::Arc;

use ha_core::backend::Backend;
use ha_core::seam::Seam;
use ha_core::{BackendConnector, BackendSettings, Error, ErrorKind, ServicesSetup};

/// All backends that this library has, and the cargo feature that brings each in.
const BACKENDS: [(&str, &str); 3] = [("consul", "consul"), ("embedded", "embedded"), ("filesystem", "filesystem")];

/// A store by name, from which each service gets a handle of its own.
///
/// This is the one line that changes when a service moves to another backend.
///
/// ```
/// # #[cfg(feature = "embedded")]
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use ha::{Store, seam::Seam};
/// let store = Store::open("embedded", &Seam::system())?;
/// let (one, other) = (store.connect().await?, store.connect().await?);
/// assert_eq!(one.profile().name, other.profile().name);
/// # Ok::<(), ha::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct Store {
    connector: Arc<dyn BackendConnector>,
    setup: ServicesSetup,
}

impl Store {
    /// Opens the store of that name with its default settings: `embedded` makes a new one in this process, `consul` is
    /// where the variables of Consul's own command line say (`CONSUL_HTTP_ADDR` and its like), else on this host;
    /// `filesystem` has no default, and [`open_with`](Self::open_with) takes its setting `directory`.
    ///
    /// Nothing is sent anywhere before [`connect`](Self::connect).
    ///
    /// # Errors
    /// * [`ErrorKind::Unsupported`]: the backend is known, and the text names the cargo feature that
    ///   brings it in.
    /// * [`ErrorKind::Invalid`]: there is no such backend; the text lists those there are.
    pub fn open(backend: &str, seam: &Seam) -> Result<Self, Error> {
        Self::open_with(backend, BackendSettings::default(), seam)
    }

    /// As [`open`](Self::open), with settings of the backend's own. Whether they fit is found out when connecting.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(backend: &str, settings: BackendSettings, seam: &Seam) -> Result<Self, Error> {
        let connector = connector(backend, seam).ok_or_else(|| unavailable(backend))?;
        Ok(Self { connector, setup: ServicesSetup::new(seam.clone()).with_settings(settings) })
    }

    /// A handle on the store, as one process has it.
    ///
    /// # Errors
    /// * [`ErrorKind::Invalid`]: a setting of the backend's own does not fit; the text names it.
    /// * [`ErrorKind::Unavailable`], [`ErrorKind::Denied`]: the store does not answer, or does not let us in.
    ///
    /// # Cancel safety
    /// Nothing remains of a dropped call.
    pub async fn connect(&self) -> Result<Arc<dyn Backend>, Error> {
        self.connector.connect_backend(&self.setup).await
    }

    /// The names that [`Store::open`] takes in this build.
    #[must_use]
    pub fn compiled_in() -> Vec<&'static str> {
        let mut names = Vec::new();
        if cfg!(feature = "consul") {
            names.push("consul");
        }
        if cfg!(feature = "embedded") {
            names.push("embedded");
        }
        if cfg!(feature = "filesystem") {
            names.push("filesystem");
        }
        names
    }
}

#[cfg_attr(not(feature = "embedded"), expect(unused_variables, reason = "no backend to hand the seam to"))]
fn connector(backend: &str, seam: &Seam) -> Option<Arc<dyn BackendConnector>> {
    match backend {
        #[cfg(feature = "consul")]
        "consul" => Some(Arc::new(ha_consul::ConsulConnector)),
        #[cfg(feature = "embedded")]
        "embedded" => Some(Arc::new(ha_embedded::Embedded::new(seam.clone()))),
        #[cfg(feature = "filesystem")]
        "filesystem" => Some(Arc::new(ha_filesystem::FilesystemConnector)),
        _ => None,
    }
}

/// Settings may be secret; the setup shows their names alone.
impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("connector", &self.connector)
            .field("settings", &self.setup.settings)
            .finish_non_exhaustive()
    }
}

fn unavailable(backend: &str) -> Error {
    let asked: String = backend.chars().take(40).collect();
    let error = |kind| Error::new(kind, "open store").at(format!("{asked:?}"));
    match BACKENDS.iter().find(|(name, _)| *name == backend) {
        Some((_, feature)) => error(ErrorKind::Unsupported)
            .because(format!("not compiled in; depend on `ha` with the cargo feature `{feature}`")),
        None => {
            let names: Vec<&str> = BACKENDS.iter().map(|(name, _)| *name).collect();
            error(ErrorKind::Invalid).because(format!("no such backend; there is: {}", names.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test: panicking is how it fails")]

    use super::*;

    #[test]
    fn an_unknown_backend_lists_what_there_is() {
        let error = Store::open("zookeper", &Seam::system()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("consul, embedded, filesystem"), "{error}");
    }

    #[test]
    fn a_backend_that_is_not_compiled_in_names_its_feature() {
        for (backend, feature) in BACKENDS {
            let error = unavailable(backend);
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().contains(&format!("cargo feature `{feature}`")), "{error}");
            assert_eq!(Store::compiled_in().contains(&backend), Store::open(backend, &Seam::system()).is_ok());
        }
    }

    #[cfg(feature = "embedded")]
    #[tokio::test]
    async fn handles_of_one_store_see_the_same() {
        use ha_core::backend::{Commit, Expect, Key, Outcome};
        let seam = Seam::system();
        let store = Store::open("embedded", &seam).unwrap();
        let (one, other) = (store.connect().await.unwrap(), store.clone().connect().await.unwrap());
        let key = Key::new("a/b").unwrap();
        let put = Commit::new(seam.write_id()).put(key.clone(), Expect::Absent, "x".into());
        assert!(matches!(one.commit(&put).await, Ok(Outcome::Applied { .. })));
        assert_eq!(other.read(&key).await.unwrap().unwrap().value, "x");
        let stranger = Store::open("embedded", &seam).unwrap().connect().await.unwrap();
        assert_eq!(stranger.read(&key).await.unwrap(), None);
    }

    #[cfg(feature = "filesystem")]
    #[tokio::test]
    async fn a_directory_that_was_not_said_is_asked_for() {
        let store = Store::open("filesystem", &Seam::system()).unwrap();
        let error = store.connect().await.unwrap_err();
        assert_eq!((error.kind(), error.subject()), (ErrorKind::Invalid, "directory"), "{error}");
    }

    #[cfg(feature = "consul")]
    #[tokio::test]
    async fn a_misspelt_setting_of_consul_is_named_before_anything_is_sent() {
        let settings = BackendSettings::new().with("adress", "consul.invalid").with("acl-token", "s3cret");
        let store = Store::open_with("consul", settings, &Seam::system()).unwrap();
        assert!(!format!("{store:?}").contains("s3cret"), "{store:?}");
        let error = store.connect().await.unwrap_err();
        assert_eq!((error.kind(), error.subject()), (ErrorKind::Invalid, "\"adress\""), "{error}");
        assert!(error.to_string().contains("known: address") && !error.to_string().contains("s3cret"), "{error}");
    }
}
