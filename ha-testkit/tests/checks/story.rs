//! How the histories of these tests are told: a millisecond passes with each event.

use std::collections::BTreeMap;

use ha_testkit::history::{
    Answer, Call, Checkpoint, Event, Leader, Loss, Outcome, Recording, StoredResult, TakenFor, Term, What,
};

/// One millisecond.
pub(crate) const MS: u64 = 1_000_000;
/// The one component of most stories.
pub(crate) const DISPATCHER: &str = "dispatcher";

/// A history that is being told. A process is in its first life until it is restarted.
pub(crate) struct Story {
    recording: Recording,
    now_ns: u64,
    lives: BTreeMap<&'static str, u32>,
    calls: u64,
}

/// A call that was begun.
#[derive(Clone, Copy)]
pub(crate) struct Begun {
    process: &'static str,
    life: u32,
    op: u64,
}

impl Story {
    pub(crate) fn tell(told: impl FnOnce(&mut Self)) -> Vec<Event> {
        let mut story = Self { recording: Recording::timeless(), now_ns: 0, lives: BTreeMap::new(), calls: 0 };
        told(&mut story);
        story.recording.take()
    }

    fn life(&mut self, process: &'static str) -> u32 {
        *self.lives.entry(process).or_insert(1)
    }

    pub(crate) fn note(&mut self, process: &'static str, what: What) {
        let life = self.life(process);
        self.now_ns += MS;
        self.recording.note_at(self.now_ns, process, life, what);
    }

    pub(crate) fn wait_ms(&mut self, milliseconds: u64) {
        self.now_ns += milliseconds * MS;
    }

    pub(crate) fn started(&mut self, process: &'static str) {
        self.note(process, What::Started);
    }

    /// It is killed, and starts again in another life.
    pub(crate) fn restarted(&mut self, process: &'static str) {
        self.note(process, What::Killed);
        self.lives.entry(process).and_modify(|life| *life += 1);
        self.started(process);
    }

    /// Another process of that name starts.
    pub(crate) fn begins_anew(&mut self, process: &'static str) {
        self.lives.entry(process).and_modify(|life| *life += 1);
        self.started(process);
    }

    pub(crate) fn granted(&mut self, process: &'static str, epoch: u64) {
        self.note(process, What::Granted { component: DISPATCHER.into(), term: term(epoch) });
    }

    pub(crate) fn revoked(&mut self, process: &'static str, epoch: u64, why: Loss) {
        self.note(process, What::Revoked { component: DISPATCHER.into(), term: term(epoch), why });
    }

    /// It leads from now on, and believes that it does for so long.
    pub(crate) fn believes(&mut self, process: &'static str, epoch: u64, milliseconds: u64) {
        let until_ns = self.now_ns + milliseconds * MS;
        self.note(process, What::Believes { term: term(epoch), until_ns });
    }

    pub(crate) fn shown(&mut self, process: &'static str, observer: &str, leader: Option<(u64, &str)>) {
        let leader = leader.map(|(epoch, address)| Leader { term: term(epoch), address: address.into() });
        self.note(process, What::Shown { observer: observer.into(), component: DISPATCHER.into(), leader });
    }

    pub(crate) fn begin(&mut self, process: &'static str, epoch: u64, call: Call) -> Begun {
        self.calls += 1;
        let begun = Begun { process, life: self.life(process), op: self.calls };
        self.note(process, What::Invoked { op: begun.op, under: (epoch > 0).then(|| term(epoch)), call });
        begun
    }

    pub(crate) fn end(&mut self, begun: Begun, outcome: Outcome) {
        assert_eq!(self.life(begun.process), begun.life, "that life is over");
        self.note(begun.process, What::Returned { op: begun.op, outcome });
    }

    /// The call is made and answered. Epoch 0: under no term.
    pub(crate) fn done(&mut self, process: &'static str, epoch: u64, call: Call, answer: Answer) {
        let begun = self.begin(process, epoch, call);
        self.end(begun, Outcome::Done(answer));
    }

    /// The call is made, and done without another answer.
    pub(crate) fn wrote(&mut self, process: &'static str, epoch: u64, call: Call) {
        self.done(process, epoch, call, Answer::Nothing);
    }

    pub(crate) fn refused(&mut self, process: &'static str, epoch: u64, call: Call, kind: &str) {
        let begun = self.begin(process, epoch, call);
        self.end(begun, refused(kind));
    }

    pub(crate) fn unknown(&mut self, process: &'static str, epoch: u64, call: Call) {
        let begun = self.begin(process, epoch, call);
        self.end(begun, Outcome::Unknown { kind: "Indeterminate".into() });
    }

    pub(crate) fn reads_plan(&mut self, process: &'static str, plan: Option<&str>) {
        self.done(process, 0, Call::ReadPlan { job: "job".into() }, Answer::Value(plan.map(Into::into)));
    }

    pub(crate) fn takes(&mut self, process: &'static str, epoch: u64, id: u64) {
        self.done(process, epoch, next_id(), Answer::Id(id));
    }

    pub(crate) fn recovers(&mut self, process: &'static str, ids: &[u64]) {
        self.done(process, 0, Call::Recover { job: "job".into() }, found(ids));
    }
}

pub(crate) fn term(epoch: u64) -> Term {
    Term::new("main", epoch)
}

pub(crate) fn refused(kind: &str) -> Outcome {
    Outcome::NotApplied { kind: kind.into() }
}

pub(crate) fn next_id() -> Call {
    Call::NextId { job: "job".into() }
}

pub(crate) fn put_plan(plan: &str) -> Call {
    Call::PutPlan { job: "job".into(), plan: plan.into() }
}

pub(crate) fn remove_plan() -> Call {
    Call::RemovePlan { job: "job".into() }
}

/// A checkpoint whose state tells its id; two are retained.
pub(crate) fn add(id: u64) -> Call {
    save(id, TakenFor::Checkpoint)
}

/// The same, taken for a user, or to stop the job with.
pub(crate) fn save(id: u64, taken_for: TakenFor) -> Call {
    Call::AddCheckpoint { job: "job".into(), id, state: format!("state {id}"), retain: 2, taken_for }
}

pub(crate) fn found(ids: &[u64]) -> Answer {
    Answer::Checkpoints(ids.iter().map(|id| Checkpoint { id: *id, state: format!("state {id}") }).collect())
}

pub(crate) fn put_result(result: &str) -> Call {
    Call::PutResult { job: "job".into(), result: result.into() }
}

pub(crate) fn result(result: &str, clean: bool) -> Answer {
    Answer::Result(Some(StoredResult { result: result.into(), clean }))
}

pub(crate) fn publish(address: &str) -> Call {
    Call::Publish { component: DISPATCHER.into(), address: address.into() }
}

pub(crate) fn campaign() -> Call {
    Call::Campaign { component: DISPATCHER.into() }
}

pub(crate) fn resign() -> Call {
    Call::Resign { component: DISPATCHER.into() }
}

pub(crate) fn calm(heals_within_ms: u64) -> What {
    What::Calm { heals_within_ns: heals_within_ms * MS }
}

pub(crate) fn fault(name: &str, on: bool) -> What {
    What::Fault { name: name.into(), on }
}
