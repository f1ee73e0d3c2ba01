//! Connections that are cut again and again.

use std::time::Duration;

use ha_core::{ErrorKind, HighAvailabilityServices, JobId};
use ha_testkit::process::{Event, Process, Stage, role};
use ha_testkit::proxy::{Fault, Proxy};

use crate::member::Member;
use crate::retrievers::seen;
use crate::world::{World, heavy, in_time, run};

/// How often the connections are cut.
const CUTS: u32 = 40;
/// More steps than any of these takes in a term that nothing disturbs.
const PAUSE: Duration = Duration::from_millis(2);

async fn step(member: Member, stage: Stage) {
    let services = member.services(stage.seam()).await;
    let job = JobId::new("job").unwrap();
    loop {
        let Ok(leadership) = services.dispatcher_leader_election().unwrap().campaign().await else {
            stage.seam().sleep(PAUSE).await;
            continue;
        };
        let epoch = leadership.token().epoch();
        let counter = leadership.checkpoint_recovery_factory().create_checkpoint_id_counter(&job);
        let lost = async { stage.tell("lost", (epoch, leadership.lost().await.to_string())) };
        let work = async {
            let (mut published, mut started) = (false, false);
            while leadership.is_valid() {
                // What a cut undoes is done again, as long as it leads.
                published = published || leadership.publish(&member.label).await.is_ok();
                started = started || counter.start().await.is_ok();
                if started {
                    match counter.get_and_increment().await {
                        Ok(id) => stage.tell("id", (epoch, id)),
                        Err(error) if matches!(error.kind(), ErrorKind::NotLeader | ErrorKind::Fenced) => break,
                        Err(error) => stage.tell("trouble", error.to_string()),
                    }
                }
                stage.seam().sleep(PAUSE).await;
            }
        };
        futures_util::join!(lost, work);
    }
}

#[test]
fn stepper() {
    role("flapping::stepper", step);
}

fn ids(events: &[Event]) -> Vec<(u64, u64)> {
    let ids = events.iter().filter(|event| event.name == "id");
    ids.map(|event| serde_json::from_value(event.value.clone()).unwrap()).collect()
}

#[test]
fn over_connections_that_are_cut_again_and_again_steps_are_unique_and_a_retriever_is_never_deaf_nor_goes_back() {
    run(async {
        // Fails if a cut in the wrong moment counts a step twice, ends a term for one side alone, leaves a watch that
        // hears nothing, or shows a leader again whose successor was shown.
        let _turn = heavy().await;
        let w = World::shared().await?;
        let proxy = Proxy::to(w.agent.address(), w.seam.clone()).await;
        let through = |label: &str| w.place.member(label, &[proxy.address().to_owned()]);
        let spawn = |role: &str, label: &str| Process::spawn(w.seam.clone(), role, &through(label));
        let steppers = ["one", "other"].map(|label| spawn("flapping::stepper", label));
        let retriever = spawn("retrievers::retriever", "retriever");
        retriever.until("a leader", |events| (!seen(events).is_empty()).then_some(())).await;

        let taken = || steppers.iter().map(|stepper| ids(&stepper.events()).len()).sum::<usize>();
        for turn in 0..CUTS {
            // Short ones and long ones: in a third of a silence a renewal is missed, in one and a half a term is lost.
            let ms = match turn % 10 {
                9 => 2_300,
                other => u64::from(other) * 60,
            };
            proxy.fault(Fault::Cut);
            w.seam.sleep(Duration::from_millis(ms)).await;
            proxy.fault(Fault::None);
            let before = taken();
            in_time(&w.seam, "steps are taken again", async {
                while taken() < before + 5 {
                    w.seam.sleep(Duration::from_millis(10)).await;
                }
            })
            .await;
        }

        let mut all: Vec<(u64, u64)> = steppers.iter().flat_map(|stepper| ids(&stepper.events())).collect();
        all.sort_unstable();
        for pair in all.windows(2) {
            assert!(pair[0].1 < pair[1].1, "an id was given out twice, or a later term began below: {pair:?}");
        }
        let terms = all.chunk_by(|one, next| one.0 == next.0).count();
        assert!(terms > 1, "no term was lost in all the cuts");
        eprintln!("{CUTS} cuts: {} steps in {terms} terms", all.len());
        // The last one that was published in the end.
        let heard = |events: &[Event]| {
            let last = steppers.iter().filter_map(|stepper| ids(&stepper.events()).last().copied()).max()?;
            (seen(events).last() == Some(&last.0)).then_some(())
        };
        retriever.until("the leader of the end", heard).await;
        let seen = seen(&retriever.events());
        assert!(seen.is_sorted(), "an older leader after a newer one: {seen:?}");
        Ok(())
    });
}
