use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a job stands. Flink's `JobStatus`, written as Flink writes it (`"FINISHED"`).
///
/// What the stores ask of it is one thing: whether the job will ever run again anywhere. Only
/// then may what is needed to recover it be removed.
///
/// ```
/// use ha_core::JobStatus;
/// assert!(JobStatus::Finished.is_globally_terminal());
/// // Suspended is terminal for this process only: another one will recover the job.
/// assert!(JobStatus::Suspended.is_terminal() && !JobStatus::Suspended.is_globally_terminal());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobStatus {
    /// Received, not created yet.
    Initializing,
    /// Created, not running yet.
    Created,
    /// Its tasks are scheduled or running.
    Running,
    /// It failed and its tasks are being ended.
    Failing,
    /// It failed for good. Globally terminal.
    Failed,
    /// It is being canceled.
    Cancelling,
    /// It was canceled. Globally terminal.
    Canceled,
    /// It came to its end. Globally terminal.
    Finished,
    /// Its tasks are being started again after a failure.
    Restarting,
    /// It was ended in this process, which lost its leadership or shuts down. Another process
    /// will recover it. Locally terminal.
    Suspended,
    /// It is being matched with tasks that run already.
    Reconciling,
}

impl JobStatus {
    /// Whether the job is over for good, everywhere: nobody will recover it.
    #[must_use]
    pub fn is_globally_terminal(self) -> bool {
        matches!(self, Self::Failed | Self::Canceled | Self::Finished)
    }

    /// Whether the job is over as far as this process is concerned.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        self.is_globally_terminal() || self == Self::Suspended
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Initializing => "INITIALIZING",
            Self::Created => "CREATED",
            Self::Running => "RUNNING",
            Self::Failing => "FAILING",
            Self::Failed => "FAILED",
            Self::Cancelling => "CANCELLING",
            Self::Canceled => "CANCELED",
            Self::Finished => "FINISHED",
            Self::Restarting => "RESTARTING",
            Self::Suspended => "SUSPENDED",
            Self::Reconciling => "RECONCILING",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [JobStatus; 11] = [
        JobStatus::Initializing,
        JobStatus::Created,
        JobStatus::Running,
        JobStatus::Failing,
        JobStatus::Failed,
        JobStatus::Cancelling,
        JobStatus::Canceled,
        JobStatus::Finished,
        JobStatus::Restarting,
        JobStatus::Suspended,
        JobStatus::Reconciling,
    ];

    #[test]
    fn exactly_three_statuses_allow_removing_what_recovery_needs() {
        let terminal: Vec<_> = ALL.into_iter().filter(|status| status.is_globally_terminal()).collect();
        assert_eq!(terminal, [JobStatus::Failed, JobStatus::Canceled, JobStatus::Finished]);
    }

    #[test]
    fn a_status_is_stored_as_it_is_displayed() {
        for status in ALL {
            assert_eq!(serde_json::to_string(&status).unwrap(), format!("\"{status}\""));
        }
    }
}
