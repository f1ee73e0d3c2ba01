//! The least that a program without this library would send: the same client, plain requests, nothing looked after.

use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};

use ha_testkit::bench::Result;

/// Plain HTTP to the agent.
pub(crate) struct Bare {
    client: Client,
    base: String,
}

impl Bare {
    /// Connects as the backend does: HTTP/1.1, kept alive, without delay.
    pub(crate) fn new(agent: &str) -> Result<Self> {
        let client = Client::builder().http1_only().tcp_nodelay(true).no_proxy().retry(reqwest::retry::never());
        Ok(Self { client: client.build()?, base: format!("http://{agent}/v1") })
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Vec<u8>> {
        let request = self.client.request(method, format!("{}/{path}", self.base)).timeout(Duration::from_secs(60));
        let answer = request.body(body).send().await?;
        let status = answer.status();
        let bytes = answer.bytes().await?;
        if !status.is_success() {
            return Err(format!("{path}: {status} {}", String::from_utf8_lossy(&bytes)).into());
        }
        Ok(bytes.to_vec())
    }

    /// Sends a transaction, and answers the index that it wrote under.
    pub(crate) async fn transact(&self, operations: &[Value]) -> Result<u64> {
        let answer = self.ask(Method::PUT, "txn", serde_json::to_vec(operations)?).await?;
        let answer: Value = serde_json::from_slice(&answer)?;
        let results = answer["Results"].as_array().into_iter().flatten();
        Ok(results.filter_map(|result| result["KV"]["ModifyIndex"].as_u64()).max().unwrap_or(0))
    }

    /// A key as Consul shows it.
    pub(crate) async fn pair(&self, key: &str) -> Result<Value> {
        let answer = self.ask(Method::GET, &format!("kv/{key}?consistent"), Vec::new()).await?;
        Ok(serde_json::from_slice::<Value>(&answer)?[0].take())
    }

    /// What a fenced write checks: that the latch is held by this session since exactly this write.
    pub(crate) async fn guard(&self, latch: &str) -> Result<[Value; 2]> {
        let held = self.pair(latch).await?;
        Ok([
            json!({"KV": {"Verb": "check-session", "Key": latch, "Session": held["Session"]}}),
            json!({"KV": {"Verb": "check-index", "Key": latch, "Index": held["ModifyIndex"]}}),
        ])
    }

    pub(crate) async fn session(&self) -> Result<String> {
        let body = json!({"TTL": "60s", "LockDelay": "0s", "Behavior": "release"});
        let answer = self.ask(Method::PUT, "session/create", serde_json::to_vec(&body)?).await?;
        let answer: Value = serde_json::from_slice(&answer)?;
        Ok(answer["ID"].as_str().ok_or("a session without an id")?.to_owned())
    }
}

/// Writes a value, in base64 as Consul showed it, where the key has that index. Each number is another write: Consul
/// takes identical bytes and flags for none.
pub(crate) fn cas(key: &str, index: u64, value: &Value, number: usize) -> Value {
    json!({"KV": {"Verb": "cas", "Key": key, "Index": index, "Value": value, "Flags": number}})
}

pub(crate) fn delete_cas(key: &str, index: u64) -> Value {
    json!({"KV": {"Verb": "delete-cas", "Key": key, "Index": index}})
}

pub(crate) fn lock(key: &str, session: &str, value: &Value) -> Value {
    json!({"KV": {"Verb": "lock", "Key": key, "Session": session, "Value": value}})
}

pub(crate) fn unlock(key: &str, session: &str) -> Value {
    json!({"KV": {"Verb": "unlock", "Key": key, "Session": session, "Value": ""}})
}
