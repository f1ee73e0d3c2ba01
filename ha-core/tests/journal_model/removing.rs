//! Each guard is needed: without it, and with all others, the model finds a violation. The same configurations hold
//! with it.

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model};

use crate::configurations::*;
use crate::guard::Guard;
use crate::model::Protocol;
use crate::properties::*;

/// More steps than any of these configurations has.
const STEPS_MAX: usize = 64;

/// Without the guard, that property breaks. One step more at a time is allowed, so the shortest way is found.
fn breaks(protocol: Protocol, without: Guard, property: &'static str) {
    let protocol = Protocol { without: Some(without), reaches: &[], ..protocol };
    for steps in 1..STEPS_MAX {
        let found = HasDiscoveries::AllOf(BTreeSet::from([property]));
        let checker = protocol.clone().checker().finish_when(found);
        // It leaves out the states at that depth, and counts the first one as 1.
        let checker = checker.target_max_depth(steps + 2).spawn_bfs().join();
        if let Some(path) = checker.discovery(property) {
            let (states, way) = (checker.unique_state_count(), path.into_actions());
            assert_eq!(way.len(), steps);
            println!("without {without:?}, {}: broken in {steps} steps, {states} states: {property}", protocol.name);
            println!("    {way:?}");
            return;
        }
        if checker.max_depth() < steps {
            break;
        }
    }
    panic!("without {without:?}, {} still holds: {property}", protocol.name);
}

#[test]
fn exclusive_creation() {
    breaks(WRITERS, Guard::Exclusive, ONE_WINNER);
}

#[test]
fn fsync_of_what_is_staged() {
    breaks(WRITERS, Guard::StagedFsync, NOTHING_LOST);
}

#[test]
fn fsync_of_the_directory_before_acknowledging() {
    breaks(WRITERS, Guard::FsyncBeforeAcknowledging, NOTHING_LOST);
}

#[test]
fn fsync_of_the_directory_on_observing() {
    breaks(OBSERVED, Guard::FsyncOnObserving, NOTHING_TAKEN_BACK);
}

#[test]
fn comparing_after_a_failed_link() {
    breaks(WRITERS, Guard::CompareAfterFailure, ONCE);
}

#[test]
fn the_floor_check_of_writers() {
    breaks(STALLED_WRITER, Guard::WriterFloor, ONE_WINNER);
    breaks(STALLED_WRITER, Guard::WriterFloor, EPOCHS);
}

#[test]
fn the_floor_check_of_readers_after_opening() {
    breaks(STALLED_READER, Guard::ReaderFloorOpened, ONE_HISTORY);
}

#[test]
fn the_floor_check_of_writers_that_compare() {
    breaks(STALLED_WRITER, Guard::ReaderFloorOpened, ONE_WINNER);
}

#[test]
fn the_floor_check_of_readers_after_not_finding() {
    breaks(STALLED_READER, Guard::ReaderFloorMissing, NEVER_STALE);
}

#[test]
fn looking_up_the_floor_afterwards() {
    breaks(STALLED_WRITER, Guard::FloorLookedUpAfter, ONE_WINNER);
    breaks(STALLED_READER, Guard::FloorLookedUpAfter, NEVER_STALE);
}

#[test]
fn not_publishing_again_what_may_be_published() {
    breaks(STALLED_WRITER, Guard::NoRepublishing, ONCE);
}

#[test]
fn durable_snapshots_before_a_sweep() {
    breaks(POWER, Guard::SnapshotBeforeSweep, NOTHING_LOST);
}

#[test]
fn keeping_the_interval_above_the_floor() {
    breaks(STALLED_WRITER, Guard::KeepInterval, ONE_WINNER);
    breaks(INTERVAL, Guard::KeepInterval, NEVER_STALE);
}

#[test]
fn keeping_the_entries_above_the_second_newest_snapshot() {
    breaks(DAMAGED, Guard::SecondSnapshotCovers, NOTHING_LOST);
}

#[test]
fn keeping_two_snapshots() {
    breaks(DAMAGED, Guard::KeepTwoSnapshots, NOTHING_LOST);
}
