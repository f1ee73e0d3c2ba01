use std::fmt;
use std::path::PathBuf;

/// What a request proves itself by. It is sent with every request, as `X-Consul-Token`.
///
/// Neither `Debug` nor an error shows the secret.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum Token {
    /// Nothing: Consul's anonymous token.
    #[default]
    None,
    /// This secret.
    Secret(String),
    /// What stands in this file, without white space around it, at most 4096 bytes.
    ///
    /// The file is read for every request, so a token that is replaced counts from the next request on. If it
    /// cannot be read for a while, or is empty because somebody is just writing it, the last token counts on,
    /// and the log says so: to withdraw a token, withdraw it at Consul.
    File(PathBuf),
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Secret(_) => f.write_str("Secret(…)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// A user and a password, for what may stand in front of Consul (`Authorization: Basic`); Consul itself
/// looks at the [`Token`].
///
/// `Debug` shows neither of them.
#[derive(Clone, PartialEq, Eq)]
pub struct BasicAuth {
    /// The user; it holds no colon.
    pub user: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for BasicAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BasicAuth(…)")
    }
}
