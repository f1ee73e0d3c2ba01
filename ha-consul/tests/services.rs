//! The services over Consul, against the whole suite.

mod fixture;

use fixture::ConsulFactory;
use ha_testkit::services_conformance;

services_conformance! {
    consul, ConsulFactory::new(),
        can: [Expire, Revoke, Freeze, SlowAnswers, Tamper, LinearizableReads, FreeOnDrop];
}
