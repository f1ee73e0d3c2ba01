//! The first two steps of the guide: a backend that can do nothing yet, and a suite that says so.

#![allow(missing_docs, unreachable_pub, reason = "a piece of a library, as its author would begin it")]
#![allow(clippy::unwrap_used, reason = "the helpers of a test are test code too")]

use std::panic::catch_unwind;

use ha_testkit::registry::cases;
use ha_testkit::run::{self, OnBackend};

mod my_backend {
    // guide: skeleton
    use async_trait::async_trait;
    use ha_core::backend::{
        Backend, Change, Commit, Entry, Key, Mark, Outcome, Prefix, Profile, Scope, Session, SessionOptions, Snapshot,
    };
    use ha_core::{Error, ErrorKind};

    #[derive(Debug)]
    pub struct MyBackend;

    fn missing(operation: &'static str) -> Error {
        Error::new(ErrorKind::Unsupported, operation)
    }

    #[async_trait]
    impl Backend for MyBackend {
        fn profile(&self) -> Profile {
            // The largest value, the most operations and the most bytes of one commit.
            Profile::new("mine", 1024 * 1024, 128, 4 * 1024 * 1024)
        }

        async fn read(&self, _: &Key) -> Result<Option<Entry>, Error> {
            Err(missing("read"))
        }

        async fn list(&self, _: &Prefix) -> Result<Snapshot, Error> {
            Err(missing("list"))
        }

        async fn changed(&self, _: &Scope, _: &Mark) -> Result<Change, Error> {
            Err(missing("changed"))
        }

        async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
            // The first line of every implementation.
            commit.validate(&self.profile())?;
            Err(missing("commit"))
        }

        async fn open_session(&self, _: &SessionOptions) -> Result<Box<dyn Session>, Error> {
            Err(missing("open session"))
        }

        async fn close(&self) -> Result<(), Error> {
            Ok(())
        }
    }
    // guide: end
}

mod first {
    use super::my_backend as custom_backend;

    // guide: first
    use std::sync::Arc;

    use custom_backend::MyBackend;
    use ha_core::Error;
    use ha_core::backend::Backend;
    use ha_core::seam::Seam;
    use ha_testkit::{BackendFactory, Missing, Store, async_trait};

    pub struct Factory;
    struct Namespace(Seam);

    #[async_trait]
    impl BackendFactory for Factory {
        async fn open(&self) -> Result<Arc<dyn Store>, Missing> {
            Ok(Arc::new(Namespace(Seam::system())))
        }
    }

    #[async_trait]
    impl Store for Namespace {
        fn seam(&self) -> Seam {
            self.0.clone()
        }

        async fn connect(&self) -> Result<Arc<dyn Backend>, Error> {
            Ok(Arc::new(MyBackend))
        }
    }
    // guide: end
}

#[test]
fn the_skeleton_is_refused_by_the_suite() {
    // Fails if a backend that can do nothing passes for one that can.
    for case in cases().into_iter().filter(|case| case.id() == "B-01" || case.id() == "B-26") {
        let open = OnBackend(first::Factory);
        let body = |fixture| ha_testkit::backend::body(case.name, fixture).unwrap();
        let verdict = catch_unwind(|| run::block_on(run::judge(&case, &open, &[], body)));
        assert!(verdict.is_err(), "{} passed: {verdict:?}", case.name);
    }
}
