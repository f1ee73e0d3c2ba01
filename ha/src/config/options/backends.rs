use super::Section;
use crate::config::option::{ConfigOption, Effect, Kind, also};

pub(super) const CONSUL_SECTION: Section = Section { prefix: "high-availability.consul.", types: &["consul"] };
pub(super) const FILESYSTEM_SECTION: Section =
    Section { prefix: "high-availability.filesystem.", types: &["filesystem"] };
pub(super) const STANDALONE_SECTION: Section =
    Section { prefix: "high-availability.standalone.", types: &["none", "standalone"] };

const LAYOUT: &str = "the places below a cluster are the same for everybody, so that every version and tool finds them";
const NO_STORES: &str = "keys of Java's key stores are not read here; give PEM files, by high-availability.consul.tls.ca-file, \
                         .tls.cert-file and .tls.key-file";

macro_rules! consul {
    ($name:literal, $kind:expr, $default:literal, $meaning:literal) => {
        ConfigOption::new(concat!("high-availability.consul.", $name), $kind, $default, $meaning)
    };
}

pub(super) const CONSUL: [ConfigOption; 43] = [
    consul!(
        "address",
        Kind::Text,
        "",
        "The agents, as `host`, `host:port`, `http://host:port`, `https://host:port` or \
        `unix:///path`, several separated by commas; one that cannot be reached is passed over. In the place of host and port."
    ),
    consul!("host", Kind::Text, "localhost", "The agent: a name or an IP address."),
    consul!("port", Kind::Number, "8500", "The agent's port of HTTP."),
    consul!("acl-token", Kind::Text, "", "What each request proves itself by.").secret(),
    consul!(
        "acl-token-file",
        Kind::Text,
        "",
        "A file with the token, read for each request, in the place of the token."
    ),
    consul!("auth", Kind::Text, "", "`user:password`, for what may stand in front of Consul.").secret(),
    consul!("datacenter", Kind::Text, "", "The datacenter, if it is not the agent's own. Leading works only in that."),
    consul!("namespace", Kind::Text, "", "The namespace (Consul Enterprise)."),
    consul!("partition", Kind::Text, "", "The admin partition (Consul Enterprise)."),
    consul!(
        "prove-access-below",
        Kind::Text,
        "",
        "A place that the token must be allowed to read and write, proved when \
        connecting."
    ),
    consul!("connect-timeout", Kind::Duration, "2 s", "How long a connection may take.")
        .named(&[also("high-availability.consul.client.connect-timeout")]),
    consul!("request-timeout", Kind::Duration, "8 s", "How long a request may take that does not wait on purpose."),
    consul!(
        "blocking-query-wait",
        Kind::Duration,
        "30 s",
        "How long a request that waits for changes stays with Consul."
    ),
    consul!("answer-bytes-max", Kind::MemorySize, "256 mb", "The longest answer that is read."),
    consul!("requests-max", Kind::Number, "100", "How many requests are under way at once."),
    consul!(
        "agent-check",
        Kind::Boolean,
        "true",
        "Whether an agent's check that this process keeps passing ends its \
        session; else the session's own TTL does, after twice that."
    ),
    consul!(
        "session-ttl",
        Kind::Duration,
        "",
        "The session's own TTL at Consul's servers, the net below the agent's check: \
        at least 10 s unless Consul is set up for less. By default the silence (`high-availability.session.silence`), but \
        at least 10 s."
    ),
    consul!("session.ttl", Kind::Number, "", "The same in seconds, as an earlier plug-in of Flink's calls it."),
    consul!(
        "serf-health",
        Kind::Boolean,
        "false",
        "Whether Consul's own verdict that the node is gone ends the session: a \
        dead host is found sooner, and leadership may end while this process is well."
    ),
    consul!(
        "lock-delay",
        Kind::Duration,
        "0 s",
        "For how long a latch cannot be taken after its session has ended by itself. \
        The fence makes it needless."
    ),
    consul!(
        "tls.enabled",
        Kind::Boolean,
        "false",
        "Whether every address is spoken to with TLS, also one that says `http://`. Needs the cargo feature `tls`."
    ),
    consul!("tls.ca-file", Kind::Text, "", "The authorities that are trusted instead of the system's: a file (PEM)."),
    consul!("tls.ca-path", Kind::Text, "", "The same as a folder of such files."),
    consul!("tls.cert-file", Kind::Text, "", "This process's certificate (PEM), for agents that ask for one."),
    consul!("tls.key-file", Kind::Text, "", "The key of that certificate (PEM)."),
    consul!("tls.server-name", Kind::Text, "", "The name that the agent's certificate must hold instead of the host."),
    consul!("tls.verify", Kind::Boolean, "true", "Whether the agent's certificate is checked at all."),
    consul!("tls.algorithm", Kind::Text, "TLS", "The protocol; the newest that both sides know is taken.")
        .effect(Effect::Fixed(&["TLS", "TLSv1.2", "TLSv1.3"], "the newest version that both sides know is taken")),
    consul!("tls.keystore.path", Kind::Text, "", "A key store of Java's, which is not read here.")
        .effect(Effect::Fixed(&[], NO_STORES)),
    consul!("tls.keystore.password", Kind::Text, "", "The password of a key store, which is not read here.")
        .secret()
        .effect(Effect::Fixed(&[], NO_STORES)),
    consul!("tls.keystore.type", Kind::Text, "PKCS12", "The type of a key store, which is not read here.")
        .effect(Effect::Fixed(&["PKCS12"], NO_STORES)),
    consul!("tls.truststore.path", Kind::Text, "", "A trust store of Java's, which is not read here.")
        .effect(Effect::Fixed(&[], NO_STORES)),
    consul!("tls.truststore.password", Kind::Text, "", "The password of a trust store, which is not read here.")
        .secret()
        .effect(Effect::Fixed(&[], NO_STORES)),
    consul!("tls.truststore.type", Kind::Text, "PKCS12", "The type of a trust store, which is not read here.")
        .effect(Effect::Fixed(&["PKCS12"], NO_STORES)),
    consul!(
        "client.socket-timeout",
        Kind::Duration,
        "30 s",
        "No effect: a request that waits is given its own time, and \
        `request-timeout` is for the others."
    )
    .effect(Effect::Nothing("a request that waits is given its own time; for others there is request-timeout")),
    consul!(
        "client.connection-request-timeout",
        Kind::Duration,
        "10 s",
        "No effect: requests wait for their turn within \
        `request-timeout`."
    )
    .effect(Effect::Nothing("requests wait for their turn within request-timeout")),
    consul!("path.leader", Kind::Text, "leader", "The place of the latch and of leaders' addresses; fixed.")
        .effect(Effect::Fixed(&["leader"], LAYOUT)),
    consul!("path.execution-plans", Kind::Text, "execution-plans", "The place of execution plans; fixed.")
        .effect(Effect::Fixed(&["execution-plans"], LAYOUT)),
    consul!("path.jobs", Kind::Text, "jobs", "The place of checkpoints and counters; fixed.")
        .effect(Effect::Fixed(&["jobs"], LAYOUT)),
    consul!(
        "path.jobgraphs",
        Kind::Text,
        "jobgraphs",
        "An earlier name of that of execution plans, which lie in \
        `execution-plans` here."
    )
    .effect(Effect::Fixed(&["jobgraphs", "execution-plans"], LAYOUT)),
    consul!(
        "path.jobstatus",
        Kind::Text,
        "jobstatus",
        "The place of a registry of running jobs; results of jobs lie in \
        `job-results` here."
    )
    .effect(Effect::Fixed(&["jobstatus", "job-results"], LAYOUT)),
    consul!("path.checkpoints", Kind::Text, "checkpoints", "The place of checkpoints, below `jobs/{job}` here; fixed.")
        .effect(Effect::Fixed(&["checkpoints"], LAYOUT)),
    consul!(
        "path.checkpoint-counter",
        Kind::Text,
        "checkpoint-counter",
        "The place of counters, which are \
        `jobs/{job}/checkpoint_id_counter` here; fixed."
    )
    .effect(Effect::Fixed(&["checkpoint-counter", "checkpoint_id_counter"], LAYOUT)),
];

pub(super) const FILESYSTEM: [ConfigOption; 3] = [
    ConfigOption::new(
        "high-availability.filesystem.directory",
        Kind::Text,
        "",
        "The directory that all processes share: its journal lies in `.ha-journal`. By default the storage directory, if \
         that is `file://`.",
    ),
    ConfigOption::new(
        "high-availability.filesystem.poll-ms",
        Kind::Duration,
        "",
        "How often a handle that waits looks for the next entry, up to a minute; a number alone is in milliseconds. By \
         default 1 s, and 50 ms where the kernel cannot tell of all writers.",
    ),
    ConfigOption::new(
        "high-availability.filesystem.ignore-locks",
        Kind::Boolean,
        "false",
        "Whether locks are taken for no evidence of a death: for file systems whose locks are not to be trusted.",
    ),
];

pub(super) const STANDALONE: [ConfigOption; 2] = [
    ConfigOption::new(
        "high-availability.standalone.leader-address.COMPONENT",
        Kind::Text,
        "",
        "Where the leader of that component is: `dispatcher`, `resource_manager`, `rest_server`, `job-ID`, or any other. A \
         client needs `rest_server`.",
    ),
    ConfigOption::new(
        "high-availability.standalone.tokens-above",
        Kind::Number,
        "",
        "Every fencing token is greater than this. By default the milliseconds since 1970 when the services are made.",
    ),
];
