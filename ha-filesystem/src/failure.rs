use std::fmt;
use std::io;

use ha_core::{Error, ErrorKind};

/// What a failed operation means to the caller, where it is certain that nothing was applied.
pub(crate) fn failed(operation: &'static str, path: impl fmt::Display, error: io::Error) -> Error {
    use io::ErrorKind as Io;
    let (kind, why) = match error.kind() {
        Io::PermissionDenied => (ErrorKind::Denied, "this user needs to read, write and list the directory"),
        Io::InvalidData | Io::IsADirectory | Io::NotADirectory => {
            (ErrorKind::Corrupt, "not what this library puts there; nothing was changed: look at it, and move it away")
        }
        Io::StorageFull | Io::QuotaExceeded => (ErrorKind::Unavailable, "no space, or no inodes, are left: make room"),
        Io::ReadOnlyFilesystem => (ErrorKind::Unavailable, "the file system is read-only: mount it read-write"),
        Io::StaleNetworkFileHandle => (ErrorKind::Unavailable, "the server lost the directory: open the store anew"),
        Io::NotFound => (ErrorKind::Unavailable, "it is gone: was it removed by hand?"),
        _ => (ErrorKind::Unavailable, "the file system failed"),
    };
    Error::new(kind, operation).at(path).because(why).caused_by(error)
}

/// The same, where it may have been applied.
pub(crate) fn unknown(operation: &'static str, path: impl fmt::Display, error: io::Error) -> Error {
    Error::new(ErrorKind::Indeterminate, operation).at(path).because("it may have been done").caused_by(error)
}

/// Whether the operating system says with this that it did not make the name. Others (an I/O error, a server that
/// was asked twice) leave it open.
pub(crate) fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind as Io;
    matches!(
        error.kind(),
        Io::StorageFull
            | Io::QuotaExceeded
            | Io::ReadOnlyFilesystem
            | Io::PermissionDenied
            | Io::TooManyLinks
            | Io::CrossesDevices
    )
}
