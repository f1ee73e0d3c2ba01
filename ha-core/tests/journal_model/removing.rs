//! Each guard is needed: without it, and with all others, the model finds a violation. The same configurations hold
//! with it.

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model};

use crate::configurations::*;
use crate::guard::Guard;
use crate::model::Protocol;
use crate::properties::*;

/// Without the guard, that property breaks.
fn breaks(protocol: Protocol, without: Guard, property: &'static str) {
    let found = HasDiscoveries::AllOf(BTreeSet::from([property]));
    let protocol = Protocol { without: Some(without), reaches: &[], ..protocol };
    let name = protocol.name;
    let checker = protocol.checker().finish_when(found).spawn_bfs().join();
    let states = checker.unique_state_count();
    let others = checker.discoveries().into_keys().filter(|name| *name != property).collect::<BTreeSet<_>>();
    let Some(path) = checker.discovery(property) else {
        panic!("without {without:?}, {name} still holds in {states} states: {property}; broken is {others:?}");
    };
    let steps = path.into_actions();
    println!("without {without:?}, {name}: broken in {} steps, of {states} states: {property}", steps.len());
    println!("    {steps:?}");
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
