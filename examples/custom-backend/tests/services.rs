//! The services of the library, over this backend.

mod common;

use common::Factory;

ha_testkit::services_conformance! {
    redb, Factory,
        can: [Expire, Revoke, Freeze, Tamper, Restart, CountWaiters, LinearizableReads, FreeOnDrop];
}
