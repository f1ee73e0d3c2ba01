//! The model that carries the mutants keeps the whole contract while it is sound, and so does the
//! store that is served to other processes.

use ha_testkit::backend_conformance;
use ha_testkit::mutants::{Defect, ModelFactory};
use ha_testkit::remote::RemoteFactory;

backend_conformance! {
    model, ModelFactory::new(Defect::None),
        can: [Expire, Revoke, Freeze, SlowAnswers, Tamper, LinearizableReads, FreeOnDrop];
    remote, RemoteFactory,
        can: [Expire, Revoke, Freeze, SlowAnswers, Tamper, LinearizableReads];
}
