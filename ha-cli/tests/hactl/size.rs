//! A large cluster: how long each command takes is told, and not asserted.

use futures_util::StreamExt;
use ha::HighAvailabilityServices;

use crate::world::{On, World, job, leads, run, store_job};

const JOBS: u64 = 1000;
const CHECKPOINTS: u64 = 3;

async fn answers(on: On) -> Result<(), ha_testkit::Missing> {
    let world = World::new(on).await?;
    let services = world.services("host-1").await;
    let leadership = leads(&services).await;
    leadership.publish("host-1:6123").await.unwrap();
    let start = world.seam.now();
    let leadership_of_all = &leadership;
    let stored = futures_util::stream::iter(0..JOBS).map(|number| async move {
        store_job(leadership_of_all, &job(&format!("job-{number:04}")), CHECKPOINTS).await;
    });
    stored.buffer_unordered(32).collect::<Vec<()>>().await;
    ha_testkit::run::tell(format_args!("{on:?}: {JOBS} jobs stored in {:?}", world.seam.now().since(start)));
    for command in [
        &["status"][..],
        &["jobs"],
        &["checkpoints", "job-0500"],
        &["results"],
        &["verify"],
        &["verify", "--quick"],
        &["doctor"],
        &["gc", "--older-than", "1h"],
    ] {
        let start = world.seam.now();
        let ran = world.hactl(&[command, &["--json"]].concat()).ended(0);
        let took = world.seam.now().since(start);
        ha_testkit::run::tell(format_args!("{on:?}: {command:?} {took:?}, {} bytes", ran.out.len()));
        if command == ["verify"] {
            let verified = ran.json();
            assert_eq!(verified["intact"], JOBS * (CHECKPOINTS + 2), "plans, checkpoints, blobs: {verified}");
        }
        if command == ["jobs"] {
            assert_eq!(ran.json()["jobs"].as_array().unwrap().len() as u64, JOBS);
        }
    }
    assert!(leadership.is_valid());
    services.close().await.unwrap();
    Ok(())
}

#[test]
fn a_thousand_jobs_in_a_directory_are_shown_and_verified() {
    run(answers(On::Directory));
}

#[test]
fn a_thousand_jobs_on_consul_are_shown_and_verified() {
    run(answers(On::Consul));
}
