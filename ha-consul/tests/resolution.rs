//! The resolution of unknown outcomes, over Consul.

mod fixture;

use fixture::ConsulFactory;
use ha_testkit::resolution_conformance;

resolution_conformance! {
    consul, ConsulFactory::new(),
        can: [Expire, Revoke, Freeze, SlowAnswers, Tamper, LinearizableReads, FreeOnDrop];
}
