use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use ha_core::Error;
use ha_core::backend::{Acquire, Ended, Latch, Session, Term};
use ha_core::seam::{Deadline, Seam};

use super::plan::{Call, Delivered, Fault, Plan, unavailable, unknown};

/// A session whose attempts and releases go wrong as planned.
#[derive(Debug)]
pub(super) struct FaultySession {
    // A call that is held back must not keep the session alive, so it refers to it weakly.
    inner: Arc<dyn Session>,
    seam: Seam,
    plan: Plan,
}

impl FaultySession {
    pub(super) fn new(inner: Arc<dyn Session>, seam: Seam, plan: Plan) -> Self {
        Self { inner, seam, plan }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Session for FaultySession {
    fn id(&self) -> &str {
        self.inner.id()
    }

    async fn try_acquire(&self, latch: &Latch, holder: Bytes, over: Option<&Term>) -> Result<Acquire, Error> {
        match self.plan.choose(Call::Acquire, [latch.key().as_str()]) {
            None | Some(Fault::LoseWakeUp) => {}
            Some(Fault::Delay(by)) => self.seam.sleep(by).await,
            Some(Fault::Held) => self.plan.held().await,
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::FailBefore) => return Err(unavailable("acquire")),
            Some(Fault::FailAfter) => {
                // Whatever the store answered, nobody hears it.
                let _ = self.inner.try_acquire(latch, holder, over).await;
                return Err(unknown("acquire"));
            }
            Some(Fault::LostBefore) => return Err(unknown("acquire")),
            Some(Fault::DeliveredTwice) => {
                let first = self.inner.try_acquire(latch, holder.clone(), over).await;
                let _ = self.inner.try_acquire(latch, holder, over).await;
                return first;
            }
            Some(Fault::DeliveredLate) => {
                let (inner, latch, over) = (Arc::downgrade(&self.inner), latch.clone(), over.cloned());
                self.plan.hold_back(Box::pin(async move {
                    match inner.upgrade() {
                        Some(inner) => Delivered::Acquire(inner.try_acquire(&latch, holder, over.as_ref()).await),
                        None => Delivered::Gone,
                    }
                }));
                return Err(unknown("acquire"));
            }
        }
        self.inner.try_acquire(latch, holder, over).await
    }

    async fn release(&self, latch: &Latch) -> Result<(), Error> {
        match self.plan.choose(Call::Release, [latch.key().as_str()]) {
            None | Some(Fault::LoseWakeUp) => {}
            Some(Fault::Delay(by)) => self.seam.sleep(by).await,
            Some(Fault::Held) => self.plan.held().await,
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::FailBefore) => return Err(unavailable("release")),
            Some(Fault::FailAfter) => {
                // Whatever the store answered, nobody hears it.
                let _ = self.inner.release(latch).await;
                return Err(unknown("release"));
            }
            Some(Fault::LostBefore) => return Err(unknown("release")),
            Some(Fault::DeliveredTwice) => {
                let first = self.inner.release(latch).await;
                let _ = self.inner.release(latch).await;
                return first;
            }
            Some(Fault::DeliveredLate) => {
                let (inner, latch) = (Arc::downgrade(&self.inner), latch.clone());
                self.plan.hold_back(Box::pin(async move {
                    match inner.upgrade() {
                        Some(inner) => Delivered::Release(inner.release(&latch).await),
                        None => Delivered::Gone,
                    }
                }));
                return Err(unknown("release"));
            }
        }
        self.inner.release(latch).await
    }

    fn valid_until(&self) -> Deadline {
        self.inner.valid_until()
    }

    async fn ended(&self) -> Ended {
        self.inner.ended().await
    }

    async fn close(&self) -> Result<(), Error> {
        self.inner.close().await
    }
}
