//! The journal keeps the whole contract over a device in memory: with the usual options, with a snapshot and a sweep
//! after every eight entries, on a device whose reads may be old, and on one that sees processes ending.

use ha_testkit::backend_conformance;
use ha_testkit::journal::JournalFactory;

backend_conformance! {
    journal, JournalFactory::new(),
        can: [Expire, Revoke, Freeze, SlowAnswers, Restart, CountWaiters, LinearizableReads, FreeOnDrop];
    sweeping, JournalFactory::always_sweeping(),
        can: [Expire, Revoke, Freeze, SlowAnswers, Restart, CountWaiters, LinearizableReads, FreeOnDrop];
    monotonic, JournalFactory::with_monotonic_reads(),
        can: [Expire, Revoke, Freeze, SlowAnswers, Restart, CountWaiters, LinearizableReads, FreeOnDrop];
    witness, JournalFactory::with_witness(),
        can: [Expire, Revoke, Freeze, SlowAnswers, Restart, CountWaiters, LinearizableReads, FreeOnDrop];
}
