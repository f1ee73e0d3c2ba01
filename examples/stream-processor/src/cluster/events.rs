//! What happens in the cluster, as the demo tells it, and as a process tells the demo.

use std::time::Duration;

use ha::JobId;
use ha::election::FencingToken;
use ha::job_result::JobResult;
use ha::seam::Moment;
use serde::{Deserialize, Serialize};
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

/// What a job manager in a process of its own tells the demo, as a line of JSON each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Line {
    /// Something happened.
    Happened {
        /// When, in nanoseconds of the clock that all processes of the machine share.
        at_ns: u64,
        /// What.
        what: What,
    },
    /// A source is held where it may not read on.
    Held(u64),
}

impl Line {
    /// The event as it is told.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        let at_ns = u64::try_from(event.at.since_origin().as_nanos()).unwrap_or(u64::MAX);
        Self::Happened { at_ns, what: event.what.clone() }
    }

    /// The moment of that many nanoseconds.
    #[must_use]
    pub fn moment(at_ns: u64) -> Moment {
        Moment::after_origin(Duration::from_nanos(at_ns))
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum What {
    /// A candidate sees another one lead, would notice its crash, and waits for its turn.
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
    /// The job came to its end, for good: its result is stored.
    Ended(JobResult),
    /// A new leader finds the result of a job that is not cleaned up after. Whoever stored it may not have told.
    EndedEarlier(JobResult),
    /// Nothing is left of the job but its result.
    CleanedUp(JobId),
    /// A new leader has recovered all that was stored: so many jobs are to run.
    Settled {
        /// How many.
        jobs: usize,
    },
    /// Something failed; the job manager goes on.
    Failed(String),
    /// A process has ended by itself, which none should.
    Died(String),
}

impl Event {
    /// The event in words; `None` for checkpoints, of which there are many.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        Some(match &self.what {
            What::Checkpointed { .. } => return None,
            What::StandingBy => "stands by".to_owned(),
            What::Leading(token) => format!("leads, fencing token {token}"),
            What::Lost(why) => format!("lost leadership: {why}"),
            What::Accepted(job) => format!("accepted job {job}, its plan is stored"),
            What::Recovered { checkpoint: Some(id), events } => {
                format!("restored checkpoint {id}, goes on at event {events}")
            }
            What::Recovered { checkpoint: None, .. } => "no checkpoint yet, begins at the first event".to_owned(),
            What::Ended(result) => match &result.error {
                None => format!("job {} has ended: {}", result.job, result.status),
                Some(error) => format!("job {} has ended: {}: {error}", result.job, result.status),
            },
            What::EndedEarlier(result) => {
                format!("job {} had ended: {}; it is not run again", result.job, result.status)
            }
            What::CleanedUp(job) => format!("cleaned up after job {job}, its result stays"),
            What::Settled { jobs } => format!("recovered what is stored: {jobs} jobs to run"),
            What::Failed(error) => format!("failed, goes on: {error}"),
            What::Died(how) => format!("has ended by itself: {how}"),
        })
    }
}

/// Where events are told. Bounded: a demo that does not listen slows nobody down for ever.
pub type Listener = mpsc::Sender<Event>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_tells_is_heard_as_it_was_told() {
        let at = Moment::after_origin(Duration::from_nanos(1 << 60));
        let event = Event { by: "one".to_owned(), at, what: What::Recovered { checkpoint: Some(3), events: 7 } };
        for line in [Line::of(&event), Line::Held(u64::MAX)] {
            let text = serde_json::to_string(&line).unwrap();
            assert!(!text.contains('\n'), "{text}");
            assert_eq!(serde_json::from_str::<Line>(&text).unwrap(), line);
        }
        let Line::Happened { at_ns, what } = Line::of(&event) else { panic!("an event") };
        assert_eq!((Line::moment(at_ns), what), (event.at, event.what));
    }
}
