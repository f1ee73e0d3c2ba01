use std::fmt;
use std::sync::Arc;

/// Where a value was given, for errors and for people who ask why something is set.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// By the program itself.
    Code,
    /// In the URL.
    Url,
    /// By the environment variable of that name.
    Variable(Arc<str>),
    /// In that file, or what stands for one, at that line, counted from 1.
    File {
        /// As it was named.
        name: Arc<str>,
        /// Where the key stands.
        line: usize,
    },
}

impl Origin {
    /// Whether both come from one place: the same file, the same URL, the environment, the program.
    pub(super) fn is_one_source_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Code, Self::Code) | (Self::Url, Self::Url) | (Self::Variable(_), Self::Variable(_)) => true,
            (Self::File { name, .. }, Self::File { name: other, .. }) => name == other,
            _ => false,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code => f.write_str("set by the program"),
            Self::Url => f.write_str("in the URL"),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::File { name, line } => write!(f, "{name}:{line}"),
        }
    }
}
