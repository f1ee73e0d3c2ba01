use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::ended;
use super::executor::Owner;
use super::nemesis;
use super::scenario::{Clocks, PROCESSES, Scenario};
use super::world::{AUDITOR, Common, World};
use crate::checks::{Check as _, SilenceIsPatient, Violation};
use crate::history::{Event, What};

/// The healing bound of a simulated world: within what time the cluster is whole again once nothing goes wrong any more,
/// by the clock of the world. Whole is: somebody leads and has published, every observer of every process shows it, and
/// a write was acknowledged. `docs/proof.md#healing` says how it comes about, and what it is elsewhere.
///
/// It is made of what may still be on its way when the calm begins: a message arrives up to 20 seconds late; whoever
/// waits for the answer to a watch that was lost does so for 35 seconds; a silence lasts up to 5; and a few round trips.
pub const HEALS_WITHIN: Duration = Duration::from_secs(60);
/// Within what time a last process leads and has read everything.
const AUDITED_WITHIN: Duration = Duration::from_secs(60);

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which check has found it.
    pub check: String,
    /// What it is, with the events that show it.
    pub text: String,
}

impl From<Violation> for Finding {
    fn from(violation: Violation) -> Self {
        Self { check: violation.check.into(), text: violation.to_string() }
    }
}

/// What came of a simulated world.
#[derive(Debug)]
#[non_exhaustive]
pub struct Ran {
    /// Which world it was.
    pub scenario: Scenario,
    /// What happened in it.
    pub history: Vec<Event>,
    /// How long it took by its own clock.
    pub simulated: Duration,
    /// How often what went wrong with single messages and calls, by name. Faults that last stand in the history.
    pub injected: BTreeMap<String, u64>,
    /// What must not be. Empty if all is well.
    pub findings: Vec<Finding>,
}

/// Lets a world run from its beginning to its end, and judges it.
#[must_use]
pub fn simulate(scenario: Scenario) -> Ran {
    super::run(scenario.seed, async |seam| {
        let began = seam.now();
        let world = World::new(scenario, seam.clone());
        if let Common::Model(store) = &world.common {
            world.executor.spawn(Owner::WORLD, Arc::clone(store).watch_over_sessions());
        }
        let (tell, told) = oneshot::channel();
        let script = script(Arc::clone(&world));
        world.executor.spawn(Owner::WORLD, async move {
            // Whoever runs the world waits for it.
            let _ = tell.send(script.await);
        });
        let mut findings = world.executor.run_until(told).await.unwrap_or_default();
        let silence = scenario.clocks == Clocks::WithinBound;
        let judged =
            crate::checks::all().into_iter().filter(|check| silence || check.name() != SilenceIsPatient.name());
        let history = world.recording.take();
        findings.extend(judged.filter_map(|check| check.check(&history).err()).map(Finding::from));
        findings.extend(ended::written_after(&history, &world.over()));
        findings.extend(world.executor.panics().into_iter().map(|(_, text)| finding("nothing panics", &text)));
        world.executor.end();
        let simulated = seam.now().since(began);
        let injected = world.counters.by_name();
        Ran { scenario, history, simulated, injected, findings }
    })
}

pub(super) fn finding(check: &str, text: &str) -> Finding {
    Finding { check: check.into(), text: text.into() }
}

/// Trouble, calm, healing, and at the end one who reads everything.
async fn script(world: Arc<World>) -> Vec<Finding> {
    let mut findings = Vec::new();
    (0..PROCESSES).for_each(|process| world.start(process));
    nemesis::trouble(Arc::clone(&world)).await;
    nemesis::calm(&world);
    world.is_calm();
    world.note(What::Calm { heals_within_ns: HEALS_WITHIN.as_nanos() as u64 });
    match until(&world, HEALS_WITHIN, World::is_whole).await {
        true => world.note(What::Healed),
        false => findings.push(finding("the cluster heals", "it did not heal in time after the last fault")),
    }
    (0..PROCESSES).for_each(|process| world.kill(process));
    world.start(AUDITOR);
    if !until(&world, AUDITED_WITHIN, World::is_audited).await {
        findings.push(finding("the cluster heals", "a last process could not lead and read everything in time"));
    }
    findings
}

async fn until(world: &Arc<World>, at_most: Duration, so: impl Fn(&World) -> bool) -> bool {
    let began = world.seam.now();
    while !so(world) {
        if world.seam.now().since(began) > at_most {
            return false;
        }
        world.seam.sleep(Duration::from_millis(50)).await;
    }
    true
}
