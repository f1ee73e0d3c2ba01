//! Processes that contend while they are stopped and cut off: no two of them ever believe at one instant that they
//! lead.

use std::collections::BTreeSet;

use ha_testkit::process::{Process, role};
use ha_testkit::proxy::{Fault, Proxy};
use ha_testkit::trials::{ASK_EVERY, assert_never_two_at_once, believe, believed, is_over};

use crate::member::Member;
use crate::world::{World, heavy, in_time, run};

#[test]
fn believer() {
    role("believers::believer", believe::<Member>);
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
            struck.process.until("its term is over", is_over(token)).await;
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
