use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::CompletedCheckpoint;
use crate::Error;
use crate::discard::Before;

/// Deletes what an application stored of a checkpoint outside of this library.
///
/// It is called in the background, after the checkpoint's pointer was definitely removed and
/// before its state is deleted: never for a savepoint, never for a snapshot that was restored
/// without claiming it, never for a checkpoint that the retention policy keeps, and never because
/// something failed or is unknown.
///
/// What it does must be safe to repeat: a failed call is repeated a few times, and the library's
/// state is kept if none succeeds, so that the files can still be found.
#[async_trait]
pub trait CheckpointDiscarder: fmt::Debug + Send + Sync {
    /// Deletes the application's files of this checkpoint. By default there are none.
    ///
    /// # Errors
    /// Something could not be deleted. It is logged; no operation of the store fails by it.
    ///
    /// # Cancel safety
    /// May be dropped half-way, when a try takes longer than five minutes or the runtime ends.
    async fn discard(&self, checkpoint: &CompletedCheckpoint) -> Result<(), Error> {
        let _ = checkpoint;
        Ok(())
    }
}

/// For applications whose checkpoints have no files of their own: all is in
/// [`CompletedCheckpoint::state`].
#[derive(Debug, Clone, Copy, Default)]
pub struct DiscardStateOnly;

impl CheckpointDiscarder for DiscardStateOnly {}

/// The application's part of a deletion.
pub(super) struct Files {
    pub(super) discarder: Arc<dyn CheckpointDiscarder>,
    pub(super) checkpoint: Arc<CompletedCheckpoint>,
}

#[async_trait]
impl Before for Files {
    async fn run(&self) -> Result<(), Error> {
        self.discarder.discard(&self.checkpoint).await
    }
}
