//! A history as a chaos run writes it, without the run: so many seconds of five processes.

use ha_testkit::history::{Answer, Call, EarlyEnd, Event, Loss, Outcome, Recording, Scribe, TakenFor, Term, What};

const MS: u64 = 1_000_000;
const PROCESSES: usize = 5;
const COMPONENTS: [&str; 3] = ["dispatcher", "resource_manager", "rest_server"];

/// A generator of Knuth's: the same numbers each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

struct Run {
    recording: Recording,
    numbers: Numbers,
    lives: Vec<(u32, Scribe)>,
    calls: Vec<(u64, usize, What)>,
    now: u64,
    epoch: u64,
    leader: usize,
}

/// Such a history: every ten seconds something happens to the leader; every `every_ms` each process calls.
pub(crate) fn history(seconds: u64, every_ms: u64) -> Vec<Event> {
    let recording = Recording::timeless();
    let lives = (0..PROCESSES).map(|process| (1, recording.scribe(&format!("jm-{}", process + 1), 1))).collect();
    let mut run = Run { recording, numbers: Numbers(7), lives, calls: Vec::new(), now: 0, epoch: 0, leader: 0 };
    for process in 0..PROCESSES {
        run.note(process, What::Started);
    }
    run.granted(0);
    let mut trouble = 10_000;
    while run.now < seconds * 1000 {
        run.now += every_ms;
        (0..PROCESSES).for_each(|process| run.call(process));
        if run.now >= trouble {
            trouble += 10_000;
            run.trouble();
        }
    }
    run.settle(u64::MAX);
    run.recording.events()
}

impl Run {
    fn at(&self, after_ms: u64) -> u64 {
        (self.now + after_ms) * MS
    }

    fn note(&mut self, process: usize, what: What) {
        let incarnation = self.lives[process].0;
        self.calls.push((self.at(0), process, what));
        // The scribe is of the newest life.
        assert_eq!(incarnation, self.lives[process].0);
        self.settle(self.at(0));
    }

    /// Writes down what was to come until then.
    fn settle(&mut self, until: u64) {
        let mut due: Vec<_> = self.calls.extract_if(.., |call| call.0 <= until).collect();
        due.sort_by_key(|call| call.0);
        for (at, process, what) in due {
            let incarnation = self.lives[process].0;
            self.recording.note_at(at, &format!("jm-{}", process + 1), incarnation, what);
        }
    }

    fn granted(&mut self, process: usize) {
        (self.leader, self.epoch) = (process, self.epoch + 1);
        for component in COMPONENTS {
            let term = Term::new("main", self.epoch);
            self.note(process, What::Granted { component: component.into(), term });
        }
    }

    fn revoked(&mut self, why: Loss) {
        for component in COMPONENTS {
            let term = Term::new("main", self.epoch);
            self.note(self.leader, What::Revoked { component: component.into(), term, why });
        }
    }

    fn call(&mut self, process: usize) {
        self.settle(self.at(0));
        let (op, job) = (self.numbers.below(u64::MAX), format!("job-{}", self.numbers.below(4)));
        let (under, call) = match (process == self.leader, self.numbers.below(3)) {
            (true, 0) => (Some(Term::new("main", self.epoch)), Call::NextId { job }),
            (true, _) => {
                let state = format!("state of {op:x}");
                (
                    Some(Term::new("main", self.epoch)),
                    Call::AddCheckpoint { job, id: op % 1000, state, retain: 3, taken_for: TakenFor::Checkpoint },
                )
            }
            (false, 0) => (None, Call::Recover { job }),
            (false, _) => (None, Call::ReadPlan { job }),
        };
        let at = self.at(0) + self.numbers.below(MS);
        self.calls.push((at, process, What::Invoked { op, under, call }));
        let slow = if self.numbers.below(40) == 0 { 40 } else { 1 };
        let took = (1 + self.numbers.below(6) + self.numbers.below(3) * self.numbers.below(12)) * slow * MS / 2;
        let outcome = match self.numbers.below(400) {
            0 => return,
            1 | 2 => Outcome::Unknown { kind: "Indeterminate".into() },
            3..8 => Outcome::NotApplied { kind: "Fenced".into() },
            _ => Outcome::Done(Answer::Id(op % 1000)),
        };
        self.calls.push((at + took, process, What::Returned { op, outcome }));
    }

    fn fault(&mut self, name: &str, on: bool, after_ms: u64) {
        self.recording.note_at(self.at(after_ms), "nemesis", 0, What::Fault { name: name.into(), on });
    }

    /// Something happens to the leader, and another one leads.
    fn trouble(&mut self) {
        let (old, next) =
            (self.leader, (self.leader + 1 + self.numbers.below(PROCESSES as u64 - 1) as usize) % PROCESSES);
        let names = ["kill", "pause", "cut off from the store", "server restarted", "disk is full"];
        let which = self.numbers.below(5) as usize;
        self.fault(names[which], true, 0);
        match which {
            0 => {
                self.note(old, What::Killed);
                self.calls.retain(|call| call.1 != old);
            }
            1 => self.note(old, What::Paused),
            _ => {}
        }
        self.now += 200 + self.numbers.below(4000);
        if which == 3 {
            let term = Term::new("main", self.epoch);
            let early = What::EndedEarly { term, by: EarlyEnd::Store };
            self.recording.note_at(self.at(0), "nemesis", 0, early);
        }
        if which > 1 {
            self.revoked(Loss::DeadlinePassed);
            self.now += 30 + self.numbers.below(300);
        }
        let (before, term) = (self.leader, self.epoch);
        self.granted(next);
        self.now += 500;
        match which {
            0 => {
                let life = self.lives[old].0 + 1;
                self.lives[old] = (life, self.recording.scribe(&format!("jm-{}", old + 1), life));
                self.note(old, What::Started);
            }
            1 => {
                self.note(before, What::Resumed);
                for component in COMPONENTS {
                    let (term, why) = (Term::new("main", term), Loss::DeadlinePassed);
                    self.note(before, What::Revoked { component: component.into(), term, why });
                }
            }
            _ => {}
        }
        self.fault(names[which], false, 0);
    }
}
