use ha_core::backend::Prefix;
use serde::Deserialize;
use serde_json::json;

use super::failure::{Failure, FailureKind};
use super::{Http, Request};

/// Why a transaction was refused.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Refused {
    errors: Vec<Reason>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Reason {
    what: String,
}

impl Http {
    /// Proves that the token may read and write below that place. Writes nothing.
    ///
    /// Consul leaves out of a list what may not be read, so that a wrong policy looks like an empty place. A single
    /// key is refused openly. Writing is proved by a transaction that also expects something impossible: Consul looks
    /// at the permissions of all of its operations first, and refuses it in any case.
    ///
    /// What is not proved: rules for single keys further below, and sessions, which are refused openly when one is
    /// opened.
    pub(crate) async fn prove_access(&self, below: &Prefix) -> Result<(), Failure> {
        let key = format!("{below}access");
        let read = self.send(&Request::get(format!("kv/{key}?consistent"))).await?;
        // Consul's own "nothing is there" has an index; that of something else has none.
        let may_read = read.status == 200 || read.status == 404 && read.index.is_some();
        if !may_read {
            return Err(read.failure());
        }
        let operations = json!([
            { "KV": { "Verb": "check-index", "Key": key, "Index": u64::MAX >> 1 } },
            { "KV": { "Verb": "cas", "Key": key, "Index": u64::MAX >> 1, "Value": "" } },
        ]);
        let write = self.send(&Request::put("txn").body(operations.to_string().into_bytes())).await?;
        if write.status != 409 {
            return Err(write.failure());
        }
        let decoded: Refused = serde_json::from_slice(&write.body)
            .map_err(|_| Failure::new(FailureKind::Unknown, "not the answer of a Consul agent; check the address"))?;
        match decoded.errors.iter().find(|error| error.what.contains("Permission denied")) {
            None if decoded.errors.is_empty() => Err(write.failure()),
            None => Ok(()),
            Some(denied) => {
                let what = write.shown_of(&denied.what);
                let why = format!("{what}: the token may read below `{below}`, and not write; correct its policy");
                Err(Failure::new(FailureKind::Denied, why))
            }
        }
    }
}
