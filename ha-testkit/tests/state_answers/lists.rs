//! Lists of more than one page, and of pages without an end.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use ha_core::cleanup::{OrphanCollector, OrphanOptions};
use ha_core::election::Leadership;
use ha_core::plan::{ExecutionPlan, ExecutionPlanListener};
use ha_core::{HaServices, HighAvailabilityServices, JobId, ServicesOptions};
use ha_embedded::Embedded;

use super::*;

struct Deaf;

impl ExecutionPlanListener for Deaf {
    fn on_added_execution_plan(&self, _job: &JobId) {}
    fn on_removed_execution_plan(&self, _job: &JobId) {}
}

fn page(keys: &[String], next: Option<&str>) -> String {
    let entry = |key: &String| {
        format!(
            "<Contents><Key>{key}</Key><LastModified>2022-01-01T00:00:00.000Z</LastModified><ETag>\"e\"</ETag>\
             <Size>5</Size><StorageClass>STANDARD</StorageClass></Contents>"
        )
    };
    let entries: String = keys.iter().map(entry).collect();
    let more = next.map(|token| format!("<NextContinuationToken>{token}</NextContinuationToken>")).unwrap_or_default();
    format!("<ListBucketResult><IsTruncated>{}</IsTruncated>{more}{entries}</ListBucketResult>", next.is_some(),)
}

/// A service that holds the names of what was written, and answers lists as it is told.
async fn holding(
    list: impl Fn(&str, &[String]) -> String + Send + Sync + 'static,
) -> (Server, Arc<Mutex<BTreeSet<String>>>) {
    let held = Arc::new(Mutex::new(BTreeSet::new()));
    let shared = Arc::clone(&held);
    let server = Server::start(move |request, _| {
        let mut held = shared.lock().unwrap();
        let key = request.target.strip_prefix("/states/").unwrap_or_default().to_owned();
        match request.method.as_str() {
            "PUT" => {
                held.insert(key);
                Answer::new("200 OK", &[ETAG], "")
            }
            "DELETE" => {
                held.remove(&key);
                Answer::new("204 No Content", &[], "")
            }
            _ => {
                let of_plans = request.target.contains("submittedJobGraph");
                let all: Vec<String> = held.iter().filter(|_| of_plans).cloned().collect();
                Answer::new("200 OK", &[], list(&request.target, &all))
            }
        }
    })
    .await;
    (server, held)
}

/// The second leader, and what the first has left: a plan, and orphans beside it.
async fn second_leader(server: &Server, orphans: usize, held: &Mutex<BTreeSet<String>>) -> (HaServices, Leadership) {
    let seam = Seam::system();
    let (store, options) = (Embedded::new(seam.clone()), ServicesOptions::default());
    let services = || HaServices::new(Arc::new(store.connect()), storage(server), &options, seam.clone()).unwrap();
    let first = services();
    let leadership = first.dispatcher_leader_election().unwrap().campaign().await.unwrap();
    let plans = leadership.execution_plan_store();
    plans.start(Arc::new(Deaf)).await.unwrap();
    let plan = ExecutionPlan::new(JobId::new("job-1").unwrap(), "state".into());
    plans.put_execution_plan(&plan).await.unwrap();
    {
        let mut held = held.lock().unwrap();
        let name = held.first().unwrap().clone();
        // As a crash before the pointer leaves them.
        held.extend((0..orphans).map(|number| format!("{}{number:032x}", &name[..name.len() - 32])));
    }
    drop((plans, leadership));
    first.close().await.unwrap();
    let second = services();
    let leadership = second.dispatcher_leader_election().unwrap().campaign().await.unwrap();
    (second, leadership)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orphans_are_found_on_every_page() {
    let (server, held) = holding(|target, all| {
        let from = target.split('&').chain(target.split('?')).find_map(|part| part.strip_prefix("continuation-token="));
        let from: usize = from.map_or(0, |token| token.split('&').next().unwrap().parse().unwrap());
        let to = (from + 2).min(all.len());
        page(&all[from.min(to)..to], (to < all.len()).then(|| to.to_string()).as_deref())
    })
    .await;
    let (services, leadership) = second_leader(&server, 7, &held).await;
    let collector = OrphanCollector::of(&leadership, OrphanOptions::default());
    let collected = in_time("a collection", collector.collect()).await.unwrap();
    assert_eq!(collected.deleted.len(), 7, "{collected:?}");
    assert_eq!(held.lock().unwrap().len(), 1, "the plan that has a pointer stays");
    services.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_goes_round_is_an_error_and_nothing_is_deleted() {
    let (server, held) = holding(|_, all| page(all, Some("again"))).await;
    let (services, leadership) = second_leader(&server, 3, &held).await;
    let collector = OrphanCollector::of(&leadership, OrphanOptions::default());
    let error = in_time("a collection", collector.collect()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage, "{error}");
    assert!(error.to_string().contains("twice"), "{error}");
    assert_eq!(held.lock().unwrap().len(), 4);
    services.close().await.unwrap();
}
