//! What a leader and a standby ask for while nothing happens.

use std::time::Duration;

use ha_core::HighAvailabilityServices;
use ha_core::seam::Seam;
use ha_testkit::bench::Result;
use ha_testkit::bench::cluster::{Member as _, lead};
use ha_testkit::proxy::{Matching, Proxy, Rule, Treatment};
use ha_testkit::trials::Member as _;

use crate::leader::Member;

/// Longer than a query waits, so that one of its renewals is counted.
const WATCHED: Duration = Duration::from_secs(45);
/// Until whatever the start brings about is over.
const SETTLED: Duration = Duration::from_secs(2);

const KINDS: [(&str, &str); 6] = [
    ("all", "/v1/"),
    ("heartbeats to the agent", "/v1/agent/check/pass/"),
    ("renewals at the servers", "/v1/session/renew/"),
    ("waiting queries", "index="),
    ("the place read again", "recurse&consistent"),
    ("the latch tried again", "/v1/txn"),
];

/// What was counted at the proxies of a leader and of a standby.
pub(crate) struct Counted {
    leader: Vec<u64>,
    standby: Vec<u64>,
}

pub(crate) async fn watch(agent: &str) -> Result<Counted> {
    let seam = Seam::system();
    let proxies = [Proxy::to(agent, seam.clone()).await, Proxy::to(agent, seam.clone()).await];
    let member = Member::new(agent, "leader").through(proxies[0].address());
    let leading = member.services(&Seam::system()).await?;
    let leadership = lead(&member, &leading).await?;
    let standby = member.other("standby").through(proxies[1].address());
    let waiting = standby.services(&Seam::system()).await?;
    let campaign = lead(&standby, &waiting);
    let counting = async {
        seam.sleep(SETTLED).await;
        let rules = proxies.each_ref().map(count);
        seam.sleep(WATCHED).await;
        let [leader, standby] = rules.map(|rules| rules.iter().map(Rule::count).collect());
        Counted { leader, standby }
    };
    tokio::pin!(campaign, counting);
    let counted = match futures_util::future::select(campaign, counting).await {
        futures_util::future::Either::Right((counted, _)) => counted,
        futures_util::future::Either::Left(_) => return Err("the standby leads beside a leader".into()),
    };
    leadership.resign().await?;
    leading.close().await?;
    waiting.close().await?;
    Ok(counted)
}

fn count(proxy: &Proxy) -> Vec<Rule> {
    let rule = |(_, path): (&str, &str)| proxy.treat(Matching::path(path), Treatment::SlowAnswer(Duration::ZERO));
    KINDS.map(rule).into()
}

impl Counted {
    pub(crate) fn print(&self) {
        println!("\nAt rest, requests a second over {WATCHED:?} (goal: leader at most 1; standby one waiting query)");
        println!("{:<52} {:>8} {:>8}", "", "leader", "standby");
        let rate = |count: u64| count as f64 / WATCHED.as_secs_f64();
        for (number, (what, _)) in KINDS.iter().enumerate() {
            println!("{what:<52} {:>8.2} {:>8.2}", rate(self.leader[number]), rate(self.standby[number]));
        }
    }
}
