use std::fmt;

use async_trait::async_trait;

use super::removal::{Extent, Removal};
use crate::backend::Revision;
use crate::job_result::JobResult;
use crate::names::layout;
use crate::state::StateStorage;
use crate::writer::Writer;
use crate::{Error, JobId};

/// Something that is left of a job when it is over, and must be taken away before its result is clean. Flink's
/// `GloballyCleanableResource`.
#[async_trait]
pub trait CleanableResource: fmt::Debug + Send + Sync {
    /// What it is, for the log.
    fn name(&self) -> &str;

    /// Takes it away. It is called again after an error, and by later leaders, also if there is nothing left: that
    /// is success. It must be fenced by itself if it writes outside of the store.
    ///
    /// # Errors
    /// It is called again later. [`NotLeader`](crate::ErrorKind::NotLeader),
    /// [`Fenced`](crate::ErrorKind::Fenced) and [`Closed`](crate::ErrorKind::Closed) end the whole clean-up: it is
    /// the next leader's.
    ///
    /// # Cancel safety
    /// May be dropped half-way, when leadership is lost.
    async fn global_cleanup(&self, result: &JobResult) -> Result<(), Error>;
}

/// What this library stores of a job.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) writer: Writer,
    pub(super) storage: StateStorage,
}

impl Stored {
    /// Takes it away while that write of the job's result stands.
    pub(super) async fn global_cleanup(&self, job: &JobId, dirty: Revision) -> Result<(), Error> {
        let writer = self.writer.pin()?;
        let removal = Removal::new(&writer, Extent::Job(job)).while_stands(layout::job_result(job), dirty);
        removal.run(&self.storage).await.merged()
    }
}
