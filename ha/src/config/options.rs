//! The table of all options. One line more here, and where its value is used, is all that a new one needs.

mod backends;
mod flink;
mod generic;

use super::option::ConfigOption;

pub(super) use flink::{FOREIGN, STRICT, is_foreign};

/// What every key of this library's own begins with.
pub(super) const HA: &str = "high-availability.";

/// Options that belong together.
#[derive(Debug)]
pub(super) struct Group {
    /// What they are called in the document.
    pub(super) title: &'static str,
    /// What is to be known of all of them.
    pub(super) about: &'static str,
    /// The services whose options they are; for others they are checked by name and have no effect. `None`: all.
    pub(super) of: Option<Section>,
    pub(super) options: &'static [ConfigOption],
}

/// Options of one type of services: those below that prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Section {
    /// As in `high-availability.consul.`.
    pub(super) prefix: &'static str,
    /// The types of services that read them.
    pub(super) types: &'static [&'static str],
}

pub(super) const GROUPS: [Group; 7] = [
    Group { title: "General", about: "", of: None, options: &generic::GENERAL },
    Group {
        title: "Leadership",
        about: "How a process keeps its leadership and how others find out that it is gone.",
        of: None,
        options: &generic::LEADERSHIP,
    },
    Group {
        title: "Checkpoints, clean-up and results of jobs",
        about: "The library takes some of these at each call: `Settings` hands them out as `num_retained` (for \
                `create_recovered_completed_checkpoint_store`) and `cleanup` (for `ResourceCleaner::of`).",
        of: None,
        options: &generic::JOBS,
    },
    Group {
        title: "Consul",
        about: "For `high-availability.type: consul`. What is not set is as the variables of Consul's own command line \
                say (`CONSUL_HTTP_ADDR`, `CONSUL_HTTP_TOKEN` and its like), else as the column says.",
        of: Some(backends::CONSUL_SECTION),
        options: &backends::CONSUL,
    },
    Group {
        title: "Shared directory",
        about: "For `high-availability.type: filesystem`.",
        of: Some(backends::FILESYSTEM_SECTION),
        options: &backends::FILESYSTEM,
    },
    Group {
        title: "Without an election",
        about: "For `high-availability.type: none`.",
        of: Some(backends::STANDALONE_SECTION),
        options: &backends::STANDALONE,
    },
    Group {
        title: "Taken for compatibility",
        about: "Options of Flink's and of its plug-ins that say what is the case here anyway, or have no effect.",
        of: None,
        options: &flink::COMPATIBLE,
    },
];

/// The section that a key is written in, if it is one of this library's.
pub(super) fn section_of(key: &str) -> Option<Section> {
    GROUPS.iter().filter_map(|group| group.of).find(|section| key.starts_with(section.prefix))
}

/// Below this, each name is a component: the one option whose key goes on.
pub(super) const LEADER_ADDRESS: &str = "high-availability.standalone.leader-address.";
