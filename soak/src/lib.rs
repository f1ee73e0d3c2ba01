//! Runs the whole library in cycles for as long as is wanted and judges whether anything grows.
//!
//! A [`Soak`] lives on a [`Place`] (a backend with what it holds). Each cycle elects and hands over, runs jobs from their
//! plan to their clean-up, opens and closes retrievals, clients and services, drops a campaign half way, and leaves
//! services without closing them. Every some cycles it comes to rest and takes a [`Sample`] of everything that could
//! grow: memory, tasks, timers, threads, descriptors, sockets, and what the backend holds. [`report`] is the verdict
//! over the later half of the samples.
//!
//! That it can fail is tested: a [`Leak`] per cycle is found.

mod leak;
mod options;
mod place;
mod report;
mod run;
mod sample;
mod work;

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

pub use leak::Leak;
pub use options::{Options, PlaceName};
pub use place::{ConsulPlace, EmbeddedPlace, FilesystemPlace, JournalPlace, Place};
pub use report::{Report, report};
pub use run::{run, soak};
pub use sample::{Gauge, Sample};
pub use work::Soak;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes that were allocated and not freed.
pub(crate) fn allocated_bytes() -> u64 {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated) as u64
}
