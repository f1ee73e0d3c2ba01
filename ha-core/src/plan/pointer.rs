use serde::{Deserialize, Serialize};

use crate::backend::{Entry, Revision};
use crate::formats::Formats;
use crate::record::{self, Body};
use crate::state::StateHandle;
use crate::{Error, ErrorKind, JobId};

/// What the backend stores of a plan.
// A field that is not known is damage, or was added without raising the format; ignored, it would be lost by the
// next write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pointer {
    pub(crate) state: StateHandle,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) requirements: Option<serde_json::Value>,
}

impl Body for Pointer {
    const KIND: &'static str = "execution_plan";
}

/// The state that a stored pointer leads to.
pub(crate) fn state_in(job: &JobId, entry: &Entry, formats: Formats) -> Result<StateHandle, Error> {
    Ok(Found::decode(job, entry, formats)?.pointer.state)
}

/// A pointer as it was read.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) pointer: Pointer,
    pub(super) revision: Revision,
}

impl Found {
    pub(super) fn decode(job: &JobId, entry: &Entry, formats: Formats) -> Result<Self, Error> {
        let record = record::decode_within(entry, formats)
            .map_err(|error| broken(job, &format!("its pointer at {}", entry.key), error))?;
        Ok(Self { pointer: record.body, revision: record.revision })
    }
}

/// The error of a plan that is there and cannot be used.
pub(super) fn broken(job: &JobId, what: &str, error: Error) -> Error {
    let advice = match error.kind() {
        ErrorKind::NewerFormat => "upgrade this process",
        ErrorKind::Unsupported => "read it with an older version",
        ErrorKind::Corrupt | ErrorKind::StateMissing => {
            "restore it from a backup, or remove the plan with the repair tool and submit the job again"
        }
        ErrorKind::Invalid => "open the state storage that it was written to",
        _ => "try again when the state storage answers",
    };
    Error::new(error.kind(), "read execution plan")
        .at(job)
        .because(format!("{what} cannot be read; nothing was deleted: {advice}"))
        .caused_by(error)
}
