//! How far sources may read: the demo holds them where it wants to kill a leader, so that a kill is
//! in the middle of the stream whatever the speed of the machine.

use tokio::sync::watch;

/// A position in the stream that no source reads past, and how far sources have come.
#[derive(Debug)]
pub struct Gate {
    limit: watch::Sender<u64>,
    /// The greatest position at which a source was held.
    arrived: watch::Sender<u64>,
}

impl Default for Gate {
    /// Nothing is held.
    fn default() -> Self {
        Self { limit: watch::Sender::new(u64::MAX), arrived: watch::Sender::new(0) }
    }
}

impl Gate {
    /// Lets sources read the records before `position`, and no others.
    pub fn set(&self, position: u64) {
        self.limit.send_replace(position);
    }

    /// How far may be read now.
    #[must_use]
    pub fn position(&self) -> u64 {
        *self.limit.borrow()
    }

    /// How far may be read, once that is something else than `position`.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn moved(&self, position: u64) -> u64 {
        let mut limit = self.limit.subscribe();
        // The sender lives in `self`.
        let _ = limit.wait_for(|limit| *limit != position).await;
        self.position()
    }

    /// Notes that a source was held at `position`.
    pub fn note(&self, position: u64) {
        self.arrived.send_if_modified(|arrived| {
            let further = position > *arrived;
            *arrived = position.max(*arrived);
            further
        });
    }

    /// For sources that have read all they may: waits until more may be read than `position`.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn beyond(&self, position: u64) {
        self.note(position);
        let mut limit = self.limit.subscribe();
        // The sender lives in `self`.
        let _ = limit.wait_for(|limit| *limit > position).await;
    }

    /// Waits until a source was held at `position` or behind it, and says where it was.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn arrived(&self, position: u64) -> u64 {
        let mut arrived = self.arrived.subscribe();
        // The sender lives in `self`.
        let at = arrived.wait_for(|arrived| *arrived >= position).await;
        at.map_or(position, |at| *at)
    }
}
