use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{OutputRow, PENDING, Part, hex};
use crate::error::{EngineError, ErrorKind};
use crate::window::Keyed;

pub(super) const OPEN_PREFIX: &str = "open-";
/// Rows are handed to the file system, and to the checksum, in pieces of about this size.
const BUFFER: usize = 64 * 1024;

/// The part that a task is writing, from the first row after a barrier to the next barrier.
///
/// Dropping it leaves the open file behind, as a crash would; a later attempt removes it.
#[derive(Debug)]
pub(crate) struct PartWriter {
    output: PathBuf,
    path: PathBuf,
    task: u32,
    attempt: u64,
    file: File,
    buffer: Vec<u8>,
    digest: Sha256,
    length: u64,
}

impl PartWriter {
    pub(crate) fn create(output: &Path, task: u32, attempt: u64) -> Result<Self, EngineError> {
        let path = output.join(PENDING).join(format!("{OPEN_PREFIX}{attempt:020}-{task:05}"));
        let file = File::create_new(&path).map_err(|cause| match cause.kind() {
            io::ErrorKind::AlreadyExists => EngineError::new(
                ErrorKind::Mismatch,
                format!("attempt {attempt} has been used before ({} exists); start with a greater one", path.display()),
            ),
            _ => EngineError::io("cannot create", &path, cause),
        })?;
        let (buffer, digest) = (Vec::with_capacity(BUFFER + 1024), Sha256::new());
        Ok(Self { output: output.to_owned(), path, task, attempt, file, buffer, digest, length: 0 })
    }

    pub(crate) fn write(&mut self, window_start_ms: u64, keyed: &Keyed) -> Result<(), EngineError> {
        for (key, aggregate) in keyed {
            let row = OutputRow { window_ms: window_start_ms, key: Cow::Borrowed(key), aggregate: *aggregate };
            serde_json::to_writer(&mut self.buffer, &row)
                .map_err(|cause| EngineError::io("cannot write a row to", &self.path, cause.into()))?;
            self.buffer.push(b'\n');
            if self.buffer.len() >= BUFFER {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Ends the part at a barrier: durable under the name that the snapshot lists, once the directory is synced.
    pub(crate) fn close(mut self, checkpoint: u64) -> Result<Part, EngineError> {
        self.flush()?;
        self.file.sync_all().map_err(|cause| EngineError::io("cannot make durable", &self.path, cause))?;
        let sha256 = hex(&self.digest.finalize());
        let part = Part { checkpoint, task: self.task, attempt: self.attempt, length: self.length, sha256 };
        let pending = part.pending(&self.output);
        match fs::rename(&self.path, &pending) {
            Ok(()) => Ok(part),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                let what = format!("{} was removed while attempt {} wrote it", self.path.display(), self.attempt);
                Err(EngineError::new(ErrorKind::Superseded, what))
            }
            Err(cause) => Err(EngineError::io("cannot close", &pending, cause)),
        }
    }

    fn flush(&mut self) -> Result<(), EngineError> {
        self.digest.update(&self.buffer);
        self.length += self.buffer.len() as u64;
        self.file.write_all(&self.buffer).map_err(|cause| EngineError::io("cannot write", &self.path, cause))?;
        self.buffer.clear();
        Ok(())
    }
}
