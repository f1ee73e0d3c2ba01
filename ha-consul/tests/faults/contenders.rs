//! Many who wait for one latch.

use std::collections::BTreeSet;
use std::time::Duration;

use ha_core::HighAvailabilityServices;
use ha_testkit::proxy::{Matching, Proxy, Treatment};

use crate::member::{spawn, writes};
use crate::world::{World, epoch, heavy, in_time, run};

const CONTENDERS: usize = 100;
/// What each contender may ask when the leader dies: it hears of it, reads the latch, tries, and waits again.
const REQUESTS_EACH: u64 = 8;

/// The sessions of the contenders, as Consul knows them.
async fn sessions(w: &World) -> BTreeSet<String> {
    let all = w.agent.ask("GET", "/v1/session/list?consistent", b"").await.json();
    let ours =
        all.as_array().unwrap().iter().filter(|session| session["Name"].as_str().unwrap().contains("contender "));
    ours.map(|session| session["ID"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_hundred_contenders_ask_little_when_their_leader_dies() {
    run(async {
        // Fails if those who lose try again and again, or open their sessions anew.
        let _turn = heavy().await;
        let w = World::shared().await?;
        let proxy = Proxy::to(w.agent.address(), w.seam.clone()).await;
        let addresses = [proxy.address().to_owned()];
        let mut first = w.member("first");
        first.silence = Duration::from_secs(5);
        let mut leader = spawn(&w.seam, &first);
        writes(&leader, 1).await;
        let mut contenders = Vec::new();
        for number in 0..CONTENDERS {
            let mut member = w.place.member(&format!("contender {number}"), &addresses);
            // One process does the work of a hundred: its renewals may be slow.
            member.silence = Duration::from_secs(10);
            contenders.push(member.services(&w.seam).await);
        }
        let waiting = proxy.treat(Matching::path("index="), Treatment::SlowAnswer(Duration::ZERO));
        let (sender, mut won) = tokio::sync::mpsc::unbounded_channel();
        let campaigns: Vec<_> = contenders
            .iter()
            .map(|services| {
                let (election, sender) = (services.dispatcher_leader_election().unwrap(), sender.clone());
                w.seam.spawn(async move {
                    let leadership = election.campaign().await.unwrap();
                    let _ = sender.send(leadership);
                })
            })
            .collect();
        let all = in_time(&w.seam, "all have sessions", async {
            loop {
                let sessions = sessions(&w).await;
                if sessions.len() == CONTENDERS {
                    return sessions;
                }
                w.seam.sleep(Duration::from_millis(50)).await;
            }
        });
        let all = all.await;
        in_time(&w.seam, "all wait", waiting.matched(CONTENDERS as u64)).await;

        let tried = proxy.treat(Matching::path("/v1/txn"), Treatment::SlowAnswer(Duration::ZERO));
        let before = waiting.count();
        leader.kill();
        let next = in_time(&w.seam, "another leads", won.recv()).await.unwrap();
        // All have heard of it, and wait again.
        in_time(&w.seam, "the others wait again", waiting.matched(before + CONTENDERS as u64 - 1)).await;
        let asked = tried.count();
        let most = CONTENDERS as u64 * REQUESTS_EACH;
        assert!(asked <= most, "{asked} transactions, more than {most}");
        eprintln!("MEASURED transactions of {CONTENDERS} contenders at a change: {asked}");
        let anew = sessions(&w).await.difference(&all).count();
        assert!(anew <= 5, "{anew} sessions were opened anew");
        assert!(epoch(&next) > 0 && won.try_recv().is_err(), "one leads");
        drop(campaigns);
        drop(next);
        let closing = contenders.iter().map(|services| services.close());
        for closed in futures_util::future::join_all(closing).await {
            closed.unwrap();
        }
        Ok(())
    });
}
