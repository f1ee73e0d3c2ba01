use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};

use ha_core::seam::BoxFuture;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// Who owns a task: one life of a process, or the world around the processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owner(pub(super) u64);

impl Owner {
    /// Never killed, never paused.
    pub(super) const WORLD: Self = Self(0);
}

/// Runs all tasks of a simulated world inside of one task of the runtime.
///
/// Whoever is ready at the same moment is polled in an order that the seed draws, whatever order they were woken in:
/// the runtime's own primitives wake their waiters in an order of their own. All tasks of one owner can be dropped
/// at once where they stand, and kept from running for a while. Clones are the same one.
#[derive(Clone)]
pub(super) struct Executor(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    ready: Arc<Ready>,
    runtime: Handle,
}

struct State {
    next: u64,
    tasks: BTreeMap<u64, Entry>,
    dead: BTreeSet<Owner>,
    /// Who is paused, and which of its tasks were woken meanwhile.
    paused: BTreeMap<Owner, Vec<u64>>,
    order: StdRng,
    panics: Vec<(Owner, String)>,
}

struct Entry {
    owner: Owner,
    /// None while it is polled.
    future: Option<BoxFuture>,
    waker: Waker,
    /// Dropped with the entry: whoever asks whether the task has finished then sees that it has.
    _over: Option<oneshot::Sender<()>>,
}

#[derive(Default)]
struct Ready {
    woken: Mutex<Woken>,
}

#[derive(Default)]
struct Woken {
    tasks: BTreeSet<u64>,
    driver: Option<Waker>,
}

struct Bell {
    ready: Arc<Ready>,
    task: u64,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ready.wake(self.task);
    }
}

impl Ready {
    fn woken(&self) -> MutexGuard<'_, Woken> {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, task: u64) {
        let mut woken = self.woken();
        woken.tasks.insert(task);
        let driver = woken.driver.take();
        drop(woken);
        if let Some(driver) = driver {
            driver.wake();
        }
    }
}

/// Ends a task of the executor when the runtime drops it: what an `AbortHandle` stands for.
struct EndOnDrop(Weak<Inner>, u64);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        let ended = self.0.upgrade().and_then(|inner| inner.state().tasks.remove(&self.1));
        // Without the lock: a future that is dropped may end and begin others.
        drop(ended);
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Executor {
    pub(super) fn new(seed: u64) -> Self {
        let state = State {
            next: 1,
            tasks: BTreeMap::new(),
            dead: BTreeSet::new(),
            paused: BTreeMap::new(),
            order: StdRng::seed_from_u64(seed),
            panics: Vec::new(),
        };
        Self(Arc::new(Inner { state: Mutex::new(state), ready: Arc::default(), runtime: Handle::current() }))
    }

    /// Starts a task that nobody ends from outside but by killing its owner.
    pub(super) fn spawn(&self, owner: Owner, future: impl Future<Output = ()> + Send + 'static) {
        self.insert(owner, Box::pin(future), None);
    }

    fn insert(&self, owner: Owner, future: BoxFuture, over: Option<oneshot::Sender<()>>) -> Option<u64> {
        let mut state = self.0.state();
        if state.dead.contains(&owner) {
            drop(state);
            // A future may look for its executor when it is dropped.
            drop(future);
            return None;
        }
        let task = state.next;
        state.next += 1;
        let waker = Waker::from(Arc::new(Bell { ready: Arc::clone(&self.0.ready), task }));
        state.tasks.insert(task, Entry { owner, future: Some(future), waker, _over: over });
        drop(state);
        self.0.ready.wake(task);
        Some(task)
    }

    /// Starts a task that the handle ends.
    pub(super) fn spawn_abortable(&self, owner: Owner, future: BoxFuture) -> AbortHandle {
        let (over, is_over) = oneshot::channel();
        let task = self.insert(owner, future, Some(over));
        let end = task.map(|task| EndOnDrop(Arc::downgrade(&self.0), task));
        let standing_for_it = async move {
            let _end = end;
            // An error says that it is over, too.
            let _ = is_over.await;
        };
        #[expect(clippy::disallowed_methods, reason = "this is the seam of the simulation")]
        self.0.runtime.spawn(standing_for_it).abort_handle()
    }

    /// Drops all tasks of that owner where they stand, the oldest first. It starts no other.
    pub(super) fn kill(&self, owner: Owner) {
        let mut state = self.0.state();
        state.dead.insert(owner);
        state.paused.remove(&owner);
        let mine: Vec<u64> = state.tasks.iter().filter(|(_, entry)| entry.owner == owner).map(|(id, _)| *id).collect();
        let killed: Vec<Entry> = mine.iter().filter_map(|id| state.tasks.remove(id)).collect();
        drop(state);
        // One by one, and without the lock: each may end others as it goes.
        for entry in killed {
            drop(entry);
        }
    }

    pub(super) fn is_dead(&self, owner: Owner) -> bool {
        self.0.state().dead.contains(&owner)
    }

    /// Polls none of its tasks until it is resumed.
    pub(super) fn pause(&self, owner: Owner) {
        self.0.state().paused.entry(owner).or_default();
    }

    pub(super) fn resume(&self, owner: Owner) {
        let woken = self.0.state().paused.remove(&owner);
        for task in woken.into_iter().flatten() {
            self.0.ready.wake(task);
        }
    }

    /// How many tasks there are.
    pub(super) fn tasks(&self) -> usize {
        self.0.state().tasks.len()
    }

    /// What has panicked.
    pub(super) fn panics(&self) -> Vec<(Owner, String)> {
        self.0.state().panics.clone()
    }

    /// Drops everything: there is nothing after it.
    pub(super) fn end(&self) {
        let tasks = std::mem::take(&mut self.0.state().tasks);
        for entry in tasks.into_values() {
            drop(entry);
        }
    }

    /// Runs the tasks until `main` is done.
    pub(super) async fn run_until<T>(&self, mut main: oneshot::Receiver<T>) -> Option<T> {
        let driving = std::future::poll_fn(|context| {
            if let Ok(output) = main.try_recv() {
                return Poll::Ready(Some(output));
            }
            self.poll_batch(context)
        });
        // The runtime would have a task rest after some steps, and all of ours are one of its own.
        tokio::task::unconstrained(driving).await
    }

    fn poll_batch<T>(&self, context: &mut Context<'_>) -> Poll<Option<T>> {
        let batch = {
            let mut woken = self.0.ready.woken();
            if woken.tasks.is_empty() {
                woken.driver = Some(context.waker().clone());
                return Poll::Pending;
            }
            std::mem::take(&mut woken.tasks)
        };
        for task in self.shuffled(batch) {
            self.poll_one(task);
        }
        // The runtime gets its turn: it ends what was aborted.
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn shuffled(&self, batch: BTreeSet<u64>) -> Vec<u64> {
        let mut batch: Vec<u64> = batch.into_iter().collect();
        let mut state = self.0.state();
        for last in (1..batch.len()).rev() {
            let other = (state.order.next_u64() % (last as u64 + 1)) as usize;
            batch.swap(last, other);
        }
        batch
    }

    fn poll_one(&self, task: u64) {
        let (mut future, waker, owner) = {
            let mut state = self.0.state();
            let state = &mut *state;
            let Some(entry) = state.tasks.get_mut(&task) else { return };
            if let Some(woken) = state.paused.get_mut(&entry.owner) {
                woken.push(task);
                return;
            }
            let Some(future) = entry.future.take() else { return };
            (future, entry.waker.clone(), entry.owner)
        };
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut Context::from_waker(&waker))));
        let mut state = self.0.state();
        if let Err(panic) = &polled {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            state.panics.push((owner, text.unwrap_or_else(|| "a panic without a text".into())));
        }
        let left = match (polled, state.tasks.get_mut(&task)) {
            (Ok(Poll::Pending), Some(entry)) => {
                entry.future = Some(future);
                return;
            }
            _ => state.tasks.remove(&task),
        };
        drop(state);
        drop((left, future));
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor").field("tasks", &self.tasks()).finish_non_exhaustive()
    }
}
