//! What members of the cluster say to each other: plain data, the same within one process and between several.

use std::fmt;

use ha::blob::BlobKey;
use ha::election::FencingToken;
use ha::{JobId, JobStatus};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ExecutionPlan;

/// A job as a client hands it in, and as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// Chosen by the client, and the same at each try: a leader that finds it stored knows that its predecessor's
    /// answer was lost. Another id for the same job is another job under a taken name.
    pub id: Uuid,
    /// The job.
    pub job: JobId,
    /// What it does. Its source is the artefact.
    pub plan: ExecutionPlan,
    /// The job's file: what it is called by its content.
    pub artefact: BlobKey,
}

/// A place for tasks that a worker offers to one leadership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// The worker, for people.
    pub worker: String,
    /// Whom the offer is meant for: another leadership refuses it.
    pub session_id: Uuid,
    /// The fencing token of that leadership.
    pub token: FencingToken,
}

/// The first thing that is said on a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// A client hands in a job.
    Submit(Box<Submission>),
    /// A worker offers a place.
    Offer(Offer),
    /// What goes on in the cluster?
    Status,
    /// How far has the job come?
    Job(JobId),
}

/// What is said to a [`Request`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The job is welcome: send its artefact.
    SendArtefact,
    /// The job's plan and artefact are stored durably.
    Accepted,
    /// The offer is taken; tasks may come.
    Registered,
    /// No, for good.
    Refused(Refusal),
    /// Somebody else leads: the one at this address, as far as is known.
    NotLeader(Option<String>),
    /// Not now, for this reason.
    TryAgain(String),
    /// To [`Request::Status`].
    Status(ClusterStatus),
    /// To [`Request::Job`]; `None` if there is no such job.
    Job(Option<JobView>),
}

/// Why something is refused for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// A job of this name runs.
    Running,
    /// A job of this name has ended, like this.
    Ended(JobStatus),
    /// A job of this name is being handed in by somebody else.
    BeingSubmitted,
    /// The offer is meant for another leadership; the one here has this token.
    OtherTerm(FencingToken),
    /// It cannot be used, for this reason.
    Invalid(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running => f.write_str("a job of this name is running: wait for its end, or choose another name"),
            Self::Ended(status) => {
                write!(f, "a job of this name has ended ({status}) and is not run again: choose another name")
            }
            Self::BeingSubmitted => f.write_str("a job of this name is being handed in at this moment"),
            Self::OtherTerm(token) => write!(f, "meant for another leadership than that with token {token}"),
            Self::Invalid(why) => f.write_str(why),
        }
    }
}

/// What the leader knows of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// Where the leader is reached.
    pub leader: String,
    /// Its fencing token.
    pub token: FencingToken,
    /// Places for tasks that wait for a job.
    pub free_slots: usize,
    /// The jobs, by name.
    pub jobs: Vec<JobView>,
}

/// How far a job has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobView {
    /// Which.
    pub job: JobId,
    /// Its status.
    pub state: JobStatus,
    /// The last checkpoint that is acknowledged.
    pub checkpoint: Option<u64>,
    /// Records of the input up to there.
    pub events: u64,
    /// How often it was started anew after a failure under the present leader.
    pub restarts: u64,
    /// How long it ran under the leader that ended it, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_time_ms: Option<u64>,
    /// The last failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl JobView {
    /// A job of which nothing is known but its status.
    #[must_use]
    pub fn new(job: JobId, state: JobStatus) -> Self {
        Self { job, state, checkpoint: None, events: 0, restarts: 0, run_time_ms: None, error: None }
    }

    /// As one line for people.
    #[must_use]
    pub fn text(&self) -> String {
        let checkpoint = self.checkpoint.map_or_else(|| "none yet".to_owned(), |id| id.to_string());
        let mut text = format!("{}  {}  checkpoint {checkpoint}  {} records", self.job, self.state, self.events);
        if self.restarts > 0 {
            text.push_str(&format!("  {} restarts", self.restarts));
        }
        if let Some(error) = &self.error {
            text.push_str(&format!("  last failure: {error}"));
        }
        text
    }
}
