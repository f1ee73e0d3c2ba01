//! The resolution of unknown outcomes, over the in-process backend.

use ha_testkit::{EmbeddedFactory, resolution_conformance};

resolution_conformance! {
    embedded, EmbeddedFactory::new(),
        can: [Expire, Revoke, Freeze, Tamper, CountWaiters, LinearizableReads, FreeOnDrop];
    embedded_chroot, EmbeddedFactory::chrooted(),
        can: [Expire, Revoke, Freeze, Tamper, CountWaiters, LinearizableReads, FreeOnDrop];
}
