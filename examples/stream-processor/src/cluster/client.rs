//! A client: finds the leader, hands a job in, and asks what became of it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ha::JobId;
use ha::retrieval::LeaderWatch;
use ha::seam::{Moment, Seam};

use super::network::{Network, Unreachable};
use super::protocol::{Answer, ClusterStatus, JobView, Refusal, Request, Submission};

/// How long a client waits, more or less, before it tries the next time.
const TRY_AGAIN: Duration = Duration::from_millis(20);
/// How often it asks whether a job has ended.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// How the leader is found.
#[derive(Debug, Clone)]
pub enum Target {
    /// Through leader retrieval.
    Retrieved(LeaderWatch),
    /// At this address, or where it sends us.
    Address(String),
}

/// Why a client gives up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GaveUp {
    /// The answer is no.
    Refused(Refusal),
    /// No leader has answered in time; the last thing that was heard.
    NoAnswer(String),
    /// There is no such job.
    NoSuchJob(JobId),
}

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::NoAnswer(last) => write!(f, "no leader has answered in time; the last that was heard: {last}"),
            Self::NoSuchJob(job) => write!(f, "there is no job {job}"),
        }
    }
}

/// A client of the cluster.
#[derive(Debug, Clone)]
pub struct Client {
    /// How the leader is found.
    pub target: Target,
    /// The way there.
    pub network: Arc<dyn Network>,
    /// Time.
    pub seam: Seam,
    /// How long it tries to get one answer.
    pub patience: Duration,
}

impl Client {
    /// Hands the job in, as often as it takes until a leader says that it is stored. A leader that has stored it
    /// before says so too, so it does no harm if an answer was lost.
    ///
    /// # Errors
    /// [`GaveUp`]; after [`GaveUp::NoAnswer`] it may be stored.
    ///
    /// # Cancel safety
    /// After a drop the job may have been handed in.
    pub async fn submit(&self, submission: &Submission, artefact: &Path) -> Result<(), GaveUp> {
        self.until(async |address: &str| match self.network.submit(address, submission, artefact).await {
            Ok(Answer::Accepted) => Ok(()),
            other => Err(other),
        })
        .await
    }

    /// What the leader knows of the cluster.
    ///
    /// # Errors
    /// [`GaveUp`].
    pub async fn status(&self) -> Result<ClusterStatus, GaveUp> {
        self.until(async |address: &str| match self.network.ask(address, Request::Status).await {
            Ok(Answer::Status(status)) => Ok(status),
            other => Err(other),
        })
        .await
    }

    /// Waits until the job has ended, whoever leads meanwhile, and says how.
    ///
    /// # Errors
    /// [`GaveUp`].
    pub async fn ended(&self, job: &JobId) -> Result<JobView, GaveUp> {
        loop {
            let asked =
                self.until(async |address: &str| match self.network.ask(address, Request::Job(job.clone())).await {
                    Ok(Answer::Job(view)) => Ok(view),
                    other => Err(other),
                });
            let Some(view) = asked.await? else { return Err(GaveUp::NoSuchJob(job.clone())) };
            if view.state.is_globally_terminal() {
                return Ok(view);
            }
            self.seam.sleep(self.seam.jittered(ASK_AGAIN)).await;
        }
    }

    /// Tries until there is an answer of the wanted kind, a refusal, or no patience left.
    async fn until<T>(
        &self,
        mut attempt: impl AsyncFnMut(&str) -> Result<T, Result<Answer, Unreachable>>,
    ) -> Result<T, GaveUp> {
        let give_up = self.seam.now() + self.patience;
        let mut target = self.target.clone();
        let mut last = "nothing".to_owned();
        while self.seam.now() < give_up {
            let Some(address) = self.address(&mut target, give_up).await else {
                last = "nobody is seen to lead".to_owned();
                break;
            };
            last = match attempt(&address).await {
                Ok(answer) => return Ok(answer),
                Err(Ok(Answer::Refused(why))) => return Err(GaveUp::Refused(why)),
                Err(Ok(Answer::NotLeader(leader))) => {
                    let text = format!("{address} does not lead");
                    if let (Target::Address(fixed), Some(leader)) = (&mut target, leader) {
                        *fixed = leader;
                    }
                    text
                }
                Err(Ok(Answer::TryAgain(why))) => format!("{address} says: {why}"),
                Err(Ok(other)) => format!("{address} gives an answer that does not fit: {other:.200?}"),
                Err(Err(unreachable)) => {
                    // A leader that somebody named may be gone; the one that was given may know the next.
                    target = self.target.clone();
                    unreachable.to_string()
                }
            };
            self.seam.sleep(self.seam.jittered(TRY_AGAIN)).await;
        }
        Err(GaveUp::NoAnswer(last))
    }

    async fn address(&self, target: &mut Target, give_up: Moment) -> Option<String> {
        match target {
            Target::Address(address) => Some(address.clone()),
            Target::Retrieved(watch) => {
                let left = give_up.since(self.seam.now());
                self.seam.timeout(left, watch.leader()).await.map(|leader| leader.address)
            }
        }
    }
}
