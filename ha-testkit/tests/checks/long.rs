//! A long history, as a simulation or an hour of chaos writes one: right by construction, judged with little work.

use std::collections::BTreeMap;

use ha_testkit::checks::{self, Check, Linearizable};
use ha_testkit::history::{Answer, Call, Event, Loss};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::story::{Story, add, found, next_id, publish, put_plan, put_result, remove_plan, result};

/// A store as it is, of which the history tells what its callers learn.
#[derive(Default)]
struct Truth {
    next: u64,
    plan: Option<String>,
    checkpoints: BTreeMap<u64, ()>,
}

impl Truth {
    /// One call of the leader; one in ten is never answered, and half of those are applied all the same.
    fn step(&mut self, s: &mut Story, random: &mut StdRng, epoch: u64, at: usize) {
        let leader = ["a", "b"][usize::try_from(epoch % 2).expect("0 or 1")];
        let is_unknown = random.random_range(0..10) == 0;
        let applies = !is_unknown || random.random_bool(0.5);
        let plan = format!("plan {at}");
        let (call, answer): (Call, Answer) = match random.random_range(0..7) {
            0 => (next_id(), Answer::Id(self.next + 1)),
            1 => (add(1000 + at as u64), Answer::Nothing),
            2 => (put_plan(&plan), Answer::Nothing),
            3 => (remove_plan(), Answer::Nothing),
            4 => return s.reads_plan("c", self.plan.as_deref()),
            5 => {
                let ids: Vec<u64> = self.checkpoints.keys().copied().collect();
                return s.done("c", 0, Call::Recover { job: "job".into() }, found(&ids));
            }
            _ => return s.done("c", 0, Call::ReadCounter { job: "job".into() }, Answer::Id(self.next + 1)),
        };
        if applies {
            match &call {
                Call::NextId { .. } => self.next += 1,
                Call::PutPlan { .. } => self.plan = Some(plan),
                Call::RemovePlan { .. } => self.plan = None,
                _ => {
                    self.checkpoints.insert(1000 + at as u64, ());
                    while self.checkpoints.len() > 2 {
                        self.checkpoints.pop_first();
                    }
                }
            }
        }
        if is_unknown {
            s.unknown(leader, epoch, call);
        } else {
            s.done(leader, epoch, call, answer);
        }
    }
}

fn long_history(seed: u64, calls: usize, calls_per_term: usize) -> Vec<Event> {
    let mut random = StdRng::seed_from_u64(seed);
    Story::tell(|s| {
        let (mut truth, mut epoch) = (Truth::default(), 0);
        for at in 0..calls {
            if at % calls_per_term == 0 {
                if epoch > 0 {
                    s.revoked(["a", "b"][usize::try_from(epoch % 2).expect("0 or 1")], epoch, Loss::Untold);
                }
                epoch += 1;
                s.granted(["a", "b"][usize::try_from(epoch % 2).expect("0 or 1")], epoch);
            }
            truth.step(s, &mut random, epoch, at);
        }
    })
}

#[test]
fn long_histories_with_unknown_outcomes_pass_in_about_as_many_steps_as_they_have_events() {
    for seed in 0..2 {
        let history = long_history(seed, 1500, 100);
        assert_eq!(Linearizable { steps_max: 8 * history.len() }.check(&history), Ok(()), "seed {seed}");
        assert_eq!(checks::judge(&history), [], "seed {seed}");
    }
}

/// As [`long_history`], with jobs that end now and then, results that come and go, and observers.
fn whole_run(seed: u64, calls: usize) -> Vec<Event> {
    let mut random = StdRng::seed_from_u64(seed);
    let remove = [Call::RemoveCounter { job: "job".into() }, Call::RemoveCheckpoints { job: "job".into() }];
    Story::tell(|s| {
        let (mut truth, mut epoch) = (Truth::default(), 0);
        let mut leader = "b";
        for at in 0..calls {
            if at % 150 == 0 {
                if epoch > 0 {
                    s.revoked(leader, epoch, Loss::Untold);
                }
                epoch += 1;
                leader = if epoch % 2 == 0 { "a" } else { "b" };
                s.granted(leader, epoch);
                s.wrote(leader, epoch, publish(leader));
                ["watch", "listener"].into_iter().for_each(|one| s.shown("c", one, Some((epoch, leader))));
            }
            truth.step(s, &mut random, epoch, at);
            if at % 10 == 0 {
                s.believes(leader, epoch, 1);
                s.wrote(leader, epoch, put_result(&format!("result {at}")));
                let answer = result(&format!("result {at}"), false);
                s.done("c", 0, Call::ReadResult { job: "job".into() }, answer);
                s.wrote(leader, epoch, Call::CleanResult { job: "job".into(), keeps: false });
            }
            if at % 1000 == 999 {
                (truth.next, truth.checkpoints) = (0, BTreeMap::new());
                remove.iter().for_each(|call| s.wrote(leader, epoch, call.clone()));
            }
        }
    })
}

#[test]
fn a_history_of_a_hundred_thousand_events_is_judged_without_going_through_it_for_each_read() {
    // It fails by taking minutes: nothing here depends on how long it takes.
    let history = whole_run(7, 40_000);
    assert!(history.len() > 100_000, "{}", history.len());
    let seam = ha_core::seam::Seam::system();
    for check in checks::all() {
        let began = seam.now();
        assert_eq!(check.check(&history), Ok(()), "{}", check.name());
        println!("{:<30} {:?}", check.name(), seam.now().since(began));
    }
}

#[test]
fn one_wrong_answer_in_a_long_history_is_found() {
    for seed in 0..2 {
        let mut history = long_history(seed, 500, 100);
        let mut reads = history.iter().enumerate().filter(|(_, event)| event.to_string().contains("Value(Some("));
        let (position, _) = reads.next_back().expect("a read of a plan");
        let mut lines: Vec<String> = ha_testkit::history::write_lines(&history).lines().map(Into::into).collect();
        lines[position] = lines[position].replace("plan ", "plan -");
        let text = lines.join("\n") + "\n";
        history = ha_testkit::history::read_lines(text.as_bytes(), ha_testkit::history::Ending::Whole).expect("lines");
        let found: Vec<&str> = checks::judge(&history).iter().map(|violation| violation.check).collect();
        assert!(found.contains(&"not applied never appears"), "seed {seed}: {found:?}");
        assert!(found.contains(&"linearizable"), "seed {seed}: {found:?}");
    }
}
