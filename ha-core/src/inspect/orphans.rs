use std::collections::BTreeMap;

use serde::Serialize;

use super::Inspector;
use super::leaders::by_latch;
use crate::Error;
use crate::backend::{Backend, Name};
use crate::cleanup::referenced;
use crate::names::layout;

/// The most that are told for each folder.
const ORPHANS_MAX: usize = 100_000;

/// What can become of a state that no pointer leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Prospect {
    /// It is of a term that is over: no pointer to it will ever be written.
    Lost,
    /// It is of the present term, and its pointer may be on its way.
    MayGetPointer,
    /// Nobody holds its latch, so it is not known which terms are over.
    NotKnown,
    /// It is of a term that is still to come: another store uses this place, or this one was restored.
    OfTheFuture,
}

/// A state that no pointer leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct OrphanView {
    /// Where it is.
    pub uri: String,
    /// How long it is, in bytes.
    pub bytes: u64,
    /// The independent latch that it was written under; `None`: the cluster's one.
    pub latch: Option<String>,
    /// The epoch that it was written under.
    pub epoch: u64,
    /// Its age, by the clocks of the storage and of this machine.
    pub age_ms: u64,
    /// What can become of it.
    pub prospect: Prospect,
}

impl Inspector {
    /// The states that no pointer leads to, but those that are kept on purpose (savepoints, and what a policy may
    /// retain). At most 100,000 in each folder are told.
    ///
    /// # Errors
    /// * [`Corrupt`](crate::ErrorKind::Corrupt), [`NewerFormat`](crate::ErrorKind::NewerFormat): a pointer cannot be
    ///   read, and it may lead to any of them.
    /// * [`Storage`](crate::ErrorKind::Storage), [`Denied`](crate::ErrorKind::Denied), and as
    ///   [`Backend::list`].
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn orphans(&self) -> Result<Vec<OrphanView>, Error> {
        let held = held_epochs(&*self.backend).await?;
        let now = self.seam.unix_ms();
        let mut orphans = Vec::new();
        for (folder, below) in layout::state_folders() {
            // The states first: what gets its pointer between the two lists is then no orphan.
            let mut count = 0;
            let states = self.storage.candidates(folder, |_| {
                count += 1;
                count <= ORPHANS_MAX
            });
            let states = states.await?;
            let referenced = referenced(&*self.backend, &below, self.formats).await?;
            orphans.extend(states.into_iter().filter(|state| !state.is_among(&referenced)).map(|state| OrphanView {
                prospect: match held.get(&state.tag.latch) {
                    None => Prospect::NotKnown,
                    Some(epoch) if state.tag.epoch < *epoch => Prospect::Lost,
                    Some(epoch) if state.tag.epoch == *epoch => Prospect::MayGetPointer,
                    Some(_) => Prospect::OfTheFuture,
                },
                uri: state.uri,
                bytes: state.bytes,
                latch: state.tag.latch.map(|latch| latch.to_string()),
                epoch: state.tag.epoch,
                age_ms: now.saturating_sub(state.modified_unix_ms),
            }));
        }
        Ok(orphans)
    }
}

/// The epoch that each latch is held under now; those that nobody holds are left out.
pub(crate) async fn held_epochs(backend: &dyn Backend) -> Result<BTreeMap<Option<Name>, u64>, Error> {
    let mut held = BTreeMap::new();
    let main = layout::latch(None);
    if let Some(term) = backend.read(main.key()).await?.and_then(|entry| entry.held) {
        held.insert(None, term.epoch);
    }
    let others = backend.list(&layout::extra_latches()).await?;
    for (name, entries) in by_latch(&others) {
        let latch = layout::latch(Some(&name));
        let term = entries.iter().find(|entry| entry.key == *latch.key()).and_then(|entry| entry.held.as_ref());
        if let Some(term) = term {
            held.insert(Some(name), term.epoch);
        }
    }
    Ok(held)
}
