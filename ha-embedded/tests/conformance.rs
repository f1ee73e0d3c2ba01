//! The in-process backend, bare and under each of the library's wrappers, against the whole kit.

use ha_testkit::{EmbeddedFactory, backend_conformance};

backend_conformance! {
    embedded, EmbeddedFactory::new(),
        can: [Expire, Revoke, Freeze, Tamper, CountWaiters, LinearizableReads, FreeOnDrop];
    embedded_chroot, EmbeddedFactory::chrooted(),
        can: [Expire, Revoke, Freeze, Tamper, CountWaiters, LinearizableReads, FreeOnDrop];
    embedded_traced, EmbeddedFactory::traced(),
        can: [Expire, Revoke, Freeze, Tamper, CountWaiters, LinearizableReads, FreeOnDrop];
    embedded_metered, EmbeddedFactory::metered(),
        can: [Expire, Revoke, Freeze, Tamper, CountWaiters, LinearizableReads, FreeOnDrop];
}
