//! Consul, against the whole kit.

mod fixture;

use fixture::ConsulFactory;
use ha_testkit::backend_conformance;

backend_conformance! {
    consul, ConsulFactory::new(),
        can: [Expire, Revoke, Freeze, SlowAnswers, Tamper, LinearizableReads, FreeOnDrop];
}
