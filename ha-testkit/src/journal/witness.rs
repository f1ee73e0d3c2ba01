use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use ha_core::journal::{Keep, Testimony, Witness};
use tokio::sync::watch;

/// Evidence of death in memory: a process dies when it is said to, or withdraws its testimony.
#[derive(Debug, Default)]
pub struct MemoryWitness {
    alive: Mutex<BTreeMap<String, Arc<watch::Sender<bool>>>>,
}

impl MemoryWitness {
    /// The process of that session is gone.
    pub fn kill(&self, session: &str) {
        if let Some(alive) = self.alive.lock().unwrap_or_else(PoisonError::into_inner).get(session) {
            alive.send_replace(false);
        }
    }
}

#[derive(Debug)]
struct Alive(Arc<watch::Sender<bool>>);

impl Keep for Alive {}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}

#[async_trait]
impl Witness for MemoryWitness {
    async fn testify(&self, session: &str) -> Option<Testimony> {
        let alive = Arc::new(watch::Sender::new(true));
        let mut all = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(session.to_owned(), Arc::clone(&alive));
        Some(Testimony { record: format!("alive:{session}"), keep: Box::new(Alive(alive)) })
    }

    async fn death(&self, session: &str, testimony: &str) {
        let alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner).get(session).cloned();
        match alive.filter(|_| testimony == format!("alive:{session}")) {
            // The sender lives in `alive`.
            Some(alive) => drop(alive.subscribe().wait_for(|alive| !*alive).await),
            None => std::future::pending().await,
        }
    }
}
