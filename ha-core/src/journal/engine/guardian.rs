use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Engine;
use crate::journal::{Operation, Why};
use crate::seam::{Moment, Task};

/// How long it waits after it could not read or write.
const PAUSE: Duration = Duration::from_millis(200);

/// Ends sessions that are silent for too long, or whose process is known to be gone. Runs until it is dropped.
pub(super) async fn guard(engine: Arc<Engine>) {
    // Handles without a session of their own have no stake in it, and wait until those that have one were there.
    let leisure = 20 + u32::try_from(engine.seam.random_u64() % 11).unwrap_or(0);
    let mut watched = BTreeMap::new();
    loop {
        let due = engine.next_due(leisure);
        tokio::select! {
            biased;
            () = engine.signals.guard.notified() => {}
            () = engine.seam.sleep_until(due) => engine.judge(leisure).await,
        }
        engine.review_evidence(&mut watched);
        if engine.has_farewells_to_say() {
            engine.seam.sleep(engine.seam.jittered(PAUSE)).await;
            let now = engine.seam.now();
            engine.core().say_farewell(now);
        }
    }
}

impl Engine {
    fn next_due(&self, leisure: u32) -> Moment {
        let core = self.core();
        let leisure = if core.own.is_empty() { leisure } else { 0 };
        let waiting = core.seen.values().filter(|seen| !seen.judged);
        waiting.map(|seen| seen.due(leisure)).min().unwrap_or(Moment::NEVER)
    }

    async fn judge(&self, leisure: u32) {
        // What was renewed and not seen yet must not be judged.
        if self.read_to_the_end().await.is_err() {
            return self.seam.sleep(self.seam.jittered(PAUSE)).await;
        }
        let now = self.seam.now();
        let mut core = self.core();
        let leisure = if core.own.is_empty() { leisure } else { 0 };
        let mut silent = Vec::new();
        for (id, seen) in &mut core.seen {
            if !seen.judged && seen.due(leisure) <= now {
                seen.judged = true;
                silent.push((Arc::clone(id), seen.renewals));
            }
        }
        for (session, renewals) in silent {
            tracing::info!(%session, renewals, "a session is silent for too long");
            let end = Operation::End { session, why: Why::Silent { renewals } };
            drop(core.submit(Some(end), true, now));
        }
    }

    fn has_farewells_to_say(&self) -> bool {
        let core = self.core();
        core.farewells.iter().any(|(id, end)| !end.under_way && core.state.session(id).is_some())
    }

    /// Waits for the death of every other session that can be seen dying, as long as a session of this handle could
    /// take its place.
    fn review_evidence(self: &Arc<Self>, watched: &mut BTreeMap<Arc<str>, Task>) {
        let Some(witness) = self.device.witness() else { return };
        let core = self.core();
        if core.own.is_empty() {
            watched.clear();
            return;
        }
        watched.retain(|id, _| core.state.session(id).is_some());
        for (id, record) in core.state.sessions() {
            let Some(testimony) = record.registration.testimony.clone() else { continue };
            if core.own.contains_key(id) || core.farewells.contains_key(id) || watched.contains_key(id) {
                continue;
            }
            let (witness, engine, session) = (Arc::clone(&witness), Arc::clone(self), Arc::clone(id));
            let watching = async move {
                witness.death(&session, &testimony).await;
                tracing::info!(%session, "the process of a session is gone");
                engine.end_dead(session).await;
            };
            watched.insert(Arc::clone(id), self.seam.spawn_critical(watching));
        }
    }

    async fn end_dead(&self, session: Arc<str>) {
        loop {
            let end = Operation::End { session: Arc::clone(&session), why: Why::Dead };
            let answer = self.core().submit(Some(end), true, self.seam.now());
            match answer.await {
                Ok(Ok(_)) | Err(_) => return,
                Ok(Err(error)) => tracing::debug!(%error, "the end of a dead session could not be written"),
            }
            self.seam.sleep(self.seam.jittered(PAUSE)).await;
        }
    }
}
