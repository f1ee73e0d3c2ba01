//! The exactly-once sink: a directory of part files, published in two phases.
//!
//! ```text
//! <output>/pending/open-<attempt>-<task>                      rows since the last barrier; of use to nobody else
//! <output>/pending/part-<checkpoint>-<task>-<attempt>.ndjson  closed by the barrier, durable, listed in the snapshot
//! <output>/part-<checkpoint>-<task>-<attempt>.ndjson          published: the output
//! ```
//! A part moves from the second line to the third by one rename, after the snapshot that lists it has become the
//! completed checkpoint. Everything before that may be thrown away; everything after it may be repeated.
//!
//! Race: a deposed attempt does not know it yet, and still writes, closes parts and publishes beside its successor.
//! Closed by: every name carries the attempt, whose token only grows, so the two never write one file, and a rename
//!     never replaces another's rows; the deposed one publishes only what a completed checkpoint lists, which its
//!     successor has restored and publishes too (the second rename finds the first one's result and takes it);
//!     a checkpoint of its own can no longer complete, so its later parts stay invisible; and it removes only files
//!     of attempts older than itself, never its successor's. Its own files may vanish under it: then it stops.
//! Cost if missed: rows lost or doubled in the output, unnoticed by anybody.

mod part;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub(crate) use part::PartWriter;

use crate::error::{EngineError, ErrorKind};
use crate::snapshot::Snapshot;
use crate::window::Aggregate;

const PENDING: &str = "pending";
const PART_PREFIX: &str = "part-";
const PART_SUFFIX: &str = ".ndjson";

/// One line of the output: what is known of a key in a closed window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputRow<'a> {
    /// Start of the window in milliseconds of event time.
    pub window_ms: u64,
    /// The key.
    #[serde(borrow)]
    pub key: std::borrow::Cow<'a, str>,
    /// The aggregate, as fields of the row.
    pub aggregate: Aggregate,
}

/// A part file as a snapshot lists it. The names follow from the numbers, so a snapshot cannot lead elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    pub(crate) checkpoint: u64,
    pub(crate) task: u32,
    pub(crate) attempt: u64,
    /// Length in bytes.
    pub(crate) length: u64,
    /// Hexadecimal.
    pub(crate) sha256: String,
}

impl Part {
    fn name(&self) -> String {
        let Self { checkpoint, task, attempt, .. } = self;
        format!("{PART_PREFIX}{checkpoint:020}-{task:05}-{attempt:020}{PART_SUFFIX}")
    }

    fn pending(&self, output: &Path) -> PathBuf {
        output.join(PENDING).join(self.name())
    }
}

/// Publishes every part that the snapshot lists, durably.
///
/// Call it only when the snapshot is safely known as a completed checkpoint; then call it as often as you like, from
/// any process, also while another one does the same: what is published already is recognised. On success all rows up
/// to the snapshot's position are in the output, exactly once. Files are read again and compared with the listed
/// checksum. A part that was published must stay until the job has finished.
///
/// # Errors
/// * [`ErrorKind::DamagedOutput`]: a listed part is in neither place or altered; the error names it. Do not go on.
/// * [`ErrorKind::Io`]: some parts may be published, others not. Call it again.
pub fn commit(output: &Path, snapshot: &Snapshot) -> Result<(), EngineError> {
    commit_parts(output, snapshot.parts())
}

pub(crate) fn commit_parts(output: &Path, parts: &[Part]) -> Result<(), EngineError> {
    for part in parts {
        publish(output, part)?;
    }
    if !parts.is_empty() {
        // The new name first: should only one of the two directories get to the disk, the file has a name too many
        // rather than none.
        sync_directory(output)?;
        sync_directory(&output.join(PENDING))?;
    }
    Ok(())
}

fn publish(output: &Path, part: &Part) -> Result<(), EngineError> {
    let (pending, published) = (part.pending(output), output.join(part.name()));
    // Race: another attempt publishes the same part between any two of these lines.
    // Closed by: the rename is atomic, so a part that is not pending (any more) is published already, and is looked
    //     for in this order: first where it was, then where it goes.
    // Cost if missed: recovery fails although nothing is wrong.
    if verify(&pending, part)? {
        match fs::rename(&pending, &published) {
            Ok(()) => return Ok(()),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(EngineError::io("cannot publish", &published, cause)),
        }
    }
    if verify(&published, part)? {
        return Ok(());
    }
    let what = format!("{} is listed in the snapshot, but neither pending nor published", published.display());
    Err(EngineError::new(ErrorKind::DamagedOutput, what))
}

/// Whether the file is there, intact. There but altered is an error.
fn verify(path: &Path, part: &Part) -> Result<bool, EngineError> {
    let refused = |cause| EngineError::io("cannot read", path, cause);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(cause) => return Err(refused(cause)),
    };
    let (sha256, length) = digest_of(file).map_err(refused)?;
    if length == part.length && sha256 == part.sha256 {
        return Ok(true);
    }
    let what =
        format!("{} differs from what the snapshot lists ({} bytes, {length} found)", path.display(), part.length);
    Err(EngineError::new(ErrorKind::DamagedOutput, what))
}

/// Makes the directories, durably.
pub(crate) fn prepare(output: &Path) -> Result<(), EngineError> {
    let pending = output.join(PENDING);
    fs::create_dir_all(&pending).map_err(|cause| EngineError::io("cannot create", &pending, cause))?;
    sync_directory(output)?;
    sync_directory(output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

/// Removes what earlier attempts left pending and no completed checkpoint lists.
pub(crate) fn sweep(output: &Path, attempt: u64, restored: Option<&Snapshot>) -> Result<(), EngineError> {
    let directory = output.join(PENDING);
    let listed: BTreeSet<String> = restored.into_iter().flat_map(Snapshot::parts).map(Part::name).collect();
    let refused = |cause| EngineError::io("cannot list", &directory, cause);
    for entry in fs::read_dir(&directory).map_err(refused)? {
        let entry = entry.map_err(refused)?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        // Race: this attempt is itself deposed, and its successor's files lie here already.
        // Closed by: only files of older attempts are removed. A newer attempt's token is greater.
        // Cost if missed: a completed checkpoint lists a file that is gone; its rows are lost.
        if listed.contains(name) || writer_of(name).is_none_or(|writer| writer >= attempt) {
            continue;
        }
        match fs::remove_file(entry.path()) {
            Ok(()) => {}
            // The deposed attempt renamed it meanwhile, or another one swept it.
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(EngineError::io("cannot remove", &entry.path(), cause)),
        }
    }
    Ok(())
}

/// The attempt that wrote a pending file; nothing for a file that is not ours.
fn writer_of(name: &str) -> Option<u64> {
    if let Some(rest) = name.strip_prefix(part::OPEN_PREFIX) {
        return rest.split('-').next()?.parse().ok();
    }
    name.strip_prefix(PART_PREFIX)?.strip_suffix(PART_SUFFIX)?.split('-').nth(2)?.parse().ok()
}

/// The published part files, in order.
pub(crate) fn published(output: &Path) -> Result<Vec<PathBuf>, EngineError> {
    let refused = |cause| EngineError::io("cannot list", output, cause);
    let mut parts = Vec::new();
    for entry in fs::read_dir(output).map_err(refused)? {
        let entry = entry.map_err(refused)?;
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(PART_PREFIX)) {
            parts.push(entry.path());
        }
    }
    parts.sort();
    Ok(parts)
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> Result<(), EngineError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(|cause| EngineError::io("cannot make durable the directory", path, cause))
}

/// Makes the names of closed parts durable.
pub(crate) fn sync_pending(output: &Path) -> Result<(), EngineError> {
    sync_directory(&output.join(PENDING))
}

/// The SHA-256 of all that is left to read, in hexadecimal, and how many bytes that is.
pub(crate) fn digest_of(mut source: impl Read) -> io::Result<(String, u64)> {
    let (mut digest, mut length, mut buffer) = (Sha256::new(), 0, vec![0; 64 * 1024]);
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok((hex(&digest.finalize()), length)),
            Ok(read) => {
                digest.update(&buffer[..read]);
                length += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
