use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ha_core::Error;
use ha_core::backend::{Acquire, Ended, Latch, Session, Term};
use ha_core::seam::{Deadline, Moment, Task};
use tokio::sync::watch;

use super::Defect;
use super::model::Shared;

pub(super) struct ModelSession {
    shared: Arc<Shared>,
    number: u64,
    id: String,
    deadline: Arc<AtomicU64>,
    ended: watch::Sender<Option<Ended>>,
    _renewal: Task,
}

impl ModelSession {
    pub(super) fn open(shared: &Arc<Shared>, silence: Duration) -> Self {
        let sent = shared.seam.now();
        let number = shared.seam.random_u64();
        let ended = watch::Sender::new(None);
        shared.step(|state| state.open(number, shared.seam.now() + silence, ended.clone()));
        let deadline = Arc::new(AtomicU64::new(0));
        store(&deadline, sent + silence);
        let renewal = renew(Arc::downgrade(shared), number, Arc::clone(&deadline), silence);
        let _renewal = shared.seam.spawn_critical(renewal);
        Self { id: format!("model-{number}"), shared: Arc::clone(shared), number, deadline, ended, _renewal }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }
}

fn store(deadline: &AtomicU64, moment: Moment) {
    deadline.store(u64::try_from(moment.since_origin().as_nanos()).unwrap_or(u64::MAX), Ordering::Release);
}

async fn renew(shared: Weak<Shared>, number: u64, deadline: Arc<AtomicU64>, silence: Duration) {
    loop {
        let Some(seam) = shared.upgrade().map(|shared| shared.seam.clone()) else { return };
        seam.sleep(silence / 6).await;
        let Some(shared) = shared.upgrade() else { return };
        let sent = seam.now();
        let renewed = shared.step(|state| {
            let answers_take = state.answers_take;
            let living = state.sessions.get_mut(&number)?;
            if living.frozen {
                return Some(None);
            }
            living.expires = seam.now() + silence;
            Some(Some(answers_take))
        });
        let Some(renewed) = renewed else { return };
        if let Some(answers_take) = renewed {
            let defect = shared.defect;
            drop(shared);
            seam.sleep(answers_take).await;
            let from = if defect == Defect::DeadlineFromTheAnswer { seam.now() } else { sent };
            store(&deadline, from + silence);
        }
    }
}

#[async_trait]
impl Session for ModelSession {
    fn id(&self) -> &str {
        &self.id
    }

    async fn try_acquire(&self, latch: &Latch, holder: Bytes, over: Option<&Term>) -> Result<Acquire, Error> {
        let defect = self.shared.defect;
        self.shared.step(|state| state.acquire(self.number, latch, holder, over, defect))
    }

    async fn release(&self, latch: &Latch) -> Result<(), Error> {
        self.shared.step(|state| state.release(self.number, latch, self.shared.defect));
        Ok(())
    }

    fn valid_until(&self) -> Deadline {
        if self.ended.borrow().is_some() {
            return Deadline::PAST;
        }
        let nanos = self.deadline.load(Ordering::Acquire);
        Deadline::at(Moment::after_origin(Duration::from_nanos(nanos)))
    }

    async fn ended(&self) -> Ended {
        let mut ended = self.ended.subscribe();
        let why = ended.wait_for(Option::is_some).await;
        why.map_or(Ended::Closed, |why| why.unwrap_or(Ended::Closed))
    }

    async fn close(&self) -> Result<(), Error> {
        self.shared.step(|state| state.end(self.number, Ended::Closed));
        Ok(())
    }
}

impl Drop for ModelSession {
    fn drop(&mut self) {
        self.shared.step(|state| state.end(self.number, Ended::Closed));
    }
}

impl fmt::Debug for ModelSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelSession").field("id", &self.id).finish_non_exhaustive()
    }
}
