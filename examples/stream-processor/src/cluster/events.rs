//! What happens in the cluster, as the demo tells it.

use ha::JobId;
use ha::election::FencingToken;
use ha::seam::Moment;
use tokio::sync::mpsc;

/// Something that happened, by whom, and when.
#[derive(Debug, Clone)]
pub struct Event {
    /// The job manager.
    pub by: String,
    /// By the machine's monotonic clock.
    pub at: Moment,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum What {
    /// A candidate sees another one lead, and waits for its turn.
    StandingBy,
    /// A leader's address is published, and the store has acknowledged it.
    Leading(FencingToken),
    /// A leadership is over.
    Lost(String),
    /// A job was handed in and its plan stored.
    Accepted(JobId),
    /// The plan and the latest checkpoint, if there is one, are loaded, and the first event after
    /// that was processed.
    Recovered {
        /// The checkpoint.
        checkpoint: Option<u64>,
        /// How many events it stands for.
        events: u64,
    },
    /// A checkpoint is acknowledged, and the output up to it published.
    Checkpointed {
        /// Its id.
        id: u64,
        /// How many events it stands for.
        events: u64,
    },
    /// The job came to its end.
    Finished(JobId),
    /// Something failed; the job manager goes on.
    Failed(String),
}

/// Where events are told. Bounded: a demo that does not listen slows nobody down for ever.
pub type Listener = mpsc::Sender<Event>;
