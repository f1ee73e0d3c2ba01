use std::sync::Arc;
use std::time::Duration;

use super::Engine;
use super::core::Due;
use crate::Error;

/// How long a handle that did not write the entry at the point leaves the snapshot to the one that did.
const PAUSE: Duration = Duration::from_secs(2);

/// Makes snapshots at the points and sweeps what they make needless. Runs until it is dropped.
pub(super) async fn make(engine: Arc<Engine>) {
    loop {
        let Some(due) = engine.take_due() else {
            engine.signals.point.notified().await;
            continue;
        };
        if let Err(error) = engine.make_one(due).await {
            // The next point brings another one; until then the journal is longer, and nothing is lost.
            tracing::warn!(%error, "a snapshot of the journal could not be made");
        }
    }
}

impl Engine {
    fn take_due(&self) -> Option<Due> {
        self.core().due.pop_front()
    }

    async fn make_one(&self, mut due: Due) -> Result<(), Error> {
        let first = due.captured.name().number;
        let mut there = false;
        if !due.author {
            due = self.leave_it_to_its_author(due).await;
        }
        if !due.author {
            let names = self.bounded("list snapshots", self.device.snapshots()).await?;
            there = names.iter().any(|other| other.number >= first);
        }
        if !there {
            let name = due.captured.name();
            let encoded = self.seam.compute(move || due.captured.encode()).await;
            let bytes = encoded.unwrap_or_else(|| Err(super::not_computed("make a snapshot")))?;
            self.bounded("make a snapshot", self.device.put_snapshot(name, &bytes)).await?;
        }
        self.sweep().await
    }

    // Race: none; a snapshot that is damaged later must not be the only way to the present state.
    // Closed by: nothing is swept unless the snapshot before the newest one leads there, with the entries that stay.
    // Cost if missed: one damaged file, and all is lost.
    async fn sweep(&self) -> Result<(), Error> {
        let mut names = self.bounded("list snapshots", self.device.snapshots()).await?;
        names.sort_unstable_by(|a, b| b.cmp(a));
        let Some((newest, older)) = names.split_first() else { return Ok(()) };
        if newest.floor > 0 && older.iter().all(|name| name.number < newest.floor) {
            return Ok(());
        }
        let sessions = self.known_sessions();
        self.bounded("sweep the journal", self.device.sweep(&sessions)).await
    }

    /// Waits for a while, and answers the newest point that there is then; or, at once, one whose author this handle
    /// is: others leave that one to it.
    async fn leave_it_to_its_author(&self, mut due: Due) -> Due {
        let mut pause = std::pin::pin!(self.seam.sleep(self.seam.jittered(PAUSE)));
        loop {
            while let Some(newer) = self.take_due() {
                due = newer;
                if due.author {
                    return due;
                }
            }
            tokio::select! {
                biased;
                () = self.signals.point.notified() => {}
                () = &mut pause => return due,
            }
        }
    }

    /// Sessions that may bear witness: those of the journal, and those of this handle that may come to be there.
    fn known_sessions(&self) -> Vec<String> {
        let core = self.core();
        let all = core.state.sessions().map(|(id, _)| id).chain(core.own.keys());
        let mut all: Vec<String> = all.map(ToString::to_string).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}
