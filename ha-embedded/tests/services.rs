//! The services over the in-process backend, against the whole suite.

use ha_testkit::{EmbeddedFactory, services_conformance};

services_conformance! {
    embedded, EmbeddedFactory::new(),
        can: [Expire, Revoke, Freeze, Tamper, CountWaiters, LinearizableReads, FreeOnDrop];
}
