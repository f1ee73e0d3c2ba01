//! The counter, over leaders that change and answers that are lost.

use std::time::Duration;

use ha_core::{ErrorKind, HighAvailabilityServices, JobId};
use ha_testkit::process::{Event, Process, Stage, role};
use ha_testkit::proxy::{Matching, Proxy, Treatment};
use serde::{Deserialize, Serialize};

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
        let epoch: u64 = leadership.token().to_string().parse().unwrap();
        let factory = leadership.checkpoint_recovery_factory();
        let counter = factory.create_checkpoint_id_counter(&job);
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

fn told(process: &Process) -> usize {
    process.events().iter().filter(|event| event.name == "id").count()
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
            Process::spawn(w.seam.clone(), "counter::counting", &Counting { member, steps })
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

        // By term, and within a term in the order of the ids: then they grow without a double.
        all.sort_unstable();
        let leaders = all.chunk_by(|one, next| one.0 == next.0).count();
        assert!(leaders >= PROCESSES * STEPS / AT_ONCE, "{leaders} terms");
        for pair in all.windows(2) {
            assert!(pair[0].1 < pair[1].1, "an id was given out twice, or a later term began below: {pair:?}");
        }
        Ok(())
    });
}
