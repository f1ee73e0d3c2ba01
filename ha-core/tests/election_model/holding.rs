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
fn silence_and_slow_renewals() {
    holds(SILENT);
}

#[test]
fn attempts_and_releases_that_are_not_answered() {
    holds(ATTEMPTS);
}

#[test]
fn processes_that_crash_and_come_back() {
    holds(CRASHES);
}

#[test]
fn sessions_that_nobody_closes() {
    holds(SHARED);
}

#[test]
fn takeovers_on_evidence() {
    holds(DEAD);
}

#[test]
fn writes_while_terms_end() {
    holds(WRITES);
}

#[test]
fn creations_that_come_late() {
    holds(CREATIONS);
}

#[test]
fn requests_to_step_down() {
    holds(ASKED);
}

#[test]
fn three_contenders() {
    holds(THREE);
}

#[test]
fn all_together() {
    holds(TOGETHER);
}
