//! A large cluster: how long each command takes is told, and not asserted.

use ha::HighAvailabilityServices;
use ha::backend::{Backend, Commit, Expect, Key, Outcome, Prefix};

use crate::world::{On, World, job, leads, run, store_job};

const JOBS: u64 = 1000;
const CHECKPOINTS: u64 = 3;

/// Gives other jobs what the first one has, under their names: stored one by one it would take minutes.
async fn copy_job(world: &World, first: &str, others: impl Iterator<Item = String>) {
    let inside = world.inside().await;
    let all = inside.list(&Prefix::root()).await.unwrap().entries;
    let records: Vec<_> = all.into_iter().filter(|entry| entry.key.as_str().contains(first)).collect();
    let states = world.state_files(first);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut commit = Commit::new(world.seam.write_id());
    for other in others {
        for state in &states {
            let copy = state.to_str().unwrap().replace(first, &other);
            std::fs::create_dir_all(std::path::Path::new(&copy).parent().unwrap()).unwrap();
            std::fs::copy(state, copy).unwrap();
        }
        for record in &records {
            let key = Key::new(record.key.as_str().replace(first, &other)).unwrap();
            commit = commit.put(key, Expect::Absent, text(&record.value).replace(first, &other).into());
        }
        if commit.operations() + records.len() > inside.profile().commit_operations_max.min(64) {
            let full = std::mem::replace(&mut commit, Commit::new(world.seam.write_id()));
            assert!(matches!(inside.commit(&full).await.unwrap(), Outcome::Applied { .. }));
        }
    }
    assert!(matches!(inside.commit(&commit).await.unwrap(), Outcome::Applied { .. }));
}

async fn answers(on: On) -> Result<(), ha_testkit::Missing> {
    let world = World::new(on).await?;
    let services = world.services("host-1").await;
    let leadership = leads(&services).await;
    leadership.publish("host-1:6123").await.unwrap();
    let start = world.seam.now();
    store_job(&leadership, &job("job-0000"), CHECKPOINTS).await;
    copy_job(&world, "job-0000", (1..JOBS).map(|number| format!("job-{number:04}"))).await;
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
