use crate::config::option::{ConfigOption, Effect, Kind, deprecated};

pub(super) const COMPATIBLE: [ConfigOption; 3] = [
    ConfigOption::new(
        "job-result-store.storage-path",
        Kind::Text,
        "{storageDir}/job-result-store/{cluster-id}",
        "Where results of jobs are stored. Here they are records of the backend, written under the fence; another place \
         than the default is refused.",
    ),
    ConfigOption::new(
        "high-availability.use-old-ha-services",
        Kind::Boolean,
        "false",
        "One election for each component, as before Flink 1.15. Components have one election together here.",
    )
    .effect(Effect::Fixed(&["false"], "all components of a process are elected together; take independent latches")),
    ConfigOption::new(
        "high-availability.job.delay",
        Kind::Duration,
        "",
        "No effect, as in Flink since 1.5: a job is recovered when leadership is gained.",
    )
    .named(&[deprecated("recovery.job.delay")])
    .effect(Effect::Nothing("a job is recovered when leadership is gained")),
];

/// In a file that has the keys of a whole Flink, what begins like this is held to the names that there are.
pub(in crate::config) const STRICT: [&str; 5] = [
    "high-availability.",
    "recovery.",
    "cleanup-strategy.",
    "job-result-store.",
    "execution.checkpointing.num-retained",
];

/// Options of Flink's for what this library does not have: no error in a file, and no meaning.
pub(in crate::config) const FOREIGN: [&str; 22] = [
    "high-availability.zookeeper.quorum",
    "high-availability.zookeeper.path.root",
    "high-availability.zookeeper.path.execution-plans",
    "high-availability.zookeeper.path.jobgraphs",
    "high-availability.zookeeper.path.running-registry",
    "high-availability.zookeeper.path.latch",
    "high-availability.zookeeper.path.leader",
    "high-availability.zookeeper.path.checkpoints",
    "high-availability.zookeeper.path.checkpoint-counter",
    "high-availability.zookeeper.path.mesos-workers",
    "high-availability.zookeeper.client.session-timeout",
    "high-availability.zookeeper.client.connection-timeout",
    "high-availability.zookeeper.client.retry-wait",
    "high-availability.zookeeper.client.max-retry-attempts",
    "high-availability.zookeeper.client.acl",
    "high-availability.zookeeper.client.tolerate-suspended-connections",
    "high-availability.zookeeper.client.ensemble-tracker",
    "high-availability.zookeeper.client.authorization",
    "high-availability.zookeeper.client.max-close-wait",
    "high-availability.kubernetes.leader-election.lease-duration",
    "high-availability.kubernetes.leader-election.renew-deadline",
    "high-availability.kubernetes.leader-election.retry-period",
];

/// Whether the key is one of these, also by its name before Flink 1.1 (`recovery.zookeeper.…`).
pub(in crate::config) fn is_foreign(key: &str) -> bool {
    let current = key.strip_prefix("recovery.zookeeper.").map(|rest| format!("high-availability.zookeeper.{rest}"));
    FOREIGN.contains(&current.as_deref().unwrap_or(key))
}
