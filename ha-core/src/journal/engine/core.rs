use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::sync::{Notify, oneshot};

use super::own::Own;
use super::queue::{InFlight, Queue, Reply, Submission};
use super::reader::Round;
use super::silence::Seen;
use crate::backend::{Acquire, Ended};
use crate::journal::{Answer, Captured, Entry, Operation, SessionRecord, State, Why};
use crate::seam::Moment;
use crate::space::Refusal;
use crate::{Error, ErrorKind};

/// How many sessions that are over, and may yet come up in the journal, are remembered. The silence of others ends them.
const FAREWELLS_MAX: usize = 1024;

/// What the engine's tasks are woken by. Each keeps one permit, so nothing is missed between a look and a sleep.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// Something waits for the next entry.
    pub(super) submitted: Notify,
    /// Somebody wants to know the end of the journal.
    pub(super) wanted: Notify,
    /// Sessions came, went, or are to be looked after.
    pub(super) guard: Notify,
    /// A snapshot is to be made.
    pub(super) point: Notify,
    /// The journal was read to its end, or never will be again. Wakes all, in the order of their coming.
    pub(super) round: Notify,
}

/// A snapshot to be made.
pub(super) struct Due {
    pub(super) captured: Captured,
    /// Whether this handle wrote the entry at the point: then it does not wait for others.
    pub(super) author: bool,
}

/// How far the end of a session that is over here has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Farewell {
    /// Its end is on its way.
    pub(super) under_way: bool,
    /// An attempt of it waits or is being published.
    acquiring: bool,
}

/// Everything behind the engine's one lock. Nobody waits for anything while holding it.
pub(in crate::journal) struct Core {
    pub(super) signals: Arc<Signals>,
    pub(in crate::journal) state: State,
    pub(super) queue: Queue,
    pub(super) in_flight: Option<InFlight>,
    pub(in crate::journal) own: BTreeMap<Arc<str>, Own>,
    /// Sessions that are over here and may stand in the journal, now or later.
    pub(super) farewells: BTreeMap<Arc<str>, Farewell>,
    /// When the state was last known to be that of the journal's end.
    pub(super) current: Moment,
    /// When each session of the journal was last heard of.
    pub(super) seen: BTreeMap<Arc<str>, Seen>,
    /// The last two points, so that snapshots of two that follow each other are made also by who is late.
    pub(super) due: VecDeque<Due>,
    /// What makes the handle useless: bytes in the journal that nobody can read.
    pub(super) broken: Option<Error>,
    /// The number that the journal certainly reaches, and what it means if it does not.
    pub(super) reaches: Option<(u64, Error)>,
    /// Nothing is let in any more.
    pub(super) closed: bool,
    /// Nobody is left who could answer.
    pub(super) stopped: bool,
    /// How many times the journal was begun to be read to its end.
    pub(super) rounds: u64,
    /// The last of them that is over.
    pub(super) round: Round,
}

impl Core {
    pub(super) fn new(state: State) -> Self {
        Self {
            signals: Arc::default(),
            state,
            queue: Queue::default(),
            in_flight: None,
            own: BTreeMap::new(),
            farewells: BTreeMap::new(),
            current: Moment::ORIGIN,
            seen: BTreeMap::new(),
            due: VecDeque::new(),
            broken: None,
            reaches: None,
            closed: false,
            stopped: false,
            rounds: 0,
            round: Round::default(),
        }
    }

    pub(super) fn next(&self) -> u64 {
        self.state.position() + 1
    }

    /// Puts something into the queue that no caller waits for in line.
    pub(super) fn submit(&mut self, op: Option<Operation>, advisory: bool, now: Moment) -> oneshot::Receiver<Reply> {
        let (submission, answer) = Submission::new(op, advisory, now);
        self.queue.push(submission);
        self.signals.submitted.notify_one();
        answer
    }

    /// Applies the next entry. If it is the one in flight, those who wait for it are answered.
    pub(super) fn apply(&mut self, number: u64, entry: &Entry, bytes: usize, now: Moment) -> Result<(), Error> {
        let answers = self.state.apply(number, entry, bytes)?;
        for (operation, answer) in entry.operations.iter().zip(&answers) {
            self.observe(operation, answer, now);
        }
        let mine = self.in_flight.take_if(|in_flight| in_flight.entry.id == entry.id);
        let author = mine.is_some();
        if let Some(in_flight) = mine {
            let answered = in_flight.entry.operations.iter().zip(in_flight.tickets).zip(answers);
            for ((operation, ticket), answer) in answered {
                let reply = Ok(Some(answer));
                self.settle(operation, ticket.sent, &reply, now);
                ticket.answer(reply);
            }
            in_flight.barriers.into_iter().for_each(|ticket| ticket.answer(Ok(None)));
            self.current = now;
            // An attempt whose outcome was unknown stands before this entry of ours, or never will.
            let Self { farewells, state, .. } = self;
            farewells.retain(|id, end| end.under_way || end.acquiring || state.session(id).is_some());
        }
        if self.state.point().is_some() {
            if self.due.len() == 2 {
                self.due.pop_front();
            }
            self.due.push_back(Due { captured: self.state.capture(), author });
            self.signals.point.notify_one();
        }
        self.say_farewell(now);
        Ok(())
    }

    /// Answers all who wait for the entry in flight with that error.
    pub(super) fn fail_in_flight(&mut self, error: &Error, now: Moment) {
        let Some(in_flight) = self.in_flight.take() else { return };
        for (operation, ticket) in in_flight.entry.operations.iter().zip(in_flight.tickets) {
            let reply = Err(error.clone());
            self.settle(operation, ticket.sent, &reply, now);
            ticket.answer(reply);
        }
        // A barrier changes nothing: whoever read by it can read again.
        let unread = match error.kind() {
            ErrorKind::Indeterminate => {
                Error::new(ErrorKind::Unavailable, "read to the end of the journal").because(error)
            }
            _ => error.clone(),
        };
        in_flight.barriers.into_iter().for_each(|ticket| ticket.answer(Err(unread.clone())));
    }

    /// Answers one submission that did not get into an entry.
    pub(super) fn refuse(&mut self, submission: Submission, reply: Reply, now: Moment) {
        if let Some(operation) = &submission.operation {
            self.settle(operation, submission.ticket.sent, &reply, now);
        }
        submission.ticket.answer(reply);
    }

    /// What an entry, whoever wrote it, means for the sessions.
    fn observe(&mut self, operation: &Operation, answer: &Answer, now: Moment) {
        match (operation, answer) {
            (Operation::Acquire { session, .. }, Answer::Acquire(Ok(Acquire::Won(_)))) => {
                if let Some(own) = self.own.get_mut(session) {
                    (own.registered, own.doubted) = (true, false);
                }
                if !self.seen.contains_key(session) {
                    self.hear(session, now);
                    self.signals.guard.notify_one();
                }
            }
            (Operation::Renew { session }, Answer::Renewed(true)) => self.hear(session, now),
            (Operation::End { session, why }, Answer::Ended(ended)) => {
                if *ended && self.seen.remove(session).is_some() {
                    self.signals.guard.notify_one();
                }
                // A session that has won nothing stands in no state. Its end concerns its owner all the same.
                let unknown = !matches!(why, Why::Silent { renewals: 1.. }) && self.state.session(session).is_none();
                if *ended || unknown {
                    self.end_own(session, ended_by(*why));
                }
            }
            _ => {}
        }
    }

    fn hear(&mut self, session: &Arc<str>, now: Moment) {
        if let Some(record) = self.state.session(session) {
            self.seen.insert(Arc::clone(session), Seen::new(record, now));
        }
    }

    /// What the answer to one of this handle's own operations means for its sessions. Called once for each, also if
    /// nobody waits for the answer any more.
    fn settle(&mut self, operation: &Operation, sent: Moment, reply: &Reply, now: Moment) {
        match operation {
            Operation::Acquire { session, registers, .. } => {
                self.settle_acquire(session, registers.is_some(), sent, reply)
            }
            Operation::Renew { session } => match reply {
                Ok(Some(Answer::Renewed(true))) => {
                    if let Some(own) = self.own.get(session) {
                        own.cell.extend(sent + own.silence);
                    }
                }
                Ok(Some(Answer::Renewed(false))) => self.end_own(session, Ended::Expired),
                _ => {}
            },
            Operation::End { session, why: Why::Closed } => match reply {
                // Whatever was sent before it stands before it, or never will: each number has its entry by now.
                Ok(_) => drop(self.farewells.remove(session)),
                Err(_) => {
                    self.farewells.entry(Arc::clone(session)).and_modify(|end| end.under_way = false);
                    self.signals.guard.notify_one();
                }
            },
            Operation::End { session, why: Why::Silent { .. } } => {
                if let Some(seen) = self.seen.get_mut(session) {
                    seen.judged_in_vain(now);
                    self.signals.guard.notify_one();
                }
            }
            _ => {}
        }
    }

    fn settle_acquire(&mut self, session: &Arc<str>, registers: bool, sent: Moment, reply: &Reply) {
        let Some(own) = self.own.get_mut(session) else {
            self.farewells.entry(Arc::clone(session)).and_modify(|end| end.acquiring = false);
            return;
        };
        own.acquiring = false;
        own.settled.notify_waiters();
        match reply {
            Ok(Some(Answer::Acquire(Ok(Acquire::Won(_))))) if registers => own.cell.extend(sent + own.silence),
            // Asked without registering: then it had registered, or nobody knew, and now it is known.
            Ok(Some(Answer::Acquire(Err(Refusal::NoSession)))) => self.end_own(session, Ended::Expired),
            Ok(_) => {}
            Err(error) => own.doubted |= registers && error.may_have_applied(),
        }
    }

    /// Ends a session for its owner. If it may stand in the journal, its end is sent there.
    pub(super) fn end_own(&mut self, session: &str, why: Ended) {
        let Some((id, own)) = self.own.remove_entry(session) else { return };
        own.cell.end(why);
        own.settled.notify_waiters();
        let may_stand = self.state.session(&id).is_some() || own.doubted || own.acquiring;
        if may_stand && self.farewells.len() < FAREWELLS_MAX {
            // What is frozen stays silent.
            self.farewells.insert(id, Farewell { under_way: own.frozen, acquiring: own.acquiring });
        }
        self.signals.guard.notify_one();
    }

    /// Ends a session here, and sends its end to the journal if it may stand there.
    pub(super) fn part_with(&mut self, id: &str, now: Moment) -> Option<oneshot::Receiver<Reply>> {
        self.end_own(id, Ended::Closed);
        let session = self.farewells.get_key_value(id).map(|(id, _)| Arc::clone(id))?;
        if self.stopped {
            return None;
        }
        self.farewells.entry(Arc::clone(&session)).and_modify(|end| end.under_way = true);
        Some(self.submit(Some(Operation::End { session, why: Why::Closed }), false, now))
    }

    // Race: an attempt whose outcome was unknown takes a latch after its session was closed, because its entry came
    //       into being late.
    // Closed by: a session that is over is remembered, and ended again when the state shows it.
    // Cost if missed: a latch that nobody holds and nobody can take until the silence is over.
    pub(super) fn say_farewell(&mut self, now: Moment) {
        let waiting = self.farewells.iter().filter(|(id, end)| !end.under_way && self.state.session(id).is_some());
        let waiting: Vec<Arc<str>> = waiting.map(|(id, _)| Arc::clone(id)).collect();
        for session in waiting {
            self.farewells.entry(Arc::clone(&session)).and_modify(|end| end.under_way = true);
            drop(self.submit(Some(Operation::End { session, why: Why::Closed }), false, now));
        }
    }

    /// Goes on with a state that was loaded, if it is further.
    pub(super) fn replace(&mut self, loaded: State, now: Moment) {
        if loaded.position() <= self.state.position() {
            return;
        }
        if let Some(in_flight) = self.in_flight.as_mut().filter(|f| f.number <= loaded.position()) {
            in_flight.doubtful = true;
        }
        self.state.replace(loaded);
        let heard = |(id, record): (&Arc<str>, &SessionRecord)| {
            let known = self.seen.get(id).filter(|seen| seen.renewals == record.renewals).copied();
            (Arc::clone(id), known.unwrap_or_else(|| Seen::new(record, now)))
        };
        self.seen = self.state.sessions().map(heard).collect();
        let mut gone = Vec::new();
        for (id, own) in &mut self.own {
            if self.state.session(id).is_some() {
                (own.registered, own.doubted) = (true, false);
            } else if own.registered {
                gone.push(Arc::clone(id));
            }
        }
        gone.iter().for_each(|id| self.end_own(id, Ended::Expired));
        self.say_farewell(now);
        self.signals.guard.notify_one();
    }

    /// Nothing that is in the journal can be relied on from here: everybody hears why.
    pub(super) fn break_down(&mut self, error: Error) -> Error {
        tracing::error!(%error, "the journal cannot be read on; this handle refuses everything from now on");
        self.state.waiters().wake_all();
        self.broken.get_or_insert(error).clone()
    }
}

fn ended_by(why: Why) -> Ended {
    match why {
        Why::Closed => Ended::Closed,
        Why::Silent { .. } => Ended::Expired,
        Why::Revoked | Why::Dead => Ended::Revoked,
    }
}
