use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::HolderInformation;
use crate::backend::{Acquire, Backend, Entry, Expect, Latch, Name, Session, SessionOptions, Term};
use crate::formats::{self, Formats};
use crate::names::layout;
use crate::record::{self, Body};
use crate::resolve::Committer;
use crate::seam::{Moment, Seam};
use crate::wrap::Chroot;
use crate::writer::{Authority, Committed, Writer};
use crate::{Error, ErrorKind, ServicesOptions};

/// The longest that a leader stays away for others; a request for more is taken for this much.
pub const STAY_AWAY_MAX: Duration = Duration::from_secs(600);

/// How often a request is written anew because another operator came in between.
const TRIES: usize = 8;
/// How long a wait for a change lasts before the latch is looked at anyway.
const LOOK: Duration = Duration::from_secs(1);
/// The pause after a watch that failed.
const PAUSE: Duration = Duration::from_millis(100);
/// How long taking a request back, or letting go of a latch, may take.
const ORDERLY_MAX: Duration = Duration::from_secs(5);

/// What an operator writes beside a latch: whoever leads under exactly this term is to give it up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StepDownRequest {
    epoch: u64,
    /// The backend's own name of the term: an epoch alone could be another's after all data were lost.
    native: String,
    /// Who asks, for people.
    pub(crate) by: String,
    /// By the wall clock of who asks, for people.
    pub(crate) at_unix_ms: u64,
    stay_away_ms: u64,
}

impl Body for StepDownRequest {
    const KIND: &'static str = "step_down_request";
}

impl StepDownRequest {
    pub(crate) fn is_for(&self, term: &Term) -> bool {
        self.epoch == term.epoch && self.native == *term.native
    }

    pub(crate) fn stay_away(&self) -> Duration {
        Duration::from_millis(self.stay_away_ms)
    }
}

/// How a planned hand-over went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SteppedDown {
    /// The epoch that was to end; `None`: nobody led, and nothing was done.
    pub epoch: Option<u64>,
    /// Whether that term is over.
    pub over: bool,
    /// The epoch of whoever led when the waiting ended; `None`: nobody yet.
    pub now: Option<u64>,
    /// The term did not end in time, and the request for it could not be taken back: the leader may still follow it.
    pub request_left: bool,
}

/// Asks a leader to hand over: an operator's planned change of leaders. No leadership is needed.
///
/// [`StepDown::ask`] leaves a request beside the latch that names the present term. Its leader gives the latch up
/// in order, as by [`Leadership::resign`](super::Leadership::resign), and does not contend again before somebody
/// else leads, or nobody has come within a time that the request says. A request is for one term: a leader of any
/// later one passes it over, however late it is seen, so an old request deposes nobody. Leaders that do not know
/// requests (of an older version), or do not run, leave it unanswered.
///
/// [`StepDown::force`] needs no answer: it takes the latch over exactly that term, which fences its leader from
/// that moment, and lets go of it at once.
///
/// Who may write below the latch, may ask; `force` also needs to open a session.
#[derive(Debug)]
pub struct StepDown {
    writer: Writer,
    formats: Formats,
    session: SessionOptions,
}

impl StepDown {
    /// Over that backend handle, in the place that the options name. No I/O. The options' label says who asks.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`]: an option does not fit; the text names it.
    pub fn new(backend: Arc<dyn Backend>, options: &ServicesOptions, seam: Seam) -> Result<Self, Error> {
        let backend: Arc<dyn Backend> = Arc::new(Chroot::new(backend, options.validate()?));
        let committer = Committer::with_formats(backend, seam, options.formats);
        // Unfenced, for it is not the leader who writes. The one key is no service's, each write of it expects what was
        // read before, and what it says is good for one term alone.
        let writer = Writer::new(committer, Authority::UnfencedAdministration);
        Ok(Self { writer, formats: options.formats, session: options.session.clone() })
    }

    /// Asks the leader of the latch (`None`: the cluster's one latch), and waits, at most that long, until its term
    /// is over and somebody else leads. `stay_away`, at most [`STAY_AWAY_MAX`]: how long the leader lets others go
    /// first; if nobody comes, it may lead again after that.
    ///
    /// The request is taken back at the end, whatever came of it.
    ///
    /// # Errors
    /// * [`ErrorKind::Denied`]: writing below the latch is not allowed. Nothing was written.
    /// * [`ErrorKind::Conflict`]: others wrote requests at every attempt. Nothing was written.
    /// * [`ErrorKind::Unavailable`], [`ErrorKind::Indeterminate`]: the request may stand; ask again, or
    ///   [`withdraw`](StepDown::withdraw) it.
    ///
    /// # Cancel safety
    /// After a drop the request may stand, and be followed: [`withdraw`](StepDown::withdraw) it.
    pub async fn ask(
        &self,
        latch: Option<&Name>,
        stay_away: Duration,
        at_most: Duration,
    ) -> Result<SteppedDown, Error> {
        let latch = layout::latch(latch);
        let until = self.writer.seam().now() + at_most;
        let Some((term, _)) = self.held(&latch).await? else { return Ok(nobody()) };
        self.request(&latch, &term, stay_away.min(STAY_AWAY_MAX)).await?;
        let over = self.wait(&latch, until, |held| held != Some(&term)).await?;
        let request_left = self.take_back(&latch, &term).await.is_err() && !over;
        let now = self.successor(&latch, &term, until, over).await?;
        Ok(SteppedDown { epoch: Some(term.epoch), over, now, request_left })
    }

    /// Ends the present term without its leader: takes the latch over exactly this term, and lets go of it at once.
    /// What its leader writes from then on is refused; it learns of it by its watch, or when it writes. Then waits as
    /// [`StepDown::ask`]. A leader that is well may win again.
    ///
    /// # Errors
    /// * [`ErrorKind::Unsupported`]: the backend does not let a term be ended so.
    /// * [`ErrorKind::NewerFormat`]: the cluster is beyond this version. Nothing was done.
    /// * as [`Backend::open_session`] and [`Session::try_acquire`]: call again. What may have been taken is let go of.
    ///
    /// # Cancel safety
    /// After a drop the term may be over, or the latch held until the session that was opened here ends by silence.
    pub async fn force(&self, latch: Option<&Name>, at_most: Duration) -> Result<SteppedDown, Error> {
        let latch = layout::latch(latch);
        let seam = self.writer.seam();
        let until = seam.now() + at_most;
        let Some((term, _)) = self.held(&latch).await? else { return Ok(nobody()) };
        formats::read(&**self.writer.backend(), self.formats).await?;
        let session = self.writer.backend().open_session(&self.session).await?;
        let taken = self.take(&*session, &latch, &term).await;
        // Whatever came of the attempt: what may be held is let go of before anything is reported.
        let released = seam.timeout(ORDERLY_MAX, session.release(&latch)).await;
        let closed = seam.timeout(ORDERLY_MAX, session.close()).await;
        taken?;
        if !matches!(released, Some(Ok(()))) && !matches!(closed, Some(Ok(()))) {
            return Err(Error::new(ErrorKind::Unavailable, "step down")
                .at(&latch)
                .because(format!("epoch {} is over, but the latch was not let go of in order", term.epoch)));
        }
        let over = self.wait(&latch, until, |held| held != Some(&term)).await?;
        let now = self.successor(&latch, &term, until, over).await?;
        Ok(SteppedDown { epoch: Some(term.epoch), over, now, request_left: false })
    }

    /// Takes back whatever request stands beside the latch. Success also if there is none.
    ///
    /// # Errors
    /// As [`Backend::commit`]: it may stand.
    ///
    /// # Cancel safety
    /// After a drop it may stand; call again.
    pub async fn withdraw(&self, latch: Option<&Name>) -> Result<(), Error> {
        let key = layout::step_down(&layout::latch(latch));
        for _ in 0..TRIES {
            let Some(entry) = self.writer.backend().read(&key).await? else { return Ok(()) };
            let draft = self.writer.draft()?.remove(key.clone(), entry.revision);
            if let Committed::Applied(_) = self.writer.commit(draft).await? {
                return Ok(());
            }
        }
        Err(Error::new(ErrorKind::Conflict, "withdraw request").at(&key).because("others write it at every attempt"))
    }

    async fn held(&self, latch: &Latch) -> Result<Option<(Term, Entry)>, Error> {
        let found = self.writer.backend().read(latch.key()).await?;
        Ok(found.and_then(|entry| Some((entry.held.clone()?, entry))))
    }

    /// Leaves the request, unless somebody else asks the same already.
    async fn request(&self, latch: &Latch, term: &Term, stay_away: Duration) -> Result<(), Error> {
        let key = layout::step_down(latch);
        let stay_away_ms = u64::try_from(stay_away.as_millis()).unwrap_or(u64::MAX);
        let (by, at_unix_ms) = (self.session.label.clone(), self.writer.seam().unix_ms());
        let request =
            StepDownRequest { epoch: term.epoch, native: term.native.to_string(), by, at_unix_ms, stay_away_ms };
        for _ in 0..TRIES {
            let found = self.writer.backend().read(&key).await?;
            if found.as_ref().is_some_and(|entry| self.is_for(entry, term)) {
                return Ok(());
            }
            let expect = found.map_or(Expect::Absent, |entry| Expect::Revision(entry.revision));
            let draft = self.writer.draft()?.put(key.clone(), expect, &request)?;
            if let Committed::Applied(_) = self.writer.commit(draft).await? {
                return Ok(());
            }
        }
        Err(Error::new(ErrorKind::Conflict, "ask to step down")
            .at(&key)
            .because("others write requests at every attempt; nothing was written, try again"))
    }

    fn is_for(&self, entry: &Entry, term: &Term) -> bool {
        record::decode_within::<StepDownRequest>(entry, self.formats).is_ok_and(|record| record.body.is_for(term))
    }

    /// Removes the request for that term; another's is left alone.
    async fn take_back(&self, latch: &Latch, term: &Term) -> Result<(), Error> {
        let key = layout::step_down(latch);
        let remove = async {
            let Some(entry) = self.writer.backend().read(&key).await? else { return Ok(()) };
            if self.is_for(&entry, term) {
                // After a conflict it is another's now.
                let draft = self.writer.draft()?.remove(key.clone(), entry.revision);
                let _removed_or_replaced = self.writer.commit(draft).await?;
            }
            Ok(())
        };
        let slow = || Error::new(ErrorKind::Unavailable, "withdraw request").at(&key);
        self.writer.seam().timeout(ORDERLY_MAX, remove).await.unwrap_or_else(|| Err(slow()))
    }

    /// Waits until the latch is so, or the time is over: whether it is.
    async fn wait(&self, latch: &Latch, until: Moment, so: impl Fn(Option<&Term>) -> bool) -> Result<bool, Error> {
        let (seam, backend) = (self.writer.seam(), self.writer.backend());
        let scope = crate::backend::Scope::Below(latch.home());
        loop {
            let snapshot = backend.list(&latch.home()).await?;
            let held = snapshot.entries.iter().find(|entry| entry.key == *latch.key());
            if so(held.and_then(|entry| entry.held.as_ref())) {
                return Ok(true);
            }
            let left = until.since(seam.now());
            if left.is_zero() {
                return Ok(false);
            }
            // What a failed watch would have told, the next list tells.
            if let Some(Err(_)) = seam.timeout(left.min(LOOK), backend.changed(&scope, &snapshot.mark)).await {
                seam.sleep(seam.jittered(PAUSE)).await;
            }
        }
    }

    async fn successor(&self, latch: &Latch, term: &Term, until: Moment, over: bool) -> Result<Option<u64>, Error> {
        if over {
            self.wait(latch, until, |held| held.is_some_and(|held| held != term)).await?;
        }
        Ok(self.held(latch).await?.map(|(term, _)| term.epoch))
    }

    async fn take(&self, session: &dyn Session, latch: &Latch, term: &Term) -> Result<(), Error> {
        let seam = self.writer.seam();
        let silence_ms = u64::try_from(self.session.silence.as_millis()).ok();
        let (label, since_unix_ms) = (self.session.label.clone(), seam.unix_ms());
        let holder = HolderInformation { label, since_unix_ms, silence_ms, presence: None, took_over_from: None };
        let holder = record::encode_in(self.formats.oldest(), &holder, seam.write_id(), 0)?;
        match session.try_acquire(latch, holder, Some(term)).await? {
            Acquire::Won(_) => Ok(()),
            // Somebody was faster: that term is over all the same.
            Acquire::Held { by, .. } if by.term != *term => Ok(()),
            Acquire::Held { .. } => Err(Error::new(ErrorKind::Unsupported, "step down")
                .at(latch)
                .because("the store did not end the term; end the process that leads, or wait out its silence")),
        }
    }
}

fn nobody() -> SteppedDown {
    SteppedDown { epoch: None, over: false, now: None, request_left: false }
}
