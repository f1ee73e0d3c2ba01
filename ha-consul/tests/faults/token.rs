//! What the documented policy allows, exactly, and a token that is revoked.

use ha_consul::{Consul, Token};
use ha_core::backend::{Backend, Prefix};
use ha_core::seam::Seam;
use ha_core::{ErrorKind, HighAvailabilityServices};
use ha_testkit::servers::consul::{Agent, Options};

use crate::member::{Member, checkpoint, checkpoints, spawn, writes};
use crate::world::{Place, in_time, leadership, measured, quick, run, told_after};

/// The policy as `docs/consul.md` shows it, for the root `flink`.
pub(crate) fn documented(root: &str) -> String {
    policy_of("# Least privilege", root)
}

/// The policy that `docs/consul.md` shows for those who only read.
pub(crate) fn documented_for_readers(root: &str) -> String {
    policy_of("# Readers", root)
}

fn policy_of(title: &str, root: &str) -> String {
    let guide = include_str!("../../../docs/consul.md");
    let (_, rest) = guide.split_once(&format!("```hcl\n{title}\n")).expect("the guide shows the policy");
    let (policy, _) = rest.split_once("```").unwrap();
    assert!(policy.contains("\"flink/\""));
    policy.replace("\"flink/\"", &format!("\"{root}/\""))
}

pub(crate) struct Guarded {
    pub(crate) seam: Seam,
    pub(crate) agent: Agent,
    pub(crate) place: Place,
}

impl Guarded {
    pub(crate) async fn start() -> Result<Self, ha_testkit::Missing> {
        let seam = Seam::system();
        let agent = Agent::start(seam.clone(), quick(Options::developer().with_acl())).await?;
        Ok(Self { place: Place::new(&seam), agent, seam })
    }

    pub(crate) fn member(&self, label: &str, token: &str) -> Member {
        let mut member = self.place.member(label, &[self.agent.address()]);
        member.token = Some(token.to_owned());
        member
    }
}

#[test]
fn all_services_work_with_exactly_the_documented_policy() {
    run(async {
        let g = Guarded::start().await?;
        let token = g.agent.token(&documented(&g.place.root)).await;
        let services = g.member("least", &token).services(&g.seam).await;
        let leads = leadership(&g.seam, &services).await;
        leads.publish("here").await.unwrap();
        let store = checkpoints(&leads).await.unwrap();
        store.add_checkpoint_and_subsume_oldest_one(checkpoint(1)).await.unwrap();
        let mut watch = services.dispatcher_leader_retriever().unwrap().watch();
        assert_eq!(in_time(&g.seam, "it is seen", watch.leader()).await.address, "here");
        // The check is there: the policy does not make it fall back to the slower way.
        let checks = g.agent.ask("GET", "/v1/agent/checks", b"").await;
        assert_eq!(checks.json().as_object().unwrap().len(), 1, "{}", checks.text());
        leads.resign().await.unwrap();
        services.close().await.unwrap();
        Ok(())
    });
}

#[test]
fn without_the_right_to_register_its_check_a_leader_lives_by_its_sessions_ttl() {
    run(async {
        let g = Guarded::start().await?;
        let rules: String = documented(&g.place.root).lines().filter(|line| !line.contains("service_prefix")).collect();
        let token = g.agent.token(&rules).await;
        let mut leader = spawn(&g.seam, &g.member("no check", &token));
        writes(&leader, 10).await;
        let standby = g.member("standby", &token).services(&g.seam).await;
        let killed = leader.kill();
        leader.exited().await;
        let leads = leadership(&g.seam, &standby).await;
        measured("leader without a check killed, standby leads", killed, g.seam.now());
        assert!(leads.is_valid());
        standby.close().await.unwrap();
        Ok(())
    });
}

#[test]
fn a_place_that_may_not_be_read_is_denied_and_not_empty() {
    run(async {
        // Fails if a missing permission looks like "nobody leads".
        let g = Guarded::start().await?;
        let elsewhere = g.agent.token(&documented("elsewhere")).await;
        let mut settings = g.member("elsewhere", &elsewhere).settings();
        settings.token = Token::Secret(elsewhere);
        let consul = Consul::connect(settings, g.seam.clone()).await.unwrap();
        let error = consul.list(&Prefix::new(&g.place.root).unwrap()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        consul.close().await.unwrap();
        Ok(())
    });
}

#[test]
fn a_leader_whose_token_is_revoked_steps_down_and_another_leads() {
    run(async {
        let g = Guarded::start().await?;
        let (token, other) =
            (g.agent.token(&documented(&g.place.root)).await, g.agent.token(&documented(&g.place.root)).await);
        let leader = spawn(&g.seam, &g.member("revoked", &token));
        writes(&leader, 10).await;
        let standby = g.member("standby", &other).services(&g.seam).await;
        let own = g.agent.ask_as(Some(&token), "GET", "/v1/acl/token/self", b"").await.json();
        let accessor = own["AccessorID"].as_str().unwrap().to_owned();
        let revoked = g.seam.now();
        assert_eq!(g.agent.ask("DELETE", &format!("/v1/acl/token/{accessor}"), b"").await.status, 200);
        let lost = told_after(&leader, "lost", revoked).await;
        measured("token revoked, leader has stepped down", revoked, lost.at);
        let leads = leadership(&g.seam, &standby).await;
        measured("token revoked, standby leads", revoked, g.seam.now());
        let before = leads.token();
        let store = checkpoints(&leads).await.unwrap();
        let latest = store.get_latest_checkpoint_id().await.unwrap();
        store.add_checkpoint_and_subsume_oldest_one(checkpoint(latest + 1_000)).await.unwrap();
        assert_eq!(leads.token(), before);
        standby.close().await.unwrap();
        Ok(())
    });
}
