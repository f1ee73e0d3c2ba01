use crate::model::Protocol;
use crate::properties::*;
use crate::world::Budget;

const NOTHING: Budget =
    Budget { lost: 0, late: 0, crashes: 0, ends: 0, resigns: 0, writes: 0, slow_renewals: 0, asks: 0 };

const PLAIN: Protocol = Protocol {
    name: "",
    processes: 2,
    terms: 3,
    budget: NOTHING,
    time: false,
    shared: false,
    evidence: false,
    heals: true,
    without: None,
    reaches: &[],
};

/// Leaders and standbys fall silent; renewals take their time in both directions; a leader resigns.
pub(crate) const SILENT: Protocol = Protocol {
    name: "silence",
    terms: 2,
    budget: Budget { slow_renewals: 1, resigns: 1, ..NOTHING },
    time: true,
    reaches: &[SECOND_TERM, BY_SILENCE, CUT_OFF],
    ..PLAIN
};

/// Attempts and releases are not answered, or come late; leaders and candidates give up.
pub(crate) const ATTEMPTS: Protocol = Protocol {
    name: "attempts",
    terms: 2,
    budget: Budget { lost: 1, late: 1, resigns: 1, ..NOTHING },
    reaches: &[SECOND_TERM, UNKNOWN_WIN],
    ..PLAIN
};

/// A process crashes, and comes back.
pub(crate) const CRASHES: Protocol = Protocol {
    name: "crashes",
    terms: 2,
    budget: Budget { crashes: 1, ..NOTHING },
    time: true,
    reaches: &[SECOND_TERM, BY_SILENCE],
    ..PLAIN
};

/// The sessions are shared with other latches: nobody closes them, and no silence helps.
pub(crate) const SHARED: Protocol = Protocol {
    name: "shared sessions",
    terms: 2,
    budget: Budget { late: 1, resigns: 2, ..NOTHING },
    shared: true,
    reaches: &[SECOND_TERM, STRAY_WIN],
    ..PLAIN
};

/// A leader crashes, is found dead, comes back and leads again; attempts to take over come late.
pub(crate) const DEAD: Protocol = Protocol {
    name: "evidence",
    budget: Budget { late: 1, crashes: 1, ends: 1, ..NOTHING },
    evidence: true,
    reaches: &[SECOND_TERM, TAKEN_OVER],
    // A crash without evidence is for silence, and there is no time.
    heals: false,
    ..PLAIN
};

/// Terms end while their leaders write; answers are lost, and copies come late.
pub(crate) const WRITES: Protocol = Protocol {
    name: "writes",
    terms: 2,
    budget: Budget { lost: 1, late: 1, ends: 1, writes: 2, ..NOTHING },
    heals: false,
    reaches: &[SECOND_TERM, DEPOSED_WRITES, FOUND_OUT, STAYS_UNKNOWN],
    ..PLAIN
};

/// Records are created, removed and created again, while copies of creations are on their way.
pub(crate) const CREATIONS: Protocol = Protocol {
    name: "creations",
    processes: 1,
    terms: 2,
    budget: Budget { lost: 1, late: 1, ends: 1, writes: 4, ..NOTHING },
    heals: false,
    reaches: &[SECOND_TERM, FOUND_OUT, STAYS_UNKNOWN, RAISED],
    ..PLAIN
};

/// An operator asks a leader to step down, and the request stays where it is.
pub(crate) const ASKED: Protocol = Protocol {
    name: "requests",
    budget: Budget { ends: 1, asks: 1, ..NOTHING },
    reaches: &[SECOND_TERM, YIELDED],
    heals: false,
    ..PLAIN
};

/// Three contend; one crashes, and attempts to take over come late.
pub(crate) const THREE: Protocol = Protocol {
    name: "three processes",
    processes: 3,
    budget: Budget { late: 1, crashes: 1, ..NOTHING },
    evidence: true,
    heals: false,
    reaches: &[SECOND_TERM, TAKEN_OVER],
    ..PLAIN
};

/// A little of everything at once.
pub(crate) const TOGETHER: Protocol = Protocol {
    name: "all together",
    terms: 2,
    budget: Budget { late: 1, slow_renewals: 1, writes: 1, ..NOTHING },
    time: true,
    reaches: &[SECOND_TERM, BY_SILENCE, DEPOSED_WRITES],
    ..PLAIN
};

/// What is carried out on the real services: elections.
pub(crate) const REPLAYED: Protocol = Protocol {
    name: "replayed elections",
    terms: 4,
    budget: Budget { lost: 1, late: 1, crashes: 1, ends: 1, resigns: 2, writes: 2, slow_renewals: 1, asks: 0 },
    time: true,
    heals: false,
    ..PLAIN
};

/// What is carried out on the real services: writes, on a store that ends a term.
pub(crate) const REPLAYED_WRITES: Protocol = Protocol {
    name: "replayed writes",
    budget: Budget { lost: 2, late: 2, ends: 1, writes: 5, ..NOTHING },
    heals: false,
    ..PLAIN
};
