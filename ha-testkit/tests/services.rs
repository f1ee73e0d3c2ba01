//! The services on the model that carries the mutants, a second backend that nobody wrote them for, and
//! on the store that is served to other processes.

use ha_testkit::mutants::{Defect, ModelFactory};
use ha_testkit::remote::RemoteFactory;
use ha_testkit::services_conformance;

services_conformance! {
    model, ModelFactory::new(Defect::None),
        can: [Expire, Revoke, Freeze, SlowAnswers, Tamper, LinearizableReads, FreeOnDrop];
    remote, RemoteFactory,
        can: [Expire, Revoke, Freeze, SlowAnswers, Tamper, LinearizableReads];
}
