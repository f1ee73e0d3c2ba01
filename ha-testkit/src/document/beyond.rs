//! The cases that no test of Flink covers, and where each stands.

use super::Standing::{self, Covered, Except, Instead, Own, Partly};
use super::catalogue::{Row, row};

const fn x(number: u32, what: &'static str, standing: Standing) -> Row {
    row("X", number, number, what, standing)
}

pub(super) const BEYOND: &[Row] = &[
    x(
        1,
        "a frozen leader writes nothing after take-over",
        Covered(&[
            "X-01",
            "B-24",
            "B-43",
            "B-48",
            "ha-testkit/tests/deposed_processes.rs::\
             a_stopped_leader_changes_nothing_of_any_kind_once_its_successor_has_begun",
            "ha-testkit/tests/processes.rs::\
             a_leader_that_was_stopped_past_its_silence_writes_nothing_and_steps_down",
            "ha-consul/tests/faults/fencing.rs::a_leader_that_was_stopped_past_everything_writes_nothing_and_steps_down",
            "ha-filesystem/tests/processes/stopped.rs::\
             a_stopped_leader_changes_nothing_of_any_kind_in_the_directory_once_its_successor_has_begun",
            "ha-filesystem/tests/processes/stopped.rs::\
             a_leader_that_is_stopped_in_the_middle_of_its_writes_lands_none_of_them_later",
        ]),
    ),
    x(2, "frozen between check and write", Covered(&["X-02", "B-24", "B-25"])),
    x(
        3,
        "a packet sent before the loss, delivered after",
        Covered(&[
            "X-03",
            "U-14",
            "U-16",
            "U-22",
            "ha-consul/tests/faults/fencing.rs::a_write_of_a_deposed_leader_that_arrives_late_is_refused",
        ]),
    ),
    x(4, "terms strictly increase", Covered(&["X-04", "B-23", "B-26", "B-27", "B-28", "B-29", "B-30"])),
    x(
        5,
        "never two leaders at once",
        Covered(&[
            "X-05",
            "X-06",
            "B-32",
            "B-45",
            "B-48",
            "ha-testkit/tests/contending_processes.rs::\
             no_two_processes_ever_believe_at_one_instant_that_they_lead",
            "ha-consul/tests/faults/believers.rs::\
             no_two_processes_on_consul_ever_believe_at_one_instant_that_they_lead",
            "ha-filesystem/tests/processes/believers.rs::\
             no_two_processes_on_a_directory_ever_believe_at_one_instant_that_they_lead",
            "ha-filesystem/tests/processes/deaths.rs::\
             a_killed_leader_whose_lock_says_nothing_is_followed_by_silence_and_not_before_its_deadline",
            "ha-filesystem/tests/processes/deaths.rs::\
             a_child_that_inherited_the_lock_of_a_killed_leader_leaves_it_to_silence",
        ]),
    ),
    x(
        6,
        "local watchdog before the store gives up",
        Covered(&[
            "X-06",
            "B-48",
            "B-49",
            "B-51",
            "B-52",
            "ha-consul/tests/faults/fencing.rs::a_leader_whose_connections_stall_is_followed_and_comes_back",
            "ha-consul/tests/starved.rs::a_blocked_runtime_takes_nothing_from_renewals_not_even_a_new_connection",
            "ha-filesystem/tests/processes/slow_disk.rs::\
             a_leader_whose_disk_is_slower_than_its_silence_steps_down_before_another_one_leads",
            "ha-filesystem/tests/processes/slow_disk.rs::\
             a_write_that_hung_in_its_disk_until_another_one_led_lands_nowhere",
        ]),
    ),
    x(
        7,
        "wall clock jumps, suspend",
        Instead(
            "no decision reads the wall clock: the seam offers it for records alone, and clippy bans the rest",
            &[
                "ha-filesystem/tests/processes/clocks.rs::a_wall_clock_that_jumps_ends_no_leadership_and_prolongs_none",
                "ha-filesystem/tests/processes/clocks.rs::\
                 a_file_system_whose_clock_jumps_by_years_takes_nothing_from_those_who_write_and_who_lead",
            ],
        ),
    ),
    x(8, "a revoke callback that blocks", Own),
    x(9, "grant and revoke faster than callbacks", Own),
    x(10, "a contender panics", Own),
    x(
        11,
        "partitions",
        Covered(&[
            "B-52",
            "B-56",
            "ha-consul/tests/faults/fencing.rs::a_leader_whose_connections_are_cut_is_followed_and_comes_back",
            "ha-consul/tests/faults/fencing.rs::a_leader_that_is_heard_and_hears_nothing_steps_down",
            "ha-consul/tests/faults/fencing.rs::a_leader_whose_connections_are_half_open_goes_on_or_is_followed",
            "ha-consul/tests/faults/servers.rs::a_leader_whose_agent_is_cut_off_from_its_server_steps_down_and_resumes",
            "ha-consul/tests/faults/flapping.rs::\
             over_connections_that_are_cut_again_and_again_steps_are_unique_and_a_retriever_is_never_deaf_nor_goes_back",
        ]),
    ),
    x(
        12,
        "restart, failover, restore, wipe of the store",
        Except(
            &[
                "B-29",
                "B-60",
                "ha-consul/tests/faults/cluster.rs::all_servers_killed_and_restarted_lose_nothing",
                "ha-consul/tests/faults/cluster.rs::the_servers_leader_killed_under_load_loses_nothing",
                "ha-consul/tests/faults/cluster.rs::a_quorum_lost_for_a_while_stops_the_leader_and_the_service_resumes_by_itself",
                "ha-consul/tests/faults/operators.rs::no_epoch_comes_twice_over_a_restored_snapshot_and_the_service_goes_on",
                "ha-consul/tests/faults/operators.rs::no_epoch_comes_twice_where_all_data_were_lost_and_somebody_lives_who_saw_it",
                "ha-filesystem/tests/processes/deaths.rs::\
                 each_of_many_killed_leaders_is_followed_by_the_evidence_of_its_lock_also_one_that_lost_before",
                "ha-filesystem/tests/processes/replaced.rs::\
                 a_directory_that_is_deleted_under_a_leader_ends_it_and_a_new_one_serves",
                "ha-filesystem/tests/processes/replaced.rs::a_copy_in_the_place_of_the_directory_under_a_leader_ends_it",
            ],
            "an older copy of a directory that is restored: what was acknowledged after it is gone, its tokens too",
        ),
    ),
    x(
        13,
        "answer lost after commit",
        Covered(&["X-13", "U-02", "U-03", "U-04", "U-05", "U-06", "U-07", "U-08", "U-25"]),
    ),
    x(14, "the same with retries", Covered(&["X-13", "X-26", "B-06", "U-11", "U-13", "U-26"])),
    x(
        15,
        "stale read",
        Covered(&[
            "B-09",
            "B-81",
            "ha-consul/tests/faults/deposed_server.rs::\
             a_leader_of_the_servers_that_was_paused_answers_nothing_old_when_it_goes_on",
            "ha-consul/tests/client_impostors.rs::everything_that_decides_is_read_from_the_leader_of_the_servers",
        ]),
    ),
    x(
        16,
        "watches",
        Covered(&[
            "X-16",
            "B-69",
            "B-70",
            "B-71",
            "B-72",
            "B-73",
            "B-78",
            "ha-consul/tests/following.rs::a_query_that_is_never_answered_is_given_up",
            "ha-consul/tests/following.rs::an_index_that_went_back_is_told_and_followed_anew",
        ]),
    ),
    x(
        17,
        "rate limit, slow store",
        Covered(&[
            "ha-consul/tests/client_answers.rs::every_answer_is_an_error_of_its_own_kind",
            "ha-consul/tests/faults/answers.rs::every_fault_of_a_renewal_is_got_over",
            "ha-consul/tests/faults/answers.rs::every_fault_of_following_is_got_over",
        ]),
    ),
    x(
        18,
        "expired and missing rights",
        Covered(&[
            "LD-08",
            "LE-28",
            "LR-13",
            "ha-consul/tests/faults/token.rs::a_leader_whose_token_is_revoked_steps_down_and_another_leads",
            "ha-consul/tests/faults/policy.rs::a_latch_that_alone_may_not_be_read_is_denied_and_not_free",
            "ha-filesystem/tests/processes/rights.rs::\
             where_entries_may_not_be_made_any_more_the_leader_steps_down_and_all_goes_on_when_they_may",
        ]),
    ),
    x(
        19,
        "session invalid, deleted, flapping",
        Covered(&[
            "B-53",
            "B-54",
            "B-55",
            "B-56",
            "ha-consul/tests/faults/operators.rs::a_session_that_an_operator_destroys_costs_one_term",
            "ha-consul/tests/faults/operators.rs::a_check_that_is_set_critical_costs_one_term",
        ]),
    ),
    x(20, "a hundred contenders", Own),
    x(21, "too large", Covered(&["X-21", "B-16", "B-17", "B-18", "B-19"])),
    x(
        22,
        "full disk and broken disk",
        Covered(&[
            "X-22",
            "X-34",
            "ha-core/tests/full_disk.rs::a_full_disk_is_an_error_that_loses_nothing_and_passes_when_there_is_room",
            "ha-core/tests/full_disk.rs::a_read_only_disk_is_an_error_and_what_is_there_can_be_read",
            "ha-filesystem/tests/real/small_disks.rs::a_disk_without_inodes_refuses_entries_and_keeps_those_it_has",
            "ha-filesystem/tests/recorded/faults.rs::an_io_error_at_any_step_loses_nothing_that_was_told",
            "ha-filesystem/tests/processes/full_disk.rs::on_a_full_disk_writes_are_refused_for_certain_\
             the_leader_steps_down_and_all_goes_on_when_there_is_room",
        ]),
    ),
    x(
        23,
        "crash after every system call",
        Covered(&[
            "ha-filesystem/tests/real/killed.rs::a_process_that_is_killed_at_any_step_leaves_what_it_told",
            "ha-filesystem/tests/recorded/faults.rs::\
             nothing_told_is_lost_when_the_process_ends_at_any_step_and_the_power_fails",
        ]),
    ),
    x(
        24,
        "network file systems",
        Except(
            &[
                "ha-filesystem/tests/recorded/clauses.rs::\
                 where_listings_are_cached_each_is_made_fresh_and_what_that_leaves_is_collected",
                "ha-filesystem/tests/recorded/clauses.rs::\
                 a_shared_file_system_without_hard_links_is_refused_with_the_reason",
                "ha-filesystem/tests/processes/deaths.rs::\
                 a_killed_leader_whose_lock_says_nothing_is_followed_by_silence_and_not_before_its_deadline",
            ],
            "two mounts of one export. No NFS, SMB, CephFS, FUSE and no driver of volumes was tried: what is said of \
             them comes from their documentation",
        ),
    ),
    x(25, "names and prefixes", Covered(&["X-25", "B-61", "B-64", "B-65"])),
    x(
        26,
        "counter under leader changes",
        Covered(&[
            "X-26",
            "ha-consul/tests/faults/counter.rs::eight_processes_count_to_sixteen_thousand_without_a_double",
            "ha-filesystem/tests/processes/counter.rs::\
             eight_processes_count_to_sixteen_thousand_without_a_double_while_leaders_are_killed",
        ]),
    ),
    x(27, "checkpoint added while leadership goes", Own),
    x(28, "recovery of 10,000 pointers", Partly(&["X-28"], "bounds of time and memory, by the benchmarks: filesystem")),
    x(29, "corrupt and newer records", Covered(&["X-29", "EP-21", "CP-12", "B-63"])),
    x(30, "orphans", Own),
    x(31, "two instances with one name", Covered(&["X-31", "B-58"])),
    x(32, "delete and re-create with an old version", Covered(&["X-32", "B-08", "B-11", "U-14"])),
    x(33, "job results under concurrency and crashes", Covered(&["X-33", "JR-12", "JR-17"])),
    x(
        34,
        "blobs under concurrency, half-uploaded, large",
        Covered(&["X-34", "BL-03", "ha-testkit/tests/large_blob.rs::a_blob_of_one_gib_is_written_and_read_in_pieces"]),
    ),
    x(
        35,
        "close, drop and cancellation at any point",
        Covered(&[
            "X-35",
            "X-41",
            "B-75",
            "B-76",
            "B-77",
            "B-78",
            "U-16",
            "ha-core/tests/election_under_attack.rs::a_leadership_kept_beyond_its_runtime_does_not_keep_the_latch_from_others",
            "ha-core/tests/election_under_attack.rs::an_elector_whose_runtime_is_gone_contends_again_on_the_next_one",
        ]),
    ),
    x(36, "interrupted clean-up", Own),
    x(37, "version skew", Own),
    x(38, "one event per transition", Partly(&["X-38"], "latency of renewals, which are sent over a network: Consul")),
    x(
        39,
        "soak",
        Partly(
            &[
                "X-39",
                "ha-consul/tests/faults/sessions.rs::five_hundred_sessions_opened_and_closed_leave_nothing",
                "ha-filesystem/tests/processes/following.rs::\
                 a_follower_and_a_sleeper_see_the_end_and_never_go_back_while_ten_thousand_commits_are_swept",
            ],
            "a day of it: Consul, filesystem",
        ),
    ),
    x(
        40,
        "retrieval never goes back",
        Covered(&[
            "X-40",
            "ha-filesystem/tests/processes/following.rs::\
             a_follower_and_a_sleeper_see_the_end_and_never_go_back_while_ten_thousand_commits_are_swept",
        ]),
    ),
    x(41, "calls dropped on their way", Own),
    x(42, "a state storage that hangs", Own),
    x(43, "a planned hand-over that an operator asks for", Own),
];
