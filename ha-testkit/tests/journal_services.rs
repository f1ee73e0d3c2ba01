//! The services over the journal on a device in memory, which is swept after every eight entries.

use ha_testkit::journal::JournalFactory;
use ha_testkit::services_conformance;

services_conformance! {
    sweeping, JournalFactory::always_sweeping(),
        can: [Expire, Revoke, Freeze, SlowAnswers, Restart, CountWaiters, LinearizableReads, FreeOnDrop];
    witness, JournalFactory::with_witness(),
        can: [Expire, Revoke, Freeze, SlowAnswers, Restart, CountWaiters, LinearizableReads, FreeOnDrop];
}
