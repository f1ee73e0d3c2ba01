use std::sync::Arc;

use bytes::Bytes;

use super::{Space, Stored};
use crate::backend::{Key, Latch, Revision, Term};

/// The greatest number that is believed: what counts on from it never overflows.
pub(crate) const NUMBER_MAX: u64 = u64::MAX / 2;

/// All that a space is made of, but for its log of changes and its waiters. Values are shared, not copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) sequence: u64,
    pub(crate) entries: Vec<(Key, Revision, Bytes)>,
    pub(crate) latches: Vec<(Key, Term)>,
    pub(crate) epochs: Vec<(Key, u64)>,
    pub(crate) sessions: Vec<(Arc<str>, Vec<Key>)>,
}

impl Image {
    /// The first rule that no space breaks and this image does.
    fn flaw(&self) -> Option<&'static str> {
        let ascending = self.entries.is_sorted_by(|a, b| a.0 < b.0)
            && self.latches.is_sorted_by(|a, b| a.0 < b.0)
            && self.epochs.is_sorted_by(|a, b| a.0 < b.0)
            && self.sessions.is_sorted_by(|a, b| a.0 < b.0)
            && self.sessions.iter().all(|(_, taken)| taken.is_sorted_by(|a, b| a < b));
        if !ascending {
            return Some("its parts are not in strictly ascending order");
        }
        if self.sequence > NUMBER_MAX || self.epochs.iter().any(|(_, epoch)| *epoch > NUMBER_MAX) {
            return Some("a number in it is too large to count on from");
        }
        if self.entries.iter().any(|(_, revision, _)| !(1..=self.sequence).contains(&revision.native())) {
            return Some("a revision in it is none that was given out");
        }
        let epoch_of =
            |latch: &Key| self.epochs.binary_search_by(|(key, _)| key.cmp(latch)).map(|at| self.epochs[at].1);
        if self.latches.iter().any(|(latch, term)| epoch_of(latch) != Ok(term.epoch)) {
            return Some("a latch in it is held under an epoch that is not its newest");
        }
        let taken_of =
            |id: &Arc<str>| self.sessions.binary_search_by(|(other, _)| other.cmp(id)).map(|at| &self.sessions[at].1);
        let has_taken = |id, latch| taken_of(id).is_ok_and(|taken| taken.binary_search(latch).is_ok());
        let stands = |latch: &Key| self.entries.binary_search_by(|(key, ..)| key.cmp(latch)).is_ok();
        if !self.latches.iter().all(|(latch, _)| stands(latch)) {
            return Some("a latch in it is held and has no entry");
        }
        if !self.latches.iter().all(|(latch, term)| has_taken(&term.native, latch)) {
            return Some("a latch in it is held by no session that took it");
        }
        let mut latches =
            self.epochs.iter().map(|(key, _)| key).chain(self.sessions.iter().flat_map(|(_, taken)| taken));
        latches.any(|key| !Latch::is_latch(key)).then_some("a key in it stands for a latch and is none")
    }
}

impl Space {
    /// What has to be remembered of the space.
    pub(crate) fn image(&self) -> Image {
        let entry = |(key, stored): (&Key, &Stored)| (key.clone(), stored.revision, stored.value.clone());
        Image {
            sequence: self.sequence,
            entries: self.entries.iter().map(entry).collect(),
            latches: self.latches.iter().map(|(key, term)| (key.clone(), term.clone())).collect(),
            epochs: self.epochs.iter().map(|(key, epoch)| (key.clone(), *epoch)).collect(),
            sessions: self
                .sessions
                .iter()
                .map(|(id, taken)| (Arc::clone(id), taken.iter().cloned().collect()))
                .collect(),
        }
    }

    /// The space that an image was made of; with no change remembered and nobody waiting.
    ///
    /// # Errors
    /// No space has that image. The text says why.
    pub(crate) fn from_image(image: Image) -> Result<Self, &'static str> {
        if let Some(flaw) = image.flaw() {
            return Err(flaw);
        }
        let bytes = image.entries.iter().map(|(key, _, value)| (key.as_str().len() + value.len()) as u64).sum();
        let stored = |(key, revision, value)| (key, Stored { value, revision });
        Ok(Self {
            entries: image.entries.into_iter().map(stored).collect(),
            latches: image.latches.into_iter().collect(),
            epochs: image.epochs.into_iter().collect(),
            sessions: image.sessions.into_iter().map(|(id, taken)| (id, taken.into_iter().collect())).collect(),
            bytes,
            ..Self::above(image.sequence)
        })
    }

    /// Takes the place of a space: whoever waited for changes of it waits for changes of this one, and is woken.
    pub(crate) fn succeed(&mut self, replaced: &mut Self) {
        self.waiters = std::mem::take(&mut replaced.waiters);
        self.waiters.wake_all();
    }
}
