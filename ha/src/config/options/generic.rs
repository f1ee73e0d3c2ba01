use crate::config::option::{ConfigOption, Kind, also, deprecated};

pub(super) const GENERAL: [ConfigOption; 6] = [
    ConfigOption::new(
        "high-availability.type",
        Kind::Text,
        "none",
        "Which services: `consul`, `filesystem`, `embedded` (one process), `none` (no election; also `standalone`), or \
         the name that a factory of your own is registered under. In any case.",
    )
    .named(&[deprecated("high-availability"), deprecated("recovery.mode")]),
    ConfigOption::new(
        "high-availability.cluster-id",
        Kind::Text,
        "/default",
        "The cluster: those with another id see nothing of it. Slashes divide, as in `/prod/eu`.",
    )
    .named(&[
        deprecated("high-availability.zookeeper.path.namespace"),
        deprecated("recovery.zookeeper.path.namespace"),
    ]),
    ConfigOption::new(
        "high-availability.storageDir",
        Kind::Text,
        "",
        "Where state is stored, as a URL: plans, checkpoints, results and blobs, of which the backend holds handles. \
         Needed with `consul` and with factories of your own; with `filesystem` the default is that directory, with \
         `embedded` and `none` the memory of this process.",
    )
    .named(&[deprecated("high-availability.zookeeper.storageDir"), deprecated("recovery.zookeeper.storageDir")]),
    ConfigOption::new(
        "high-availability.path.root",
        Kind::Text,
        "flink",
        "The place of all clusters in the backend. Slashes at either end do not count.",
    )
    .named(&[also("high-availability.consul.path.root")]),
    ConfigOption::new(
        "high-availability.jobmanager.port",
        Kind::Ports,
        "0",
        "The ports that a job manager may listen at: one, ranges, or several of them, and 0 for any. The application \
         listens: `Settings::job_manager_ports` hands them out.",
    )
    .named(&[deprecated("recovery.jobmanager.port")]),
    ConfigOption::new(
        "high-availability.enable-job-recovery",
        Kind::Boolean,
        "true",
        "Whether jobs are stored for the next leader. `false` is refused: leadership and stores stand on one backend \
         here; a service that wants leadership alone uses no stores.",
    ),
];

pub(super) const LEADERSHIP: [ConfigOption; 5] = [
    ConfigOption::new(
        "high-availability.session.silence",
        Kind::Duration,
        "10 s",
        "How long a process may say nothing to the backend before another may lead. A crash is found sooner, by \
         evidence.",
    ),
    ConfigOption::new(
        "high-availability.session.label",
        Kind::Text,
        "",
        "Who this process is, for people who look into the backend. No secret.",
    ),
    ConfigOption::new(
        "high-availability.handicap",
        Kind::Duration,
        "0 s",
        "How long this process waits, give or take half of it, before it tries to take a latch that may be free: more \
         for a candidate of lower priority. At most a minute.",
    ),
    ConfigOption::new(
        "high-availability.presence.bind",
        Kind::Text,
        "auto",
        "Where this process shows that it lives, so that others act on its crash at once: `auto` (on the loopback \
         address where the backend has no evidence of its own), `off`, or `ADDRESS:PORT`, port 0 being any.",
    ),
    ConfigOption::new(
        "high-availability.presence.advertise",
        Kind::Text,
        "",
        "Where others reach that address, as `ADDRESS:PORT`, if it differs from where it is bound; port 0 stands for \
         the port that was bound. Only with an address to bind.",
    ),
];

pub(super) const JOBS: [ConfigOption; 8] = [
    ConfigOption::new(
        "execution.checkpointing.num-retained",
        Kind::Number,
        "1",
        "How many completed checkpoints of a job are kept; at least 1.",
    )
    .named(&[deprecated("state.checkpoints.num-retained")]),
    ConfigOption::new(
        "cleanup-strategy.type",
        Kind::OneOf(&["none", "fixed-delay", "exponential-delay"]),
        "exponential-delay",
        "When a failed clean-up after a job is tried again. Also `off` and `disable` for `none`, as in Flink.",
    )
    .named(&[deprecated("cleanup-strategy")]),
    ConfigOption::new(
        "cleanup-strategy.exponential-delay.initial-backoff",
        Kind::Duration,
        "1 s",
        "The first pause; each is twice the one before.",
    ),
    ConfigOption::new(
        "cleanup-strategy.exponential-delay.max-backoff",
        Kind::Duration,
        "1 h",
        "The longest pause; at most a week.",
    ),
    ConfigOption::new(
        "cleanup-strategy.exponential-delay.attempts",
        Kind::Attempts,
        "infinite",
        "After how many further tries it is given up. The result of the job then stays dirty, for the next leader.",
    ),
    ConfigOption::new("cleanup-strategy.fixed-delay.delay", Kind::Duration, "1 min", "The pause; at most a week."),
    ConfigOption::new(
        "cleanup-strategy.fixed-delay.attempts",
        Kind::Attempts,
        "infinite",
        "After how many further tries it is given up.",
    ),
    ConfigOption::new(
        "job-result-store.delete-on-commit",
        Kind::Boolean,
        "true",
        "Whether the result of a job is removed once everything is cleaned up after it; else it is kept for good, and the \
         job is refused for ever.",
    ),
];
