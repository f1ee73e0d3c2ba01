//! The model that carries the mutants keeps the whole contract while it is sound.

use ha_testkit::backend_conformance;
use ha_testkit::mutants::{Defect, ModelFactory};

backend_conformance! {
    model, ModelFactory::new(Defect::None),
        can: [Expire, Revoke, Freeze, SlowAnswers, Tamper, LinearizableReads, FreeOnDrop];
}
