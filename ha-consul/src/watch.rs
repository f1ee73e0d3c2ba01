//! Following: one request waits at Consul for each place that is followed, however many wait for it here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ha_core::backend::{Change, Entry, Key, Mark, Prefix, Scope, Snapshot};
use ha_core::seam::{Moment, Seam, Task};
use ha_core::{Error, ErrorKind};
use tokio::sync::watch;

use crate::http::{Failure, FailureKind, Http, Request};
use crate::kv;

/// How many keys of a place are remembered as changed before all count as changed.
const TOUCHED_MAX: usize = 4096;
/// How many places are followed for themselves.
const PLACES_MAX: usize = 64;
/// The first pause after a failed request; it doubles up to the last.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// The first pause after answers that brought nothing new, and the last.
const VAIN_MIN: Duration = Duration::from_millis(1);
const VAIN_MAX: Duration = Duration::from_millis(100);
/// What Consul adds to a wait at random is up to a sixteenth; what is silent for longer is dead.
const GRACE: Duration = Duration::from_secs(3);

/// How much of a place is read again in a second, in bytes, while it is being written.
///
/// Consul answers with all of a place whenever anything in it changes. Whoever writes ten thousand keys
/// would have it read as often, larger each time: that keeps the agent and this process busy with nothing
/// else. What is small, as all that an election writes is, is read again at once.
const PACE: usize = 8 << 20;
/// Below that size a place is small.
const SMALL: usize = 16 * 1024;

/// All places that one handle follows.
pub(crate) struct Watches {
    http: Http,
    seam: Seam,
    wait: Duration,
    places: Mutex<Places>,
}

#[derive(Default)]
struct Places {
    followed: BTreeMap<Prefix, Place>,
    closed: bool,
}

/// One place that is followed.
struct Place {
    seen: watch::Receiver<Seen>,
    /// When somebody last began to wait.
    used: Arc<Mutex<Moment>>,
    task: Task,
}

/// What was seen of a place last.
#[derive(Clone)]
enum Seen {
    /// Nothing yet.
    Nothing,
    /// All of it, and when each key changed last since it is followed.
    All { snapshot: Arc<Snapshot>, since: u64, touched: Arc<BTreeMap<Key, u64>> },
    /// It cannot be followed at the moment. The number tells one failure from the next.
    Failed { number: u64, error: Error },
}

impl Watches {
    pub(crate) fn new(http: Http, seam: Seam, wait: Duration) -> Self {
        Self { http, seam, wait, places: Mutex::default() }
    }

    /// Waits until something in the scope may differ from what was seen.
    pub(crate) async fn changed(&self, scope: &Scope, seen: Mark) -> Result<Change, Error> {
        loop {
            let mut view = self.follow(scope)?;
            // A failure from before this call says nothing about now; the task tries again by itself.
            let old_failure = match &*view.borrow() {
                Seen::Failed { number, .. } => Some(*number),
                _ => None,
            };
            loop {
                match &*view.borrow_and_update() {
                    Seen::All { snapshot, since, touched } => {
                        if let Some(change) = news(scope, seen.native(), snapshot, *since, touched) {
                            return Ok(change);
                        }
                    }
                    Seen::Failed { number, error } if old_failure != Some(*number) => return Err(error.clone()),
                    _ => {}
                }
                // The task is gone: closed, or at the end of its use just when we came.
                if view.changed().await.is_err() {
                    break;
                }
            }
        }
    }

    /// Ends all waiting.
    pub(crate) fn close(&self) {
        let mut places = self.places();
        places.closed = true;
        places.followed.clear();
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn follow(&self, scope: &Scope) -> Result<watch::Receiver<Seen>, Error> {
        let home = match scope {
            Scope::Key(key) => key.home(),
            Scope::Below(prefix) => prefix.clone(),
        };
        let mut places = self.places();
        if places.closed {
            return Err(Error::new(ErrorKind::Closed, "follow").at(home).because("this handle was closed"));
        }
        // Those that nobody waits for end by themselves, as do those whose runtime went down.
        places.followed.retain(|_, place| !place.task.is_finished() && place.seen.has_changed().is_ok());
        let prefix = place_of(&home, |prefix| places.followed.contains_key(prefix), places.followed.len());
        let start = || {
            let (sender, seen) = watch::channel(Seen::Nothing);
            let used = Arc::new(Mutex::new(self.seam.now()));
            let following = Following {
                http: self.http.clone(),
                seam: self.seam.clone(),
                wait: self.wait,
                prefix: prefix.clone(),
                used: Arc::clone(&used),
                sender,
            };
            Place { seen, used, task: self.seam.spawn(following.run()) }
        };
        let place = places.followed.entry(prefix.clone()).or_insert_with(start);
        *place.used.lock().unwrap_or_else(PoisonError::into_inner) = self.seam.now();
        Ok(place.seen.clone())
    }
}

/// Which place to follow for somebody who waits below `home`, where so many are followed already: that very one,
/// unless there are many. Then one further up, so that a thousand latches side by side share one request.
///
/// Each request that waits holds a connection, and an agent lets a client have 200.
fn place_of(home: &Prefix, is_followed: impl Fn(&Prefix) -> bool, followed: usize) -> Prefix {
    let mut place = home.clone();
    for _ in 0..followed / PLACES_MAX {
        if is_followed(&place) {
            break;
        }
        let above = Key::from_stored(place.as_str().trim_end_matches('/')).map(|key| key.home());
        // Never everything: Consul has other users.
        match above {
            Ok(above) if above != Prefix::root() => place = above,
            _ => break,
        }
    }
    place
}

/// What differs in the scope from what was seen; `None` if nothing does.
fn news(scope: &Scope, seen: u64, now: &Snapshot, since: u64, touched: &BTreeMap<Key, u64>) -> Option<Change> {
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

struct Following {
    http: Http,
    seam: Seam,
    wait: Duration,
    prefix: Prefix,
    used: Arc<Mutex<Moment>>,
    sender: watch::Sender<Seen>,
}

impl Following {
    async fn run(self) {
        let (mut last, mut failures, mut in_vain) = (None, 0_u32, 0_u32);
        loop {
            match self.next(last).await {
                Ok((snapshot, bytes)) => {
                    failures = 0;
                    last = Some(snapshot.mark.native());
                    in_vain = if self.show(snapshot) { 0 } else { in_vain.saturating_add(1) };
                    let pause = pause_after(bytes, in_vain);
                    if !pause.is_zero() {
                        self.seam.sleep(pause).await;
                    }
                }
                Err(failure) => {
                    // After every doubt all is read anew.
                    last = None;
                    failures += 1;
                    let error = failure.of_read("follow", &self.prefix);
                    tracing::debug!(below = %self.prefix, ?error, failures, "following Consul failed; reading anew");
                    self.sender.send_replace(Seen::Failed { number: self.seam.random_u64(), error });
                    let pause = PAUSE_MIN.saturating_mul(1 << failures.min(16)).min(PAUSE_MAX);
                    self.seam.sleep(self.seam.jittered(pause)).await;
                }
            }
            if !self.is_used() {
                return;
            }
        }
    }

    /// Whether somebody waits, or did a short while ago. One receiver is the place's own.
    fn is_used(&self) -> bool {
        let used = *self.used.lock().unwrap_or_else(PoisonError::into_inner);
        self.sender.receiver_count() > 1 || self.seam.now().since(used) < self.wait
    }

    /// One request: at once if nothing is known, else when something differs or the wait is over. Also says how
    /// many bytes the answer had.
    async fn next(&self, last: Option<u64>) -> Result<(Snapshot, usize), Failure> {
        let prefix = &self.prefix;
        let Some(index) = last else {
            let request = Request::get(format!("kv/{prefix}?recurse&consistent"));
            let answer = self.http.send(&request).await?;
            let bytes = answer.body.len();
            let snapshot = kv::snapshot(answer)?;
            if snapshot.entries.is_empty() {
                kv::prove_access(&self.http, prefix).await?;
            }
            return Ok((snapshot, bytes));
        };
        let wait = self.wait;
        let path = format!("kv/{prefix}?recurse&index={index}&wait={}ms", wait.as_millis());
        let answer = self.http.send(&Request::get(path).within(wait + wait / 16 + GRACE)).await?;
        // Race: an older state was restored, or a leader that is none any more answers.
        // Closed by: an index that goes back is no news; all is read anew, from the leader.
        // Cost if missed: a watcher that sees an older state, or is blind until the old index is reached.
        if answer.index.is_none_or(|now| now < index) {
            let why = format!("Consul's index went back from {index} to {:?}", answer.index);
            return Err(Failure::new(FailureKind::NotDone, why));
        }
        let bytes = answer.body.len();
        let snapshot = kv::snapshot(answer)?;
        // Race: the token may have lost its permission, which looks as if all had been removed.
        // Closed by: an empty place is proved before anybody hears of it.
        // Cost if missed: a leader that is taken for gone.
        if snapshot.entries.is_empty() && !self.is_shown_empty() {
            kv::prove_access(&self.http, prefix).await?;
        }
        Ok((snapshot, bytes))
    }

    fn is_shown_empty(&self) -> bool {
        matches!(&*self.sender.borrow(), Seen::All { snapshot, .. } if snapshot.entries.is_empty())
    }

    /// Says whether it is news.
    fn show(&self, snapshot: Snapshot) -> bool {
        let index = snapshot.mark.native();
        self.sender.send_if_modified(|seen| {
            let (since, touched, modified) = match seen {
                Seen::All { snapshot: before, since, touched } => {
                    let differing = differing(before, &snapshot, index);
                    // Below an empty place Consul answers at every write anywhere. That is no news.
                    let modified = !differing.is_empty();
                    let mut touched = Arc::clone(touched);
                    if modified {
                        Arc::make_mut(&mut touched).extend(differing);
                    }
                    (*since, touched, modified)
                }
                _ => (index, Arc::default(), true),
            };
            let forget = touched.len() > TOUCHED_MAX;
            let (since, touched) = if forget { (index, Arc::default()) } else { (since, touched) };
            *seen = Seen::All { snapshot: Arc::new(snapshot), since, touched };
            modified
        })
    }
}

/// The pause after an answer of that size. `in_vain`: how many in a row brought nothing new, as below an empty place
/// while others write elsewhere, or from something that answers at once whatever it is asked.
fn pause_after(bytes: usize, in_vain: u32) -> Duration {
    // A place that is larger than this machine's numbers is not read.
    let micros = u64::try_from(bytes.saturating_mul(1_000_000) / PACE).unwrap_or(u64::MAX);
    let pace = if bytes > SMALL { Duration::from_micros(micros).min(PAUSE_MAX) } else { Duration::ZERO };
    let vain = if in_vain > 1 { VAIN_MIN.saturating_mul(1 << in_vain.min(16)).min(VAIN_MAX) } else { Duration::ZERO };
    pace.max(vain)
}

/// The keys that one has and the other has not, or has otherwise, and when each has changed.
fn differing(before: &Snapshot, now: &Snapshot, index: u64) -> Vec<(Key, u64)> {
    let of = |snapshot: &Snapshot| -> BTreeMap<Key, Entry> {
        snapshot.entries.iter().map(|entry| (entry.key.clone(), entry.clone())).collect()
    };
    let (before, now) = (of(before), of(now));
    let keys: std::collections::BTreeSet<&Key> = before.keys().chain(now.keys()).collect();
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
    use std::collections::BTreeSet;

    use ha_core::backend::Revision;

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
        let (before, now) = (snapshot(&[("a/b", 9)], 9), snapshot(&[("a/b", 21), ("a/latch", 20)], 21));
        let touched: BTreeMap<Key, u64> = differing(&before, &now, 21).into_iter().collect();
        let key = Scope::Key(Key::new("a/latch").unwrap());
        assert!(news(&key, 20, &now, 9, &touched).is_none(), "it was read at 20");
        assert!(news(&key, 19, &now, 9, &touched).is_some(), "it was read before it was taken");
        // What is gone, or was restored to an older state, has changed no earlier than the answer says.
        let later = snapshot(&[("a/b", 3)], 30);
        let touched: BTreeMap<Key, u64> = differing(&now, &later, 30).into_iter().collect();
        for key in ["a/latch", "a/b"] {
            assert!(news(&Scope::Key(Key::new(key).unwrap()), 29, &later, 9, &touched).is_some(), "{key}");
        }
    }

    #[test]
    fn many_latches_side_by_side_are_followed_by_one_request() {
        let mut followed = BTreeSet::new();
        let mut follow = |home: String| {
            let home = Prefix::new(home).unwrap();
            let place = place_of(&home, |prefix| followed.contains(prefix), followed.len());
            assert!(home.as_str().starts_with(place.as_str()), "{place} does not hold {home}");
            followed.insert(place);
            followed.len()
        };
        for number in 0..1_000 {
            assert!(follow(format!("flink/a/latches/{number}")) <= PLACES_MAX + 1);
        }
        assert_eq!(follow("flink/a/latches/7".into()), PLACES_MAX + 1, "one that is followed stays what it is");
        assert_eq!(follow("top".into()), PLACES_MAX + 2, "what has nothing above it is followed for itself");
    }
}
