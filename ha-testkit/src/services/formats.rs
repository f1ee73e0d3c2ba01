//! Two versions of the library in one cluster, and what the record of its format does: X-37.

use ha_core::formats::Formats;
use ha_core::job_result::JobResult;
use ha_core::{ErrorKind, JobStatus, ServicesOptions};

use super::checkpoints::{add, checkpoint, ids, recovered};
use super::cluster::{assert_kind, job};
use super::plans::{content, plan, started};
use super::trouble::counter;
use super::{Cluster, Process};

/// A process of a version that knows the formats up to that one.
async fn version(c: &Cluster, newest: u32) -> Process {
    let formats = Formats::new(1, newest).unwrap();
    c.process_with(&ServicesOptions { formats, ..c.options(&format!("version-{newest}")) }).await
}

/// One term of work on what the terms before have left.
async fn term(c: &Cluster, process: &Process, number: u64) {
    let leadership = process.lead().await;
    leadership.publish(&format!("host:{number}")).await.unwrap();
    assert_eq!(counter(&leadership).await.get_and_increment().await.unwrap(), number);
    let store = recovered(&leadership, 10).await;
    assert_eq!(ids(&store).await, (1..number).collect::<Vec<_>>());
    add(&store, checkpoint(number)).await.unwrap();
    let (plans, _) = started(&leadership).await;
    for earlier in 1..number {
        assert_eq!(content(&plans, &format!("job-{earlier}")).await.unwrap(), format!("by {earlier}"));
    }
    plans.put_execution_plan(&plan(&format!("job-{number}"), &format!("by {number}"))).await.unwrap();
    let results = leadership.job_result_store();
    assert_eq!(results.dirty_results().await.unwrap().results.len() as u64, number - 1);
    results.create_dirty_result(&JobResult::new(job(&format!("over-{number}")), JobStatus::Finished)).await.unwrap();
    // Another version sees who leads, too.
    c.sees(&mut version(c, 1).await.watch(), &format!("host:{number}")).await;
    leadership.resign().await.unwrap();
}

pub async fn x_37_two_versions_share_a_cluster_until_its_format_is_raised(c: Cluster) {
    // Fails if a version writes what another cannot read, or if one that is too old leaves as much as an epoch.
    let (old, new) = (version(&c, 1).await, version(&c, 2).await);
    for number in [1, 3, 5] {
        term(&c, &old, number).await;
        term(&c, &new, number + 1).await;
    }
    let leadership = new.lead().await;
    assert_eq!(leadership.cluster_format(), 1, "nobody raises it of its own accord");
    leadership.raise_format(2).await.unwrap();
    assert_eq!(counter(&leadership).await.get_and_increment().await.unwrap(), 7);
    let raised = c.entry("jobs/job/checkpoint_id_counter").await.unwrap();
    assert!(raised.value.starts_with(br#"{"format":2,"#), "{:?}", raised.value);
    assert_eq!(ids(&recovered(&leadership, 10).await).await, [1, 2, 3, 4, 5, 6], "what is older is read on");
    leadership.resign().await.unwrap();
    let before = c.everything().await;
    for process in [&old, &version(&c, 1).await] {
        let election = process.election();
        let refused = c.in_time("the campaign ends", election.campaign()).await;
        let error = assert_kind(ErrorKind::NewerFormat, refused);
        assert!(error.to_string().contains("format 2") && error.to_string().contains("format 1"), "{error}");
    }
    assert_eq!(c.everything().await, before, "who is too old changes nothing");
    assert_kind(ErrorKind::NewerFormat, old.services.cluster_format().await);
    let last = version(&c, 2).await;
    let leadership = last.lead().await;
    assert_kind(ErrorKind::Invalid, leadership.raise_format(1).await);
}
