use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use ha_core::HighAvailabilityServices;
use ha_core::election::Leadership;
use ha_core::seam::Seam;
use serde::{Deserialize, Serialize};

use super::{Member, nanoseconds};
use crate::process::{Event, Stage};

/// How often a process asks itself whether it leads.
pub const ASK_EVERY: Duration = Duration::from_millis(5);

/// One answer to the question who leads: from `asked` to `answered` there is an instant at which this one did, by all
/// that it knows. All processes of a machine have one clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Believes {
    /// Under which token.
    pub token: u64,
    asked: u64,
    answered: u64,
}

impl Believes {
    /// Asks; `None` if it does not lead any more.
    #[must_use]
    pub fn ask(leadership: &Leadership, seam: &Seam) -> Option<Self> {
        let asked = nanoseconds(seam.now());
        let leads = leadership.is_valid();
        let (token, answered) = (leadership.token().epoch(), nanoseconds(seam.now()));
        leads.then_some(Self { token, asked, answered })
    }
}

/// A role: contends again and again, asks itself all the time whether it leads, and tells when a term is over.
///
/// # Panics
/// The services cannot be opened.
///
/// # Cancel safety
/// After a drop the leadership is resigned.
pub async fn believe<M: Member>(member: M, stage: Stage) {
    let services = member.services(stage.seam()).await.expect("services");
    loop {
        let Ok(leadership) = services.dispatcher_leader_election().expect("services that are open").campaign().await
        else {
            stage.seam().sleep(ASK_EVERY).await;
            continue;
        };
        while let Some(believes) = Believes::ask(&leadership, stage.seam()) {
            stage.tell("believes", believes);
            stage.seam().sleep(ASK_EVERY).await;
        }
        stage.tell("over", leadership.token().epoch());
    }
}

/// What a process has believed so far.
///
/// # Panics
/// It plays another role.
#[must_use]
pub fn believed(events: &[Event]) -> Vec<Believes> {
    let believes = events.iter().filter(|event| event.name == "believes");
    believes.map(|event| serde_json::from_value(event.value.clone()).expect("a belief")).collect()
}

/// Whether a process has told that its term with that token is over; for [`Process::until`](crate::process::Process::until).
pub fn is_over(token: u64) -> impl Fn(&[Event]) -> Option<()> {
    move |events| {
        let mut over = events.iter().filter(|event| event.name == "over");
        over.any(|event| event.value.as_u64() == Some(token)).then_some(())
    }
}

/// Judges who believed what.
///
/// # Panics
/// One believed that it led after another one had begun to, under a later token; or two had one token.
pub fn assert_never_two_at_once<W: PartialEq + Debug>(told: &[(W, Believes)]) {
    // A term is one process's. Once begun, it lasted up to each later question.
    let mut terms: BTreeMap<u64, (&W, u64, u64)> = BTreeMap::new();
    for (who, believes) in told {
        let term = terms.entry(believes.token).or_insert((who, believes.answered, believes.asked));
        assert_eq!(term.0, who, "token {} was given to two", believes.token);
        term.1 = term.1.min(believes.answered);
        term.2 = term.2.max(believes.asked);
    }
    let terms: Vec<_> = terms.into_iter().collect();
    for pair in terms.windows(2) {
        let [(old, (one, _, until)), (new, (other, from, _))] = pair else { unreachable!("windows of two") };
        let late = until.saturating_sub(*from);
        assert!(until <= from, "{one:?} believed in {old} {late} ns after {other:?} had begun to lead under {new}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_beliefs_at_one_instant_are_seen() {
        let believes = |who: usize, token, at| (who, Believes { token, asked: at, answered: at + 1 });
        let apart = [believes(0, 1, 10), believes(0, 1, 20), believes(1, 2, 30), believes(0, 3, 40)];
        assert_never_two_at_once(&apart);
        for wrong in [believes(0, 1, 32), believes(1, 3, 50)] {
            let told: Vec<_> = apart.iter().copied().chain([wrong]).collect();
            assert!(std::panic::catch_unwind(|| assert_never_two_at_once(&told)).is_err(), "{told:?}");
        }
    }
}
