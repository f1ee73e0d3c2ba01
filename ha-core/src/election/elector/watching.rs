//! How an election uses evidence: what it shows of this process, and whom it watches.

use std::sync::Arc;
use std::time::Duration;

use crate::Error;
use crate::backend::{Acquire, Backend, Entry, Expect, Holder, Latch, Revision, Term};
use crate::election::info::HolderInformation;
use crate::evidence::{Detector, Identity, Presence, PresenceWithdrawal, Serving, Suspect};
use crate::names::layout;
use crate::record;
use crate::seam::Seam;
use crate::writer::{Committed, Writer};

/// The pause after a read or a commit that failed.
const PAUSE: Duration = Duration::from_millis(100);

/// The detector's part in one election. Without a detector, all of it does nothing.
#[derive(Debug)]
pub(super) struct Watching {
    detector: Option<Arc<dyn Detector>>,
    latch: Latch,
    /// What the last attempt told others to look at. It must not end before the latch is let go of.
    serving: Option<Arc<dyn Serving>>,
    /// An attempt that told it may have been applied.
    in_doubt: bool,
    /// The term that the last attempt was to end.
    over: Option<Term>,
    /// Whoever held the latch at the last attempt.
    holder: Option<Watched>,
}

#[derive(Debug)]
struct Watched {
    term: Term,
    identity: Option<Identity>,
    /// `None`: there is nothing to look at, or evidence did not help.
    suspect: Option<Box<dyn Suspect>>,
}

impl Watching {
    pub(super) fn new(detector: Option<Arc<dyn Detector>>, latch: Latch) -> Self {
        Self { detector, latch, serving: None, in_doubt: false, over: None, holder: None }
    }

    /// Shows this process alive, from before an attempt on: whoever reads that we hold the latch finds
    /// somebody at the address. What was shown before is kept until here.
    pub(super) fn show(&mut self) -> Option<Presence> {
        // Race: the socket breaks after an attempt whose answer is lost, and the attempt has won.
        // Closed by: the address that may stand in the latch is served, and told again, until there is an answer.
        //            If we lead on a broken one, it is taken back as any other.
        // Cost if missed: a leader whose own record points to a closed socket, evicted by whoever was connected.
        if !self.in_doubt {
            self.serving = self.detector.as_ref().and_then(|detector| detector.serve());
            self.in_doubt = self.serving.is_some();
        }
        self.serving.as_ref().map(|serving| serving.presence())
    }

    /// The session is being left, and with it whatever attempts there were: what must be kept meanwhile.
    pub(super) fn leaving(&mut self) -> Option<Arc<dyn Serving>> {
        self.in_doubt = false;
        self.serving.clone()
    }

    /// The term that the next attempt is to end: the one that is wanted, if the evidence against it still stands.
    // Race: between the evidence and the attempt, or its repetition, the holder was seen alive again.
    // Closed by: asking once more, last of all before the attempt.
    // Cost if missed: a leader change for nothing, at the expense of one that is known to live.
    pub(super) fn over(&mut self, wanted: Option<&Term>) -> Option<Term> {
        let stands = |holder: &Watched| {
            Some(&holder.term) == wanted && holder.suspect.as_ref().is_some_and(|suspect| suspect.is_dead())
        };
        self.over = self.holder.as_ref().filter(|holder| stands(holder)).map(|holder| holder.term.clone());
        self.over.clone()
    }

    /// The process that is taken for dead when its term is to be ended.
    pub(super) fn accused(&self, over: Option<&Term>) -> Option<Identity> {
        self.holder.as_ref().filter(|holder| Some(&holder.term) == over).and_then(|holder| holder.identity)
    }

    /// An attempt was answered: watches whoever holds the latch, and lets the detector learn from it.
    pub(super) fn answered(&mut self, answer: &Acquire) {
        self.in_doubt = false;
        let over = self.over.take();
        let over = over.as_ref();
        let Some(detector) = self.detector.clone() else { return };
        let accused = self.accused(over);
        match answer {
            Acquire::Won(term) => {
                if let Some(identity) = accused {
                    detector.evicted(identity, &self.latch, term.epoch, true);
                }
                self.holder = None;
            }
            Acquire::Held { by, .. } if self.holder.as_ref().is_some_and(|holder| holder.term == by.term) => {
                // The store did not believe us, or cannot; silence decides. Else the watch goes on: it
                // belongs to the term, not to one wait.
                if let Some(holder) = self.holder.as_mut().filter(|_| over == Some(&by.term)) {
                    holder.suspect = None;
                }
            }
            Acquire::Held { by, .. } => {
                let found = self.holder_information(by);
                let presence = found.as_ref().and_then(|found| found.presence);
                if let Some(identity) = accused.filter(|accused| presence.map(|p| p.identity) != Some(*accused)) {
                    // Somebody else was faster, or it was freed otherwise.
                    detector.evicted(identity, &self.latch, by.term.epoch, false);
                }
                if let (Some(found), Some(presence)) = (&found, presence) {
                    detector.holds(presence.identity, &self.latch, by.term.epoch, found.took_over_from);
                }
                let (identity, suspect) = (presence.map(|p| p.identity), presence.map(|p| detector.watch(p)));
                self.holder = Some(Watched { term: by.term.clone(), identity, suspect });
            }
        }
    }

    /// What the holder says of itself; `None` if it cannot be read, and then there is no evidence.
    fn holder_information(&self, by: &Holder) -> Option<HolderInformation> {
        let (key, value) = (self.latch.key().clone(), by.value.clone());
        let entry = Entry { key, value, revision: Revision::from_native(0), held: None };
        record::decode(&entry).ok().map(|record| record.body)
    }

    /// Nobody is waited for any more.
    pub(super) fn forget(&mut self) {
        self.holder = None;
    }

    /// Returns the term of the holder when there is evidence that its process is dead.
    pub(super) async fn holder_dead(&self, backend: &dyn Backend, seam: &Seam) -> Term {
        let Some(Watched { term, suspect: Some(suspect), .. }) = &self.holder else {
            return std::future::pending().await;
        };
        suspect.dead().await;
        // Race: a leader that cannot be seen alive any more says so in the store, and is then taken for dead.
        // Closed by: it says so *before* its socket closes, and here a linearizable read comes after it.
        // Cost if missed: a leader change for nothing.
        let key = layout::presence(&self.latch);
        loop {
            match backend.read(&key).await {
                Ok(Some(entry)) if is_withdrawn(&entry, term) => return std::future::pending().await,
                Ok(_) => return term.clone(),
                Err(_) => seam.sleep(seam.jittered(PAUSE)).await,
            }
        }
    }

    /// While we lead: takes back, by a fenced commit, what others look at, should it break. Never returns.
    pub(super) async fn keep_true(&self, writer: Writer) {
        let Some(serving) = &self.serving else { return std::future::pending().await };
        serving.broken().await;
        let seam = writer.seam().clone();
        while let Err(error) = self.withdraw(&writer, serving.presence().identity).await {
            // Connected standbys stay so meanwhile, and see nothing.
            tracing::warn!(latch = %self.latch, ?error, "the presence of this leader was not taken back; trying again");
            seam.sleep(seam.jittered(PAUSE)).await;
        }
        serving.close();
        std::future::pending().await
    }

    async fn withdraw(&self, writer: &Writer, identity: Identity) -> Result<(), Error> {
        let key = layout::presence(&self.latch);
        loop {
            let found = writer.backend().read(&key).await?;
            let expect = found.map_or(Expect::Absent, |entry| Expect::Revision(entry.revision));
            let draft = writer.draft()?.put(key.clone(), expect, &PresenceWithdrawal { identity })?;
            if let Committed::Applied(_) = writer.commit(draft).await? {
                tracing::info!(latch = %self.latch, "the presence of this leader was taken back for its term");
                return Ok(());
            }
            writer.seam().sleep(PAUSE).await;
        }
    }
}

/// Whether the holder of that term has taken its presence back. One that cannot be read has.
fn is_withdrawn(entry: &Entry, term: &Term) -> bool {
    record::decode::<PresenceWithdrawal>(entry).map_or(true, |record| record.epoch == term.epoch)
}

#[cfg(test)]
#[path = "watching_tests.rs"]
mod tests;
