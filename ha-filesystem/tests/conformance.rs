//! The journal in a directory, against the whole kit: as it is, and with a snapshot every few entries.

mod fixture;

use fixture::FilesystemFactory;
use ha_testkit::backend_conformance;

backend_conformance! {
    filesystem, FilesystemFactory::new(),
        can: [Expire, Revoke, Freeze, Restart, CountWaiters, LinearizableReads, FreeOnDrop];
    filesystem_restless, FilesystemFactory::restless(),
        can: [Expire, Revoke, Freeze, Restart, CountWaiters, LinearizableReads, FreeOnDrop];
}
