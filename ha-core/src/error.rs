use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// What a caller can do about an [`Error`]; a kind exists only where the answer differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The service could not be reached or did not answer. Nothing was applied. Try again later.
    Unavailable,
    /// A write may or may not have been applied, and it could not be found out in time.
    /// Delete nothing because of it; read again before deciding.
    Indeterminate,
    /// The leadership that the write was made under is over. Nothing was written. Stop the work.
    Fenced,
    /// This process holds no leadership right now. Nothing was sent. Campaign first.
    NotLeader,
    /// Somebody else changed what the write was based on. Nothing was written. Read again.
    Conflict,
    /// Something is stored under that name already. Nothing was written.
    AlreadyExists,
    /// Nothing is stored under that name.
    NotFound,
    /// The entry exists, but this store has neither written nor read it. Read it first.
    NotOwned,
    /// The value or the commit is larger than the backend takes. Nothing was sent.
    TooLarge,
    /// The argument is malformed. Nothing was sent. Correct the call.
    Invalid,
    /// The service refuses access. Nothing was applied. Correct the permissions.
    Denied,
    /// Stored bytes are not what this library wrote. Nothing was deleted; an operator decides.
    Corrupt,
    /// Stored bytes, or all that the cluster writes, are of a format that this version does not know yet.
    /// Nothing was changed. Upgrade this process.
    NewerFormat,
    /// A pointer leads to state that is not in the state storage. Nothing was deleted.
    StateMissing,
    /// The state storage failed (full, read-only, unreachable). No pointer was changed.
    Storage,
    /// The session is over. Open another one; leadership held on it is lost.
    SessionEnded,
    /// The object was closed. Open another one.
    Closed,
    /// The call does not fit the state of the object (not started, started twice). Correct the program.
    IllegalState,
    /// A number reached its largest value. Nothing was written.
    Exhausted,
    /// The backend, or this version of the library, cannot do this. The text says what to use instead.
    Unsupported,
}

impl ErrorKind {
    fn text(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Indeterminate => "outcome unknown",
            Self::Fenced => "fenced: the leadership is over",
            Self::NotLeader => "not leader",
            Self::Conflict => "changed by somebody else",
            Self::AlreadyExists => "already exists",
            Self::NotFound => "not found",
            Self::NotOwned => "not read or written by this store before",
            Self::TooLarge => "too large",
            Self::Invalid => "invalid argument",
            Self::Denied => "access denied",
            Self::Corrupt => "corrupt",
            Self::NewerFormat => "the format is newer than this version",
            Self::StateMissing => "state is missing",
            Self::Storage => "state storage failed",
            Self::SessionEnded => "the session is over",
            Self::Closed => "closed",
            Self::IllegalState => "illegal state",
            Self::Exhausted => "exhausted",
            Self::Unsupported => "unsupported",
        }
    }
}

/// The one error of this library: what kind, during which operation, on what, and why.
///
/// Cheap to clone, so that one failure can be told to many waiters. `Display` is a single line
/// without the source; walk [`StdError::source`] for the chain. It never contains a secret:
/// whoever constructs one puts names and numbers into it, not values.
///
/// ```
/// use ha_core::{Error, ErrorKind};
/// let error = Error::new(ErrorKind::TooLarge, "commit")
///     .at("jobs/7/counter")
///     .because("600000 bytes, the backend takes 524288: store the state elsewhere and a handle here");
/// assert!(!error.may_have_applied());
/// assert!(error.to_string().starts_with("commit jobs/7/counter: too large: 600000 bytes"));
/// ```
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    operation: &'static str,
    subject: String,
    detail: String,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of that kind during that operation.
    #[must_use]
    pub fn new(kind: ErrorKind, operation: &'static str) -> Self {
        Self(Box::new(Inner { kind, operation, subject: String::new(), detail: String::new(), source: None }))
    }

    /// Names what the operation was about: a key, a job, a component.
    #[must_use]
    pub fn at(mut self, subject: impl fmt::Display) -> Self {
        self.0.subject = subject.to_string();
        self
    }

    /// Says why, and what to do about it.
    #[must_use]
    pub fn because(mut self, detail: impl fmt::Display) -> Self {
        self.0.detail = detail.to_string();
        self
    }

    /// Keeps the error underneath as the [`StdError::source`].
    #[must_use]
    pub fn caused_by(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The operation that failed.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// What the operation was about; empty if it was about nothing in particular.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// Whether the write that failed may nevertheless have been applied.
    ///
    /// `false` is a promise: it was not and will not be. Only then may the state that was
    /// written for it be deleted.
    #[must_use]
    pub fn may_have_applied(&self) -> bool {
        self.0.kind == ErrorKind::Indeterminate
    }
}

/// Two errors are equal if they say the same; what is underneath does not count.
impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        let said = |e: &Self| (e.0.kind, e.0.operation);
        said(self) == said(other) && self.0.subject == other.0.subject && self.0.detail == other.0.detail
    }
}

impl Eq for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.operation)?;
        if !self.0.subject.is_empty() {
            write!(f, " {}", self.0.subject)?;
        }
        write!(f, ": {}", self.0.kind.text())?;
        if !self.0.detail.is_empty() {
            write!(f, ": {}", self.0.detail)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut source = self.source();
        while let Some(error) = source {
            write!(f, "\n  caused by: {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
