//! The resolution of unknown outcomes, with every handle in a process of its own.

use ha_testkit::resolution_conformance;

use crate::store::ProcessesFactory;

resolution_conformance! {
    filesystem_processes, ProcessesFactory::new(),
        can: [Expire, Revoke, Freeze, Restart, CountWaiters, LinearizableReads, FreeOnDrop];
}
