use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::held::Held;
use super::{CheckpointKind, CheckpointOrigin, CompletedCheckpoint, RetentionPolicy};
use crate::backend::{Backend, Entry, Revision};
use crate::formats::Formats;
use crate::names::layout;
use crate::record::{self, Body};
use crate::seam::Seam;
use crate::state::{StateHandle, StateStorage};
use crate::telemetry::{Stopwatch, record as measured};
use crate::writer::Writer;
use crate::{Error, ErrorKind, JobId, JobStatus};

/// How many states are loaded at a time: enough to hide the latency of an object store.
const LOADS: usize = 16;

/// How often the pointers are listed while others change them.
const LISTS_MAX: usize = 5;

const ADVICE: &str = "nothing was skipped and nothing deleted: restore the entry, or remove it with the repair tool \
                      and accept an older checkpoint";

/// What the backend stores of a checkpoint: everything but its state.
// A field that is not known is damage, or was added without raising the format; ignored, it would be lost by the
// next write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pointer {
    id: u64,
    kind: CheckpointKind,
    timestamp_unix_ms: u64,
    retention: RetentionPolicy,
    origin: CheckpointOrigin,
    #[serde(skip_serializing_if = "Option::is_none")]
    external: Option<String>,
    pub(super) state: StateHandle,
}

impl Body for Pointer {
    const KIND: &'static str = "completed_checkpoint";
}

impl Pointer {
    pub(crate) fn new(checkpoint: &CompletedCheckpoint, state: StateHandle) -> Self {
        Self {
            id: checkpoint.id,
            kind: checkpoint.kind,
            timestamp_unix_ms: checkpoint.timestamp_unix_ms,
            retention: checkpoint.retention,
            origin: checkpoint.origin,
            external: checkpoint.external.clone(),
            state,
        }
    }
}

/// The state that a stored pointer leads to, and whether it goes with its pointer when the job has ended so.
/// Without a status it goes only if no policy could want to retain it.
pub(crate) fn state_in(
    entry: &Entry,
    ended: Option<JobStatus>,
    formats: Formats,
) -> Result<(StateHandle, bool), Error> {
    let Found { id, pointer, .. } = Found::decode(entry, formats)?;
    let checkpoint = CompletedCheckpoint::new(id, pointer.kind, pointer.timestamp_unix_ms, Bytes::new())
        .with_retention(pointer.retention)
        .with_origin(pointer.origin);
    Ok((pointer.state, ended.map_or(checkpoint.is_never_retained(), |status| checkpoint.is_discarded_on(status))))
}

/// What an entry says of its checkpoint, without the state, and where that is.
pub(crate) fn read_in(entry: &Entry, formats: Formats) -> Result<(CompletedCheckpoint, StateHandle), Error> {
    let Found { id, pointer, .. } = Found::decode(entry, formats)?;
    let checkpoint = CompletedCheckpoint::new(id, pointer.kind, pointer.timestamp_unix_ms, Bytes::new())
        .with_retention(pointer.retention)
        .with_origin(pointer.origin);
    let checkpoint = match pointer.external {
        Some(external) => checkpoint.with_external(external),
        None => checkpoint,
    };
    Ok((checkpoint, pointer.state))
}

/// A pointer as it was read.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) id: u64,
    pub(super) pointer: Pointer,
    pub(super) revision: Revision,
}

impl Found {
    /// Reads a pointer, and holds it against the name that it stands under.
    pub(super) fn decode(entry: &Entry, formats: Formats) -> Result<Self, Error> {
        let corrupt = |why: String| unreadable(ErrorKind::Corrupt, entry, &why);
        // Ids are compared as numbers; the fixed width is for the order in which people see them.
        let name = entry.key.last();
        let id = name.parse().ok().filter(|id: &u64| format!("{id:019}") == name);
        let id = id.ok_or_else(|| corrupt("its name is not a checkpoint id of 19 digits".into()))?;
        let record = record::decode_within::<Pointer>(entry, formats)
            .map_err(|error| unreadable(error.kind(), entry, "it cannot be read").caused_by(error))?;
        if record.body.id != id {
            return Err(corrupt(format!("it is the pointer of checkpoint {}", record.body.id)));
        }
        Ok(Self { id, pointer: record.body, revision: record.revision })
    }
}

fn unreadable(kind: ErrorKind, entry: &Entry, why: &str) -> Error {
    let advice = match kind {
        ErrorKind::NewerFormat => "upgrade this process; nothing was changed",
        ErrorKind::Unsupported => "read it with an older version; nothing was changed",
        _ => ADVICE,
    };
    Error::new(kind, "recover checkpoint").at(&entry.key).because(format!("{why}; {advice}"))
}

/// All pointers of the job, as they stand together.
async fn list(backend: &dyn Backend, job: &JobId, formats: Formats) -> Result<Vec<Found>, Error> {
    let below = layout::checkpoints(job);
    let snapshot = backend.list(&below).await?;
    let nested = snapshot.entries.iter().find(|entry| below.relative(&entry.key).is_some_and(|n| n.contains('/')));
    if let Some(entry) = nested {
        return Err(unreadable(ErrorKind::Corrupt, entry, "it is not a checkpoint"));
    }
    snapshot.entries.iter().map(|entry| Found::decode(entry, formats)).collect()
}

/// By what two lists are told apart.
fn revisions(found: &[Found]) -> Vec<(u64, Revision)> {
    found.iter().map(|found| (found.id, found.revision)).collect()
}

/// Lists all, and loads those that are not known. First those that are, then the others, each in the order of their ids.
// Race: the next leader subsumes what is on the list, while it is loaded; we may have been deposed and not know it.
// Closed by: a list whose state is missing counts only if the same pointers still stand; else it is made anew.
// Cost if missed: state is said to be missing although nothing is lost.
pub(super) async fn recover(
    writer: &Writer,
    storage: &StateStorage,
    job: &JobId,
    known: impl Fn(&Found) -> Option<Arc<CompletedCheckpoint>>,
) -> Result<Vec<Held>, Error> {
    let (backend, seam) = (writer.backend().as_ref(), writer.seam());
    let list = async || {
        let began = Stopwatch::start(seam);
        let found = list(backend, job, writer.formats()).await?;
        measured::recovery_step("checkpoints", "list", began, seam);
        Ok::<_, Error>(found)
    };
    let load = async |found| {
        let (mut held, mut unknown) = (Vec::new(), Vec::new());
        for found in found {
            match known(&found) {
                Some(checkpoint) => {
                    held.push(Held { checkpoint, handle: found.pointer.state, revision: found.revision });
                }
                None => unknown.push(found),
            }
        }
        held.extend(load(seam, storage, job, unknown).await?);
        Ok::<_, Error>(held)
    };
    let mut found = list().await?;
    for _ in 0..LISTS_MAX {
        let seen = revisions(&found);
        match load(found).await {
            Err(error) if error.kind() == ErrorKind::StateMissing => {
                found = list().await?;
                if revisions(&found) == seen {
                    return Err(error);
                }
            }
            loaded => return loaded,
        }
    }
    let why = "a leader subsumes them faster than they are loaded; nothing is known to be missing, try again";
    Err(Error::new(ErrorKind::Unavailable, "recover checkpoints").at(job).because(why))
}

/// Loads the states that these lead to, several at a time. One that cannot be loaded fails it all.
async fn load(seam: &Seam, storage: &StateStorage, job: &JobId, found: Vec<Found>) -> Result<Vec<Held>, Error> {
    let began = Stopwatch::start(seam);
    let loads = stream::iter(found).map(|found| load_one(seam, storage, job, found));
    let loaded: Vec<Held> = loads.buffered(LOADS).try_collect().await?;
    measured::recovery_step("checkpoints", "load", began, seam);
    measured::recovered("checkpoints", loaded.len());
    Ok(loaded)
}

async fn load_one(seam: &Seam, storage: &StateStorage, job: &JobId, found: Found) -> Result<Held, Error> {
    let Found { id, pointer, revision } = found;
    let read = measured::state_call(seam, "read", storage.read(&pointer.state), |state| state.len() as u64);
    let state = read.await.map_err(|error| {
        let advice = match error.kind() {
            ErrorKind::Corrupt | ErrorKind::StateMissing => ADVICE,
            ErrorKind::Invalid => "open the state storage that it was written to",
            _ => "try again when the state storage answers",
        };
        Error::new(error.kind(), "recover checkpoint")
            .at(layout::checkpoint(job, id))
            .because(format!("its state {} cannot be read; {advice}", pointer.state.shown()))
            .caused_by(error)
    })?;
    let handle = pointer.state.clone();
    let checkpoint = CompletedCheckpoint {
        id,
        kind: pointer.kind,
        timestamp_unix_ms: pointer.timestamp_unix_ms,
        retention: pointer.retention,
        origin: pointer.origin,
        external: pointer.external,
        state,
    };
    Ok(Held { checkpoint: checkpoint.into(), handle, revision })
}
