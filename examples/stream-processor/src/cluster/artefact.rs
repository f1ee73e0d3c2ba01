//! Artefacts: what a client handed in, kept as a blob, and copied to where an engine can read it.

use std::io;
use std::path::{Path, PathBuf};

use futures_util::StreamExt;
use ha::JobId;
use ha::blob::{BlobKey, BlobStore};
use ha::seam::Seam;
use tokio::io::AsyncWriteExt;

use super::Failure;

/// Copies the artefact into the directory, unless it is there. The copy has its name only once the blob was verified
/// to the end, so whatever has the name is whole.
///
/// # Errors
/// The blob cannot be read, or the copy not be written. Nothing has the name.
pub(super) async fn fetch(
    blobs: &dyn BlobStore,
    job: &JobId,
    key: &BlobKey,
    directory: &Path,
    seam: &Seam,
) -> Result<PathBuf, Failure> {
    let path = directory.join(format!("{job}-{key}"));
    if tokio::fs::try_exists(&path).await? {
        return Ok(path);
    }
    // Race: a copy that was given up, with its leadership, is still being written by a thread.
    // Closed by: a name of its own for each copy in the making.
    // Cost if missed: two writers in one file, and a copy that is not what was verified.
    let unfinished = directory.join(format!("{job}-{}.part", seam.uuid()));
    let mut pieces = blobs.get(job, key).await?;
    let mut file = tokio::fs::File::create(&unfinished).await?;
    while let Some(piece) = pieces.next().await {
        file.write_all(&piece?).await?;
    }
    // Not durable, and need not be: the copy belongs to this process.
    file.flush().await?;
    tokio::fs::rename(&unfinished, &path).await?;
    Ok(path)
}

/// Removes the copy of a job that has ended.
pub(super) async fn forget(path: &Path) {
    match tokio::fs::remove_file(path).await {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        // It goes with the directory.
        Err(error) => tracing::debug!(path = %path.display(), %error, "a copy of an artefact was not removed"),
    }
}
