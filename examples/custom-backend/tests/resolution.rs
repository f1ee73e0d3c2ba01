//! What becomes of commits whose answer was lost, over this backend.

mod common;

use common::Factory;

ha_testkit::resolution_conformance! {
    redb, Factory,
        can: [Expire, Revoke, Freeze, Tamper, Restart, CountWaiters, LinearizableReads, FreeOnDrop];
}
