//! The lines of the catalogue that have no ids.

use super::Standing::{self, Covered, Differs, Instead};

pub(super) const LINES: &[(&str, &str, Standing)] = &[
    (
        "DefaultLeaderElectionTest",
        "failure of registration surfaces; close without start; close twice",
        Covered(&["LE-02", "LE-05", "LE-34"]),
    ),
    ("DefaultLeaderElectionTest", "a null contender is refused", Differs("there is no null: the type is a contender")),
    (
        "LeaderInformationRegisterTest",
        "of, merge, clear, empty",
        Instead("each component's information is a record of its own, so nothing is merged", &["LE-14", "LE-15"]),
    ),
    (
        "LeaderElectionTest",
        "leadership is had under the right id, after the grant, until the stop",
        Covered(&["LE-16", "LE-17", "LE-20"]),
    ),
    (
        "ZooKeeperLeaderElectionDriverTest",
        "gain and lose; publish; who does not lead cannot; many drivers, one leader",
        Covered(&["LD-09", "LD-01", "LD-11", "LD-10"]),
    ),
    (
        "ZooKeeperLeaderElectionDriverTest",
        "publishing nothing",
        Instead("an empty address is refused; resigning withdraws", &["LE-34", "LE-12"]),
    ),
    ("ZooKeeperLeaderElectionDriverTest", "a change event for each component", Covered(&["LE-14", "LE-15", "LR-16"])),
    (
        "ZooKeeperLeaderElectionConnectionHandlingTest",
        "suspended, tolerated, lost",
        Instead(
            "one policy: leadership lasts to its deadline, whatever the connection says",
            &["B-56", "LD-13", "X-06"],
        ),
    ),
    (
        "KubernetesLeaderElectionDriverTest",
        "leads, does not lead; publishes; foreign changes are corrected",
        Covered(&["LD-09", "LD-01", "LE-13"]),
    ),
    (
        "KubernetesLeaderElectionDriverTest",
        "a missing container, foreign deletion: errors",
        Instead("there are no containers; what is deleted is restored", &["LE-13", "B-60"]),
    ),
    (
        "KubernetesLeaderElectionDriverTest",
        "watch errors, a version that is too old",
        Covered(&["LR-13", "LD-08", "LR-10"]),
    ),
    (
        "KubernetesLeaderElectionDriverTest",
        "labels are set",
        Differs("labels are of Kubernetes; there is no such backend"),
    ),
    (
        "KubernetesLeaderElectorITCase",
        "three electors; the leader stops, another leads; run again and regain",
        Covered(&["LD-03", "LD-10", "LD-09"]),
    ),
    (
        "StandaloneLeaderElectionTest",
        "granted at once under the default id; close revokes",
        Covered(&[
            "ha-embedded/tests/standalone.rs::every_contender_is_granted_at_once_under_the_default_id_and_revoked_on_close",
        ]),
    ),
    (
        "EmbeddedHaServicesTest",
        "exactly one leads; elections are independent; retrieval works; a stale confirmation keeps the new leader",
        Covered(&["LD-10", "LD-12", "LR-01", "LE-26"]),
    ),
    (
        "ZooKeeperStateHandleStoreTest, newer",
        "entries marked for deletion: add over, invisible, no live-lock",
        Differs("no entry is ever marked: pointer and state go in this order, the state in the background"),
    ),
    (
        "ZooKeeperStateHandleStoreTest, newer",
        "replace without a lock of its own",
        Instead("refused as not owned", &["EP-23"]),
    ),
    ("ZooKeeperStateHandleStoreTest, newer", "a failed discard can be repeated", Covered(&["SH-37", "SH-38"])),
    ("FLINK-28265", "an entry that exists because of the own retry discards nothing", Covered(&["SH-04", "U-02"])),
    (
        "KubernetesStateHandleStoreITCase",
        "several instances with an election: only the leader's add succeeds",
        Covered(&["X-01", "EP-22", "CP-27"]),
    ),
    ("CompletedCheckpointStoreTest", "the latest id", Covered(&["CP-02"])),
    (
        "CompletedCheckpointStoreTest",
        "shared state is registered",
        Differs("which files checkpoints share is known to the application: its discarder decides"),
    ),
    (
        "Consul facts",
        "time-to-live is a lower bound, lock-delay, stale reads, renewal over an election of its servers",
        Covered(&[
            "B-48",
            "B-49",
            "B-09",
            "ha-consul/tests/faults/cluster.rs::the_servers_leader_killed_under_load_loses_nothing",
            "ha-consul/tests/faults/answers.rs::every_fault_of_a_renewal_is_got_over",
        ]),
    ),
];
