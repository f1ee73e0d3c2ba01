use bytes::Bytes;

use super::operation::Operation;
use crate::Error;

/// What stands under one number of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The journal that it was made for.
    pub(crate) journal: u128,
    /// Tells it apart from all others.
    pub(crate) id: u128,
    /// What it does, in this order. None: it only proves where the end is.
    pub(crate) operations: Vec<Operation>,
}

impl Entry {
    /// The entry as bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid), [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge): it
    /// contains what no entry may contain. Nobody could read it.
    pub(crate) fn encode(&self) -> Result<Bytes, Error> {
        todo_encode(self)
    }

    /// Reads the entry of that number, which must belong to that journal. Large values are slices of the bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt), [`ErrorKind::NewerFormat`](crate::ErrorKind::NewerFormat):
    /// says which entry, what is wrong, and what to do.
    pub(crate) fn decode(number: u64, bytes: &Bytes, journal: u128) -> Result<Self, Error> {
        let _ = (number, bytes, journal);
        Err(Error::new(crate::ErrorKind::Unsupported, "read a journal entry"))
    }
}

fn todo_encode(_: &Entry) -> Result<Bytes, Error> {
    Err(Error::new(crate::ErrorKind::Unsupported, "write a journal entry"))
}
