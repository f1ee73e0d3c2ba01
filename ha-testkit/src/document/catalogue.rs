//! Every id of the catalogue of Flink's tests and of the cases beyond them, and where it stands.

use super::Standing::{self, Arrives, Covered, Differs, Partly};

/// Ids with one prefix, from one number to another, that stand alike.
pub(super) struct Row {
    pub(super) prefix: &'static str,
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) what: &'static str,
    pub(super) standing: Standing,
}

const fn row(prefix: &'static str, from: u32, to: u32, what: &'static str, standing: Standing) -> Row {
    Row { prefix, from, to, what, standing }
}

const fn x(number: u32, what: &'static str, standing: Standing) -> Row {
    row("X", number, number, what, standing)
}

const SERVICES: Standing = Arrives("the service suite");
const RETRIEVAL: Standing = Arrives("the service suite (retrieval)");
const NO_LOCKS: Standing =
    Differs("there are no locks per entry: the fence refuses what the lock was there to prevent");

pub(super) const CATALOGUE: &[Row] = &[
    row("LE", 1, 33, "election, service level", SERVICES),
    row("LD", 1, 8, "election, driver level", SERVICES),
    row("LR", 1, 16, "retrieval", RETRIEVAL),
    row("SH", 1, 1, "add is durable, and locks", Differs("durable as stated; the lock is replaced by the fence")),
    row(
        "SH",
        2,
        2,
        "unknown outcome of add keeps state",
        Partly(&["U-05", "U-09"], "that the state is kept arrives with the service suite"),
    ),
    row("SH", 3, 3, "add of what exists", SERVICES),
    row("SH", 4, 4, "a retried successful transaction is success", Covered(&["U-02", "U-03"])),
    row("SH", 5, 7, "definite errors, replace", SERVICES),
    row(
        "SH",
        8,
        8,
        "unknown outcome of replace keeps both",
        Partly(&["U-03", "U-05"], "that both are kept arrives with the service suite"),
    ),
    row("SH", 9, 16, "replace, get, list, remove", SERVICES),
    row("SH", 17, 21, "locks per entry", NO_LOCKS),
    row("SH", 22, 22, "clear", SERVICES),
    row("SH", 30, 38, "the same on an optimistic store", SERVICES),
    row("CC", 1, 17, "checkpoint id counter", SERVICES),
    row("CP", 1, 21, "completed checkpoints", SERVICES),
    row("CP", 22, 22, "two stores lock one checkpoint", NO_LOCKS),
    row("CP", 23, 31, "completed checkpoints", SERVICES),
    row("EP", 1, 15, "execution plans", SERVICES),
    row("EP", 16, 17, "stop and local clean-up release locks", NO_LOCKS),
    row("EP", 18, 23, "execution plans", SERVICES),
    row("EP", 24, 24, "removal refused while another holds the lock", NO_LOCKS),
    row("EP", 25, 25, "watcher maps names to ids", SERVICES),
    row("JR", 1, 19, "job results", SERVICES),
    row("HA", 1, 14, "services, clean-up", SERVICES),
    row("BL", 1, 6, "blobs", SERVICES),
    x(
        1,
        "a frozen leader writes nothing after take-over",
        Partly(
            &["B-24", "B-43", "B-48"],
            "the whole of it, with SIGSTOP on real processes, arrives with the process tests",
        ),
    ),
    x(2, "frozen between check and write", Covered(&["B-24", "B-25"])),
    x(3, "a packet sent before the loss, delivered after", Covered(&["U-14", "U-16", "U-22"])),
    x(
        4,
        "terms strictly increase",
        Partly(
            &["B-23", "B-26", "B-27", "B-28", "B-29", "B-30"],
            "on a store that survives a restart once such a backend declares Restart",
        ),
    ),
    x(
        5,
        "never two leaders at once",
        Partly(&["B-32", "B-45", "B-48"], "the history checker arrives with the simulation of the services"),
    ),
    x(
        6,
        "local watchdog before the store gives up",
        Partly(&["B-48", "B-49", "B-51", "B-52"], "a client library that hangs arrives with each network backend"),
    ),
    x(
        7,
        "wall clock jumps, suspend",
        Differs("no decision reads the wall clock: the seam offers it for records alone, and clippy bans the rest"),
    ),
    x(8, "a revoke callback that blocks", SERVICES),
    x(9, "grant and revoke faster than callbacks", SERVICES),
    x(10, "a contender panics", SERVICES),
    x(11, "partitions", Partly(&["B-52", "B-56"], "one-way and flapping cuts arrive with the proxy")),
    x(
        12,
        "restart, failover, restore, wipe of the store",
        Partly(&["B-30", "B-79"], "the rest arrives with each backend's server tests"),
    ),
    x(13, "answer lost after commit", Covered(&["U-02", "U-03", "U-04", "U-05", "U-06", "U-07", "U-08", "U-25"])),
    x(14, "the same with retries", Covered(&["B-06", "U-11", "U-13", "U-26"])),
    x(15, "stale read", Covered(&["B-09", "B-81"])),
    x(
        16,
        "watches",
        Partly(
            &["B-69", "B-70", "B-71", "B-72", "B-73", "B-78"],
            "a silently dead connection arrives with each network backend",
        ),
    ),
    x(17, "rate limit, slow store", Arrives("each network backend")),
    x(18, "expired and missing rights", Arrives("each network backend")),
    x(
        19,
        "session invalid, deleted, flapping",
        Partly(&["B-53", "B-54", "B-55", "B-56"], "health checks that flap arrive with Consul"),
    ),
    x(20, "a hundred contenders", Arrives("the service suite")),
    x(
        21,
        "too large",
        Partly(&["B-16", "B-17", "B-18", "B-19"], "that no state is written first arrives with the service suite"),
    ),
    x(22, "full disk and broken disk", Arrives("the filesystem backend")),
    x(23, "crash after every system call", Arrives("the filesystem backend")),
    x(24, "network file systems", Arrives("the filesystem backend")),
    x(
        25,
        "names and prefixes",
        Partly(
            &["B-61", "B-64", "B-65"],
            "names that could be paths are refused by ha_core::backend::Name, tested there",
        ),
    ),
    x(26, "counter under leader changes", Arrives("the service suite")),
    x(27, "checkpoint added while leadership goes", Arrives("the service suite")),
    x(28, "recovery of 10,000 pointers", Arrives("the benchmarks")),
    x(
        29,
        "corrupt and newer records",
        Partly(
            &["B-63"],
            "decoding is tested in ha_core::record; the stores' behaviour arrives with the service suite",
        ),
    ),
    x(30, "orphans", Arrives("the service suite")),
    x(31, "two instances with one name", Partly(&["B-58"], "the rest arrives with the service suite")),
    x(
        32,
        "delete and re-create with an old version",
        Partly(&["B-08", "B-11", "U-14"], "two leaders in turn on one plan arrive with the service suite"),
    ),
    x(33, "job results under concurrency and crashes", Arrives("the service suite")),
    x(34, "blobs under concurrency", Arrives("the service suite")),
    x(
        35,
        "close, drop and cancellation at any point",
        Partly(&["B-75", "B-76", "B-77", "B-78", "U-16"], "the same for services arrives with their suite"),
    ),
    x(36, "interrupted clean-up", Arrives("the service suite")),
    x(37, "version skew", Arrives("the service suite")),
    x(38, "one event per transition", Arrives("the service suite")),
    x(39, "soak", Arrives("the chaos runs")),
    x(40, "retrieval never goes back", RETRIEVAL),
];
