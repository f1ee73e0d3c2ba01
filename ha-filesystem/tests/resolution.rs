//! The resolution of unknown outcomes, over a directory.

mod fixture;

use fixture::FilesystemFactory;
use ha_testkit::resolution_conformance;

resolution_conformance! {
    filesystem, FilesystemFactory::new(),
        can: [Expire, Revoke, Freeze, Restart, CountWaiters, LinearizableReads, FreeOnDrop];
    filesystem_restless, FilesystemFactory::restless(),
        can: [Expire, Revoke, Freeze, Restart, CountWaiters, LinearizableReads, FreeOnDrop];
}
