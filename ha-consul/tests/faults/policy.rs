//! What the documented policies allow, service by service, and what a policy that is changed looks like.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ha_consul::{Consul, Token};
use ha_core::backend::{Backend, Change, Key, Mark, Prefix, Scope};
use ha_core::checkpoint::{DiscardStateOnly, RecoveryClaimMode};
use ha_core::job_result::JobResult;
use ha_core::plan::{ExecutionPlan, ExecutionPlanListener};
use ha_core::state::chunks_of;
use ha_core::{
    ClientHaServices, ClientHighAvailabilityServices, ErrorKind, HighAvailabilityServices, JobId, JobStatus,
    ServicesOptions,
};
use ha_testkit::proxy::{Matching, Proxy, Treatment};
use serde_json::json;

use crate::member::checkpoint;
use crate::token::{Guarded, documented, documented_for_readers};
use crate::world::{in_time, leadership, run};

#[derive(Debug)]
struct Deaf;

impl ExecutionPlanListener for Deaf {
    fn on_added_execution_plan(&self, _: &JobId) {}
    fn on_removed_execution_plan(&self, _: &JobId) {}
}

async fn connected(g: &Guarded, token: &str) -> Consul {
    let mut settings = g.member("reader", token).settings();
    settings.token = Token::Secret(token.to_owned());
    Consul::connect(settings, g.seam.clone()).await.unwrap()
}

/// Gives the one policy of that token other rules.
async fn change_policy(g: &Guarded, token: &str, rules: &str) {
    let own = g.agent.ask_as(Some(token), "GET", "/v1/acl/token/self", b"").await.json();
    let (id, name) = (own["Policies"][0]["ID"].as_str().unwrap(), own["Policies"][0]["Name"].as_str().unwrap());
    let body = json!({ "ID": id, "Name": name, "Rules": rules }).to_string();
    let answer = g.agent.ask("PUT", &format!("/v1/acl/policy/{id}"), body.as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

async fn put(g: &Guarded, path: &str) {
    assert_eq!(g.agent.ask("PUT", &format!("/v1/kv/{path}"), b"{}").await.status, 200);
}

#[test]
fn plans_blobs_results_and_clean_up_need_no_more_than_the_documented_policy() {
    run(async {
        let g = Guarded::start().await?;
        let token = g.agent.token(&documented(&g.place.root)).await;
        let services = g.member("least", &token).services(&g.seam).await;
        let leads = leadership(&g.seam, &services).await;
        let job = JobId::new("job").unwrap();
        let plans = leads.execution_plan_store();
        plans.start(Arc::new(Deaf)).await.unwrap();
        plans.put_execution_plan(&ExecutionPlan::new(job.clone(), "graph".into())).await.unwrap();
        plans.put_job_resource_requirements(&job, json!({ "slots": 2 })).await.unwrap();
        assert_eq!(plans.job_ids().await.unwrap(), std::slice::from_ref(&job));
        let factory = leads.checkpoint_recovery_factory();
        let counter = factory.create_checkpoint_id_counter(&job);
        counter.start().await.unwrap();
        let (mode, discarder) = (RecoveryClaimMode::default(), Arc::new(DiscardStateOnly));
        let store = factory.create_recovered_completed_checkpoint_store(&job, 1, mode, discarder).await.unwrap();
        for _ in 0..3 {
            let id = counter.get_and_increment().await.unwrap();
            store.add_checkpoint_and_subsume_oldest_one(checkpoint(id)).await.unwrap();
        }
        let blobs = leads.blob_store();
        let blob = blobs.put(&job, chunks_of(Bytes::from_static(b"one"))).await.unwrap();
        drop(blobs.get(&job, &blob).await.unwrap());
        blobs.put(&job, chunks_of(Bytes::from_static(b"two"))).await.unwrap();
        blobs.delete(&job, &blob).await.unwrap();
        let results = leads.job_result_store();
        results.create_dirty_result(&JobResult::new(job.clone(), JobStatus::Finished)).await.unwrap();
        assert!(results.has_dirty_job_result_entry(&job).await.unwrap());
        store.shutdown(JobStatus::Finished).await.unwrap();
        plans.stop().await.unwrap();
        services.global_cleanup(&job).await.unwrap();
        results.mark_result_as_clean(&job).await.unwrap();
        services.local_cleanup(&job).await.unwrap();
        services.cleanup_all_data().await.unwrap();
        drop(leads);
        services.close().await.unwrap();
        Ok(())
    });
}

#[test]
fn a_reader_and_a_client_need_to_read_and_nothing_else() {
    run(async {
        let g = Guarded::start().await?;
        let token = g.agent.token(&documented(&g.place.root)).await;
        let services = g.member("leader", &token).services(&g.seam).await;
        let election = services.cluster_rest_endpoint_leader_election().unwrap();
        let leads = in_time(&g.seam, "it leads", election.campaign()).await.unwrap();
        leads.publish("here").await.unwrap();
        let reads = g.agent.token(&documented_for_readers(&g.place.root)).await;
        let reader = g.member("reader", &reads).services(&g.seam).await;
        let mut watch = reader.cluster_rest_endpoint_leader_retriever().unwrap().watch();
        assert_eq!(in_time(&g.seam, "the reader sees it", watch.leader()).await.address, "here");
        assert_eq!(reader.execution_plan_store().unwrap().job_ids().await.unwrap(), []);
        // What a client's documentation says to be enough, and it is less.
        let less = format!("key_prefix \"{}/default/leader/\" {{ policy = \"read\" }}", g.place.root);
        let consul = connected(&g, &g.agent.token(&less).await).await;
        let options = ServicesOptions { root: g.place.root.clone(), ..ServicesOptions::default() };
        let client = ClientHaServices::new(Arc::new(consul), &options, g.seam.clone()).unwrap();
        let mut watch = client.cluster_rest_endpoint_leader_retriever().unwrap().watch();
        assert_eq!(in_time(&g.seam, "the client sees it", watch.leader()).await.address, "here");
        client.close().await.unwrap();
        // It cannot lead, and is told so.
        let consul = connected(&g, &reads).await;
        let denied = consul.open_session(&ha_core::backend::SessionOptions::default()).await.unwrap_err();
        assert_eq!(denied.kind(), ErrorKind::Denied, "{denied}");
        reader.close().await.unwrap();
        services.close().await.unwrap();
        Ok(())
    });
}

#[test]
fn a_latch_that_alone_may_not_be_read_is_denied_and_not_free() {
    run(async {
        // Fails if the one value that an answer still holds is taken for the latch: Consul leaves the other out.
        let g = Guarded::start().await?;
        let (latch, epoch) = (g.place.latch(), format!("{}/default/leader/epoch", g.place.root));
        put(&g, &latch).await;
        put(&g, &epoch).await;
        for hidden in [latch, epoch] {
            let rules = format!("{}\nkey \"{hidden}\" {{ policy = \"deny\" }}\n", documented(&g.place.root));
            let consul = connected(&g, &g.agent.token(&rules).await).await;
            let key = Key::new(format!("{}/default/leader/latch", g.place.root)).unwrap();
            let error = consul.read(&key).await.expect_err(&hidden);
            assert_eq!(error.kind(), ErrorKind::Denied, "{hidden}: {error}");
        }
        Ok(())
    });
}

/// Follows the place until it is told that it may not, and is never told that it is empty.
async fn told_that_it_may_not(consul: Consul, place: Prefix, mut seen: Mark, is_empty: bool) {
    let scope = Scope::Below(place);
    loop {
        match consul.changed(&scope, &seen).await {
            Ok(Change::Snapshot(snapshot)) => {
                assert!(is_empty || !snapshot.entries.is_empty(), "taken for empty");
                seen = snapshot.mark;
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Denied => return,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
        }
    }
}

/// Somebody follows a place; then the token's policy is changed. Where the place is empty, writes elsewhere wake
/// whoever waits.
async fn changed_policy(is_empty: bool, rules: impl Fn(&Guarded) -> String) -> Result<(), ha_testkit::Missing> {
    let g = Guarded::start().await?;
    let token = g.agent.token(&documented(&g.place.root)).await;
    let proxy = Proxy::to(g.agent.address(), g.seam.clone()).await;
    let mut settings = g.member("reader", &token).settings();
    settings.addresses = vec![proxy.address().to_owned()];
    settings.blocking_wait = Duration::from_secs(1);
    let consul = Consul::connect(settings, g.seam.clone()).await.unwrap();
    let place = Prefix::new(format!("{}/default/leader", g.place.root)).unwrap();
    if !is_empty {
        put(&g, &g.place.latch()).await;
        put(&g, &format!("{place}dispatcher")).await;
    }
    let seen = consul.list(&place).await.unwrap().mark;
    let parked = proxy.treat(Matching::path("index="), Treatment::SlowAnswer(Duration::ZERO));
    let told = told_that_it_may_not(consul, place, seen, is_empty);
    let changing = async {
        parked.matched(1).await;
        change_policy(&g, &token, &rules(&g)).await;
        loop {
            put(&g, "elsewhere").await;
            g.seam.sleep(Duration::from_millis(200)).await;
        }
    };
    in_time(&g.seam, "it is told", async {
        tokio::select! { biased; () = told => (), () = changing => () }
    })
    .await;
    Ok(())
}

#[test]
fn a_policy_that_is_changed_under_who_waits_makes_no_empty_place() {
    run(changed_policy(false, |_| documented("elsewhere")));
}

#[test]
fn a_policy_that_is_changed_under_who_waits_below_an_empty_place_is_told() {
    // Fails if a place that was empty counts as empty for ever: what others write there is not seen.
    run(changed_policy(true, |_| documented("elsewhere")));
}

#[test]
fn a_policy_that_hides_the_latch_alone_from_who_waits_is_told() {
    run(changed_policy(false, |g| {
        format!("{}\nkey \"{}\" {{ policy = \"deny\" }}\n", documented(&g.place.root), g.place.latch())
    }));
}
