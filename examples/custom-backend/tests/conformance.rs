//! The contract, clause by clause.

// guide: plug
mod common;

use common::Factory;

ha_testkit::backend_conformance! {
    redb, Factory,
        can: [Expire, Revoke, Freeze, Tamper, Restart, CountWaiters, LinearizableReads, FreeOnDrop];
}
// guide: end
