//! The services over a directory, against the whole suite.

mod fixture;

use fixture::FilesystemFactory;
use ha_testkit::services_conformance;

services_conformance! {
    filesystem, FilesystemFactory::new(),
        can: [Expire, Revoke, Freeze, Restart, CountWaiters, LinearizableReads, FreeOnDrop];
    filesystem_restless, FilesystemFactory::restless(),
        can: [Expire, Revoke, Freeze, Restart, CountWaiters, LinearizableReads, FreeOnDrop];
}
