//! The counter, over leaders that change and answers that are lost.

use std::time::Duration;

use ha_testkit::process::{Process, role};
use ha_testkit::proxy::{Matching, Proxy, Treatment};
use ha_testkit::trials::{Counting, assert_unique_and_growing, count, ids};

use crate::member::Member;
use crate::world::{World, heavy, run};

const PROCESSES: usize = 8;
const STEPS: usize = 2_000;
/// How many steps a process takes before it lets another lead.
const AT_ONCE: usize = 250;
/// A process of these is killed in the middle, and another takes up the rest of its steps.
const KILLED: usize = 2;
/// Every answer that is lost costs a second look.
const BETWEEN_FAULTS: Duration = Duration::from_millis(400);

#[test]
fn counting() {
    role("counter::counting", count::<Member>);
}

fn told(process: &Process) -> usize {
    ids(&process.events()).len()
}

#[test]
fn eight_processes_count_to_sixteen_thousand_without_a_double() {
    run(async {
        // Fails if a step is applied twice after a lost answer, or a new leader begins below an id that was given out.
        let _turn = heavy().await;
        let w = World::shared().await?;
        let proxy = Proxy::to(w.agent.address(), w.seam.clone()).await;
        let start = |number: usize, steps: usize| {
            let member = w.place.member(&format!("counter {number}"), &[proxy.address().to_owned()]);
            Process::spawn(w.seam.clone(), "counter::counting", &Counting { member, steps, at_once: AT_ONCE })
        };
        let mut processes: Vec<Process> = (0..PROCESSES).map(|number| start(number, STEPS)).collect();
        let mut all: Vec<(u64, u64)> = Vec::new();
        let matching = || Matching::path("/v1/txn").body("checkpoint_id_counter").times(1);
        let (mut killed, mut treated, mut turn) = (0, Vec::new(), 0_usize);
        let counting = async {
            loop {
                let told: Vec<usize> = processes.iter().map(told).collect();
                let sum = told.iter().sum::<usize>() + all.len();
                if sum >= PROCESSES * STEPS {
                    return;
                }
                // One that is in the middle of its steps dies at once.
                let victim = (0..PROCESSES).find(|number| (STEPS / 4..STEPS / 2).contains(&told[*number]));
                if let Some(victim) = victim.filter(|_| killed < KILLED && sum > (killed + 1) * PROCESSES * STEPS / 4) {
                    let process = &mut processes[victim];
                    process.kill();
                    process.exited().await;
                    let before = ids(&process.events());
                    *process = start(victim, STEPS - before.len());
                    all.extend(before);
                    killed += 1;
                }
                let kinds = [Treatment::LoseAnswer, Treatment::Twice, Treatment::TearAnswer, Treatment::Refuse];
                treated.push(proxy.treat(matching(), kinds[turn % kinds.len()]));
                turn += 1;
                w.seam.sleep(BETWEEN_FAULTS).await;
            }
        };
        let finished = w.seam.timeout(Duration::from_secs(240), counting).await;
        assert!(finished.is_some(), "they do not come to an end");
        let trouble: usize = treated.iter().map(|rule| usize::try_from(rule.count()).unwrap()).sum();
        assert!(trouble > 20 && killed == KILLED, "{trouble} answers were lost and {killed} processes died");
        for process in &processes {
            all.extend(ids(&process.events()));
        }

        let terms = assert_unique_and_growing(all);
        assert!(terms >= PROCESSES * STEPS / AT_ONCE, "{terms} terms");
        Ok(())
    });
}
