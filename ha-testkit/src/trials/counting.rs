use std::time::Duration;

use ha_core::{ErrorKind, HighAvailabilityServices, JobId};
use serde::{Deserialize, Serialize};

use super::Member;
use crate::process::{Event, Stage};

/// How long a process waits until it could give up its leadership in order; after that its silence does.
const RESIGN_MAX: Duration = Duration::from_secs(5);

/// What a process that counts is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Counting<M> {
    /// Who it is.
    pub member: M,
    /// How many steps it takes in all.
    pub steps: usize,
    /// How many of them it takes before it lets another lead.
    pub at_once: usize,
}

/// A role: takes its steps while it leads, and tells the number that each got, with the term's token.
///
/// # Panics
/// The services cannot be opened, or a campaign fails.
///
/// # Cancel safety
/// After a drop an id may be used up that nobody has.
pub async fn count<M: Member>(counting: Counting<M>, stage: Stage) {
    let services = counting.member.services(stage.seam()).await.expect("services");
    let job = JobId::new("job").expect("a name");
    let mut left = counting.steps;
    while left > 0 {
        let election = services.dispatcher_leader_election().expect("services that are open");
        let leadership = election.campaign().await.expect("a campaign ends with leadership");
        let token = leadership.token().epoch();
        let counter = leadership.checkpoint_recovery_factory().create_checkpoint_id_counter(&job);
        let mut here = 0;
        if counter.start().await.is_ok() {
            while left > 0 && here < counting.at_once {
                match counter.get_and_increment().await {
                    Ok(id) => {
                        stage.tell("id", (token, id));
                        (left, here) = (left - 1, here + 1);
                    }
                    Err(error) if matches!(error.kind(), ErrorKind::NotLeader | ErrorKind::Fenced) => break,
                    // An id may be used up that nobody has.
                    Err(error) => stage.tell("trouble", error.to_string()),
                }
            }
        }
        // If it cannot give up in order, its silence does.
        let _ = stage.seam().timeout(RESIGN_MAX, leadership.resign()).await;
    }
    stage.tell("done", ());
    std::future::pending().await
}

/// Each number that a process got, behind the token of its term.
///
/// # Panics
/// It plays another role.
#[must_use]
pub fn ids(events: &[Event]) -> Vec<(u64, u64)> {
    let ids = events.iter().filter(|event| event.name == "id");
    ids.map(|event| serde_json::from_value(event.value.clone()).expect("a token and a number")).collect()
}

/// Judges what all processes got, and answers in how many terms.
///
/// # Panics
/// A number was given out twice, or a later term began below a number of an earlier one.
pub fn assert_unique_and_growing(mut all: Vec<(u64, u64)>) -> usize {
    // By term, and within a term in the order of the ids: then they grow without a double.
    all.sort_unstable();
    for pair in all.windows(2) {
        assert!(pair[0].1 < pair[1].1, "an id was given out twice, or a later term began below: {pair:?}");
    }
    all.chunk_by(|one, next| one.0 == next.0).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_given_out_twice_or_too_low_is_seen() {
        assert_eq!(assert_unique_and_growing(vec![(2, 7), (1, 1), (1, 4)]), 2);
        for wrong in [(1, 4), (3, 7), (3, 2)] {
            let all = vec![(2, 7), (1, 1), (1, 4), wrong];
            assert!(std::panic::catch_unwind(|| assert_unique_and_growing(all)).is_err(), "{wrong:?}");
        }
    }
}
