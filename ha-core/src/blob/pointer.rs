use serde::{Deserialize, Serialize};

use super::BlobKey;
use crate::backend::{Entry, Revision};
use crate::formats::Formats;
use crate::record::{self, Body};
use crate::state::StateHandle;
use crate::{Error, ErrorKind, JobId};

/// What the backend stores of a blob.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pointer {
    pub(crate) state: StateHandle,
}

impl Body for Pointer {
    const KIND: &'static str = "blob";
}

/// The state that a stored pointer leads to.
pub(crate) fn state_in(job: &JobId, entry: &Entry, formats: Formats) -> Result<StateHandle, Error> {
    let key = entry.key.last().parse::<BlobKey>().map_err(|_| broken(job, entry, ErrorKind::Corrupt))?;
    Ok(Found::decode(job, &key, entry, formats)?.state)
}

/// A pointer as it was read.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) state: StateHandle,
    pub(super) revision: Revision,
}

impl Found {
    /// Reads a pointer that stands under the name of that blob.
    pub(super) fn decode(job: &JobId, key: &BlobKey, entry: &Entry, formats: Formats) -> Result<Self, Error> {
        let broken = |kind, cause| Err(broken(job, entry, kind).caused_by(cause));
        let record = match record::decode_within::<Pointer>(entry, formats) {
            Ok(record) => record,
            Err(error) => return broken(error.kind(), error),
        };
        let state = record.body.state;
        if BlobKey::of_state(&state) != Some(*key) {
            let cause = Error::new(ErrorKind::Corrupt, "decode").at(&entry.key).because("it leads to other content");
            return broken(ErrorKind::Corrupt, cause);
        }
        Ok(Self { state, revision: record.revision })
    }
}

/// The error of a pointer that is there and cannot be used.
pub(super) fn broken(job: &JobId, entry: &Entry, kind: ErrorKind) -> Error {
    let advice = match kind {
        ErrorKind::NewerFormat => "upgrade this process",
        ErrorKind::Unsupported => "read it with an older version",
        _ => "remove this key by hand, and put the blob again",
    };
    let why = format!("the pointer to this blob of {job} cannot be read; nothing was deleted: {advice}");
    Error::new(kind, "read blob").at(&entry.key).because(why)
}
