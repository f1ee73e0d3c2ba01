//! Entry points of decoders that are not public, for tests with hostile bytes. No part of the library's interface: it
//! is there with the cargo feature `fuzzing` alone, which nothing but tests and `fuzz/` asks for.

mod bodies;
mod drawn;
mod journal;

use bytes::Bytes;

use crate::Error;
use crate::backend::{Entry, Key, Latch, Name, Revision, WriteId};
use crate::blob::BlobKey;
use crate::election::HolderInformation;
use crate::evidence::{Identity, Presence, PresenceWithdrawal};
use crate::names::{ComponentId, JobId, layout};
use crate::record;
use crate::state::Origin;

pub use bodies::{bodies, drawn_bodies};
pub use drawn::Draw;
pub use journal::{drawn_entry, drawn_snapshot, journal_entries, journal_entry, journal_snapshot, journal_snapshots};

/// Reads what stands in a latch and beside it, of which presence makes evidence.
///
/// # Errors
/// As the reading.
pub fn presence(bytes: &[u8]) -> Result<(), Error> {
    let (key, value) = (Key::new("leader/latch")?, Bytes::copy_from_slice(bytes));
    let entry = Entry { key, value, revision: Revision::from_native(1), held: None };
    let told = record::decode::<HolderInformation>(&entry);
    let withdrawn = record::decode::<PresenceWithdrawal>(&entry);
    told.map(drop).or(withdrawn.map(drop))
}

/// Reads an address and an identity, as they stand in such a record.
pub fn identity(bytes: &[u8]) -> bool {
    let identity = String::from_utf8(bytes.to_vec()).map(|text| Identity::try_from(text).is_ok());
    serde_json::from_slice::<Presence>(bytes).is_ok() || identity.unwrap_or(false)
}

/// Records of holders to begin with.
///
/// # Errors
/// None, as long as they are records.
pub fn holders() -> Result<Vec<Bytes>, Error> {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 80));
    let identity = Identity::try_from("000000000000000700000000000000ff".to_owned());
    let presence = identity.ok().map(|identity| Presence { address, identity });
    let (label, took_over_from) = ("jm-1".to_owned(), identity.ok());
    let holder = HolderInformation { label, since_unix_ms: 1, silence_ms: Some(10_000), presence, took_over_from };
    let holder = record::encode(&holder, WriteId::from_bits(1, 2), 0)?;
    let withdrawals =
        identity.ok().map(|identity| record::encode(&PresenceWithdrawal { identity }, WriteId::from_bits(3, 4), 5));
    Ok(withdrawals.transpose()?.into_iter().chain([holder]).collect())
}

/// Reads a key, as users write it and as a store has it, and what is made of its names.
///
/// # Errors
/// As the reading.
pub fn key(bytes: &[u8]) -> Result<(), Error> {
    let text = String::from_utf8_lossy(bytes);
    let key = Key::from_stored(&*text)?;
    assert_eq!(key.as_str(), text);
    let latch = Latch::from_key(key.clone());
    if Latch::is_latch(&key) {
        assert_eq!(Latch::below(&key.home()), latch, "a latch is known by its place");
    }
    let last = Name::new(key.last()).expect("each part of a key is a name");
    assert_eq!(key.home().key(&last), key);
    assert_eq!(key.home().relative(&key), Some(last.as_str()));
    if let Some(Some(name)) = layout::latch_name(&latch) {
        assert_eq!(layout::latch(Some(&name)), latch);
    }
    match Key::new(&*text) {
        Ok(same) => assert_eq!(same, key),
        Err(_) => assert!(text.len() > crate::backend::KEY_BYTES_MAX, "only its length can be wrong"),
    }
    Ok(())
}

/// The place of the states whose names are read below.
pub const PLACE: &str = "place";

/// Reads what stands in a store or a folder under that name: a state, of which the name decides whether it may be
/// deleted, or a blob.
///
/// # Errors
/// It is the name of neither.
pub fn stored_name(bytes: &[u8]) -> Result<(), Error> {
    let text = String::from_utf8_lossy(bytes);
    assert_eq!(Origin::collectable(&text, ""), None, "of no place");
    if let Some(tag) = Origin::collectable(&text, PLACE) {
        let random = text.rsplit_once('-').map_or("", |(_, random)| random);
        assert_eq!(format!("{tag}-{PLACE}-{random}"), text, "one tag has one spelling");
        assert!(!text.starts_with("keep-"), "what is kept is deleted by nobody");
        return Ok(());
    }
    let key = text.parse::<BlobKey>()?;
    assert_eq!(key.to_string(), text);
    Ok(())
}

/// What services make of drawn names, and of an id: each is found again in the key, and no two share one.
///
/// # Panics
/// It is not: that is what is looked for.
pub fn drawn_names(draw: &mut Draw<'_>) {
    let (first, second) = (draw.name(128), draw.name(128));
    let Ok(job) = JobId::new(&first) else { return };
    let id = draw.number() % (crate::checkpoint::CHECKPOINT_ID_MAX + 1);
    let key = layout::checkpoint(&job, id);
    assert_eq!(key.last().parse(), Ok(id), "an id is found in its key");
    assert!(Key::new(key.as_str()).is_ok(), "{key}");
    let next = layout::checkpoint(&job, id.saturating_add(1).min(crate::checkpoint::CHECKPOINT_ID_MAX));
    assert!(key <= next, "the order of keys is the order of ids: {key}, {next}");
    assert_eq!(layout::jobs().relative(&key), Some(format!("{job}/checkpoints/{id:019}").as_str()));
    if let Ok(other) = JobId::new(&second) {
        let differ = job != other;
        assert_eq!(layout::checkpoint(&other, id) != key, differ);
        assert_eq!(layout::execution_plan(&other) != layout::execution_plan(&job), differ);
        assert!(!differ || !layout::job(&other).contains(&key), "{other} holds a key of {job}");
    }
    let name = Name::new(&first).expect("that of a job");
    let latch = layout::latch(Some(&name));
    assert_eq!(layout::latch_name(&latch), Some(Some(name)));
    if let Ok(component) = ComponentId::new(&second) {
        let key = layout::connection_info(&latch, &component);
        assert!(latch.home().relative(&key).is_some() && key != *latch.key() && key != latch.epoch_key());
    }
}

/// What a standby takes these bytes for, as what is said to whoever connects, in pieces of that length: whether it is
/// the one greeting that it waits for.
pub fn greeting(bytes: &[u8], piece: usize) -> bool {
    crate::presence::hears(GREETED, bytes, piece)
}

/// The identity that [`greeting`] waits for.
pub const GREETED: &str = "HA-PRESENCE 1 000000000000000700000000000000ff\n";
