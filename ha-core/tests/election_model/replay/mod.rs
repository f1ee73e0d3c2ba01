//! The model's traces, carried out on the real services: electors, grants, writers, the resolution of unknown
//! outcomes and the barrier, over the contract's own state machine. Each call is answered, lost or held back as the
//! trace has it, and time passes when it says so. After each step both are compared: who attempts, waits, releases,
//! leads, under which epoch, until when; what is stored; and what every write was reported as.

mod compare;
mod driver;
mod gate;
mod hand;
mod process;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Duration;

use stateright::Model;

use crate::configurations::{REPLAYED, REPLAYED_WRITES};
use crate::model::{Action, Protocol};
use crate::world::World;
use driver::Driver;

/// One tick of the model. Everything that happens between two of them takes less.
pub(crate) const TICK: Duration = Duration::from_secs(120);

/// Replays one trace; how many steps of it were compared.
fn replay(protocol: &Protocol, trace: &[Action]) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let world = protocol.init_states().remove(0);
        let mut driver = Driver::new(protocol, world);
        for (at, action) in trace.iter().enumerate() {
            if !driver.can(*action) {
                return at;
            }
            if let Err(differs) = driver.step(*action).await {
                panic!("{}, after {:?}: {differs}", protocol.name, &trace[..=at]);
            }
        }
        trace.len()
    })
}

/// For every transition of the model within that many steps, a shortest trace that ends with it; of those that begin
/// others, only the others.
fn covering(protocol: &Protocol, steps: usize) -> Vec<Vec<Action>> {
    let mut traces = Vec::new();
    let mut seen = HashSet::new();
    let mut reached: VecDeque<(World, Vec<Action>)> =
        protocol.init_states().into_iter().map(|it| (it, vec![])).collect();
    while let Some((world, trace)) = reached.pop_front() {
        let mut actions = Vec::new();
        protocol.actions(&world, &mut actions);
        let mut extended = false;
        for action in actions {
            let Some(next) = protocol.next_state(&world, action).filter(|next| protocol.within_boundary(next)) else {
                continue;
            };
            let longer: Vec<Action> = trace.iter().copied().chain([action]).collect();
            let new = seen.insert(next.clone());
            if new && longer.len() < steps {
                reached.push_back((next, longer));
                extended = true;
            } else {
                traces.push(longer);
            }
        }
        if !extended && !trace.is_empty() {
            traces.push(trace);
        }
    }
    traces
}

/// A walk of so many steps that the seed chooses.
fn walk(protocol: &Protocol, seed: u64, steps: usize) -> Vec<Action> {
    let (mut world, mut trace) = (protocol.init_states().remove(0), Vec::new());
    let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    while trace.len() < steps {
        let mut actions = Vec::new();
        protocol.actions(&world, &mut actions);
        actions.retain(|action| protocol.within_boundary(&protocol.step(&world, *action)));
        if actions.is_empty() {
            break;
        }
        random = random.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        let action = actions[(random >> 33) as usize % actions.len()];
        world = protocol.step(&world, action);
        trace.push(action);
    }
    trace
}

fn replay_all(protocol: &Protocol, how: &str, traces: &[Vec<Action>]) {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    let mut steps = 0;
    for trace in traces {
        let compared = replay(protocol, trace);
        steps += compared;
        for action in &trace[..compared] {
            let name = format!("{action:?}");
            *kinds.entry(name.split('(').next().unwrap_or_default().to_owned()).or_default() += 1;
        }
    }
    println!("{}, {how}: {} traces, {steps} steps compared: {kinds:?}", protocol.name, traces.len());
}

#[test]
fn every_short_trace_of_an_election_is_what_the_services_do() {
    replay_all(&REPLAYED, "covering", &covering(&REPLAYED, 5));
}

#[test]
fn every_short_trace_of_a_leaders_writes_is_what_the_services_do() {
    replay_all(&REPLAYED_WRITES, "covering", &covering(&REPLAYED_WRITES, 6));
}

#[test]
fn long_walks_through_elections_and_writes_are_what_the_services_do() {
    let traces: Vec<_> = (0..150).map(|seed| walk(&REPLAYED, seed, 40)).collect();
    replay_all(&REPLAYED, "walks", &traces);
    let traces: Vec<_> = (0..150).map(|seed| walk(&REPLAYED_WRITES, seed, 40)).collect();
    replay_all(&REPLAYED_WRITES, "walks", &traces);
}
