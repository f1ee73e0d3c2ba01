mod request;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::HolderInformation;
use crate::backend::{Acquire, Backend, Entry, Expect, Latch, Name, Session, SessionOptions, Term};
use crate::formats::{self, Formats};
use crate::names::layout;
use crate::record;
use crate::resolve::Committer;
use crate::seam::{Moment, Seam};
use crate::wrap::Chroot;
use crate::writer::{Authority, Committed, Writer};
use crate::{Error, ErrorKind, ServicesOptions};

pub(crate) use request::StepDownRequest;
use waiting::{Look, Seen};

/// The longest that a leader stays away for others; a request for more is taken for this much.
pub const STAY_AWAY_MAX: Duration = Duration::from_secs(600);

/// How often a request is written anew because another operator came in between.
const TRIES: usize = 8;
/// How long taking a request back, or letting go of a latch, may take.
const ORDERLY_MAX: Duration = Duration::from_secs(5);

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
    /// first; if nobody comes, it may lead again after that. If somebody else has asked for the same already, his
    /// request counts.
    ///
    /// A store that does not answer is asked again until the time is over; a call that hangs, and taking the request
    /// back, may take a few seconds more. The request is taken back at the end, whatever came of it; if another operator
    /// still waits, that one leaves it anew.
    ///
    /// # Errors
    /// * [`ErrorKind::Denied`]: writing below the latch is not allowed. Nothing was written.
    /// * [`ErrorKind::Conflict`]: others wrote requests at every attempt. Nothing was written.
    /// * [`ErrorKind::Unavailable`]: the store did not answer at the end. Whether the term is over is not known, and the
    ///   text says if the request may still stand: ask again, or [`withdraw`](StepDown::withdraw) it.
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
        let Some(term) = self.look(&latch).await?.0.held else { return Ok(nobody()) };
        let request = self.request(&term, stay_away.min(STAY_AWAY_MAX));
        let mut asking = Asking { request, in_doubt: false, may_land: false };
        let asked = self.until_over(&latch, &term, Some(&mut asking), until).await;
        // Race: a request was not answered, is not there yet, and lands after it was taken back.
        // Closed by: nobody can; it is told.
        // Cost if missed: a leader that steps down after its operator was told that it is not asked to any more.
        let taken_back = self.take_back(&latch, &term).await;
        let may_stand = taken_back.map_or(true, |found| asking.may_land || (asking.in_doubt && !found));
        let over = match asked {
            Ok(over) => over,
            Err(error) if !may_stand => return Err(error),
            Err(error) => {
                return Err(Error::new(error.kind(), "ask to step down")
                    .at(&latch)
                    .because("the request may stand, and still be followed")
                    .caused_by(error));
            }
        };
        let now = self.successor(&latch, &term, until, over).await?;
        Ok(SteppedDown { epoch: Some(term.epoch), over, now, request_left: may_stand && !over })
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
        let Some(term) = self.look(&latch).await?.0.held else { return Ok(nobody()) };
        let backend = self.writer.backend();
        self.answered(ErrorKind::Unavailable, "read formats", formats::read(&**backend, self.formats)).await?;
        let opening = backend.open_session(&self.session);
        let session = self.answered(ErrorKind::Unavailable, "open session", opening).await?;
        let taken = self.answered(ErrorKind::Indeterminate, "acquire", self.take(&*session, &latch, &term)).await;
        // Whatever came of the attempt: what may be held is let go of before anything is reported.
        let released = seam.timeout(ORDERLY_MAX, session.release(&latch)).await;
        let closed = seam.timeout(ORDERLY_MAX, session.close()).await;
        taken?;
        if !matches!(released, Some(Ok(()))) && !matches!(closed, Some(Ok(()))) {
            return Err(Error::new(ErrorKind::Unavailable, "step down")
                .at(&latch)
                .because(format!("epoch {} is over, but the latch was not let go of in order", term.epoch)));
        }
        let over = self.until_over(&latch, &term, None, until).await?;
        let now = self.successor(&latch, &term, until, over).await?;
        Ok(SteppedDown { epoch: Some(term.epoch), over, now, request_left: false })
    }

    /// Takes back whatever request stands beside the latch. Success also if there is none. One that another operator still
    /// waits with is left anew by that one.
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

    /// What is asked of whoever leads under that term.
    fn request(&self, term: &Term, stay_away: Duration) -> StepDownRequest {
        let stay_away_ms = u64::try_from(stay_away.as_millis()).unwrap_or(u64::MAX);
        let (by, at_unix_ms) = (self.session.label.clone(), self.writer.seam().unix_ms());
        StepDownRequest { epoch: term.epoch, native: term.native.to_string(), by, at_unix_ms, stay_away_ms }
    }

    /// Waits until that term is over, or the time is: whether it is. Meanwhile the request stands beside the latch.
    async fn until_over(
        &self,
        latch: &Latch,
        term: &Term,
        mut asking: Option<&mut Asking>,
        until: Moment,
    ) -> Result<bool, Error> {
        let mut conflicts = 0;
        self.wait(latch, until, async |now| {
            if now.held.as_ref() != Some(term) {
                return Ok(Seen::Enough);
            }
            // Race: another operator has left the same request, gives up, and takes it back; or the write of ours was
            //       not answered.
            // Closed by: whoever waits sees to it that one stands, again and again, and takes it back at the end.
            // Cost if missed: who waits longer waits for nothing.
            let stands = now.asked.as_ref().is_some_and(|asked| self.is_for(asked, term));
            let Some(asking) = asking.as_deref_mut().filter(|_| !stands) else { return Ok(Seen::Wait) };
            asking.may_land |= asking.in_doubt;
            let expect = now.asked.as_ref().map_or(Expect::Absent, |entry| Expect::Revision(entry.revision));
            let draft = self.writer.draft()?.put(layout::step_down(latch), expect, &asking.request)?;
            let written = self.writer.commit(draft);
            let written = self.answered(ErrorKind::Indeterminate, "ask to step down", written).await;
            asking.in_doubt = written.as_ref().is_err_and(Error::may_have_applied);
            match written? {
                Committed::Applied(_) => conflicts = 0,
                Committed::Conflict { key, .. } if conflicts == TRIES => {
                    return Err(Error::new(ErrorKind::Conflict, "ask to step down")
                        .at(key)
                        .because("others write requests at every attempt; nothing was written, try again"));
                }
                Committed::Conflict { .. } => conflicts += 1,
            }
            Ok(Seen::LookAgain)
        })
        .await
    }

    fn is_for(&self, entry: &Entry, term: &Term) -> bool {
        record::decode_within::<StepDownRequest>(entry, self.formats).is_ok_and(|record| record.body.is_for(term))
    }

    /// Removes the request for that term, and says whether there was one; another term's is left alone.
    async fn take_back(&self, latch: &Latch, term: &Term) -> Result<bool, Error> {
        let key = layout::step_down(latch);
        let remove = async {
            let found = self.writer.backend().read(&key).await?;
            let Some(entry) = found.filter(|entry| self.is_for(entry, term)) else { return Ok(false) };
            // After a conflict it is another's now.
            let draft = self.writer.draft()?.remove(key.clone(), entry.revision);
            let _removed_or_replaced = self.writer.commit(draft).await?;
            Ok(true)
        };
        let slow = || Error::new(ErrorKind::Unavailable, "withdraw request").at(&key);
        self.writer.seam().timeout(ORDERLY_MAX, remove).await.unwrap_or_else(|| Err(slow()))
    }

    async fn successor(&self, latch: &Latch, term: &Term, until: Moment, over: bool) -> Result<Option<u64>, Error> {
        let mut now = None;
        let judge = async |look: Look| {
            now = look.held.as_ref().map(|held| held.epoch);
            let is_other = look.held.is_some_and(|held| held != *term);
            Ok(if is_other || !over { Seen::Enough } else { Seen::Wait })
        };
        self.wait(latch, until, judge).await?;
        Ok(now)
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

/// A request, as its operator knows it.
#[derive(Debug)]
struct Asking {
    request: StepDownRequest,
    /// The last write of it was not answered.
    in_doubt: bool,
    /// One that was not answered was not there when it was looked for.
    may_land: bool,
}

fn nobody() -> SteppedDown {
    SteppedDown { epoch: None, over: false, now: None, request_left: false }
}
