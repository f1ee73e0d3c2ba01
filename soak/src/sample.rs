//! What could grow, at one moment.

use std::fmt;

use ha_testkit::ledger::Bound;

/// What could grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gauge {
    /// Resident memory, in bytes.
    Resident,
    /// What was allocated and not freed, in bytes.
    Allocated,
    /// Tasks that the library spawned.
    Tasks,
    /// All tasks of the runtime, those of HTTP clients among them.
    RuntimeTasks,
    /// Who sleeps.
    Timers,
    /// Threads of this process.
    Threads,
    /// Open descriptors.
    Descriptors,
    /// Those of them that are sockets.
    Sockets,
    /// Keys in the backend.
    Keys,
    /// Latches that are held.
    Latches,
    /// Sessions that the backend knows.
    Sessions,
    /// Watches that wait in the backend.
    Watches,
    /// Health checks that a Consul agent knows.
    Checks,
    /// Services that a Consul agent knows.
    AgentServices,
    /// Files and folders, but for those that have a gauge of their own.
    Files,
    /// Entries and snapshots of a journal, and what is staged for it.
    Entries,
    /// Files that witness sessions, in a directory. Each stays for an hour after its session, by design: so they grow
    /// with the sessions of the last hour, and only a run of some hours could judge them.
    Holders,
    /// Bytes in files.
    FileBytes,
}

impl Gauge {
    /// How much it may grow over the later half of a run. What is counted exactly may be one or two more by chance (a
    /// connection that is being replaced, an entry beside its snapshot); what breathes may be more by a share.
    pub(crate) fn bound(self) -> Bound {
        match self {
            // The allocator returns pages late and in large pieces.
            Self::Resident => Bound::breathing(2.0 * 1024.0 * 1024.0, 0.05),
            // Buffers and maps keep the largest size they had, and an HTTP client's buffers come and go with what is on
            // its way. Over a thousand cycles this is some two hundred bytes for each.
            Self::Allocated => Bound::breathing(64.0 * 1024.0, 0.25),
            Self::RuntimeTasks | Self::Timers | Self::Descriptors | Self::Sockets => Bound::things(3),
            // Between two snapshots of a journal up to 256 entries pile up here, and a sample comes at any time.
            Self::Entries => Bound::things(264),
            // States are deleted after their pointers, by tasks: some may be on their way.
            Self::Files => Bound::things(4),
            Self::FileBytes => Bound::breathing(64.0 * 1024.0, 0.2),
            Self::Holders => Bound::breathing(f64::from(u32::MAX), 0.0),
            _ => Bound::things(1),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Resident => "resident KiB",
            Self::Allocated => "allocated KiB",
            Self::Tasks => "tasks (library)",
            Self::RuntimeTasks => "tasks (runtime)",
            Self::Timers => "timers",
            Self::Threads => "threads",
            Self::Descriptors => "descriptors",
            Self::Sockets => "sockets",
            Self::Keys => "keys",
            Self::Latches => "latches held",
            Self::Sessions => "sessions",
            Self::Watches => "watches",
            Self::Checks => "checks",
            Self::AgentServices => "agent's services",
            Self::Files => "files",
            Self::Entries => "entries of the journal",
            Self::Holders => "holder files (1 h)",
            Self::FileBytes => "file KiB",
        }
    }

    /// What its numbers are divided by where they are shown.
    pub(crate) fn unit(self) -> f64 {
        match self {
            Self::Resident | Self::Allocated | Self::FileBytes => 1024.0,
            _ => 1.0,
        }
    }
}

impl fmt::Display for Gauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Everything that could grow, after so many cycles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The cycles that were done.
    pub cycle: u64,
    /// Each gauge, once.
    pub gauges: Vec<(Gauge, u64)>,
}
