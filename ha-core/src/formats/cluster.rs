use serde::{Deserialize, Serialize};

use super::Formats;
use crate::backend::{Backend, Entry, Expect, Key, Revision};
use crate::names::layout;
use crate::record::{self, Body};
use crate::{Error, ErrorKind};

/// What the record `formats` of a cluster says.
///
/// The record itself is written in the first format for ever, and an unknown field in it is ignored, so
/// that every version can read it and see that it is too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterFormat {
    /// What the cluster writes. Who cannot read it takes no part.
    pub format: u32,
}

impl Body for ClusterFormat {
    const KIND: &'static str = "cluster_format";
}

/// The record as it was read: what it says, and which write of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) format: u32,
    pub(crate) stands: Expect,
}

impl Standing {
    /// As in a cluster without a record.
    pub(crate) const ABSENT: Self = Self { format: Formats::FIRST, stands: Expect::Absent };

    pub(crate) fn raised(format: u32, revision: Revision) -> Self {
        Self { format, stands: Expect::Revision(revision) }
    }

    /// What was found under the key of the record.
    pub(crate) fn of(found: Option<&Entry>) -> Result<Self, Error> {
        let Some(entry) = found else { return Ok(Self::ABSENT) };
        let broken = |kind| {
            Error::new(kind, "read the cluster's format").at(&entry.key).because(match kind {
                ErrorKind::NewerFormat => {
                    "the record itself is of a newer format; nothing was changed: upgrade this process"
                }
                _ => {
                    "it cannot be read, so nobody here takes part; nothing was changed: restore it as it was, or \
                     remove it if the cluster's format was never raised"
                }
            })
        };
        // By its own format, which is the first one whatever the cluster writes.
        let record = match record::decode_within::<ClusterFormat>(entry, Formats { oldest: 1, newest: 1 }) {
            Ok(record) => record,
            Err(error) => return Err(broken(error.kind()).caused_by(error)),
        };
        if record.body.format < Formats::FIRST {
            return Err(broken(ErrorKind::Corrupt));
        }
        Ok(Self { format: record.body.format, stands: Expect::Revision(entry.revision) })
    }

    /// Whether a version with these formats may take part.
    pub(crate) fn admit(self, formats: Formats) -> Result<Self, Error> {
        let cluster = self.format;
        let refused = |kind, advice: &str| {
            Err(Error::new(kind, "take part").at(key()).because(format!(
                "the cluster writes format {cluster}, and this version knows {formats}; nothing was changed: {advice}"
            )))
        };
        if cluster > formats.newest() {
            return refused(ErrorKind::NewerFormat, "upgrade this process");
        }
        if cluster < formats.oldest() {
            let advice = "run a version that knows both, raise the cluster's format with it, and come back";
            return refused(ErrorKind::Unsupported, advice);
        }
        Ok(self)
    }
}

/// Where the record stands.
pub(crate) fn key() -> Key {
    layout::formats()
}

/// Reads the record; an error if a version with these formats may not take part.
pub(crate) async fn read(backend: &dyn Backend, formats: Formats) -> Result<Standing, Error> {
    Standing::of(backend.read(&key()).await?.as_ref())?.admit(formats)
}
