//! Reading the handles of ten thousand plans, beside a minimal program that decodes the same from files.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::future::try_join_all;
use ha_core::backend::{Backend, Commit, Expect, Key, Outcome, Prefix};
use ha_core::plan::ExecutionPlan;
use ha_core::record::{self, Body, Record};
use ha_core::seam::Seam;
use ha_core::state::StateHandle;
use ha_core::{HighAvailabilityServices, JobId};
use ha_filesystem::FilesystemSettings;
use ha_testkit::bench::cluster::{Member as _, lead};
use ha_testkit::bench::{self as table, Result, Times};
use ha_testkit::process::{Process, Stage, role as play};
use serde::{Deserialize, Serialize};

use crate::member::Member;
use crate::stores::Deaf;

const PLANS: usize = 10_000;
const ROUNDS: usize = 15;
const BATCH: usize = 500;

/// A plan's pointer, as it is stored.
#[derive(Serialize, Deserialize)]
struct Pointer {
    state: StateHandle,
}

impl Body for Pointer {
    const KIND: &'static str = "execution_plan";
}

/// What a program would declare that reads it without this library.
#[derive(Deserialize)]
struct Stored {
    format: u32,
    kind: String,
    write_id: String,
    epoch: u64,
    body: Pointer,
}

/// Where a process of its own finds the plans.
#[derive(Serialize, Deserialize)]
struct Place {
    directory: PathBuf,
    below: String,
}

/// The role of that process: it tells by how much opening and listing raised its memory, in KiB, at the worst moment.
pub(crate) fn role() {
    play("recovering", async |place: Place, stage: Stage| {
        let recovering = async {
            let before = memory_kib("VmRSS:");
            let handles = recover(&place.directory, &Prefix::new(&place.below)?, stage.seam()).await?;
            let worst = memory_kib("VmHWM:");
            drop(handles);
            Result::Ok(worst.zip(before).map(|(worst, before)| worst - before))
        };
        match recovering.await {
            Ok(kib) => stage.tell("recovered", kib),
            Err(error) => stage.tell("failed", error.to_string()),
        }
    });
}

/// What the system says of this process; `None` where it says nothing.
fn memory_kib(of: &str) -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(of))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// What a new leader's process does: it opens the journal, lists, decodes.
async fn recover(directory: &Path, below: &Prefix, seam: &Seam) -> Result<Vec<Record<Pointer>>> {
    let backend = ha_filesystem::connect(FilesystemSettings::at(directory), seam.clone()).await?;
    let handles = handles(&*backend, below).await?;
    backend.close().await?;
    Ok(handles)
}

async fn handles(backend: &dyn Backend, below: &Prefix) -> Result<Vec<Record<Pointer>>> {
    let snapshot = backend.list(below).await?;
    Ok(snapshot.entries.iter().map(record::decode::<Pointer>).collect::<std::result::Result<_, _>>()?)
}

pub(crate) async fn measure(below: &Path) -> Result<()> {
    let seam = Seam::system();
    let member = Member::new(below, "recovering");
    let services = member.services().await?;
    let leadership = lead(&member, &services).await?;
    let store = leadership.execution_plan_store();
    store.start(std::sync::Arc::new(Deaf)).await?;
    store.put_execution_plan(&ExecutionPlan::new(JobId::new("job-00000")?, Bytes::from_static(b"plan"))).await?;
    store.stop().await?;
    let plans = format!("{}/execution-plans/", member.place());
    let backend = ha_filesystem::connect(FilesystemSettings::at(&member.directory), seam.clone()).await?;
    let first = backend.read(&Key::new(format!("{plans}job-00000"))?).await?.ok_or("a plan that was put")?.value;
    put_all(&*backend, &plans, &first, &seam).await?;
    let files = below.join("plans");
    std::fs::create_dir_all(&files)?;
    (0..PLANS).try_for_each(|number| std::fs::write(files.join(format!("job-{number:05}")), &first))?;

    let prefix = Prefix::new(&plans)?;
    let [mut opened, mut ours, mut plain] = [const { Times::new() }; 3];
    for _ in 0..ROUNDS {
        let began = seam.now();
        let recovered = recover(&member.directory, &prefix, &seam).await?;
        opened.add(seam.now().since(began));
        let began = seam.now();
        let listed = handles(&*backend, &prefix).await?;
        ours.add(seam.now().since(began));
        let began = seam.now();
        let read = minimal(&files)?;
        plain.add(seam.now().since(began));
        let found = [recovered.len(), listed.len(), read.len()];
        if found != [PLANS; 3] {
            return Err(format!("{found:?} plans were found instead of {PLANS}").into());
        }
    }
    let bytes = PLANS * (first.len() + plans.len() + 9);
    table::head(&format!("Recovery of {PLANS} plans' handles, {} KiB", bytes >> 10));
    table::line("open the journal, list and decode (goal 1.5x)", &opened, &plain);
    table::line("list and decode on an open handle", &ours, &plain);
    let place = Place { directory: member.directory.clone(), below: plans };
    let recovering = Process::spawn(seam.clone(), "recovering", &place);
    match recovering.told("recovered").await.value.as_f64() {
        Some(kib) => {
            println!("memory at the worst moment: {:.1} times keys and values (goal 4)", kib * 1024.0 / bytes as f64)
        }
        None => println!("this system does not tell how much memory it takes"),
    }
    leadership.resign().await?;
    services.close().await?;
    backend.close().await?;
    Ok(())
}

/// The same plan under many names.
async fn put_all(backend: &dyn Backend, plans: &str, value: &Bytes, seam: &Seam) -> Result<()> {
    let numbers: Vec<usize> = (1..PLANS).collect();
    try_join_all(numbers.chunks(BATCH).map(|batch| async move {
        let mut commit = Commit::new(seam.write_id());
        for number in batch {
            commit = commit.put(Key::new(format!("{plans}job-{number:05}"))?, Expect::Absent, value.clone());
        }
        match backend.commit(&commit).await? {
            Outcome::Applied { .. } => Result::Ok(()),
            other => Err(format!("{other:?}").into()),
        }
    }))
    .await?;
    Ok(())
}

/// Reads a folder of files and decodes them, in the shortest way there is.
fn minimal(files: &Path) -> Result<Vec<(PathBuf, Pointer)>> {
    let mut handles = Vec::with_capacity(PLANS);
    for entry in std::fs::read_dir(files)? {
        let path = entry?.path();
        let stored: Stored = serde_json::from_slice(&std::fs::read(&path)?)?;
        if stored.format != 1 || stored.kind != Pointer::KIND || stored.write_id.is_empty() || stored.epoch == 0 {
            return Err(format!("{}: no pointer", path.display()).into());
        }
        handles.push((path, stored.body));
    }
    handles.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(handles)
}
