//! In a directory, a job that was cleaned up leaves no folder behind.

use std::path::Path;
use std::sync::Arc;

use ha_core::election::Leadership;
use ha_core::plan::ExecutionPlan;
use ha_core::seam::Seam;
use ha_core::state::{StateStorage, chunks_of};
use ha_core::{HaServices, HighAvailabilityServices, ServicesOptions};
use ha_embedded::Embedded;

use super::rig::{Ignore, job};

/// The folders of jobs below a directory.
fn folders(below: &Path) -> Vec<String> {
    let inside = |path: &Path| std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let kinds = inside(&below.join("default"));
    let mut folders: Vec<String> = kinds
        .flat_map(|kind| inside(&kind).map(|path| path.file_name().unwrap().display().to_string()).collect::<Vec<_>>())
        .collect();
    folders.sort();
    folders.dedup();
    folders
}

async fn populate(leadership: &Leadership, name: &str) {
    let plans = leadership.execution_plan_store();
    plans.start(Arc::new(Ignore)).await.unwrap();
    plans.put_execution_plan(&ExecutionPlan::new(job(name), "plan".into())).await.unwrap();
    leadership.blob_store().put(&job(name), chunks_of(name.to_owned().into())).await.unwrap();
}

#[tokio::test]
async fn a_job_that_was_cleaned_up_leaves_no_folder_and_others_keep_theirs() {
    // Fails if the folders stay: a cluster that runs a job a minute has three million of them after two years.
    let (seam, directory) = (Seam::system(), tempfile::tempdir().unwrap());
    let url = url::Url::from_directory_path(directory.path()).unwrap();
    let storage = StateStorage::open(url.as_str(), seam.clone()).unwrap();
    let backend = Arc::new(Embedded::new(seam.clone()).connect());
    let services = HaServices::new(backend, storage, &ServicesOptions::default(), seam).unwrap();
    let leadership = services.dispatcher_leader_election().unwrap().campaign().await.unwrap();
    for name in ["job1", "job10", "job2"] {
        populate(&leadership, name).await;
    }
    assert_eq!(folders(directory.path()), ["job1", "job10", "job2"]);
    services.global_cleanup(&job("job1")).await.unwrap();
    assert_eq!(folders(directory.path()), ["job10", "job2"]);

    // Something foreign in it is nobody's to take away, and no failure.
    let foreign = directory.path().join("default/blob/job2/foreign");
    std::fs::write(&foreign, "foreign").unwrap();
    services.global_cleanup(&job("job2")).await.unwrap();
    assert_eq!(folders(directory.path()), ["job10", "job2"]);
    assert!(foreign.exists());

    // The same name again is another job, and finds its place.
    populate(&leadership, "job1").await;
    assert_eq!(folders(directory.path()), ["job1", "job10", "job2"]);
    services.cleanup_all_data().await.unwrap();
    assert_eq!(folders(directory.path()), ["job2"], "but for the foreign file");
    services.close().await.unwrap();
}
