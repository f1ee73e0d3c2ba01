//! The services, with every handle in a process of its own.

use ha_testkit::services_conformance;

use crate::store::ProcessesFactory;

services_conformance! {
    filesystem_processes, ProcessesFactory::new(),
        can: [Expire, Revoke, Freeze, Restart, CountWaiters, LinearizableReads, FreeOnDrop];
}
