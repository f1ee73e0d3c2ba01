//! With all its guards the protocol keeps its promises, in every order of steps and faults.

use stateright::{Checker, Model};

use crate::configurations::*;
use crate::model::Protocol;

fn holds(protocol: Protocol) {
    let name = protocol.name;
    let checker = protocol.checker().spawn_bfs().join();
    println!("{name}: {} states, depth {}", checker.unique_state_count(), checker.max_depth());
    checker.assert_properties();
}

#[test]
fn writers_with_lost_answers_crashes_and_power_losses() {
    holds(WRITERS);
}

#[test]
fn a_reader_of_what_is_not_yet_durable() {
    holds(OBSERVED);
}

#[test]
fn a_stalled_writer_with_two_sweepers() {
    holds(STALLED_WRITER);
}

#[test]
fn a_stalled_reader_with_a_stalled_writer() {
    holds(STALLED_READER);
}

#[test]
fn power_losses_while_snapshots_are_put_and_entries_swept() {
    holds(POWER);
}

#[test]
fn a_newest_snapshot_that_is_damaged() {
    holds(DAMAGED);
}

#[test]
fn points_that_are_two_entries_apart() {
    holds(INTERVAL);
}

#[test]
fn all_processes_at_once_with_a_lost_answer() {
    holds(ALL_PROCESSES);
}

#[test]
fn all_crashes_at_once_with_a_loss_of_power() {
    holds(ALL_CRASHES);
}
