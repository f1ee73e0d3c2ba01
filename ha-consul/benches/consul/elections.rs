//! Leadership that passes on in good order, and how those hear of it who follow.

use std::time::Duration;

use ha_core::HighAvailabilityServices;
use ha_core::seam::{Seam, Task};
use ha_testkit::bench::Result;
use ha_testkit::bench::cluster::{Couple, Followers, Member as _, RETRIEVALS, SETTLED, addresses, lead};
use ha_testkit::proxy::{Matching, Proxy, Treatment};
use ha_testkit::trials::Member as _;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::bare::{Bare, cas, lock, unlock};
use crate::leader::Member;
use crate::table::{self, Times};

const HAND_OVERS: usize = 40;
const LEADER_CHANGES: usize = 30;

/// From the call of `resign` to the next leader's acknowledged publication, again and again between two.
pub(crate) async fn hand_over(agent: &str) -> Result<()> {
    let seam = Seam::system();
    let member = Member::new(agent, "one");
    let mut couple = Couple::new(&member, &seam).await?;
    let plain = BareLatch::new(agent, &member).await?;
    let (mut ours, mut bare) = (Times::new(), Times::new());
    for _ in 0..HAND_OVERS {
        ours.add(couple.hand_over(&seam).await?);
        bare.add(plain.hand_over(&seam).await?);
    }
    table::head(&format!("{HAND_OVERS} hand-overs in good order, from `resign` to the next publication"));
    table::line("hand-over (goal 20 ms)", &ours, &bare);
    couple.close().await
}

/// A latch without us: who holds it unlocks it; the other waits in a query, locks, and writes its address.
struct BareLatch {
    latch: String,
    address: String,
    giver: Bare,
    taker: Bare,
    sessions: [String; 2],
    value: Value,
}

impl BareLatch {
    async fn new(agent: &str, member: &Member) -> Result<Self> {
        let (giver, taker) = (Bare::new(agent)?, Bare::new(agent)?);
        let sessions = [giver.session().await?, taker.session().await?];
        let (latch, address) = (format!("{}-bare/latch/.lock", member.root), format!("{}-bare/address", member.root));
        Ok(Self { latch, address, giver, taker, sessions, value: json!("YWRkcmVzcw==") })
    }

    async fn hand_over(&self, seam: &Seam) -> Result<Duration> {
        let [giver, taker] = &self.sessions;
        let locked = self.giver.transact(&[lock(&self.latch, giver, &self.value)]).await?;
        let waiting = async {
            let path = format!("kv/{}?index={locked}&wait=30s", self.latch);
            self.taker.ask(Method::GET, &path, Vec::new()).await?;
            self.taker.transact(&[lock(&self.latch, taker, &self.value)]).await?;
            let guard = json!({"KV": {"Verb": "check-session", "Key": self.latch, "Session": taker}});
            let set = json!({"KV": {"Verb": "set", "Key": self.address, "Value": self.value}});
            self.taker.transact(&[guard, set]).await?;
            Result::Ok(seam.now())
        };
        let giving = async {
            seam.sleep(SETTLED).await;
            let began = seam.now();
            self.giver.transact(&[unlock(&self.latch, giver)]).await.map(|_| began)
        };
        let (ended, began) = futures_util::future::join(waiting, giving).await;
        let took = ended?.since(began?);
        self.taker.transact(&[unlock(&self.latch, taker)]).await?;
        Ok(took)
    }
}

/// Another process publishes a new address; a thousand retrievals in this one learn it.
pub(crate) async fn leader_change(agent: &str) -> Result<()> {
    let seam = Seam::system();
    let member = Member::new(agent, "leader");
    let leading = member.services(&Seam::system()).await?;
    let leadership = lead(&member, &leading).await?;
    let proxy = Proxy::to(agent, seam.clone()).await;
    let queries = proxy.treat(Matching::path("index="), Treatment::SlowAnswer(Duration::ZERO));
    let services = member.other("follower").through(proxy.address()).services(&Seam::system()).await?;
    let mut followers = Followers::new(&seam, addresses(&services)?);
    let [mut first, mut spread, mut bare_first, mut bare_spread] = [const { Times::new() }; 4];
    // A watch that was made later than the first read shows the leader without a change: so all wait for another.
    leadership.publish(&host(0)).await?;
    followers.all(&host(0), seam.now(), &mut Times::new(), &mut Times::new()).await?;
    let (plain, mut plain_followers) = BareAddress::new(agent, &member, &seam).await?;
    seam.sleep(SETTLED).await;
    let queries_before = queries.count();
    for change in 1..=LEADER_CHANGES {
        let began = seam.now();
        leadership.publish(&host(change)).await?;
        followers.all(&host(change), began, &mut first, &mut spread).await?;
        let began = seam.now();
        let index = plain.publish(change).await?;
        plain_followers.all(&index, began, &mut bare_first, &mut bare_spread).await?;
    }
    // The last change was answered before it was told; the query that follows may be on its way.
    seam.sleep(SETTLED).await;
    let asked = queries.count() - queries_before;
    table::head(&format!("{LEADER_CHANGES} leader changes to {RETRIEVALS} retrievals in one process"));
    table::line("from the call to publish to the first that is told", &first, &bare_first);
    table::line("from the first to the last (goal 5 ms)", &spread, &bare_spread);
    println!(
        "waiting queries of that process: {queries_before} before, {asked} more in {LEADER_CHANGES} changes: \
         each change answers one, and one takes its place"
    );
    drop(followers);
    leadership.resign().await?;
    services.close().await?;
    leading.close().await?;
    Ok(())
}

/// A key that is followed by one query, and one watch channel for all who want to know.
struct BareAddress {
    bare: Bare,
    key: String,
    _following: Task,
}

impl BareAddress {
    async fn new(agent: &str, member: &Member, seam: &Seam) -> Result<(Self, Followers<u64>)> {
        let (bare, key) = (Bare::new(agent)?, format!("{}-bare/address", member.root));
        let mut index = bare.transact(&[cas(&key, 0, &json!(""), 0)]).await?;
        let (sender, receiver) = watch::channel(0);
        let (follower, followed) = (Bare::new(agent)?, key.clone());
        let following = seam.spawn(async move {
            loop {
                let path = format!("kv/{followed}?index={index}&wait=30s");
                let Ok(answer) = follower.ask(Method::GET, &path, Vec::new()).await else { return };
                let pairs: Value = serde_json::from_slice(&answer).unwrap_or_default();
                index = pairs[0]["ModifyIndex"].as_u64().unwrap_or(index);
                sender.send_if_modified(|known| std::mem::replace(known, index) != index);
            }
        });
        let followers = Followers::new(seam, || {
            let next = async |mut receiver: watch::Receiver<u64>| {
                receiver.changed().await.ok()?;
                let index = *receiver.borrow_and_update();
                Some((index, receiver))
            };
            futures_util::stream::unfold(receiver.clone(), next)
        });
        Ok((Self { bare, key, _following: following }, followers))
    }

    async fn publish(&self, number: usize) -> Result<u64> {
        let set = json!({"KV": {"Verb": "set", "Key": self.key, "Value": "YWRkcmVzcw==", "Flags": number}});
        self.bare.transact(&[set]).await
    }
}

fn host(number: usize) -> String {
    format!("host:{number}")
}
