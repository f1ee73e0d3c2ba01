//! The places that workers have offered to one leadership.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::Slot;

/// More places than this are not taken in.
const SLOTS_MAX: usize = 1024;

/// The free places of one leadership. It ends with it, and so do the connections of places that wait in it.
#[derive(Debug, Default)]
pub struct SlotPool {
    slots: Mutex<VecDeque<Slot>>,
    added: Notify,
}

impl SlotPool {
    /// Adds a place; gives it back if there are too many.
    ///
    /// # Errors
    /// The place itself.
    pub fn add(&self, slot: Slot) -> Result<(), Box<Slot>> {
        let mut slots = self.slots();
        if slots.len() >= SLOTS_MAX {
            return Err(Box::new(slot));
        }
        slots.push_back(slot);
        drop(slots);
        self.added.notify_waiters();
        Ok(())
    }

    /// How many places are free, those of this process included, which never are anything else.
    #[must_use]
    pub fn free(&self) -> usize {
        let mut slots = self.slots();
        slots.retain(is_there);
        slots.len()
    }

    /// Waits until there are so many places at once, and takes them: all or none, so that two jobs never wait for
    /// each other with half of what each needs. Places in this process stay free.
    ///
    /// # Cancel safety
    /// Nothing is taken by dropping the future.
    pub async fn take(&self, number: usize) -> VecDeque<Slot> {
        loop {
            // Registered before looking, so that a place between looking and waiting still wakes.
            let added = self.added.notified();
            tokio::pin!(added);
            added.as_mut().enable();
            if let Some(taken) = self.try_take(number) {
                return taken;
            }
            added.await;
        }
    }

    fn try_take(&self, number: usize) -> Option<VecDeque<Slot>> {
        let mut slots = self.slots();
        slots.retain(is_there);
        if slots.len() < number {
            return None;
        }
        let taken: VecDeque<Slot> = slots.drain(..number).collect();
        for slot in &taken {
            if let Slot::Threads(handle) = slot {
                slots.push_back(Slot::Threads(handle.clone()));
            }
        }
        Some(taken)
    }

    fn slots(&self) -> MutexGuard<'_, VecDeque<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the worker has not gone since it offered the place.
fn is_there(slot: &Slot) -> bool {
    match slot {
        Slot::Threads(_) => true,
        Slot::Elsewhere(link) => link.is_quiet(),
    }
}
