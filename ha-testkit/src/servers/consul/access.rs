//! Tokens and what they may do.

use serde_json::json;

use super::Agent;

/// Makes the first token, which may do everything.
pub(super) async fn bootstrap(agent: &Agent) -> String {
    // Refused until the leader has begun to serve access control.
    let made = || async {
        let answer = agent.try_ask(None, "PUT", "/v1/acl/bootstrap", b"").await.ok()?;
        (answer.status == 200).then(|| secret(&answer.json()))
    };
    agent.until("access control begins", made).await
}

/// Makes a policy of these rules, and a token that has it.
pub(super) async fn token(agent: &Agent, rules: &str) -> String {
    let name = format!("policy-{}", agent.seam().uuid());
    let policy = json!({ "Name": name, "Rules": rules }).to_string();
    let answer = agent.ask("PUT", "/v1/acl/policy", policy.as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let token = json!({ "Policies": [{ "Name": name }] }).to_string();
    let answer = agent.ask("PUT", "/v1/acl/token", token.as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    secret(&answer.json())
}

fn secret(token: &serde_json::Value) -> String {
    token["SecretID"].as_str().expect("a token has a secret").to_owned()
}
