//! Reading the handles of ten thousand plans, beside a minimal program that decodes the same from files.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::future::try_join_all;
use ha_core::backend::{Backend, Commit, Expect, Key, Outcome, Prefix};
use ha_core::plan::ExecutionPlan;
use ha_core::record::Record;
use ha_core::seam::Seam;
use ha_core::{HighAvailabilityServices, JobId};
use ha_filesystem::FilesystemSettings;
use ha_testkit::bench::cluster::lead;
use ha_testkit::bench::plans::{Pointer, handles, raised_kib, resident_kib};
use ha_testkit::bench::{self as table, Result, Times};
use ha_testkit::process::{Process, Stage, role as play};
use ha_testkit::trials::Member as _;
use serde::{Deserialize, Serialize};

use crate::member::Member;
use crate::stores::Deaf;

const PLANS: usize = 10_000;
const ROUNDS: usize = 15;
const BATCH: usize = 500;

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
            let before = resident_kib();
            let handles = recover(&place.directory, &Prefix::new(&place.below)?, stage.seam()).await?;
            let raised = raised_kib(before);
            drop(handles);
            Result::Ok(raised)
        };
        match recovering.await {
            Ok(kib) => stage.tell("recovered", kib),
            Err(error) => stage.tell("failed", error.to_string()),
        }
    });
}

/// What a new leader's process does: it opens the journal, lists, decodes.
async fn recover(directory: &Path, below: &Prefix, seam: &Seam) -> Result<Vec<Record<Pointer>>> {
    let backend = ha_filesystem::connect(FilesystemSettings::at(directory), seam.clone()).await?;
    let handles = handles(&*backend, below).await?;
    backend.close().await?;
    Ok(handles)
}

pub(crate) async fn measure(below: &Path) -> Result<()> {
    let seam = Seam::system();
    let member = Member::new(below, "recovering");
    let services = member.services(&Seam::system()).await?;
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
        let pointer = Pointer::minimal(&std::fs::read(&path)?)?;
        handles.push((path, pointer));
    }
    handles.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(handles)
}
