use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::backend::{Key, Prefix, Scope};

/// Who waits for what. A commit finds those who wait for one key without looking at the others.
///
/// Whoever waits registers first and looks then: a change between the look and the sleep leaves a permit in its
/// [`Notify`], so no wake-up is lost.
#[derive(Debug, Default)]
pub struct Waiters {
    by_key: BTreeMap<Key, Vec<Waiter>>,
    below: Vec<(Prefix, Waiter)>,
    next: u64,
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    wake: Arc<Notify>,
}

impl Waiters {
    /// Registers a waiter. It must be removed again under the number that is returned.
    pub fn add(&mut self, scope: &Scope, wake: &Arc<Notify>) -> u64 {
        self.next += 1;
        let waiter = Waiter { number: self.next, wake: Arc::clone(wake) };
        match scope {
            Scope::Key(key) => self.by_key.entry(key.clone()).or_default().push(waiter),
            Scope::Below(prefix) => self.below.push((prefix.clone(), waiter)),
        }
        self.next
    }

    /// Takes the registration back that [`add`](Self::add) made for that scope under that number.
    pub fn remove(&mut self, scope: &Scope, number: u64) {
        match scope {
            Scope::Key(key) => {
                if let Some(waiters) = self.by_key.get_mut(key) {
                    waiters.retain(|waiter| waiter.number != number);
                    if waiters.is_empty() {
                        self.by_key.remove(key);
                    }
                }
            }
            Scope::Below(_) => self.below.retain(|(_, waiter)| waiter.number != number),
        }
    }

    /// Wakes everybody who waits for that key. A permit is kept for one who is not asleep yet, so
    /// no wake-up falls between a look and a sleep.
    pub fn wake(&self, key: &Key) {
        if let Some(waiters) = self.by_key.get(key) {
            waiters.iter().for_each(|waiter| waiter.wake.notify_one());
        }
        let concerned = self.below.iter().filter(|(prefix, _)| prefix.contains(key));
        concerned.for_each(|(_, waiter)| waiter.wake.notify_one());
    }

    /// Wakes everybody, for instance because the whole space was replaced.
    pub fn wake_all(&self) {
        let all = self.by_key.values().flatten().chain(self.below.iter().map(|(_, waiter)| waiter));
        all.for_each(|waiter| waiter.wake.notify_one());
    }

    /// How many wait at this moment.
    #[must_use]
    pub fn len(&self) -> usize {
        self.below.len() + self.by_key.values().map(Vec::len).sum::<usize>()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.below.is_empty() && self.by_key.is_empty()
    }
}
