//! A host that falls silent whole, agent and process, where gossip may give it up.

use std::time::Duration;

use ha_core::HighAvailabilityServices;
use ha_core::seam::Seam;
use ha_testkit::servers::consul::{Agent, Cluster, Options};
use serde_json::json;

use crate::member::{spawn, terms, writes};
use crate::world::{Place, epoch, heavy, leadership, measured, quick, run, told_after};

/// Consul gives a session up at twice that.
const TTL: Duration = Duration::from_secs(20);

#[test]
fn with_serf_health_the_leader_of_a_dead_host_is_replaced_before_its_session_runs_out() {
    run(async {
        // Fails if the session does not stand on `serfHealth` though it was asked for.
        let _turn = heavy().await;
        let seam = Seam::system();
        let cluster = Cluster::start(seam.clone(), quick(Options::server())).await?;
        let servers: Vec<String> = cluster.agents().iter().map(Agent::address).collect();
        let host = Agent::start(seam.clone(), Options::client_of(&cluster.agents()[0])).await?;
        let place = Place::new(&seam);
        let mut member = place.member("on the host", &[host.address()]);
        (member.silence, member.serf_health) = (TTL, true);
        let mut leader = spawn(&seam, &member);
        writes(&leader, 10).await;
        let mut standby = place.member("standby", &servers);
        (standby.silence, standby.serf_health) = (TTL, true);
        let standby = standby.services(&seam).await;

        // Nothing renews it. It stands on nothing but its TTL, so it ends before whatever is renewed later.
        let control = json!({ "Name": "control", "TTL": "20s", "LockDelay": "0s", "NodeChecks": [] });
        let control = host.ask("PUT", "/v1/session/create", control.to_string().as_bytes()).await.json();
        let control = control["ID"].as_str().unwrap().to_owned();
        leader.stop().await;
        let died = host.stop().await;
        let leads = leadership(&seam, &standby).await;
        measured("host silent, serfHealth opted in, standby leads", died, seam.now());
        let path = format!("/v1/session/info/{control}?consistent");
        let left = cluster.agents()[0].ask("GET", &path, b"").await.json();
        assert_eq!(left.as_array().unwrap().len(), 1, "it waited for the end of the TTL");
        assert!(epoch(&leads) > *terms(&leader.events()).last().unwrap(), "the token must grow");

        host.cont();
        let resumed = leader.cont();
        told_after(&leader, "lost", resumed).await;
        standby.close().await.unwrap();
        place.assert_nothing_is_lost(vec![leader], &servers).await;
        Ok(())
    });
}
