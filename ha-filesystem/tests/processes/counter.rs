//! The counter, over leaders that change and leaders that are killed.

use std::time::Duration;

use ha_testkit::process::{Process, role};
use ha_testkit::run::{block_on, tell};
use ha_testkit::trials::{Counting, assert_unique_and_growing, count, ids};

use crate::member::Member;
use crate::world::{World, heavy};

const PROCESSES: usize = 8;
const STEPS: usize = 2_000;
/// How many steps a process takes before it lets another lead.
const AT_ONCE: usize = 250;
/// So many are killed while they lead, and others take up the rest of their steps.
const KILLED: usize = 8;
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// For all of it, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(900);

#[test]
fn counting() {
    role("counter::counting", count::<Member>);
}

#[test]
fn eight_processes_count_to_sixteen_thousand_without_a_double_while_leaders_are_killed() {
    block_on(async {
        // Fails if a step is applied twice, or a new leader begins below an id that was given out.
        let _turn = heavy().await;
        let w = World::in_memory();
        let start = |number: usize, steps: usize| {
            let member = w.member(&format!("counter {number}"));
            Process::spawn(w.seam.clone(), "counter::counting", &Counting { member, steps, at_once: AT_ONCE })
        };
        let mut processes: Vec<Process> = (0..PROCESSES).map(|number| start(number, STEPS)).collect();
        let mut all: Vec<(u64, u64)> = Vec::new();
        let (mut killed, mut goals) = (0, [STEPS; PROCESSES]);
        let counting = async {
            loop {
                let told: Vec<_> = processes.iter().map(|process| ids(&process.events())).collect();
                let sum = told.iter().map(Vec::len).sum::<usize>() + all.len();
                if sum >= PROCESSES * STEPS {
                    return;
                }
                // The one that leads, by what is known.
                let leader = told.iter().enumerate().max_by_key(|(_, ids)| ids.last().copied()).unwrap().0;
                // In the first half: whoever looks may be late, and must not come after the last step.
                let is_due = killed < KILLED && sum > (killed + 1) * PROCESSES * STEPS / (2 * KILLED);
                if is_due && told[leader].len() % AT_ONCE > 0 {
                    let process = &mut processes[leader];
                    process.kill();
                    process.exited().await;
                    // Told before it died, all of it.
                    let before = ids(&process.events());
                    goals[leader] -= before.len();
                    *process = start(leader, goals[leader]);
                    all.extend(before);
                    killed += 1;
                }
                w.seam.sleep(LOOK_EVERY).await;
            }
        };
        let finished = w.seam.timeout(PATIENCE, counting).await;
        assert!(finished.is_some(), "they do not come to an end");
        assert_eq!(killed, KILLED);
        for process in &processes {
            all.extend(ids(&process.events()));
        }
        let steps = all.len();
        let terms = assert_unique_and_growing(all);
        assert!(terms > KILLED, "{terms} terms");
        tell(format_args!("{steps} steps of {PROCESSES} processes in {terms} terms, {killed} leaders killed"));
    });
}
