//! Each guard is needed: without it, and with all others, the model finds a violation. The same configurations hold
//! with it.

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model};

use crate::configurations::*;
use crate::guard::Guard;
use crate::model::Protocol;
use crate::properties::*;

/// Without the guard, that property breaks, and this is a shortest way.
fn breaks(protocol: Protocol, without: Guard, property: &'static str) {
    let protocol = Protocol { without: Some(without), reaches: &[], ..protocol };
    let found = HasDiscoveries::AllOf(BTreeSet::from([property]));
    let checker = protocol.clone().checker().finish_when(found).spawn_bfs().join();
    match checker.discovery(property) {
        Some(path) => {
            let (states, way) = (checker.unique_state_count(), path.into_actions());
            println!(
                "without {without:?}, {}: broken in {} steps, {states} states: {property}",
                protocol.name,
                way.len()
            );
            println!("    {way:?}");
        }
        None => panic!("without {without:?}, {} still holds: {property}", protocol.name),
    }
}

#[test]
fn the_fence() {
    breaks(WRITES, Guard::Fence, NO_OLD_WRITE);
}

#[test]
fn raising_the_epoch_with_the_taking() {
    breaks(ATTEMPTS, Guard::EpochRaised, TERMS_GROW);
    breaks(WRITES, Guard::EpochRaised, ONE_WRITER);
}

#[test]
fn keeping_the_epoch_when_the_latch_is_freed() {
    breaks(ATTEMPTS, Guard::EpochKept, TERMS_GROW);
}

#[test]
fn taking_over_exactly_one_term() {
    breaks(DEAD, Guard::ExactTerm, EVIDENCE);
    breaks(THREE, Guard::ExactTerm, EVIDENCE);
}

#[test]
fn taking_a_latch_once_on_a_session() {
    breaks(SHARED, Guard::OncePerSession, HEALS);
}

#[test]
fn waiting_for_the_whole_silence() {
    breaks(SILENT, Guard::WholeSilence, NOT_TOO_EARLY);
}

#[test]
fn counting_a_renewal_from_its_sending() {
    breaks(SILENT, Guard::FromSending, NOT_TOO_EARLY);
}

#[test]
fn counting_only_renewals_that_were_acknowledged() {
    breaks(SILENT, Guard::OnlyAcknowledged, NOT_TOO_EARLY);
}

#[test]
fn stopping_at_the_own_deadline() {
    breaks(SILENT, Guard::Deadline, NO_OVERLAP);
}

#[test]
fn ending_the_grant_before_the_release() {
    breaks(ATTEMPTS, Guard::EndBeforeRelease, NO_OVERLAP);
}

#[test]
fn giving_up_the_session_with_the_attempt() {
    breaks(ATTEMPTS, Guard::SessionGivenUp, HEALS);
}

#[test]
fn releasing_again_what_may_still_be_taken() {
    breaks(SHARED, Guard::ReleasedAgain, HEALS);
}

#[test]
fn doubting_an_attempt_after_the_answer_to_another() {
    breaks(SHARED, Guard::DoubtRemains, HEALS);
}

#[test]
fn expecting_what_is_replaced() {
    breaks(WRITES, Guard::Expectations, STAYS);
    breaks(WRITES, Guard::Expectations, ONCE);
}

#[test]
fn revisions_that_never_repeat() {
    breaks(CREATIONS, Guard::RevisionsNeverRepeat, STAYS);
}

#[test]
fn comparing_the_write_id() {
    breaks(WRITES, Guard::WriteIdCompared, REFUSED);
}

#[test]
fn proving_nothing_by_absence() {
    breaks(WRITES, Guard::AbsenceProvesNothing, REFUSED);
}

#[test]
fn the_barrier() {
    breaks(CREATIONS, Guard::Barrier, REMOVED);
}

#[test]
fn naming_the_term_that_is_to_end() {
    breaks(ASKED, Guard::RequestNamesTerm, REQUEST);
}
