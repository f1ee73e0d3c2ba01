//! What the demo shows while it runs, and what it says at the end.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use ha::JobStatus;
use ha::seam::Moment;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde::Serialize;

use crate::cluster::events::{Event, What};

/// One leader killed and replaced.
#[derive(Debug, Clone)]
pub struct Failover {
    /// From just before the kill to the acknowledgement of the next leader's publication.
    pub failover: Duration,
    /// From there to plan and checkpoint loaded and the first event processed.
    pub recovery: Duration,
    /// The checkpoint that was restored; `None` if the leader was killed before the first one.
    pub restored_checkpoint: Option<u64>,
}

/// A progress bar, and a line for each thing that happens.
#[derive(Debug)]
pub struct Timeline {
    bar: ProgressBar,
    began: Moment,
    checkpoints: u64,
}

impl Timeline {
    /// A time line from now on. The bar is drawn on a terminal only.
    ///
    /// # Panics
    /// Never: the template is fixed.
    #[must_use]
    pub fn new(records: u64, now: Moment) -> Self {
        let target =
            if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(records), target);
        let style = ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} events, {rate}, {msg}")
            .expect("the template is fixed and well-formed")
            .with_key("rate", |state: &ProgressState, out: &mut dyn fmt::Write| {
                // What cannot be written is not shown.
                let _ = write!(out, "{:.0}/s", state.per_sec());
            });
        bar.set_style(style);
        Self { bar, began: now, checkpoints: 0 }
    }

    /// One line.
    pub fn note(&mut self, at: Moment, who: &str, what: &str) {
        let line = format!("{:>9.3} s  {who:<14}  {what}", at.since(self.began).as_secs_f64());
        // A closed standard error does not stop the demo.
        self.bar.suspend(|| drop(writeln!(io::stderr(), "{line}")));
    }

    /// What happened in the cluster.
    pub fn take_in(&mut self, event: &Event) {
        let text = match &event.what {
            What::Checkpointed { id, events } => {
                self.checkpoints += 1;
                self.bar.set_position(*events);
                self.bar.set_message(format!("checkpoint {id}"));
                return;
            }
            // Nothing that a reader of the demo waits for.
            What::Settled { .. } | What::CleanedUp(_) => return,
            What::Ended(result) if result.status == JobStatus::Finished => {
                format!("job {} finished after {} checkpoints", result.job, self.checkpoints)
            }
            _ => match event.text() {
                Some(text) => text,
                None => return,
            },
        };
        self.note(event.at, &event.by, &text);
    }

    /// Removes the bar.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// The outcome as one JSON object. Times in milliseconds.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The backend that leaders were elected on.
    pub backend: String,
    /// Events that were processed.
    pub events: u64,
    /// From the first leader to the end of the job, fail-overs included.
    pub events_per_second: f64,
    /// Checkpoints that were acknowledged.
    pub checkpoints: u64,
    /// How many leaders were killed in the middle of the stream.
    pub kills: u32,
    /// How many of them were replaced.
    pub failovers: usize,
    /// For each, from just before the kill to the acknowledgement of the next leader's publication: from then on it
    /// leads, is found, and works on the job.
    pub failover_ms: Vec<f64>,
    /// The median of these.
    pub failover_ms_median: Option<f64>,
    /// For each, from there to plan and checkpoint loaded and the first event processed.
    pub recovery_ms: Vec<f64>,
    /// The median of these.
    pub recovery_ms_median: Option<f64>,
    /// For each, the checkpoint that was restored.
    pub restored_checkpoint_ids: Vec<Option<u64>>,
    /// Rows of the output that should be there and are not.
    pub lost: u64,
    /// Rows of the output that are there twice, or should not be there.
    pub duplicated: u64,
    /// Whether the output is exactly that of the independent computation.
    pub verified: bool,
}

/// The value in the middle, or between the two there; `None` of none.
#[must_use]
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

impl Report {
    /// The outcome for people.
    #[must_use]
    pub fn text(&self) -> String {
        let list = |values: &[f64]| {
            let texts: Vec<String> = values.iter().map(|value| format!("{value:.1}")).collect();
            if texts.is_empty() { "-".to_owned() } else { texts.join(", ") }
        };
        let restored = self.restored_checkpoint_ids.iter().map(|id| id.map_or("none".into(), |id| id.to_string()));
        let restored: Vec<String> = restored.collect();
        let restored = if restored.is_empty() { "-".to_owned() } else { restored.join(", ") };
        format!(
            "events          {} ({:.0}/s)\ncheckpoints     {}\nfail-overs      {}\nfailover_ms     {}\n\
             recovery_ms     {}\nrestored        {restored}\nlost            {}\nduplicated      {}\n{}",
            self.events,
            self.events_per_second,
            self.checkpoints,
            self.failovers,
            list(&self.failover_ms),
            list(&self.recovery_ms),
            self.lost,
            self.duplicated,
            if self.verified {
                "verified"
            } else {
                "NOT VERIFIED: the output differs from the independent computation"
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}
