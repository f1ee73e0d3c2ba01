//! The resolution of unknown outcomes, over the store that is served to other processes.

use ha_testkit::remote::RemoteFactory;
use ha_testkit::resolution_conformance;

resolution_conformance! {
    remote, RemoteFactory,
        can: [Expire, Revoke, Freeze, SlowAnswers, Tamper, LinearizableReads];
}
