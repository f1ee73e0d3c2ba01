//! Reading the handles of ten thousand plans, beside a minimal program that decodes the same.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ha_consul::{Consul, ConsulSettings};
use ha_core::backend::Prefix;
use ha_core::plan::ExecutionPlan;
use ha_core::seam::Seam;
use ha_core::{HighAvailabilityServices, JobId};
use ha_testkit::bench::Result;
use ha_testkit::bench::cluster::lead;
use ha_testkit::bench::plans::{Pointer, handles, raised_kib, resident_kib};
use ha_testkit::process::{Process, Stage};
use ha_testkit::trials::Member as _;
use reqwest::Method;
use serde::{Deserialize, Serialize};

use crate::bare::{Bare, cas};
use crate::leader::Member;
use crate::stores::Deaf;
use crate::table::{self, Times};

const PLANS: usize = 10_000;
const ROUNDS: usize = 15;
/// What fits into one transaction.
const BATCH: usize = 60;

/// What a program would declare that reads it without this library.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Pair {
    key: String,
    value: String,
    modify_index: u64,
}

/// Where a process of its own finds the plans.
#[derive(Serialize, Deserialize)]
pub(crate) struct Place {
    agent: String,
    below: String,
}

/// The role of that process: it tells by how much the list has raised its memory, in KiB, at the worst moment.
pub(crate) async fn recover(place: Place, stage: Stage) {
    let recovering = async {
        let consul = Consul::connect(ConsulSettings::at(&place.agent), stage.seam().clone()).await?;
        let before = resident_kib();
        let handles = handles(&consul, &Prefix::new(&place.below)?).await?;
        let raised = raised_kib(before);
        drop(handles);
        Result::Ok(raised)
    };
    match recovering.await {
        Ok(kib) => stage.tell("recovered", kib),
        Err(error) => stage.tell("failed", error.to_string()),
    }
}

pub(crate) async fn measure(agent: &str) -> Result<()> {
    let (seam, bare) = (Seam::system(), Bare::new(agent)?);
    let member = Member::new(agent, "recovering");
    let services = member.services(&Seam::system()).await?;
    let leadership = lead(&member, &services).await?;
    let store = leadership.execution_plan_store();
    store.start(std::sync::Arc::new(Deaf)).await?;
    store.put_execution_plan(&ExecutionPlan::new(JobId::new("job-00000")?, Bytes::from_static(b"plan"))).await?;
    store.stop().await?;
    let below = format!("{}/execution-plans/", member.place());
    let value = bare.pair(&format!("{below}job-00000")).await?["Value"].take();
    let numbers: Vec<usize> = (1..PLANS).collect();
    for batch in numbers.chunks(BATCH) {
        let plans: Vec<_> = batch.iter().map(|n| cas(&format!("{below}job-{n:05}"), 0, &value, 0)).collect();
        bare.transact(&plans).await?;
    }

    let consul = Consul::connect(ConsulSettings::at(agent), seam.clone()).await?;
    let prefix = Prefix::new(&below)?;
    let (mut ours, mut ids, mut plain, mut bytes) = (Times::new(), Times::new(), Times::new(), 0);
    for _ in 0..ROUNDS {
        let began = seam.now();
        let handles = handles(&consul, &prefix).await?;
        let ended = seam.now();
        assert_eq!(std::hint::black_box(handles).len(), PLANS);
        ours.add(ended.since(began));

        let began = seam.now();
        let (handles, body) = minimal(&bare, &below).await?;
        let ended = seam.now();
        assert_eq!(std::hint::black_box(handles).len(), PLANS);
        plain.add(ended.since(began));
        bytes = body;

        let began = seam.now();
        let jobs = store.job_ids().await?;
        ids.add(seam.now().since(began));
        assert_eq!(jobs.len(), PLANS);
    }
    table::head(&format!("Recovery of {PLANS} plans' handles: one request, {} KiB of answer", bytes >> 10));
    table::line("list and decode (goal 1.5x)", &ours, &plain);
    table::line("the store's own job_ids", &ids, &plain);
    let place = Place { agent: agent.into(), below: below.clone() };
    let recovering = Process::spawn(seam.clone(), "recovering", &place);
    match recovering.told("recovered").await.value.as_f64() {
        Some(kib) => {
            println!("memory at the worst moment: {:.1} times the answer (goal 4)", kib * 1024.0 / bytes as f64)
        }
        None => println!("this system does not tell how much memory it takes"),
    }
    leadership.resign().await?;
    services.close().await?;
    bare.ask(Method::DELETE, &format!("kv/{below}?recurse"), Vec::new()).await?;
    Ok(())
}

/// Reads the prefix and decodes JSON, values and records, in the shortest way there is.
async fn minimal(bare: &Bare, below: &str) -> Result<(Vec<(String, u64, Pointer)>, usize)> {
    let answer = bare.ask(Method::GET, &format!("kv/{below}?recurse&consistent"), Vec::new()).await?;
    let pairs: Vec<Pair> = serde_json::from_slice(&answer)?;
    let mut handles = Vec::with_capacity(pairs.len());
    for Pair { key, value, modify_index } in pairs {
        handles.push((key, modify_index, Pointer::minimal(&STANDARD.decode(value)?)?));
    }
    Ok((handles, answer.len()))
}
