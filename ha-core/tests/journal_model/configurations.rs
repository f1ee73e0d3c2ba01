use crate::model::Protocol;
use crate::properties::*;

const PLAIN: Protocol = Protocol {
    name: "",
    batches: &[],
    readers: 0,
    sweepers: 0,
    interval: 0,
    lost_answers: 0,
    power_losses: 0,
    crashes: false,
    damage: false,
    without: None,
    reaches: &[],
};

/// Two writers compete for numbers; answers are lost, links come late, processes crash, the power goes.
pub(crate) const WRITERS: Protocol = Protocol {
    name: "writers",
    batches: &[2, 2],
    lost_answers: 2,
    power_losses: 1,
    crashes: true,
    reaches: &[RESOLVED_APPLIED, RESOLVED_UNKNOWN, LOST_RACE, POWER_LOST],
    ..PLAIN
};

/// Somebody reads what a writer has linked and not yet made durable.
pub(crate) const OBSERVED: Protocol = Protocol {
    name: "observed",
    batches: &[1, 2],
    readers: 1,
    lost_answers: 1,
    power_losses: 1,
    crashes: true,
    reaches: &[RESOLVED_APPLIED, POWER_LOST],
    ..PLAIN
};

/// A writer stalls at a number while another one goes on, and two sweep behind it.
pub(crate) const STALLED_WRITER: Protocol = Protocol {
    name: "stalled writer",
    batches: &[2, 1],
    sweepers: 2,
    interval: 1,
    lost_answers: 2,
    crashes: true,
    reaches: &[SWEPT, RECREATED, TWO_SWEEPS, RESOLVED_UNKNOWN],
    ..PLAIN
};

/// A reader stalls at a number that is swept and made again by a writer that stalled as well.
pub(crate) const STALLED_READER: Protocol = Protocol {
    name: "stalled reader",
    batches: &[3, 1],
    readers: 1,
    sweepers: 1,
    interval: 1,
    reaches: &[SWEPT, RECREATED, RECREATED_OPENED, BEHIND],
    ..PLAIN
};

/// The power goes while snapshots are put and entries are swept.
pub(crate) const POWER: Protocol = Protocol {
    name: "power",
    batches: &[3],
    readers: 1,
    sweepers: 2,
    interval: 1,
    power_losses: 2,
    crashes: true,
    reaches: &[SWEPT, POWER_LOST, BEHIND],
    ..PLAIN
};

/// The newest snapshot cannot be read any more.
pub(crate) const DAMAGED: Protocol = Protocol {
    name: "damaged snapshot",
    batches: &[4],
    sweepers: 2,
    interval: 1,
    crashes: true,
    damage: true,
    reaches: &[SWEPT, SECOND_SNAPSHOT],
    ..PLAIN
};

/// Points that are two entries apart: between the newest two, entries lie that no floor covers.
pub(crate) const INTERVAL: Protocol = Protocol {
    name: "interval of two",
    batches: &[5, 1],
    readers: 1,
    sweepers: 1,
    interval: 2,
    reaches: &[SWEPT, RECREATED, BEHIND],
    ..PLAIN
};

/// Two writers, a reader and two sweepers, each of which may stall anywhere for ever, and a lost answer.
pub(crate) const ALL_PROCESSES: Protocol = Protocol {
    name: "all processes",
    batches: &[2, 1],
    readers: 1,
    sweepers: 2,
    interval: 1,
    lost_answers: 1,
    reaches: &[SWEPT, RECREATED, RECREATED_OPENED, BEHIND, TWO_SWEEPS, RESOLVED_APPLIED, RESOLVED_UNKNOWN],
    ..PLAIN
};

/// Two writers that come back after crashes, a reader, a sweeper, and a loss of power.
pub(crate) const ALL_CRASHES: Protocol = Protocol {
    name: "all crashes",
    batches: &[2, 1],
    readers: 1,
    sweepers: 1,
    interval: 1,
    power_losses: 1,
    crashes: true,
    reaches: &[SWEPT, RECREATED, RECREATED_OPENED, BEHIND, POWER_LOST],
    ..PLAIN
};
