use std::sync::Arc;

use ha_core::backend::Backend;
use ha_core::seam::Seam;
use ha_core::{Error, ErrorKind};

/// All backends that this library has, and the cargo feature that brings each in.
const BACKENDS: [(&str, &str); 1] = [("embedded", "embedded")];

/// A store by name, from which each service gets a handle of its own.
///
/// This is the one line that changes when a service moves to another backend.
///
/// ```
/// # #[cfg(feature = "embedded")] {
/// use ha::{Store, seam::Seam};
/// let store = Store::open("embedded", &Seam::system())?;
/// let (one, other) = (store.connect(), store.connect());
/// assert_eq!(one.profile().name, other.profile().name);
/// # }
/// # Ok::<(), ha::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Store {
    kind: Kind,
}

/// One variant for each backend that is compiled in; none without any.
#[derive(Debug, Clone)]
enum Kind {
    #[cfg(feature = "embedded")]
    Embedded(ha_embedded::Embedded),
}

impl Store {
    /// Opens the store of that name: `embedded` makes a new one in this process.
    ///
    /// # Errors
    /// * [`ErrorKind::Unsupported`]: the backend is known, and the text names the cargo feature that
    ///   brings it in.
    /// * [`ErrorKind::Invalid`]: there is no such backend; the text lists those there are.
    #[cfg_attr(not(feature = "embedded"), expect(unused_variables, reason = "no backend to hand the seam to"))]
    pub fn open(backend: &str, seam: &Seam) -> Result<Self, Error> {
        match backend {
            #[cfg(feature = "embedded")]
            "embedded" => Ok(Self { kind: Kind::Embedded(ha_embedded::Embedded::new(seam.clone())) }),
            other => Err(unavailable(other)),
        }
    }

    /// A handle on the store, as one process has it.
    #[must_use]
    pub fn connect(&self) -> Arc<dyn Backend> {
        match self.kind {
            #[cfg(feature = "embedded")]
            Kind::Embedded(ref store) => Arc::new(store.connect()),
        }
    }

    /// The names that [`Store::open`] takes in this build.
    #[must_use]
    pub fn compiled_in() -> Vec<&'static str> {
        let compiled = |name: &str| cfg!(feature = "embedded") && name == "embedded";
        BACKENDS.iter().map(|(name, _)| *name).filter(|name| compiled(name)).collect()
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
    use super::*;

    #[test]
    fn an_unknown_backend_lists_what_there_is() {
        let error = Store::open("zookeper", &Seam::system()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("embedded"), "{error}");
    }

    #[test]
    fn a_backend_that_is_not_compiled_in_names_its_feature() {
        let error = unavailable("embedded");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("cargo feature `embedded`"), "{error}");
    }
}
