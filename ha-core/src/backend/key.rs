use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use crate::excerpt::excerpt;
use crate::{Error, ErrorKind};

/// The longest name of one thing (a cluster, a component, a job), in bytes.
pub const NAME_BYTES_MAX: usize = 128;
/// The longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 512;

/// Checks one segment of a key: what may stand between two slashes.
fn check_segment(segment: &str, what: &'static str) -> Result<(), Error> {
    let invalid = |why: String| Err(Error::new(ErrorKind::Invalid, what).at(excerpt(segment, 64)).because(why));
    if segment.is_empty() {
        return invalid("a name must not be empty".into());
    }
    if segment.len() > NAME_BYTES_MAX {
        return invalid(format!("{} bytes; at most {NAME_BYTES_MAX} are allowed", segment.len()));
    }
    if segment.starts_with('.') {
        return invalid("a name must not start with a dot".into());
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match segment.chars().find(|c| !allowed(*c)) {
        Some(c) => invalid(format!("{c:?} is not allowed: use ASCII letters, digits, '-', '_' and '.'")),
        None => Ok(()),
    }
}

/// A name that becomes one segment of a key: 1 to 128 ASCII letters, digits, `-`, `_` and `.`,
/// not starting with a dot. So no name can be a path, and none collides with another when a
/// backend stores keys in files.
///
/// ```
/// use ha_core::backend::Name;
/// assert!(Name::new("dispatcher").is_ok());
/// assert!(Name::new("../etc").is_err());
/// assert!(Name::new("").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// Checks and takes the name.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`]: the text says which rule it breaks.
    pub fn new(name: impl AsRef<str>) -> Result<Self, Error> {
        check_segment(name.as_ref(), "name")?;
        Ok(Self(name.as_ref().into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A place in a backend's key space: names joined by `/`, at most 512 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

impl Key {
    /// Checks and takes a key.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`]: the text says which rule it breaks.
    pub fn new(key: impl AsRef<str>) -> Result<Self, Error> {
        let key = key.as_ref();
        if key.len() > KEY_BYTES_MAX {
            return Err(Error::new(ErrorKind::Invalid, "key")
                .at(excerpt(key, 64))
                .because(format!("{} bytes; at most {KEY_BYTES_MAX} are allowed", key.len())));
        }
        key.split('/').try_for_each(|segment| check_segment(segment, "key"))?;
        Ok(Self(key.into()))
    }

    /// For backends: the key that stands for this stored text. As [`Key::new`], but of any length:
    /// below a [`Chroot`](crate::wrap::Chroot), a key is longer than its user could have made it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`]: somebody else stored it. Leave such a key out, or report it.
    pub fn from_stored(text: impl AsRef<str>) -> Result<Self, Error> {
        text.as_ref().split('/').try_for_each(|segment| check_segment(segment, "stored key"))?;
        Ok(Self(text.as_ref().into()))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last name of the key.
    #[must_use]
    pub fn last(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The place that the key stands in. Built from its parts, not checked anew: seen from above a
    /// prefix, a key may be longer than its user could have made it.
    #[must_use]
    pub fn home(&self) -> Prefix {
        let end = self.0.rfind('/').map_or(0, |slash| slash + 1);
        Prefix(self.0[..end].into())
    }

    /// Whether the key belongs to a latch: `…/latch` and `…/epoch` are written by
    /// [`Session`](super::Session)s alone, never through a commit.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        matches!(self.last(), "latch" | "epoch")
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All keys below a place. It ends at a separator, so that `jobs/1/` never holds `jobs/10/x`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(Arc<str>);

impl Prefix {
    /// The whole key space.
    #[must_use]
    pub fn root() -> Self {
        Self("".into())
    }

    /// Checks and takes a prefix. Slashes at either end are optional; the empty text is the root.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`]: the text says which rule it breaks.
    pub fn new(prefix: impl AsRef<str>) -> Result<Self, Error> {
        let prefix = prefix.as_ref();
        let prefix = prefix.strip_prefix('/').unwrap_or(prefix);
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        if prefix.is_empty() {
            return Ok(Self::root());
        }
        Ok(Self(format!("{}/", Key::new(prefix)?).into()))
    }

    /// The prefix one name below.
    #[must_use]
    pub fn below(&self, name: &Name) -> Self {
        Self(format!("{}{name}/", self.0).into())
    }

    /// The key with that name directly below.
    #[must_use]
    pub fn key(&self, name: &Name) -> Key {
        Key(format!("{}{name}", self.0).into())
    }

    /// As [`Prefix::below`], for the library's own fixed names.
    #[must_use]
    pub(crate) fn fixed(&self, name: &'static str) -> Self {
        debug_assert!(check_segment(name, "prefix").is_ok());
        Self(format!("{}{name}/", self.0).into())
    }

    /// As [`Prefix::key`], for the library's own fixed names.
    #[must_use]
    pub(crate) fn fixed_key(&self, name: &'static str) -> Key {
        debug_assert!(check_segment(name, "key").is_ok());
        Key(format!("{}{name}", self.0).into())
    }

    /// Whether the key is below this place.
    #[must_use]
    pub fn contains(&self, key: &Key) -> bool {
        key.0.starts_with(&*self.0)
    }

    /// What follows this prefix in the key; `None` if the key is not below it.
    #[must_use]
    pub fn relative<'k>(&self, key: &'k Key) -> Option<&'k str> {
        key.0.strip_prefix(&*self.0)
    }

    /// The prefix as text: empty, or ending with a slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same key, seen from above this prefix.
    pub(crate) fn outer(&self, key: &Key) -> Key {
        Key(format!("{}{key}", self.0).into())
    }

    /// The key seen from below this prefix; `None` if it is not below it.
    pub(crate) fn inner(&self, key: &Key) -> Option<Key> {
        self.relative(key).filter(|rest| !rest.is_empty()).map(|rest| Key(rest.into()))
    }

    /// The prefix seen from above this one.
    pub(crate) fn join(&self, below: &Self) -> Self {
        Self(format!("{}{}", self.0, below.0).into())
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}*", self.0)
    }
}

/// What a watcher watches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// One key.
    Key(Key),
    /// All keys below a place.
    Below(Prefix),
}

impl Scope {
    /// Whether the key is watched.
    #[must_use]
    pub fn contains(&self, key: &Key) -> bool {
        match self {
            Self::Key(watched) => watched == key,
            Self::Below(prefix) => prefix.contains(key),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => key.fmt(f),
            Self::Below(prefix) => write!(f, "{prefix}*"),
        }
    }
}
