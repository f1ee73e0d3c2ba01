//! Following: one request waits at Consul for each place that is followed, however many wait for it here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ha_core::backend::{Change, Key, Mark, Prefix, Scope, Snapshot};
use ha_core::seam::{Moment, Seam, Task};
use ha_core::{Error, ErrorKind};
use tokio::sync::watch;

use crate::http::{Failure, FailureKind, Http, Request};
use crate::kv;
use crate::view::{Undone, View};

/// How many places are followed for themselves.
const PLACES_MAX: usize = 64;
/// The first pause after a failed request; it doubles up to the last.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// The first pause after answers that brought nothing new, and the last.
const VAIN_MIN: Duration = Duration::from_millis(1);
const VAIN_MAX: Duration = Duration::from_millis(100);
/// So many times that Consul's index went back are remembered. Each is somebody's doing.
const UNDONE_MAX: usize = 16;
/// What Consul adds to a wait at random is up to a sixteenth; what is silent for longer is dead.
const GRACE: Duration = Duration::from_secs(3);

/// How much of a place is read again in a second, in bytes, while it is being written.
///
/// Consul answers with all of a place whenever anything in it changes. Whoever writes ten thousand keys
/// would have it read as often, larger each time: that keeps the agent and this process busy with nothing
/// else. What is small, as all that an election writes is, is read again at once.
const PACE: usize = 8 << 20;
/// The pause is at least that many times what it took to digest the answer: a busy machine takes longer.
const DIGESTION_SHARE: u32 = 4;
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
    All(View),
    /// It cannot be followed at the moment. The number tells one failure from the next.
    Failed {
        number: u64,
        error: Error,
    },
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
                    Seen::All(view) if view.is_undone(seen.native()) => return Err(undone(scope)),
                    Seen::All(view) => {
                        if let Some(change) = view.news(scope, seen.native()) {
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
                proved: None,
                last: 0,
                undone: Vec::new(),
            };
            Place { seen, used, task: self.seam.spawn(following.run()) }
        };
        let place = places.followed.entry(prefix.clone()).or_insert_with(start);
        *place.used.lock().unwrap_or_else(PoisonError::into_inner) = self.seam.now();
        Ok(place.seen.clone())
    }
}

fn undone(scope: &Scope) -> Error {
    let error = Error::new(ErrorKind::Unavailable, "follow").because("what was seen was rolled back; read anew");
    match scope {
        Scope::Key(key) => error.at(key),
        Scope::Below(prefix) => error.at(prefix),
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

struct Following {
    http: Http,
    seam: Seam,
    wait: Duration,
    prefix: Prefix,
    used: Arc<Mutex<Moment>>,
    sender: watch::Sender<Seen>,
    /// When it was last proved that the place may be read, though it is shown as empty.
    proved: Option<Moment>,
    /// The index that was seen last.
    last: u64,
    /// What was seen and then undone, the last times.
    undone: Vec<Undone>,
}

impl Following {
    async fn run(mut self) {
        let (mut last, mut failures, mut in_vain) = (None, 0_u32, 0_u32);
        loop {
            match self.next(last).await {
                Ok((snapshot, bytes, arrived)) => {
                    failures = 0;
                    last = Some(snapshot.mark.native());
                    in_vain = if self.show(snapshot) { 0 } else { in_vain.saturating_add(1) };
                    let pause = pause_after(bytes, self.seam.now().since(arrived), in_vain);
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
    /// many bytes the answer had, and when it had arrived.
    async fn next(&mut self, last: Option<u64>) -> Result<(Snapshot, usize, Moment), Failure> {
        let prefix = &self.prefix;
        let Some(index) = last else {
            let request = Request::get(format!("kv/{prefix}?recurse&consistent"));
            let answer = self.http.send(&request).await?;
            let (bytes, arrived) = (answer.body.len(), self.seam.now());
            let snapshot = kv::snapshot(answer, &self.prefix)?;
            self.proved = None;
            self.prove(&snapshot).await?;
            return Ok((snapshot, bytes, arrived));
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
        let (bytes, arrived) = (answer.body.len(), self.seam.now());
        let snapshot = kv::snapshot(answer, &self.prefix)?;
        self.prove(&snapshot).await?;
        Ok((snapshot, bytes, arrived))
    }

    // Race: the token may have lost its permission, which looks as if all, or the latch, had been removed.
    // Closed by: an empty place is proved before anybody hears of it, and now and then as long as it is empty, for
    //       it may fill unseen; so is a latch that is gone from a place where others are left.
    // Cost if missed: a leader that is taken for gone.
    async fn prove(&mut self, snapshot: &Snapshot) -> Result<(), Failure> {
        if snapshot.entries.is_empty() {
            let now = self.seam.now();
            if self.proved.is_none_or(|at| now.since(at) >= self.wait) {
                kv::prove_access(&self.http, &self.prefix).await?;
                self.proved = Some(now);
            }
            return Ok(());
        }
        self.proved = None;
        let gone = match &*self.sender.borrow() {
            Seen::All(view) => view.gone_latch(snapshot),
            _ => None,
        };
        match gone {
            Some(latch) => kv::prove_readable(&self.http, &latch).await,
            None => Ok(()),
        }
    }

    /// Says whether it is news.
    fn show(&mut self, snapshot: Snapshot) -> bool {
        let now = snapshot.mark.native();
        if now < self.last {
            self.undone.push(Undone { after: now, up_to: self.last });
            let oldest = self.undone.len().saturating_sub(UNDONE_MAX);
            self.undone.drain(..oldest);
        }
        self.undone.retain(|undone| !undone.holds(now));
        self.last = now;
        self.sender.send_if_modified(|seen| {
            let (view, is_news) = match seen {
                Seen::All(view) => view.next(snapshot),
                _ => (View::first(snapshot, self.undone.as_slice().into()), true),
            };
            *seen = Seen::All(view);
            is_news
        })
    }
}

/// The pause after an answer of that size, which took so long to digest. `in_vain`: how many in a row brought nothing
/// new, as below an empty place while others write elsewhere, or from something that answers at once whatever it is asked.
fn pause_after(bytes: usize, digestion: Duration, in_vain: u32) -> Duration {
    // A place that is larger than this machine's numbers is not read.
    let micros = u64::try_from(bytes.saturating_mul(1_000_000) / PACE).unwrap_or(u64::MAX);
    let pace = Duration::from_micros(micros).max(digestion * DIGESTION_SHARE).min(PAUSE_MAX);
    let pace = if bytes > SMALL { pace } else { Duration::ZERO };
    let vain = if in_vain > 1 { VAIN_MIN.saturating_mul(1 << in_vain.min(16)).min(VAIN_MAX) } else { Duration::ZERO };
    pace.max(vain)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

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
