use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Why the engine refused or stopped.
#[derive(Debug, Clone)]
pub struct EngineError {
    kind: ErrorKind,
    what: String,
    source: Option<Arc<io::Error>>,
}

/// What the caller should do about an [`EngineError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The plan cannot be run as written. Correct the named field.
    InvalidPlan,
    /// The bytes are not an intact snapshot. Restore an earlier one, or find out what damaged it.
    CorruptSnapshot,
    /// The snapshot is of a format that this program does not know. Use the program that wrote it, or a newer one.
    UnknownFormat,
    /// The snapshot belongs to another plan, to another input, or to this or a later attempt. Nothing was changed.
    Mismatch,
    /// The checkpoint id is not greater than the previous one. Nothing was done; take a greater one.
    CheckpointId,
    /// A newer attempt has taken the output over. Stop; the output is in its hands.
    Superseded,
    /// A file of the output that a completed snapshot lists is missing or altered. Do not continue: rows are lost.
    DamagedOutput,
    /// The file system refused. Restart from the latest completed snapshot once the cause is gone.
    Io,
    /// A task in another process is out of reach, or said something that no task says. Restart from the latest
    /// completed snapshot, in other places.
    Elsewhere,
    /// The engine does not run any more. Restart from the latest completed snapshot.
    Stopped,
}

impl EngineError {
    pub(crate) fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), source: None }
    }

    pub(crate) fn io(doing: &str, path: &Path, cause: io::Error) -> Self {
        Self { kind: ErrorKind::Io, what: format!("{doing} {}", path.display()), source: Some(Arc::new(cause)) }
    }

    /// What the caller should do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = match self.kind {
            ErrorKind::InvalidPlan => "invalid plan",
            ErrorKind::CorruptSnapshot => "corrupt snapshot",
            ErrorKind::UnknownFormat => "unknown snapshot format",
            ErrorKind::Mismatch => "snapshot does not fit",
            ErrorKind::CheckpointId => "checkpoint id refused",
            ErrorKind::Superseded => "superseded by a newer attempt",
            ErrorKind::DamagedOutput => "damaged output",
            ErrorKind::Io => "file system refused",
            ErrorKind::Elsewhere => "task in another process",
            ErrorKind::Stopped => "engine stopped",
        };
        write!(formatter, "{class}: {}", self.what)
    }
}

impl Error for EngineError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|cause| cause.as_ref() as &(dyn Error + 'static))
    }
}
