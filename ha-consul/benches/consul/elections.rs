//! Leadership that passes on in good order, and how those hear of it who follow.

use std::sync::Arc;
use std::time::Duration;

use ha_core::HighAvailabilityServices;
use ha_core::seam::{Moment, Seam};
use ha_testkit::proxy::{Matching, Proxy, Treatment};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::Result;
use crate::bare::{Bare, cas, lock, unlock};
use crate::leader::Member;
use crate::table::{self, Times};

const HAND_OVERS: usize = 40;
const RETRIEVALS: usize = 1_000;
const LEADER_CHANGES: usize = 30;
/// Until whoever waits has settled.
const SETTLED: Duration = Duration::from_millis(100);

/// From the call of `resign` to the next leader's acknowledged publication, again and again between two.
pub(crate) async fn hand_over(agent: &str) -> Result<()> {
    let seam = Seam::system();
    let member = Member::new(agent, "one");
    let (mut leader, mut standby) =
        ((member.services().await?, member.clone()), (member.services().await?, member.other("two")));
    let mut leadership = leader.1.lead(&leader.0).await?;
    let plain = BareLatch::new(agent, &member).await?;
    let (mut ours, mut bare) = (Times::new(), Times::new());
    for _ in 0..HAND_OVERS {
        let handing = async {
            seam.sleep(SETTLED).await;
            let began = seam.now();
            leadership.resign().await.map(|()| began)
        };
        let taking = async {
            let taken = standby.1.lead(&standby.0).await;
            (taken, seam.now())
        };
        let (began, (taken, ended)) = futures_util::future::join(handing, taking).await;
        leadership = taken?;
        ours.add(ended.since(began?));
        std::mem::swap(&mut leader, &mut standby);
        bare.add(plain.hand_over(&seam).await?);
    }
    table::head(&format!("{HAND_OVERS} hand-overs in good order, from `resign` to the next publication"));
    table::line("hand-over (goal 20 ms)", &ours, &bare);
    leadership.resign().await?;
    leader.0.close().await?;
    standby.0.close().await?;
    Ok(())
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
    let leading = member.services().await?;
    let leadership = member.lead(&leading).await?;
    let proxy = Proxy::to(agent, seam.clone()).await;
    let queries = proxy.treat(Matching::path("index="), Treatment::SlowAnswer(Duration::ZERO));
    let services = member.other("follower").through(proxy.address()).services().await?;
    let retriever = services.dispatcher_leader_retriever()?;
    let (told, mut heard) = mpsc::channel(RETRIEVALS);
    let mut tasks = JoinSet::new();
    for _ in 0..RETRIEVALS {
        let (mut watch, told, seam) = (retriever.watch(), told.clone(), seam.clone());
        tasks.spawn(async move {
            loop {
                let view = watch.changed().await;
                let address = view.leader().map(|leader| leader.address.clone()).unwrap_or_default();
                if told.send((address, seam.now())).await.is_err() {
                    return;
                }
            }
        });
    }
    // A watch that was made later than the first read shows the leader without a change: so all wait for another.
    leadership.publish(&host(0)).await?;
    all(&mut heard, &host(0)).await?;
    let mut plain = BareFollowers::new(agent, &member, &seam, &mut tasks).await?;
    seam.sleep(SETTLED).await;
    let queries_before = queries.count();
    let [mut first, mut spread, mut bare_first, mut bare_spread] = [const { Times::new() }; 4];
    for change in 1..=LEADER_CHANGES {
        let began = seam.now();
        leadership.publish(&host(change)).await?;
        add(began, &all(&mut heard, &host(change)).await?, &mut first, &mut spread);
        let began = seam.now();
        let index = plain.publish(change).await?;
        add(began, &all(&mut plain.heard, &index).await?, &mut bare_first, &mut bare_spread);
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
    drop(tasks);
    leadership.resign().await?;
    services.close().await?;
    leading.close().await?;
    Ok(())
}

/// One query for a key, and one watch channel for all who want to know.
struct BareFollowers {
    bare: Arc<Bare>,
    key: String,
    heard: mpsc::Receiver<(u64, Moment)>,
}

impl BareFollowers {
    async fn new(agent: &str, member: &Member, seam: &Seam, tasks: &mut JoinSet<()>) -> Result<Self> {
        let (bare, key) = (Arc::new(Bare::new(agent)?), format!("{}-bare/address", member.root));
        let mut index = bare.transact(&[cas(&key, 0, &json!(""), 0)]).await?;
        let (sender, receiver) = watch::channel(0);
        let (told, heard) = mpsc::channel(RETRIEVALS);
        let (following, followed) = (Bare::new(agent)?, key.clone());
        tasks.spawn(async move {
            loop {
                let path = format!("kv/{followed}?index={index}&wait=30s");
                let Ok(answer) = following.ask(Method::GET, &path, Vec::new()).await else { return };
                let pairs: Value = serde_json::from_slice(&answer).unwrap_or_default();
                index = pairs[0]["ModifyIndex"].as_u64().unwrap_or(index);
                sender.send_if_modified(|known| std::mem::replace(known, index) != index);
            }
        });
        for _ in 0..RETRIEVALS {
            let (mut receiver, told, seam) = (receiver.clone(), told.clone(), seam.clone());
            tasks.spawn(async move {
                while receiver.changed().await.is_ok() {
                    let index = *receiver.borrow_and_update();
                    if told.send((index, seam.now())).await.is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Self { bare, key, heard })
    }

    async fn publish(&self, number: usize) -> Result<u64> {
        let set = json!({"KV": {"Verb": "set", "Key": self.key, "Value": "YWRkcmVzcw==", "Flags": number}});
        self.bare.transact(&[set]).await
    }
}

fn host(number: usize) -> String {
    format!("host:{number}")
}

/// When each of them was told that.
async fn all<T: PartialEq>(heard: &mut mpsc::Receiver<(T, Moment)>, what: &T) -> Result<Vec<Moment>> {
    let mut moments = Vec::with_capacity(RETRIEVALS);
    while moments.len() < RETRIEVALS {
        let (told, at) = heard.recv().await.ok_or("nobody listens any more")?;
        if told == *what {
            moments.push(at);
        }
    }
    Ok(moments)
}

fn add(began: Moment, heard: &[Moment], first: &mut Times, spread: &mut Times) {
    let (Some(earliest), Some(latest)) = (heard.iter().min(), heard.iter().max()) else { return };
    first.add(earliest.since(began));
    spread.add(latest.since(*earliest));
}
