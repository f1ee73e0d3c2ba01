//! What was seen of a place that is followed, and what of it is news to whoever waits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ha_core::backend::{Change, Entry, Key, Scope, Snapshot};

/// How many keys of a place are remembered as changed before all count as changed.
const TOUCHED_MAX: usize = 4096;

/// All of a place as it was seen last.
#[derive(Clone)]
pub(crate) struct View {
    pub(crate) snapshot: Arc<Snapshot>,
    /// From when on it is followed without a gap.
    since: u64,
    /// When each key changed last since then.
    touched: Arc<BTreeMap<Key, u64>>,
    /// What was seen and then undone.
    undone: Arc<[Undone]>,
}

/// Marks of which Consul's index went back: those after the one up to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Undone {
    pub(crate) after: u64,
    pub(crate) up_to: u64,
}

impl Undone {
    pub(crate) fn holds(self, mark: u64) -> bool {
        self.after < mark && mark <= self.up_to
    }
}

impl View {
    /// The first after the start or a gap.
    pub(crate) fn first(snapshot: Snapshot, undone: Arc<[Undone]>) -> Self {
        let since = snapshot.mark.native();
        Self { snapshot: Arc::new(snapshot), since, touched: Arc::default(), undone }
    }

    /// The next without a gap; also says whether it is news. Below an empty place Consul answers at every write
    /// anywhere: that is none.
    pub(crate) fn next(&self, snapshot: Snapshot) -> (Self, bool) {
        let (index, differing) = (snapshot.mark.native(), differing(&self.snapshot, &snapshot));
        let (mut since, mut touched, is_news) = (self.since, Arc::clone(&self.touched), !differing.is_empty());
        if is_news {
            Arc::make_mut(&mut touched).extend(differing);
        }
        if touched.len() > TOUCHED_MAX {
            (since, touched) = (index, Arc::default());
        }
        let mut undone = Arc::clone(&self.undone);
        if undone.iter().any(|undone| undone.holds(index)) {
            undone = undone.iter().filter(|undone| !undone.holds(index)).copied().collect();
        }
        (Self { snapshot: Arc::new(snapshot), since, touched, undone }, is_news)
    }

    // Race: an older snapshot is restored while somebody is busy with what he saw, and does not wait: he is not told
    //       of the failure by which the others hear it.
    // Closed by: the marks that were undone are remembered. Consul's index goes on above them, so that no new one is
    //       among them; where all data were lost it comes to them again, and from then on they are forgotten.
    // Cost if missed: a waiter that holds on to what was rolled back until something is written.
    pub(crate) fn is_undone(&self, seen: u64) -> bool {
        self.undone.iter().any(|undone| undone.holds(seen))
    }

    /// What differs in the scope from what was seen; `None` if nothing does.
    pub(crate) fn news(&self, scope: &Scope, seen: u64) -> Option<Change> {
        let (now, since, touched) = (&self.snapshot, self.since, &self.touched);
        let index = now.mark.native();
        // A mark beyond ours was read a moment ago, and we shall hear of what comes after it. Where Consul's
        // index went back for good, whoever waits looks again after a while, and gets a mark that fits.
        if seen >= index {
            return None;
        }
        let entries: Vec<Entry> = match scope {
            Scope::Key(key) => now.entries.iter().filter(|entry| entry.key == *key).cloned().collect(),
            Scope::Below(_) => now.entries.iter().filter(|entry| scope.contains(&entry.key)).cloned().collect(),
        };
        let changed = match scope {
            // Of a key that did not change since it is followed, its own revision says when it last did.
            Scope::Key(key) => {
                let before = entries.first().map_or(since, |entry| entry.revision.native());
                touched.get(key).copied().unwrap_or(before) > seen
            }
            Scope::Below(_) => seen < since || touched.iter().any(|(key, at)| *at > seen && scope.contains(key)),
        };
        changed.then(|| Change::Snapshot(Snapshot { entries, mark: now.mark }))
    }

    /// A latch that was there and is not any more. Letting go of one, or taking it, leaves its key where it is.
    pub(crate) fn gone_latch(&self, now: &Snapshot) -> Option<Key> {
        let latches = self.snapshot.entries.iter().map(|entry| &entry.key).filter(|key| key.last() == "latch");
        let is_gone = |key: &&Key| now.entries.binary_search_by(|entry| entry.key.cmp(key)).is_err();
        latches.into_iter().find(is_gone).cloned()
    }
}

/// The keys that one has and the other has not, or has otherwise, and when each has changed.
fn differing(before: &Snapshot, now: &Snapshot) -> Vec<(Key, u64)> {
    let of = |snapshot: &Snapshot| -> BTreeMap<Key, Entry> {
        snapshot.entries.iter().map(|entry| (entry.key.clone(), entry.clone())).collect()
    };
    let (index, before, now) = (now.mark.native(), of(before), of(now));
    let keys: BTreeSet<&Key> = before.keys().chain(now.keys()).collect();
    // Race: the answer that shows a change may be of a later moment than the change, and whoever waits may have read
    //       the key in between: its mark is that of the change.
    // Closed by: the key's own revision says when it changed last. The answer's index counts only where there is none,
    //            because the key is gone, or where it went back, because an older state was restored.
    // Cost if missed: somebody who waits for the key is woken at once, each time, until it changes again.
    let changed_at = |key: &Key| match (before.get(key), now.get(key)) {
        (before, Some(now)) if before.is_none_or(|before| before.revision.native() < now.revision.native()) => {
            now.revision.native()
        }
        _ => index,
    };
    let keys = keys.into_iter().filter(|key| before.get(*key) != now.get(*key));
    keys.map(|key| (key.clone(), changed_at(key))).collect()
}

#[cfg(test)]
mod tests {
    use ha_core::backend::{Mark, Revision};

    use super::*;

    fn snapshot(entries: &[(&str, u64)], index: u64) -> Snapshot {
        let entry = |(key, revision): &(&str, u64)| Entry {
            key: Key::new(*key).unwrap(),
            value: "".into(),
            revision: Revision::from_native(*revision),
            held: None,
        };
        Snapshot { entries: entries.iter().map(entry).collect(), mark: Mark::from_native(index) }
    }

    #[test]
    fn who_has_read_a_change_is_not_woken_by_a_later_answer_that_shows_it() {
        // The latch was taken at 20, and its neighbour written at 21, before the next answer came.
        let (view, _) =
            View::first(snapshot(&[("a/b", 9)], 9), [].into()).next(snapshot(&[("a/b", 21), ("a/latch", 20)], 21));
        let key = |key: &str| Scope::Key(Key::new(key).unwrap());
        assert!(view.news(&key("a/latch"), 20).is_none(), "it was read at 20");
        assert!(view.news(&key("a/latch"), 19).is_some(), "it was read before it was taken");
        // What is gone, or was restored to an older state, has changed no earlier than the answer says.
        let (view, _) = view.next(snapshot(&[("a/b", 3)], 30));
        for gone in ["a/latch", "a/b"] {
            assert!(view.news(&key(gone), 29).is_some(), "{gone}");
        }
    }

    fn at(index: u64) -> Snapshot {
        Snapshot { entries: Vec::new(), mark: Mark::from_native(index) }
    }

    #[test]
    fn marks_that_were_rolled_back_are_known_and_no_others() {
        let rolled_back = |after, up_to| Arc::from([Undone { after, up_to }]);
        let view = View::first(at(1428), rolled_back(1428, 1435));
        let undone = |view: &View| (1420..1450).filter(|seen| view.is_undone(*seen)).collect::<Vec<_>>();
        assert_eq!(undone(&view), (1429..=1435).collect::<Vec<_>>());
        let (view, _) = view.next(at(1442));
        assert_eq!(undone(&view), (1429..=1435).collect::<Vec<_>>(), "those that come back late");
        let view = View::first(at(1450), rolled_back(1428, 1435));
        assert_eq!(undone(&view), (1429..=1435).collect::<Vec<_>>(), "also after a gap");
        // All data were lost: the index comes to the same numbers again.
        let (view, _) = View::first(at(5), rolled_back(5, 1435)).next(at(1430));
        assert!(undone(&view).is_empty());
        assert!(undone(&view.next(at(1440)).0).is_empty(), "they are marks of what was written anew");
        assert!(undone(&View::first(at(1428), [].into())).is_empty());
    }
}
