//! The counter, over leaders that change and leaders that are killed.

use std::time::Duration;

use ha_core::{ErrorKind, HighAvailabilityServices, JobId};
use ha_testkit::process::{Event, Process, Stage, role};
use ha_testkit::run::block_on;
use serde::{Deserialize, Serialize};

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
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Serialize, Deserialize)]
struct Counting {
    member: Member,
    steps: usize,
}

async fn count(counting: Counting, stage: Stage) {
    let services = counting.member.services(stage.seam()).await;
    let job = JobId::new("job").unwrap();
    let mut left = counting.steps;
    while left > 0 {
        let leadership = services.dispatcher_leader_election().unwrap().campaign().await.unwrap();
        let epoch = leadership.token().epoch();
        let counter = leadership.checkpoint_recovery_factory().create_checkpoint_id_counter(&job);
        let mut here = 0;
        if counter.start().await.is_ok() {
            while left > 0 && here < AT_ONCE {
                match counter.get_and_increment().await {
                    Ok(id) => {
                        stage.tell("id", (epoch, id));
                        (left, here) = (left - 1, here + 1);
                    }
                    Err(error) if matches!(error.kind(), ErrorKind::NotLeader | ErrorKind::Fenced) => break,
                    // An id may be used up that nobody has.
                    Err(error) => stage.tell("trouble", error.to_string()),
                }
            }
        }
        // If it cannot give up in order, its silence does.
        let _ = stage.seam().timeout(Duration::from_secs(5), leadership.resign()).await;
    }
    stage.tell("done", ());
    std::future::pending().await
}

#[test]
fn counting() {
    role("counter::counting", count);
}

fn ids(events: &[Event]) -> Vec<(u64, u64)> {
    let ids = events.iter().filter(|event| event.name == "id");
    ids.map(|event| serde_json::from_value(event.value.clone()).unwrap()).collect()
}

#[test]
fn eight_processes_count_to_sixteen_thousand_without_a_double_while_leaders_are_killed() {
    block_on(async {
        // Fails if a step is applied twice, or a new leader begins below an id that was given out.
        let _turn = heavy().await;
        let w = World::in_memory();
        let start = |number: usize, steps: usize| {
            let member = w.member(&format!("counter {number}"));
            Process::spawn(w.seam.clone(), "counter::counting", &Counting { member, steps })
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
                let is_due = killed < KILLED && sum > (killed + 1) * PROCESSES * STEPS / (KILLED + 1);
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
        // By term, and within a term in the order of the ids: then they grow without a double.
        all.sort_unstable();
        let leaders = all.chunk_by(|one, next| one.0 == next.0).count();
        assert!(leaders > KILLED, "{leaders} terms");
        for pair in all.windows(2) {
            assert!(pair[0].1 < pair[1].1, "an id was given out twice, or a later term began below: {pair:?}");
        }
        ha_testkit::run::tell(format_args!(
            "{} steps of {PROCESSES} processes in {leaders} terms, {killed} leaders killed",
            all.len()
        ));
    });
}
