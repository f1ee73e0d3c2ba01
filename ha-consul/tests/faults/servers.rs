//! Agents that die, stop, leave and return.

use ha_core::seam::{Moment, Seam};
use ha_testkit::process::Process;
use ha_testkit::servers::consul::{Agent, Options};
use serde_json::json;

use crate::member::{spawn, terms, writes};
use crate::world::{Place, heavy, measured, quick, run, told_after};

/// It writes again after that moment, in this term or a later one.
async fn writes_again(process: &Process, after: Moment, what: &str) {
    let wrote = told_after(process, "acknowledged", after).await;
    measured(&format!("{what}, writes again"), after, wrote.at);
    writes(process, 5).await;
    let terms = terms(&process.events());
    assert!(terms.is_sorted_by(|one, next| one < next), "{terms:?}");
}

#[test]
fn a_server_that_is_killed_and_restarted_loses_nothing() {
    run(async {
        let seam = Seam::system();
        let (mut agent, place) = (Agent::start(seam.clone(), quick(Options::server())).await?, Place::new(&seam));
        let leader = spawn(&seam, &place.member("leader", &[agent.address()]));
        writes(&leader, 10).await;
        agent.kill();
        agent.restart().await;
        writes_again(&leader, seam.now(), "server killed and restarted").await;
        let addresses = [agent.address()];
        place.assert_nothing_is_lost(vec![leader], &addresses).await;
        Ok(())
    });
}

#[test]
fn a_server_that_is_stopped_past_everything_and_goes_on_loses_nothing() {
    run(async {
        let seam = Seam::system();
        let (agent, place) = (Agent::start(seam.clone(), quick(Options::server())).await?, Place::new(&seam));
        let leader = spawn(&seam, &place.member("leader", &[agent.address()]));
        writes(&leader, 10).await;
        let stopped = agent.stop().await;
        let lost = told_after(&leader, "lost", stopped).await;
        measured("only server stopped, leader has stepped down", stopped, lost.at);
        writes_again(&leader, agent.cont(), "only server goes on").await;
        place.assert_nothing_is_lost(vec![leader], &[agent.address()]).await;
        Ok(())
    });
}

/// A server, and a client agent of it.
async fn with_client(seam: &Seam) -> Result<(Agent, Agent, Place), ha_testkit::Missing> {
    let server = Agent::start(seam.clone(), quick(Options::server())).await?;
    let client = Options::client_of(&server).with(json!({ "leave_on_terminate": true }));
    let client = Agent::start(seam.clone(), client).await?;
    Ok((server, client, Place::new(seam)))
}

#[test]
fn a_leader_whose_agent_is_cut_off_from_its_server_steps_down_and_resumes() {
    run(async {
        // Fails if the heartbeats that such an agent goes on acknowledging count as life.
        let _turn = heavy().await;
        let seam = Seam::system();
        let (server, client, place) = with_client(&seam).await?;
        let leader = spawn(&seam, &place.member("leader", &[client.address()]));
        writes(&leader, 10).await;
        let stopped = server.stop().await;
        let lost = told_after(&leader, "lost", stopped).await;
        measured("agent's server stopped, leader has stepped down", stopped, lost.at);
        writes_again(&leader, server.cont(), "agent's server goes on").await;
        place.assert_nothing_is_lost(vec![leader], &[client.address()]).await;
        Ok(())
    });
}

#[test]
fn an_agent_that_leaves_in_order_is_replaced_by_the_next_address() {
    replaced("leader's agent left", |agent| agent.terminate());
}

#[test]
fn an_agent_that_is_killed_is_replaced_by_the_next_address() {
    replaced("leader's agent killed", Agent::kill);
}

/// The leader's own agent ends in that way, and the server is its next address.
fn replaced(what: &str, end: fn(&mut Agent) -> Moment) {
    run(async {
        // Fails if a process sticks to an agent that is gone.
        let _turn = heavy().await;
        let seam = Seam::system();
        let (server, mut client, place) = with_client(&seam).await?;
        let leader = spawn(&seam, &place.member("leader", &[client.address(), server.address()]));
        writes(&leader, 10).await;
        let ended = end(&mut client);
        client.exited().await;
        let lost = told_after(&leader, "lost", ended).await;
        measured(&format!("{what}, leader has stepped down"), ended, lost.at);
        writes_again(&leader, lost.at, what).await;
        place.assert_nothing_is_lost(vec![leader], &[server.address()]).await;
        Ok(())
    });
}
