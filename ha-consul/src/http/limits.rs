use serde::Deserialize;

use super::failure::{Failure, FailureKind};
use super::{Answer, Http, Request};

/// How much Consul takes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// The largest value, in bytes.
    pub(crate) value_bytes: usize,
    /// The longest body of a transaction, in bytes of JSON.
    pub(crate) transaction_bytes: usize,
    /// The most operations of a transaction.
    pub(crate) operations: usize,
}

/// Consul's own limits, where the agent does not say others.
const STOCK: Limits = Limits { value_bytes: 512 * 1024, transaction_bytes: 512 * 1024, operations: 64 };
/// So many operations are asked for to hear how many are allowed; more are never used.
const OPERATIONS_PROBED: usize = 512;

/// What an agent says of itself, as far as it matters.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Itself {
    /// Every agent has one.
    config: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    debug_config: serde_json::Value,
}

impl Http {
    /// Asks the agent how much it takes at once, and so finds out whether it is there, is a Consul, and knows the
    /// token.
    ///
    /// The sizes are settings of the agent, which it may keep to itself (`agent:read`); then Consul's own count, and
    /// a commit that is larger than the agent allows is refused by it with nothing applied. The number of
    /// operations differs between versions of Consul, and no agent tells it but by refusing too many of them.
    pub(crate) async fn limits(&self) -> Result<Limits, Failure> {
        let answer = self.ask_itself().await?;
        let sizes = match answer.status {
            200 => {
                let itself: Itself = answer.json()?;
                if itself.config.is_empty() {
                    return Err(Failure::new(FailureKind::NotDone, "this is no Consul agent; check the address"));
                }
                sizes(&itself.debug_config)
            }
            403 if answer.text().starts_with("Permission denied") => STOCK,
            _ => return Err(answer.failure()),
        };
        Ok(Limits { operations: self.operations().await?, ..sizes })
    }

    /// Asks each agent for itself until one answers. Elsewhere the time that a silent agent takes is the caller's,
    /// and the next call asks another; but who connects begins at the first agent each time.
    async fn ask_itself(&self) -> Result<Answer, Failure> {
        let mut before = None;
        for _ in self.addresses() {
            match self.send(&Request::get("agent/self")).await {
                Err(failure) if failure.took_too_long() => before = Some(failure.after(before)),
                other => return other.map_err(|failure| failure.after(before)),
            }
        }
        Err(before.unwrap_or_else(|| Failure::new(FailureKind::NotDone, "no agent is configured")))
    }

    /// Asks for more reads in one transaction than may be allowed. The agent refuses them before it looks at them.
    async fn operations(&self) -> Result<usize, Failure> {
        let read = r#"{"KV":{"Verb":"get","Key":"ha"}}"#;
        let body = format!("[{}]", vec![read; OPERATIONS_PROBED].join(","));
        let answer = self.send(&Request::put("txn").body(body.into_bytes())).await?;
        Ok(match answer.status {
            413 => allowed(&answer).unwrap_or(STOCK.operations),
            // All of them were looked at; whether they read something does not matter.
            200 | 409 => OPERATIONS_PROBED,
            // It has no leader just now, for example: that is no reason not to connect.
            _ => STOCK.operations,
        })
    }
}

fn sizes(settings: &serde_json::Value) -> Limits {
    let size = |name: &str, otherwise: usize| {
        let size = settings.get(name).and_then(serde_json::Value::as_u64);
        size.and_then(|size| usize::try_from(size).ok()).filter(|size| *size > 0).unwrap_or(otherwise)
    };
    let value_bytes = size("KVMaxValueSize", STOCK.value_bytes);
    // Consul takes a transaction that is as long as a value in any case.
    let transaction_bytes = size("TxnMaxReqLen", STOCK.transaction_bytes).max(value_bytes);
    Limits { value_bytes, transaction_bytes, ..STOCK }
}

/// The second number of "Transaction contains too many operations (512 > 64)".
fn allowed(answer: &Answer) -> Option<usize> {
    let text = answer.text();
    let (_, rest) = text.strip_prefix("Transaction contains too many operations")?.split_once("> ")?;
    let number: usize = rest.split(')').next()?.parse().ok()?;
    Some(number.clamp(1, OPERATIONS_PROBED))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_an_agent_does_not_say_is_consuls_own() {
        assert_eq!(sizes(&json!(null)), STOCK);
        assert_eq!(sizes(&json!({"KVMaxValueSize": "?", "TxnMaxReqLen": -1})), STOCK);
        assert_eq!(sizes(&json!({"KVMaxValueSize": 0})), STOCK);
    }

    #[test]
    fn a_transaction_may_be_as_long_as_a_value() {
        let limits = sizes(&json!({"KVMaxValueSize": 1024, "TxnMaxReqLen": 2048}));
        assert_eq!((limits.value_bytes, limits.transaction_bytes), (1024, 2048));
        let limits = sizes(&json!({"KVMaxValueSize": 4_000_000}));
        assert_eq!((limits.value_bytes, limits.transaction_bytes), (4_000_000, 4_000_000));
    }

    #[test]
    fn the_number_of_operations_is_read_from_the_refusal() {
        let answer = |text: &'static str| Answer {
            status: 413,
            index: None,
            filtered: false,
            body: text.into(),
            secrets: Vec::new(),
        };
        let text = "Transaction contains too many operations (512 > 64)";
        assert_eq!(allowed(&answer(text)), Some(64));
        assert_eq!(allowed(&answer("Transaction contains too many operations (512 > 128)\n")), Some(128));
        assert_eq!(allowed(&answer("Transaction contains too many operations (512 > 0)")), Some(1));
        for text in ["", "too large", "Transaction contains too many operations (512 > x)"] {
            assert_eq!(allowed(&answer(text)), None, "{text}");
        }
    }
}
