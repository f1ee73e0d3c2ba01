//! What is on the disk.

use bytes::Bytes;
use ha_core::backend::{Entry, Key, Mark, Prefix, Revision, Term};
use ha_core::{Error, ErrorKind};
use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};

type Text = &'static str;
type Value = (u64, &'static [u8]);
type Holder = (u64, u64);

// guide: tables
/// Key → revision and bytes.
const ENTRIES: TableDefinition<'_, Text, Value> = TableDefinition::new("entries");
/// Latch → session and epoch of who holds it. Emptied whenever the file is opened.
const LATCHES: TableDefinition<'_, Text, Holder> = TableDefinition::new("latches");
/// Latch → its highest epoch. Beside the key that people see, and never removed from.
const EPOCHS: TableDefinition<'_, Text, u64> = TableDefinition::new("epochs");
/// `sequence`: how many changes there ever were. Revisions, marks and epochs come from it, so
/// none of them ever repeats.
const COUNTERS: TableDefinition<'_, Text, u64> = TableDefinition::new("counters");
// guide: end

/// One write transaction. What it has done shows to nobody before it is committed, and not at all if
/// it is dropped.
pub(crate) struct Tables<'t> {
    entries: Table<'t, Text, Value>,
    latches: Table<'t, Text, Holder>,
    epochs: Table<'t, Text, u64>,
    counters: Table<'t, Text, u64>,
    sequence: u64,
    changes: Vec<(u64, Key)>,
}

impl<'t> Tables<'t> {
    pub(crate) fn open(transaction: &'t WriteTransaction) -> Result<Self, Error> {
        let counters = transaction.open_table(COUNTERS).map_err(failed)?;
        let sequence = counters.get("sequence").map_err(failed)?.map_or(0, |count| count.value());
        Ok(Self {
            entries: transaction.open_table(ENTRIES).map_err(failed)?,
            latches: transaction.open_table(LATCHES).map_err(failed)?,
            epochs: transaction.open_table(EPOCHS).map_err(failed)?,
            counters,
            sequence,
            changes: Vec::new(),
        })
    }

    /// Stores the counter, and answers what has changed.
    pub(crate) fn finish(mut self) -> Result<Vec<(u64, Key)>, Error> {
        self.counters.insert("sequence", self.sequence).map_err(failed)?;
        Ok(self.changes)
    }

    pub(crate) fn read(&self, key: &Key) -> Result<Option<Entry>, Error> {
        read(&self.entries, &self.latches, key)
    }

    // guide: revisions
    pub(crate) fn put(&mut self, key: &Key, value: &[u8]) -> Result<Revision, Error> {
        let revision = self.count(key);
        self.entries.insert(key.as_str(), (revision, value)).map_err(failed)?;
        Ok(Revision::from_native(revision))
    }

    pub(crate) fn remove(&mut self, key: &Key) -> Result<(), Error> {
        if self.entries.remove(key.as_str()).map_err(failed)?.is_some() {
            self.count(key);
        }
        Ok(())
    }

    fn count(&mut self, key: &Key) -> u64 {
        self.sequence += 1;
        self.changes.push((self.sequence, key.clone()));
        self.sequence
    }
    // guide: end

    /// The session and the term that a latch is held under.
    pub(crate) fn holder(&self, latch: &Key) -> Result<Option<(u64, Term)>, Error> {
        let row = self.latches.get(latch.as_str()).map_err(failed)?;
        Ok(row.map(|row| row.value()).map(|(session, epoch)| (session, term(session, epoch))))
    }

    // guide: hold
    /// Gives the latch to a session, under an epoch that no earlier term of it had.
    pub(crate) fn hold(&mut self, latch: &Key, session: u64) -> Result<Term, Error> {
        let stored = self.epochs.get(latch.as_str()).map_err(failed)?.map_or(0, |epoch| epoch.value());
        let epoch = (stored + 1).max(self.sequence + 1);
        self.epochs.insert(latch.as_str(), epoch).map_err(failed)?;
        self.latches.insert(latch.as_str(), (session, epoch)).map_err(failed)?;
        Ok(term(session, epoch))
    }
    // guide: end

    /// Ends whatever term the latch is held under, without a word to its watchers.
    pub(crate) fn unhold(&mut self, latch: &Key) -> Result<(), Error> {
        self.latches.remove(latch.as_str()).map_err(failed)?;
        Ok(())
    }

    /// Frees every latch whose session is over, in the same transaction.
    pub(crate) fn free_all(&mut self, is_over: impl Fn(u64) -> bool) -> Result<(), Error> {
        let mut free = Vec::new();
        for row in self.latches.iter().map_err(failed)? {
            let (latch, holder) = row.map_err(failed)?;
            if is_over(holder.value().0) {
                free.push(stored_key(latch.value())?);
            }
        }
        free.iter().try_for_each(|latch| self.free(latch))
    }

    /// Frees one latch. Its key stays, with nothing in it, and its watchers wake.
    pub(crate) fn free(&mut self, latch: &Key) -> Result<(), Error> {
        self.unhold(latch)?;
        self.put(latch, b"").map(drop)
    }

    pub(crate) fn mark(&self) -> Mark {
        mark(self.sequence)
    }
}

/// One read transaction: everything as it stood together at one moment.
pub(crate) struct View {
    entries: redb::ReadOnlyTable<Text, Value>,
    latches: redb::ReadOnlyTable<Text, Holder>,
    pub(crate) sequence: u64,
}

impl View {
    pub(crate) fn open(transaction: &ReadTransaction) -> Result<Self, Error> {
        let counters = transaction.open_table(COUNTERS).map_err(failed)?;
        let sequence = counters.get("sequence").map_err(failed)?.map_or(0, |count| count.value());
        let entries = transaction.open_table(ENTRIES).map_err(failed)?;
        Ok(Self { entries, latches: transaction.open_table(LATCHES).map_err(failed)?, sequence })
    }

    pub(crate) fn read(&self, key: &Key) -> Result<Option<Entry>, Error> {
        read(&self.entries, &self.latches, key)
    }

    // guide: list
    pub(crate) fn below(&self, prefix: &Prefix) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::new();
        for row in self.entries.range(prefix.as_str()..).map_err(failed)? {
            let (key, _) = row.map_err(failed)?;
            // A prefix ends with its slash, so `jobs/1/` cannot match `jobs/10/x`.
            if !key.value().starts_with(prefix.as_str()) {
                break;
            }
            entries.extend(self.read(&stored_key(key.value())?)?);
        }
        Ok(entries)
    }
    // guide: end

    pub(crate) fn mark(&self) -> Mark {
        mark(self.sequence)
    }
}

fn read(
    entries: &impl ReadableTable<Text, Value>,
    latches: &impl ReadableTable<Text, Holder>,
    key: &Key,
) -> Result<Option<Entry>, Error> {
    let Some(row) = entries.get(key.as_str()).map_err(failed)? else { return Ok(None) };
    let (revision, value) = row.value();
    let held = latches.get(key.as_str()).map_err(failed)?.map(|row| row.value());
    Ok(Some(Entry {
        key: key.clone(),
        value: Bytes::copy_from_slice(value),
        revision: Revision::from_native(revision),
        held: held.map(|(session, epoch)| term(session, epoch)),
    }))
}

fn stored_key(text: &str) -> Result<Key, Error> {
    // All keys came through the contract; another one means that the file was edited.
    Key::from_stored(text).map_err(|error| Error::new(ErrorKind::Corrupt, "redb").because(error))
}

fn term(session: u64, epoch: u64) -> Term {
    Term { epoch, native: crate::session::name(session).into() }
}

fn mark(sequence: u64) -> Mark {
    // One more than the sequence, because a mark of 0 stands for "nothing seen".
    Mark::from_native(sequence + 1)
}

// guide: errors
/// A failure before the transaction was committed: nothing was applied, and nothing will be.
pub(crate) fn failed(error: impl Into<redb::Error>) -> Error {
    let error = error.into();
    let (kind, why) = match &error {
        redb::Error::Corrupted(_) => (ErrorKind::Corrupt, "the file is damaged: restore it from a copy"),
        redb::Error::DatabaseAlreadyOpen => (ErrorKind::Unavailable, "the file is open already, here or elsewhere"),
        redb::Error::PreviousIo => (ErrorKind::Unavailable, "the disk has failed before: open the store anew"),
        _ => (ErrorKind::Unavailable, "the file could not be used"),
    };
    Error::new(kind, "redb").because(why).caused_by(error)
}

/// A failure of the commit itself: it may be on the disk, or not.
pub(crate) fn unknown(error: impl Into<redb::Error>) -> Error {
    Error::new(ErrorKind::Indeterminate, "redb").because("the disk failed during the commit").caused_by(error.into())
}
// guide: end
