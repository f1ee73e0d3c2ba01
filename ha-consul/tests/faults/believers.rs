//! Processes that contend while they are stopped and cut off: no two of them ever believe at one instant that they
//! lead.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ha_core::HighAvailabilityServices;
use ha_core::seam::Moment;
use ha_testkit::process::{Event, Process, Stage, role};
use ha_testkit::proxy::{Fault, Proxy};
use serde::{Deserialize, Serialize};

use crate::member::Member;
use crate::world::{World, heavy, in_time, run};

/// How often a process asks itself whether it leads.
const ASK_EVERY: Duration = Duration::from_millis(5);

/// One answer to the question who leads: from `asked` to `answered` there is an instant at which this process did, by
/// all that it knows. All processes of a machine have one clock.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Believes {
    token: u64,
    asked: u64,
    answered: u64,
}

fn nanoseconds(moment: Moment) -> u64 {
    u64::try_from(moment.since_origin().as_nanos()).unwrap()
}

async fn believe(member: Member, stage: Stage) {
    let services = member.services(stage.seam()).await;
    loop {
        let Ok(leadership) = services.dispatcher_leader_election().unwrap().campaign().await else {
            stage.seam().sleep(ASK_EVERY).await;
            continue;
        };
        let token = leadership.token().epoch();
        loop {
            let asked = nanoseconds(stage.seam().now());
            if !leadership.is_valid() {
                break;
            }
            let answered = nanoseconds(stage.seam().now());
            stage.tell("believes", Believes { token, asked, answered });
            stage.seam().sleep(ASK_EVERY).await;
        }
        stage.tell("over", token);
    }
}

#[test]
fn believer() {
    role("believers::believer", believe);
}

fn believed(events: &[Event]) -> Vec<Believes> {
    let believes = events.iter().filter(|event| event.name == "believes");
    believes.map(|event| serde_json::from_value(event.value.clone()).unwrap()).collect()
}

/// What befalls the one that leads, until another does.
#[derive(Debug, Clone, Copy)]
enum Blow {
    Stop,
    Way(Fault),
}

struct Believer {
    process: Process,
    proxy: Proxy,
}

/// Who leads under a greater token than that.
async fn leader_after(w: &World, believers: &[Believer], token: u64) -> (usize, u64) {
    let found = async {
        loop {
            let tokens = believers
                .iter()
                .enumerate()
                .filter_map(|(number, believer)| Some((believed(&believer.process.events()).last()?.token, number)));
            match tokens.max() {
                Some((now, number)) if now > token => return (number, now),
                _ => w.seam.sleep(ASK_EVERY * 4).await,
            }
        }
    };
    in_time(&w.seam, "another one leads", found).await
}

/// Panics if a process believed that it led after another one had begun to, under a greater token.
fn assert_never_two_at_once(told: &[(usize, Believes)]) {
    // From the latest instant at which a term had begun to the latest at which it was believed in.
    let mut terms: BTreeMap<u64, (usize, u64, u64)> = BTreeMap::new();
    for (who, believes) in told {
        let term = terms.entry(believes.token).or_insert((*who, believes.answered, believes.asked));
        assert_eq!(term.0, *who, "token {} was given to two", believes.token);
        term.1 = term.1.min(believes.answered);
        term.2 = term.2.max(believes.asked);
    }
    let terms: Vec<_> = terms.into_iter().collect();
    for pair in terms.windows(2) {
        let [(old, (one, _, until)), (new, (other, from, _))] = pair else { unreachable!("windows of two") };
        let late = until.saturating_sub(*from);
        assert!(until <= from, "{one} believed in {old} {late} ns after {other} had begun to lead under {new}");
    }
}

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

#[test]
fn no_two_processes_on_consul_ever_believe_at_one_instant_that_they_lead() {
    run(async {
        // Fails if a deadline is counted from an answer instead of its request, does not run while a process is
        // stopped, or is later than the end of check and session at Consul.
        let _turn = heavy().await;
        let w = World::shared().await?;
        let mut believers = Vec::new();
        for label in ["one", "other", "third"] {
            let proxy = Proxy::to(w.agent.address(), w.seam.clone()).await;
            let member = w.place.member(label, &[proxy.address().to_owned()]);
            let process = Process::spawn(w.seam.clone(), "believers::believer", &member);
            believers.push(Believer { process, proxy });
        }
        let ways = [Fault::Stall, Fault::StallAnswers, Fault::StallRequests, Fault::Cut].map(Blow::Way);
        let blows: Vec<Blow> = ways.into_iter().flat_map(|way| [Blow::Stop, way]).collect();
        let (mut leader, mut token) = leader_after(&w, &believers, 0).await;
        for blow in &blows {
            match blow {
                Blow::Stop => drop(believers[leader].process.stop().await),
                Blow::Way(fault) => believers[leader].proxy.fault(*fault),
            }
            let next = leader_after(&w, &believers, token).await;
            let struck = &mut believers[leader];
            if matches!(blow, Blow::Stop) {
                struck.process.cont();
            }
            // Who is cut off still is: nothing but its own clock can tell it.
            let over = |events: &[Event]| {
                let mut over = events.iter().filter(|event| event.name == "over");
                over.any(|event| event.value.as_u64() == Some(token)).then_some(())
            };
            struck.process.until("its term is over", over).await;
            struck.proxy.fault(Fault::None);
            (leader, token) = next;
        }
        let told = believers.iter().enumerate().flat_map(|(number, believer)| {
            believed(&believer.process.events()).into_iter().map(move |believes| (number, believes))
        });
        let told: Vec<_> = told.collect();
        assert_never_two_at_once(&told);
        let tokens: BTreeSet<u64> = told.iter().map(|(_, believes)| believes.token).collect();
        assert!(tokens.len() > blows.len(), "after each blow another one led: {tokens:?}");
        Ok(())
    });
}
