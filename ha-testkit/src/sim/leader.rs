//! What a process does to lead, and while it leads.

use std::time::Duration;

use ha_core::election::{Leadership, LossReason, Ran};
use ha_core::{ErrorKind, HighAvailabilityServices};
use tokio::sync::watch;

use super::life::Own;
use super::work;
use super::workload::Part;
use super::world::LATCH;
use crate::history::{Answer, Call, Loss, Term, What};

const COMPONENT: &str = "dispatcher";

fn component() -> String {
    COMPONENT.to_owned()
}

/// Campaigns, leads, and begins anew, until it is to stop.
pub(super) async fn lead_again_and_again(own: &Own, stop: &mut watch::Receiver<bool>) {
    let Ok(election) = own.services.dispatcher_leader_election() else { return };
    while !*stop.borrow() {
        let campaign =
            own.call(None, Call::Campaign { component: component() }, election.campaign(), |_| Answer::Nothing);
        let won = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            won = campaign => won,
        };
        match won {
            Ok(leadership) => lead(own, leadership, stop).await,
            Err(error) if error.kind() == ErrorKind::Closed => return,
            Err(_) => own.rest(Duration::from_millis(300)).await,
        }
        own.rest(Duration::from_millis(50)).await;
    }
}

/// How a leadership goes on while its work is done.
enum Over {
    /// The work has come to its end, or noticed itself that it has no leadership.
    Worked,
    Lost(LossReason),
    Stopped,
}

async fn lead(own: &Own, leadership: Leadership, stop: &mut watch::Receiver<bool>) {
    let term = leadership.grant().term().clone();
    let noted = Term::new(LATCH, term.epoch);
    own.scribe.note(What::Granted { component: component(), term: noted.clone() });
    own.world.leads(own.process, term.epoch, &term.native);
    own.world.told(own.process, COMPONENT, Some(term.epoch));
    // Some go on until they are refused, instead of letting their work be dropped when the leadership is lost.
    let stubborn = own.chance(2);
    let over = {
        let working = async {
            let work = async {
                match own.part == Part::Audits {
                    true => {
                        if work::audit(own, &leadership).await {
                            own.world.audited();
                        }
                        // It keeps the latch until its world ends.
                        let _why = leadership.lost().await;
                    }
                    false => work::all(own, &leadership).await,
                }
            };
            match stubborn {
                true => {
                    work.await;
                    Over::Worked
                }
                false => match leadership.run(work).await {
                    Ran::Done(()) => Over::Worked,
                    Ran::Lost(why) => Over::Lost(why),
                },
            }
        };
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => Over::Stopped,
            over = working => over,
            () = believe(own, &leadership, &noted) => Over::Worked,
        }
    };
    own.world.leads_no_more(own.process, term.epoch);
    own.world.told(own.process, COMPONENT, None);
    let why = match over {
        Over::Lost(why) => why.into(),
        Over::Worked | Over::Stopped => match leadership.grant().loss() {
            Some(why) => why.into(),
            None => {
                let grant = leadership.grant().clone();
                let call = Call::Resign { component: component() };
                drop(own.call(Some(term.epoch), call, leadership.resign(), |()| Answer::Nothing).await);
                grant.loss().map_or(Loss::Resigned, Into::into)
            }
        },
    };
    own.scribe.note(What::Revoked { component: component(), term: noted, why });
}

/// Notes now and then up to when the leader believes that silence cannot depose it. Never done while it lasts.
async fn believe(own: &Own, leadership: &Leadership, term: &Term) {
    loop {
        if let Some(until_ns) = own.world.until_ns(own.process, &own.seam, leadership.valid_until()) {
            own.scribe.note(What::Believes { term: term.clone(), until_ns });
        }
        own.rest(own.world.silence() / 5).await;
    }
}
