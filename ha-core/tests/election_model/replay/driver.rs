use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ha_core::backend::{Change, Key, Latch, Prefix};
use ha_core::space::Space;
use ha_core::{Error, ErrorKind};

use super::TICK;
use super::compare::compare;
use super::gate::{Attempt, Call, Cell, Stored};
use super::hand::settle;
use super::process::Real;
use crate::model::{Action, Fate, Protocol};
use crate::world::*;

/// Longer than any pause of an election, with its jitter.
const PAUSE: Duration = Duration::from_millis(3100);
/// Longer than any pause between two copies of a commit.
const AGAIN: Duration = Duration::from_millis(800);
/// Longer than it is tried to find out what became of a commit.
const BUDGET: Duration = Duration::from_secs(11);

/// What travels, with what stands for it in the model.
enum Travelling {
    Attempt(Attempt),
    Commit(ha_core::backend::Commit),
}

/// The real services of all processes, carried along a trace of the model.
pub(crate) struct Driver {
    protocol: Protocol,
    pub(crate) world: World,
    pub(crate) stored: Stored,
    pub(crate) processes: Vec<Real>,
    /// The sessions that stand for the model's numbers now.
    pub(crate) sessions: BTreeMap<u8, Arc<Cell>>,
    /// The epochs that stand for the model's.
    pub(crate) epochs: BTreeMap<u8, u64>,
    late: Vec<(Late, Travelling)>,
    ticks: u32,
    lives: u64,
    /// The write that each process began last.
    writes: BTreeMap<usize, u8>,
}

pub(crate) fn latch() -> Latch {
    Latch::below(&Prefix::new("flink/default/leader").unwrap())
}

pub(crate) fn stored_key(key: &Key) -> Key {
    Key::new(format!("flink/default/{key}")).unwrap()
}

fn lost() -> Error {
    Error::new(ErrorKind::Indeterminate, "call").because("the answer was lost on purpose")
}

impl Driver {
    pub(crate) fn new(protocol: &Protocol, world: World) -> Self {
        let stored: Stored = Arc::new(Mutex::new(Space::default()));
        let processes =
            (0..protocol.processes).map(|at| Real::new(&stored, format!("p{at}"), Duration::ZERO, at as u64 + 1));
        let processes = processes.collect();
        let (sessions, epochs) = (BTreeMap::new(), BTreeMap::new());
        let (protocol, late) = (protocol.clone(), Vec::new());
        Self {
            protocol,
            world,
            stored,
            processes,
            sessions,
            epochs,
            late,
            ticks: 0,
            lives: 10,
            writes: BTreeMap::new(),
        }
    }

    pub(crate) fn last_write(&self, at: usize) -> Option<u8> {
        self.writes.get(&at).copied()
    }

    /// Whether the real processes can be told to do that one thing alone.
    pub(crate) fn can(&self, action: Action) -> bool {
        // Finding out takes time, in which a pause of the same process ends too, and a release is given up.
        let (Action::Commit(at, _) | Action::GiveUp(at)) = action else { return true };
        let process = &self.world.processes[at];
        let timed = matches!(process.phase, Phase::Pausing | Phase::Releasing { .. });
        !(process.op.is_some_and(|op| op.lost) && timed)
    }

    /// Takes one step in both worlds, and compares them.
    pub(crate) async fn step(&mut self, action: Action) -> Result<(), String> {
        let next = self.protocol.step(&self.world, action);
        let before = std::mem::replace(&mut self.world, next);
        let late: Vec<Late> = self.world.late.clone();
        let travels = late.into_iter().find(|it| {
            let count = |late: &[Late]| late.iter().filter(|other| *other == it).count();
            count(&self.world.late) > count(&before.late)
        });
        self.act(&before, action, travels).await?;
        settle().await;
        self.name_sessions(&before);
        self.set_deadlines();
        if action == Action::Tick {
            for process in &self.processes {
                process.hand.set(TICK * self.ticks);
            }
            settle().await;
            self.name_sessions(&before);
            self.set_deadlines();
        }
        settle().await;
        compare(self)
    }

    /// A session that the model has opened in this step is the newest one of its process.
    fn name_sessions(&mut self, before: &World) {
        for (at, process) in self.world.processes.iter().enumerate() {
            let Some(own) = process.session else { continue };
            let was = before.processes[at].session.map(|own| own.number);
            let newest = self.processes[at].gate.newest_session();
            if let Some(newest) = newest.filter(|_| was != Some(own.number)) {
                self.sessions.insert(own.number, newest);
            }
        }
    }

    fn set_deadlines(&self) {
        for own in self.world.processes.iter().filter_map(|process| process.session) {
            if let Some(cell) = self.sessions.get(&own.number) {
                cell.set_valid_until(TICK * (self.ticks + u32::from(own.valid)));
            }
        }
    }

    async fn act(&mut self, before: &World, action: Action, travels: Option<Late>) -> Result<(), String> {
        match action {
            Action::Tick => self.ticks += 1,
            Action::Want(at) => self.processes[at].want(),
            Action::PauseOver(at) => self.processes[at].pass(PAUSE),
            Action::Expire(session) => self.end(session),
            Action::End => {
                let holder = before.store.latch.ok_or("no holder")?;
                self.end(holder.session);
            }
            Action::Resign(at) => self.processes[at].resign(),
            Action::ResignOnTheWay(at) => {
                let call = self.processes[at].gate.take(|call| matches!(call, Call::Acquire(..)));
                let Some(Call::Acquire(attempt, _)) = call else { return Err("no attempt".into()) };
                self.late.extend(travels.map(|late| (late, Travelling::Attempt(attempt))));
                self.processes[at].resign();
            }
            Action::Acquire(at, fate) => self.acquire(at, fate, travels)?,
            Action::Release(at, fate) => self.release(at, fate)?,
            Action::Leave(at, session) => self.leave(at, session)?,
            Action::Wake(at) => {
                let call = self.processes[at].gate.take(|call| matches!(call, Call::Wait(..)));
                let Some(Call::Wait(scope, reply)) = call else { return Err("nobody waits".into()) };
                let snapshot = self.space(|space| space.snapshot(&scope));
                drop(reply.send(Ok(Change::Snapshot(snapshot))));
            }
            Action::Notice(at) => self.notice(before, at).await?,
            Action::Crash(at) => self.crash(at),
            Action::Begin(at, kind) => {
                let write = self.protocol.budget.writes - before.left.writes + 1;
                self.writes.insert(at, write);
                self.processes[at].begin(kind, write);
            }
            Action::Commit(at, fate) => self.commit(before, at, fate, travels).await?,
            Action::GiveUp(at) => self.processes[at].pass(BUDGET),
            Action::Arrive(at) => {
                let late = before.late[at];
                let at = self.late.iter().position(|(it, _)| *it == late).ok_or("nothing travels")?;
                match self.late.remove(at).1 {
                    Travelling::Attempt(attempt) => drop(self.apply_attempt(&attempt)),
                    Travelling::Commit(commit) => drop(self.space(|space| space.commit(&commit))),
                }
            }
            // What becomes of renewals is told by deadlines.
            Action::Renew(_) | Action::RenewalSent(_) | Action::RenewalArrives(_) | Action::RenewalAcknowledged(_) => {}
            // It was begun anew when it crashed.
            Action::Restart(_) => {}
            Action::Ask | Action::StepDown(_) | Action::Evidence(_) => return Err("not replayed".into()),
        }
        Ok(())
    }

    fn space<T>(&self, on: impl FnOnce(&mut Space) -> T) -> T {
        on(&mut self.stored.lock().unwrap())
    }

    fn end(&self, session: u8) {
        let id = Arc::clone(&self.sessions[&session].id);
        self.space(|space| space.end(&id));
    }

    fn apply_attempt(&self, attempt: &Attempt) -> Result<ha_core::backend::Acquire, Error> {
        let Attempt { session, latch, holder, over } = attempt;
        let answer = self.space(|space| space.acquire(session, latch, holder.clone(), over.as_ref()));
        answer.map_err(|refusal| refusal.to_error(latch))
    }

    fn acquire(&mut self, at: usize, fate: Fate, travels: Option<Late>) -> Result<(), String> {
        let call = self.processes[at].gate.take(|call| matches!(call, Call::Acquire(..)));
        let Some(Call::Acquire(attempt, reply)) = call else { return Err("no attempt".into()) };
        let answer = match fate {
            Fate::Answered => self.apply_attempt(&attempt),
            Fate::Lost => self.apply_attempt(&attempt).and(Err(lost())).or(Err(lost())),
            Fate::Late => {
                self.late.extend(travels.map(|late| (late, Travelling::Attempt(attempt))));
                Err(lost())
            }
        };
        drop(reply.send(answer));
        Ok(())
    }

    fn release(&self, at: usize, fate: Fate) -> Result<(), String> {
        let call = self.processes[at].gate.take(|call| matches!(call, Call::Release(..)));
        let Some(Call::Release(session, reply)) = call else { return Err("no release".into()) };
        if fate != Fate::Late {
            self.space(|space| space.release(&session, &latch()));
        }
        drop(reply.send(if fate == Fate::Answered { Ok(()) } else { Err(lost()) }));
        Ok(())
    }

    fn leave(&self, at: usize, session: u8) -> Result<(), String> {
        let left = &self.sessions[&session].id;
        let call = self.processes[at].gate.take(|call| matches!(call, Call::Close(id, _) if id == left));
        let Some(Call::Close(id, reply)) = call else { return Err("the session is not being closed".into()) };
        self.space(|space| space.end(&id));
        drop(reply.send(Ok(())));
        Ok(())
    }

    async fn notice(&self, before: &World, at: usize) -> Result<(), String> {
        let process = &self.processes[at];
        if let Some(own) = before.processes[at].session {
            let cell = &self.sessions[&own.number];
            if !self.space(|space| space.is_open(&cell.id)) {
                cell.tell_end();
                return Ok(());
            }
        }
        let follows = |call: &Call| matches!(call, Call::Follow(..));
        if !process.gate.has(follows) {
            process.pass(Duration::from_millis(200));
            settle().await;
        }
        let Some(Call::Follow(scope, reply)) = process.gate.take(follows) else { return Err("nobody follows".into()) };
        let snapshot = self.space(|space| space.snapshot(&scope));
        drop(reply.send(Ok(Change::Snapshot(snapshot))));
        Ok(())
    }

    fn crash(&mut self, at: usize) {
        self.processes[at].gate.die();
        self.writes.remove(&at);
        self.lives += 1;
        let (name, hand) = (format!("p{at}-{}", self.lives), self.processes[at].hand.reads());
        self.processes[at] = Real::new(&self.stored, name, hand, self.lives);
    }

    async fn commit(&mut self, before: &World, at: usize, fate: Fate, travels: Option<Late>) -> Result<(), String> {
        let commits = |call: &Call| matches!(call, Call::Commit(..));
        if before.processes[at].op.is_some_and(|op| op.lost) && !self.processes[at].gate.has(commits) {
            self.processes[at].pass(AGAIN);
            settle().await;
        }
        let Some(Call::Commit(commit, reply)) = self.processes[at].gate.take(commits) else {
            return Err("no commit".into());
        };
        let answer = match fate {
            Fate::Answered => Ok(self.space(|space| space.commit(&commit))),
            Fate::Lost => {
                self.space(|space| space.commit(&commit));
                Err(lost())
            }
            Fate::Late => {
                self.late.extend(travels.map(|late| (late, Travelling::Commit(commit))));
                Err(lost())
            }
        };
        drop(reply.send(answer));
        Ok(())
    }
}
