use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::device::SnapshotName;
use super::entry::check_journal;
use super::frame::{Flaw, Kind, Values, hex};
use super::operation::{Registration, check_key, check_registration, check_session};
use super::options::JournalOptions;
use super::state::{SessionRecord, State};
use crate::Error;
use crate::backend::{Key, Revision, Term};
use crate::space::{Image, NUMBER_MAX, Space};

const KIND: Kind =
    Kind { magic: "ha-journal-snapshot", write: "write a journal snapshot", read: "read a journal snapshot" };

/// All that a snapshot is made of, taken at one moment. Values are shared, so taking it costs little, and it can be
/// encoded elsewhere while the state goes on.
#[derive(Clone)]
pub(crate) struct Captured {
    journal: u128,
    position: u64,
    points: [u64; 2],
    bytes_since_point: u64,
    image: Image,
    sessions: BTreeMap<Arc<str>, SessionRecord>,
}

impl Captured {
    /// How the snapshot is named.
    pub(crate) fn name(&self) -> SnapshotName {
        SnapshotName { number: self.position, floor: self.points[1] }
    }

    /// The snapshot as bytes; the same on every machine. Only that of a point can be read again.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn encode(&self) -> Result<Bytes, Error> {
        let image = &self.image;
        // Of each session the space knows what it has taken, and the state the rest, in the same order.
        let sessions = image.sessions.iter().zip(self.sessions.values());
        let head = Head {
            journal: hex(self.journal),
            number: self.position,
            point: self.points[0],
            floor: self.points[1],
            bytes_since_point: self.bytes_since_point,
            sequence: image.sequence,
            sessions: sessions.map(|((id, taken), record)| SessionLine::of(id, taken, record)).collect(),
            latches: image.latches.iter().map(LatchLine::of).collect(),
            epochs: image.epochs.iter().map(EpochLine::of).collect(),
            entries: image.entries.iter().map(EntryLine::of).collect(),
        };
        KIND.seal(&head, image.entries.iter().map(|(_, _, value)| value))
    }
}

impl fmt::Debug for Captured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Captured").field("name", &self.name()).finish_non_exhaustive()
    }
}

impl State {
    /// What a snapshot of the state is made of.
    pub(crate) fn capture(&self) -> Captured {
        Captured {
            journal: self.journal,
            position: self.position,
            points: self.points,
            bytes_since_point: self.bytes_since_point,
            image: self.space.image(),
            sessions: self.sessions.clone(),
        }
    }

    /// [`capture`](Self::capture) and [`encode`](Captured::encode) in one.
    ///
    /// # Errors
    /// It cannot be written.
    #[cfg(test)]
    pub(crate) fn encode_snapshot(&self) -> Result<Bytes, Error> {
        self.capture().encode()
    }

    /// The state that a snapshot of that name, of that journal, was made of. It is at a point. It remembers no
    /// changes: whoever saw an earlier mark hears of the whole scope.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt), [`ErrorKind::NewerFormat`](crate::ErrorKind::NewerFormat):
    /// says which snapshot, what is wrong, and what to do.
    pub(crate) fn decode_snapshot(
        name: SnapshotName,
        bytes: &Bytes,
        journal: u128,
        options: JournalOptions,
    ) -> Result<Self, Error> {
        let shown = format_args!("{}-{}", name.number, name.floor);
        open(name, bytes, journal, options).map_err(|flaw| KIND.error(shown, flaw))
    }
}

fn open(name: SnapshotName, bytes: &Bytes, journal: u128, options: JournalOptions) -> Result<State, Flaw> {
    let (head, mut values) = KIND.open::<Head<'_>>(bytes)?;
    check_journal(&head.journal, journal)?;
    if (head.number, head.floor) != (name.number, name.floor) {
        return Err(Flaw::corrupt(format!("it is the one that is named {}-{}", head.number, head.floor)));
    }
    if head.number > NUMBER_MAX || head.floor >= head.number {
        return Err(Flaw::corrupt("no snapshot has these numbers"));
    }
    if head.point != head.number || head.bytes_since_point != 0 {
        return Err(Flaw::corrupt("it was not made at a point"));
    }
    let entry = |line: EntryLine<'_>| line.read(&mut values);
    let entries = head.entries.into_iter().map(entry).collect::<Result<_, Flaw>>()?;
    values.end()?;
    let latch =
        |line: LatchLine<'_>| Ok((key(&line.key)?, Term { epoch: line.epoch, native: line.session.as_ref().into() }));
    let latches = head.latches.into_iter().map(latch).collect::<Result<_, Flaw>>()?;
    let epoch = |line: EpochLine<'_>| Ok((key(&line.key)?, line.epoch));
    let epochs = head.epochs.into_iter().map(epoch).collect::<Result<_, Flaw>>()?;
    let (mut taken, mut sessions) = (Vec::new(), BTreeMap::new());
    for line in head.sessions {
        let (id, latches, record) = line.read()?;
        taken.push((Arc::clone(&id), latches));
        sessions.insert(id, record);
    }
    let image = Image { sequence: head.sequence, entries, latches, epochs, sessions: taken };
    let space = Space::from_image(image).map_err(Flaw::corrupt)?;
    let points = [head.point, head.floor];
    Ok(State { journal, options, position: head.number, space, sessions, points, bytes_since_point: 0 })
}

fn key(text: &str) -> Result<Key, Flaw> {
    let key = Key::from_stored(text)?;
    check_key(&key)?;
    Ok(key)
}

/// The second line of the file. Each list is in the order of its keys.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head<'a> {
    journal: String,
    number: u64,
    /// The last point up to there, and the one before it.
    point: u64,
    floor: u64,
    bytes_since_point: u64,
    sequence: u64,
    sessions: Vec<SessionLine<'a>>,
    latches: Vec<LatchLine<'a>>,
    epochs: Vec<EpochLine<'a>>,
    entries: Vec<EntryLine<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionLine<'a> {
    id: Cow<'a, str>,
    registration: Cow<'a, Registration>,
    renewals: u64,
    taken: Vec<Cow<'a, str>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LatchLine<'a> {
    key: Cow<'a, str>,
    epoch: u64,
    session: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EpochLine<'a> {
    key: Cow<'a, str>,
    epoch: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryLine<'a> {
    key: Cow<'a, str>,
    revision: u64,
    /// The length of its value, which stands below in the same order.
    bytes: u64,
}

impl<'a> SessionLine<'a> {
    fn of(id: &'a str, taken: &'a [Key], record: &'a SessionRecord) -> Self {
        Self {
            id: Cow::Borrowed(id),
            registration: Cow::Borrowed(&record.registration),
            renewals: record.renewals,
            taken: taken.iter().map(|key| Cow::Borrowed(key.as_str())).collect(),
        }
    }

    fn read(self) -> Result<(Arc<str>, Vec<Key>, SessionRecord), Flaw> {
        check_session(&self.id)?;
        check_registration(&self.registration)?;
        if self.renewals > NUMBER_MAX {
            return Err(Flaw::corrupt("a session in it has renewed itself more often than it can have"));
        }
        let taken = self.taken.iter().map(|latch| key(latch)).collect::<Result<_, Flaw>>()?;
        let record = SessionRecord { registration: self.registration.into_owned(), renewals: self.renewals };
        Ok((self.id.as_ref().into(), taken, record))
    }
}

impl<'a> LatchLine<'a> {
    fn of((key, term): &'a (Key, Term)) -> Self {
        Self { key: Cow::Borrowed(key.as_str()), epoch: term.epoch, session: Cow::Borrowed(&term.native) }
    }
}

impl<'a> EpochLine<'a> {
    fn of((key, epoch): &'a (Key, u64)) -> Self {
        Self { key: Cow::Borrowed(key.as_str()), epoch: *epoch }
    }
}

impl<'a> EntryLine<'a> {
    fn of((key, revision, value): &'a (Key, Revision, Bytes)) -> Self {
        Self { key: Cow::Borrowed(key.as_str()), revision: revision.native(), bytes: value.len() as u64 }
    }

    fn read(self, values: &mut Values) -> Result<(Key, Revision, Bytes), Flaw> {
        Ok((key(&self.key)?, Revision::from_native(self.revision), values.take(self.bytes)?))
    }
}
