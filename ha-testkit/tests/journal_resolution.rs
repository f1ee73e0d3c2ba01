//! The resolution of unknown outcomes, over the journal on a device in memory.

use ha_testkit::journal::JournalFactory;
use ha_testkit::resolution_conformance;

resolution_conformance! {
    sweeping, JournalFactory::always_sweeping(),
        can: [Expire, Revoke, Freeze, SlowAnswers, Restart, CountWaiters, LinearizableReads, FreeOnDrop];
}
