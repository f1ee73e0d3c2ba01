//! The contract of backends, with every handle in a process of its own.

use ha_testkit::backend_conformance;

use crate::store::ProcessesFactory;

backend_conformance! {
    filesystem_processes, ProcessesFactory::new(),
        can: [Expire, Revoke, Freeze, Restart, CountWaiters, LinearizableReads, FreeOnDrop];
    restless_processes, ProcessesFactory::restless(),
        can: [Expire, Revoke, Freeze, Restart, CountWaiters, LinearizableReads, FreeOnDrop];
}
