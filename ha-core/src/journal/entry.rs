use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::frame::{Flaw, Kind, Values, hex, unhex};
use super::operation::{Operation, Registration, Why};
use super::options::{ENTRY_BYTES_MAX, OPERATIONS_MAX};
use crate::backend::{Commit, Expect, Fence, Key, Latch, Revision, Term, Write, WriteId};
use crate::{Error, ErrorKind};

const KIND: Kind = Kind { magic: "ha-journal-entry", write: "write a journal entry", read: "read a journal entry" };

/// At least as many bytes as an entry takes beside its operations. See [`Operation::bytes_at_most`].
pub(crate) const ENTRY_FRAME_BYTES: usize = 256;

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
    /// [`ErrorKind::Invalid`], [`ErrorKind::TooLarge`]: it contains what no entry may contain. Nobody could read it.
    pub(crate) fn encode(&self) -> Result<Bytes, Error> {
        let too_large = |why: String| Err(Error::new(ErrorKind::TooLarge, KIND.write).because(why));
        if self.operations.len() > OPERATIONS_MAX {
            return too_large(format!("{} operations; an entry takes {OPERATIONS_MAX}", self.operations.len()));
        }
        self.operations.iter().try_for_each(Operation::check)?;
        let operations = self.operations.iter().map(Line::of).collect();
        let head = Head { journal: hex(self.journal), id: hex(self.id), operations };
        let bytes = KIND.seal(&head, self.operations.iter().flat_map(values))?;
        if bytes.len() > ENTRY_BYTES_MAX {
            return too_large(format!("{} bytes; an entry takes {ENTRY_BYTES_MAX}", bytes.len()));
        }
        Ok(bytes)
    }

    /// Reads the entry of that number, which must belong to that journal. Large values are slices of the bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`], [`ErrorKind::NewerFormat`]: says which entry, what is wrong, and what to do.
    pub(crate) fn decode(number: u64, bytes: &Bytes, journal: u128) -> Result<Self, Error> {
        Self::open(bytes, journal).map_err(|flaw| KIND.error(number, flaw))
    }

    fn open(bytes: &Bytes, journal: u128) -> Result<Self, Flaw> {
        if bytes.len() > ENTRY_BYTES_MAX {
            let why = format!("it has {} bytes, and an entry has at most {ENTRY_BYTES_MAX}", bytes.len());
            return Err(Flaw::corrupt(why));
        }
        let (head, mut values) = KIND.open::<Head<'_>>(bytes)?;
        check_journal(&head.journal, journal)?;
        let Some(id) = unhex(&head.id) else { return Err(Flaw::corrupt("its id is not 32 hexadecimal digits")) };
        if head.operations.len() > OPERATIONS_MAX {
            let why = format!("it has {} operations, and an entry has at most {OPERATIONS_MAX}", head.operations.len());
            return Err(Flaw::corrupt(why));
        }
        let mut operations = Vec::with_capacity(head.operations.len());
        for line in head.operations {
            let operation = line.read(&mut values)?;
            operation.check()?;
            operations.push(operation);
        }
        values.end()?;
        Ok(Self { journal, id, operations })
    }
}

/// Refuses what was made for another journal.
pub(super) fn check_journal(found: &str, expected: u128) -> Result<(), Flaw> {
    match unhex(found) {
        Some(found) if found == expected => Ok(()),
        Some(found) => Err(Flaw::corrupt(format!(
            "it is of the journal {}, and this is the journal {}",
            hex(found),
            hex(expected)
        ))),
        None => Err(Flaw::corrupt("its journal is not named by 32 hexadecimal digits")),
    }
}

/// The values of an operation in the order in which they stand in the file.
fn values(operation: &Operation) -> impl Iterator<Item = &Bytes> + Clone {
    let (writes, holder): (&[Write], _) = match operation {
        Operation::Commit(commit) => (&commit.writes, None),
        Operation::Acquire { holder, .. } => (&[], Some(holder)),
        Operation::Renew { .. } | Operation::Release { .. } | Operation::End { .. } => (&[], None),
    };
    writes.iter().filter_map(|write| write.value.as_ref()).chain(holder)
}

/// The second line of the file. Every `bytes` is the length of the next value below it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head<'a> {
    journal: String,
    id: String,
    operations: Vec<Line<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line<'a> {
    Commit {
        id: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        guard: Option<FenceLine<'a>>,
        writes: Vec<WriteLine<'a>>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        checks: Vec<CheckLine<'a>>,
    },
    Acquire {
        session: Cow<'a, str>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        registers: Option<Cow<'a, Registration>>,
        latch: Cow<'a, str>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        over: Option<TermLine<'a>>,
        bytes: u64,
    },
    Renew {
        session: Cow<'a, str>,
    },
    Release {
        session: Cow<'a, str>,
        latch: Cow<'a, str>,
    },
    End {
        session: Cow<'a, str>,
        why: Why,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FenceLine<'a> {
    latch: Cow<'a, str>,
    term: TermLine<'a>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TermLine<'a> {
    epoch: u64,
    native: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WriteLine<'a> {
    key: Cow<'a, str>,
    /// The revision; none for a key that is to be absent.
    expect: Option<u64>,
    /// None removes the key.
    bytes: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckLine<'a> {
    key: Cow<'a, str>,
    expect: Option<u64>,
}

impl<'a> Line<'a> {
    fn of(operation: &'a Operation) -> Self {
        let text = |text: &'a str| Cow::Borrowed(text);
        match operation {
            Operation::Commit(commit) => Self::of_commit(commit),
            Operation::Acquire { session, registers, latch, holder, over } => Self::Acquire {
                session: text(session),
                registers: registers.as_ref().map(Cow::Borrowed),
                latch: text(latch.key().as_str()),
                over: over.as_ref().map(TermLine::of),
                bytes: holder.len() as u64,
            },
            Operation::Renew { session } => Self::Renew { session: text(session) },
            Operation::Release { session, latch } => {
                Self::Release { session: text(session), latch: text(latch.key().as_str()) }
            }
            Operation::End { session, why } => Self::End { session: text(session), why: *why },
        }
    }

    fn of_commit(commit: &'a Commit) -> Self {
        let guard = |fence: &'a Fence| FenceLine {
            latch: Cow::Borrowed(fence.latch.key().as_str()),
            term: TermLine::of(&fence.term),
        };
        let write = |write: &'a Write| WriteLine {
            key: Cow::Borrowed(write.key.as_str()),
            expect: expected(write.expect),
            bytes: write.value.as_ref().map(|value| value.len() as u64),
        };
        let check = |(key, expect): &'a (Key, Expect)| CheckLine {
            key: Cow::Borrowed(key.as_str()),
            expect: expected(*expect),
        };
        Self::Commit {
            id: commit.id.to_string(),
            guard: commit.guard.as_ref().map(guard),
            writes: commit.writes.iter().map(write).collect(),
            checks: commit.checks.iter().map(check).collect(),
        }
    }

    fn read(self, values: &mut Values) -> Result<Operation, Flaw> {
        let session = |id: Cow<'_, str>| -> Arc<str> { id.as_ref().into() };
        Ok(match self {
            Self::Commit { id, guard, writes, checks } => {
                let Some(id) = WriteId::parse(&id) else {
                    return Err(Flaw::corrupt("the id of a commit is not 32 hexadecimal digits"));
                };
                let guard = guard.map(FenceLine::read).transpose()?;
                let write = |line: WriteLine<'_>| {
                    let value = line.bytes.map(|bytes| values.take(bytes)).transpose()?;
                    Ok(Write { key: Key::from_stored(line.key)?, expect: expect(line.expect), value })
                };
                let writes = writes.into_iter().map(write).collect::<Result<_, Flaw>>()?;
                let check = |line: CheckLine<'_>| Ok((Key::from_stored(line.key)?, expect(line.expect)));
                let checks = checks.into_iter().map(check).collect::<Result<_, Flaw>>()?;
                Operation::Commit(Commit { id, guard, writes, checks })
            }
            Self::Acquire { session: id, registers, latch: key, over, bytes } => Operation::Acquire {
                session: session(id),
                registers: registers.map(Cow::into_owned),
                latch: latch(key)?,
                holder: values.take(bytes)?,
                over: over.map(TermLine::read),
            },
            Self::Renew { session: id } => Operation::Renew { session: session(id) },
            Self::Release { session: id, latch: key } => {
                Operation::Release { session: session(id), latch: latch(key)? }
            }
            Self::End { session: id, why } => Operation::End { session: session(id), why },
        })
    }
}

/// That a latch can stand there is checked with the rest of the operation.
fn latch(key: Cow<'_, str>) -> Result<Latch, Flaw> {
    Ok(Latch::from_key(Key::from_stored(key)?))
}

fn expected(expect: Expect) -> Option<u64> {
    match expect {
        Expect::Absent => None,
        Expect::Revision(revision) => Some(revision.native()),
    }
}

fn expect(expected: Option<u64>) -> Expect {
    expected.map_or(Expect::Absent, |native| Expect::Revision(Revision::from_native(native)))
}

impl FenceLine<'_> {
    fn read(self) -> Result<Fence, Flaw> {
        Ok(Fence { latch: latch(self.latch)?, term: self.term.read() })
    }
}

impl<'a> TermLine<'a> {
    fn of(term: &'a Term) -> Self {
        Self { epoch: term.epoch, native: Cow::Borrowed(&term.native) }
    }

    fn read(self) -> Term {
        Term { epoch: self.epoch, native: self.native.as_ref().into() }
    }
}
