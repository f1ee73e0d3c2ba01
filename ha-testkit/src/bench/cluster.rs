//! What every backend's benchmark does with whole clusters: leaders that are killed, leadership that is handed over,
//! and a thousand retrievals that hear of it.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use futures_util::stream::{BoxStream, Stream, StreamExt};
use ha_core::backend::SessionOptions;
use ha_core::election::Leadership;
use ha_core::retrieval::LeaderWatch;
use ha_core::seam::{Moment, Seam};
use ha_core::{Error, HaServices, HighAvailabilityServices};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Result, Times};
use crate::process::{Process, Stage, role};
use crate::trials;

/// How many retrievals one process has in [`Followers`].
pub const RETRIEVALS: usize = 1_000;
/// Until whoever waits has settled.
pub const SETTLED: Duration = Duration::from_millis(100);

/// Who takes part in a cluster, and knows who else does.
pub trait Member: trials::Member + Clone {
    /// Another one of the same cluster.
    #[must_use]
    fn other(&self, label: &str) -> Self;
}

/// Returns when a standby has found out all that it needs for seeing a leader die; at once if that is nothing.
async fn settled(services: &HaServices) {
    while services.presence_stats().is_some_and(|stats| stats.handshakes == 0) {
        Seam::system().sleep(Duration::from_millis(1)).await;
    }
}

/// Waits for the leadership, and publishes.
///
/// # Errors
/// Whatever the services say.
///
/// # Cancel safety
/// Leadership that was won is resigned.
pub async fn lead(member: &impl trials::Member, services: &HaServices) -> std::result::Result<Leadership, Error> {
    let leadership = services.dispatcher_leader_election()?.campaign().await?;
    leadership.publish(member.label()).await?;
    Ok(leadership)
}

#[derive(Serialize, Deserialize)]
struct Nothing {}

/// What the processes of [`fail_over`] and [`bare_death`] do. To be called first in `main`: in such a process it does
/// not return.
pub fn roles<M: Member>() {
    role("leader", async |member: M, stage: Stage| {
        let leading = async {
            let services = member.services(stage.seam()).await?;
            let leadership = lead(&member, &services).await?;
            stage.tell("leading", ());
            // Held until the process is killed.
            let _held = (services, leadership);
            std::future::pending::<std::result::Result<(), Error>>().await
        };
        if let Err(error) = leading.await {
            stage.tell("failed", error.to_string());
        }
    });
    role("bare", async |_: Nothing, stage: Stage| {
        let Ok(listener) = TcpListener::bind("127.0.0.1:0").await else { return };
        stage.tell("listening", listener.local_addr().ok());
        let held = listener.accept().await;
        stage.tell("accepted", held.is_ok());
        std::future::pending().await
    });
}

/// A leader that is a process of its own is killed, that long after its standby has settled. From just before
/// `kill(2)` to its successor's acknowledged publication.
///
/// # Errors
/// The cluster does not come about, or does not recover.
///
/// # Cancel safety
/// The process is killed.
pub async fn fail_over(seam: &Seam, member: &impl Member, alive: Duration) -> Result<Duration> {
    let mut leader = Process::spawn(seam.clone(), "leader", member);
    leader.told("leading").await;
    let standby = member.other("standby");
    let services = standby.services(seam).await?;
    let settled = async {
        settled(&services).await;
        // Whatever the start of the two still brings about is over.
        seam.sleep(alive).await;
        leader.kill()
    };
    let (led, killed) = futures_util::future::join(lead(&standby, &services), settled).await;
    let took = seam.now().since(killed);
    let leadership = led?;
    leader.exited().await;
    leadership.resign().await?;
    services.close().await?;
    Ok(took)
}

/// So many leaders are killed that nobody sees dying, each with a standby that has only the default silence to go by. All
/// at once, for each waits that long. What is left of it at the death depends on the last heartbeat: so they die at
/// different moments.
///
/// # Errors
/// As [`fail_over`].
///
/// # Cancel safety
/// As [`fail_over`].
pub async fn fail_over_in_silence<M: Member>(seam: &Seam, count: u32, member: impl Fn() -> M) -> Result<Times> {
    let silence = SessionOptions::default().silence;
    let deaths = (0..count).map(|number| {
        let (member, alive) = (member(), Duration::from_secs(1) + silence / 3 * number / count);
        async move { fail_over(seam, &member, alive).await }
    });
    let mut times = Times::new();
    for took in futures_util::future::join_all(deaths).await {
        times.add(took?);
    }
    Ok(times)
}

/// The same death without us: from just before `kill(2)` to the end of the one connection that the process had.
///
/// # Errors
/// The process cannot be reached.
///
/// # Cancel safety
/// The process is killed.
pub async fn bare_death(seam: &Seam) -> Result<Duration> {
    let mut process = Process::spawn(seam.clone(), "bare", &Nothing {});
    let address: SocketAddr = serde_json::from_value(process.told("listening").await.value)?;
    let connection = TcpStream::connect(address).await?;
    process.told("accepted").await;
    let killed = process.kill();
    // The end, or a reset.
    let _ = connection.readable().await;
    let ended = seam.now().since(killed);
    process.exited().await;
    Ok(ended)
}

/// Two members of one cluster, which hand leadership to each other in good order.
#[derive(Debug)]
pub struct Couple<M> {
    leader: (HaServices, M),
    standby: (HaServices, M),
    leadership: Option<Leadership>,
}

impl<M: Member> Couple<M> {
    /// Has the member lead, and another one wait.
    ///
    /// # Errors
    /// Whatever the services say.
    ///
    /// # Cancel safety
    /// Nothing remains of a dropped call.
    pub async fn new(member: &M, seam: &Seam) -> Result<Self> {
        let (one, two) = (member.clone(), member.other("two"));
        let (leader, standby) = ((one.services(seam).await?, one), (two.services(seam).await?, two));
        let leadership = Some(lead(&leader.1, &leader.0).await?);
        Ok(Self { leader, standby, leadership })
    }

    /// From the call of `resign` to the other one's acknowledged publication.
    ///
    /// # Errors
    /// Whatever the services say.
    ///
    /// # Cancel safety
    /// Nobody may lead after a drop.
    pub async fn hand_over(&mut self, seam: &Seam) -> Result<Duration> {
        let leadership = self.leadership.take().ok_or("nobody leads")?;
        let handing = async {
            seam.sleep(SETTLED).await;
            let began = seam.now();
            leadership.resign().await.map(|()| began)
        };
        let taking = async {
            let taken = lead(&self.standby.1, &self.standby.0).await;
            (taken, seam.now())
        };
        let (began, (taken, ended)) = futures_util::future::join(handing, taking).await;
        self.leadership = Some(taken?);
        std::mem::swap(&mut self.leader, &mut self.standby);
        Ok(ended.since(began?))
    }

    /// Ends both.
    ///
    /// # Errors
    /// Whatever the services say.
    ///
    /// # Cancel safety
    /// What is not closed ends by silence.
    pub async fn close(self) -> Result<()> {
        if let Some(leadership) = self.leadership {
            leadership.resign().await?;
        }
        self.leader.0.close().await?;
        self.standby.0.close().await?;
        Ok(())
    }
}

/// A stream of the addresses that a new watch of the dispatcher's leader shows; for [`Followers::new`].
///
/// # Errors
/// The services are closed.
pub fn addresses(services: &HaServices) -> std::result::Result<impl Fn() -> BoxStream<'static, String>, Error> {
    let retriever = services.dispatcher_leader_retriever()?;
    Ok(move || {
        let next = async |mut watch: LeaderWatch| {
            let view = watch.changed().await;
            Some((view.leader().map(|leader| leader.address.clone()).unwrap_or_default(), watch))
        };
        futures_util::stream::unfold(retriever.watch(), next).boxed()
    })
}

/// [`RETRIEVALS`] who are told of the same, each in a task of its own.
#[derive(Debug)]
pub struct Followers<T> {
    heard: mpsc::Receiver<(T, Moment)>,
    _tasks: JoinSet<()>,
}

impl<T: PartialEq + Send + 'static> Followers<T> {
    /// Has each of them pass on what its own stream brings.
    pub fn new<S>(seam: &Seam, follow: impl Fn() -> S) -> Self
    where
        S: Stream<Item = T> + Send + 'static,
    {
        let (told, heard) = mpsc::channel(RETRIEVALS);
        let mut tasks = JoinSet::new();
        for _ in 0..RETRIEVALS {
            let (stream, told, seam) = (follow(), told.clone(), seam.clone());
            tasks.spawn(async move {
                let mut stream = pin!(stream);
                while let Some(news) = stream.next().await {
                    if told.send((news, seam.now())).await.is_err() {
                        return;
                    }
                }
            });
        }
        Self { heard, _tasks: tasks }
    }

    /// Waits until each was told that; adds how long it took from `began` to the first, and from the first to the last.
    ///
    /// # Errors
    /// Nobody listens any more.
    ///
    /// # Cancel safety
    /// What was heard meanwhile is forgotten.
    pub async fn all(&mut self, what: &T, began: Moment, first: &mut Times, spread: &mut Times) -> Result<()> {
        let mut moments = Vec::with_capacity(RETRIEVALS);
        while moments.len() < RETRIEVALS {
            let (told, at) = self.heard.recv().await.ok_or("nobody listens any more")?;
            if told == *what {
                moments.push(at);
            }
        }
        if let (Some(earliest), Some(latest)) = (moments.iter().min(), moments.iter().max()) {
            first.add(earliest.since(began));
            spread.add(latest.since(*earliest));
        }
        Ok(())
    }
}
