use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ha_core::seam::Seam;
use tokio::sync::watch;

/// Holds up whoever comes to it, until it is opened.
#[derive(Debug, Clone)]
pub struct Gate {
    open: Arc<watch::Sender<bool>>,
    arrived: Arc<watch::Sender<bool>>,
}

impl Gate {
    /// A gate that is shut.
    #[must_use]
    pub fn shut() -> Self {
        Self { open: Arc::new(watch::Sender::new(false)), arrived: Arc::new(watch::Sender::new(false)) }
    }

    /// Lets everybody through, now and later.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Waits until somebody stands at the gate.
    pub async fn arrived(&self) {
        // The sender lives in `self`.
        let _ = self.arrived.subscribe().wait_for(|arrived| *arrived).await;
    }

    pub(crate) async fn pass(&self) {
        self.arrived.send_replace(true);
        let _ = self.open.subscribe().wait_for(|open| *open).await;
    }
}

/// What goes wrong with one attempt to publish.
#[derive(Debug, Clone)]
pub enum PublishFault {
    /// The disk is full: nothing is there, and never will be.
    FailBefore,
    /// The answer is lost: the entry is there if the number was free.
    FailAfter,
    /// The answer is lost, and the link happens that much later, if the number is free then.
    Later(Duration),
    /// The answer is lost, and the link happens when the gate is opened, if the number is free then.
    LaterThan(Gate),
    /// It never answers and does nothing.
    Hang,
    /// The process stands still before the link.
    HeldBefore(Gate),
    /// The process stands still after the link, before its answer.
    HeldAfter(Gate),
    /// The number is said to be taken although it was won: a link that was sent twice by the network.
    SaysTaken,
}

/// What goes wrong with one read.
#[derive(Debug, Clone)]
pub enum ReadFault {
    /// An error of the device.
    Fail,
    /// Nothing is found, whatever is there: a directory that was cached.
    Stale,
    /// The process stands still before it looks.
    Held(Gate),
    /// The process stands still after it has opened what it found, before it looks for the floor.
    HeldBeforeFloor(Gate),
}

/// What goes wrong with one handle. By default nothing.
#[derive(Debug, Default)]
pub struct Faults {
    plan: Mutex<Plan>,
    deaf: AtomicBool,
    cut: AtomicBool,
}

#[derive(Debug, Default)]
struct Plan {
    publish: VecDeque<PublishFault>,
    read: VecDeque<ReadFault>,
    before: Duration,
    after: Duration,
    /// One in so many publishes and reads fails somehow.
    one_in: Option<u64>,
}

impl Faults {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happens to the next attempts to publish, in this order.
    pub fn publishes(&self, faults: impl IntoIterator<Item = PublishFault>) {
        self.plan().publish.extend(faults);
    }

    /// What happens to the next reads, in this order.
    pub fn reads(&self, faults: impl IntoIterator<Item = ReadFault>) {
        self.plan().read.extend(faults);
    }

    /// How long each publish takes before its link, and how much later its answer comes.
    pub fn slow(&self, before: Duration, after: Duration) {
        let mut plan = self.plan();
        (plan.before, plan.after) = (before, after);
    }

    /// From now on one in so many calls fails, by the seam's random numbers; `None`: no more.
    pub fn at_random(&self, one_in: Option<u64>) {
        self.plan().one_in = one_in;
    }

    /// Whether hints are missed from now on.
    pub fn deaf(&self, deaf: bool) {
        self.deaf.store(deaf, Ordering::Release);
    }

    /// Whether every call fails from now on, as after a failed fsync or without a network.
    pub fn cut_off(&self, cut: bool) {
        self.cut.store(cut, Ordering::Release);
    }

    pub(crate) fn is_deaf(&self) -> bool {
        self.deaf.load(Ordering::Acquire)
    }

    pub(crate) fn is_cut_off(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    pub(crate) fn delays(&self) -> (Duration, Duration) {
        let plan = self.plan();
        (plan.before, plan.after)
    }

    pub(crate) fn next_publish(&self, seam: &Seam) -> Option<PublishFault> {
        let mut plan = self.plan();
        plan.publish.pop_front().or_else(|| {
            plan.one_in.filter(|n| seam.random_u64().is_multiple_of(*n))?;
            Some(match seam.random_u64() % 4 {
                0 => PublishFault::FailBefore,
                1 => PublishFault::FailAfter,
                2 => PublishFault::SaysTaken,
                _ => PublishFault::Later(Duration::from_millis(seam.random_u64() % 200)),
            })
        })
    }

    pub(crate) fn next_read(&self, seam: &Seam) -> Option<ReadFault> {
        let mut plan = self.plan();
        let random = |plan: &Plan| plan.one_in.is_some_and(|n| seam.random_u64().is_multiple_of(n));
        plan.read.pop_front().or_else(|| random(&plan).then_some(ReadFault::Fail))
    }
}
