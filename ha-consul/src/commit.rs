//! A commit as one transaction.

use std::collections::BTreeMap;

use ha_core::backend::{Commit, Expect, Fence, Key, Outcome, Revision};
use ha_core::seam::Seam;
use ha_core::{Error, ErrorKind};

use crate::http::Http;
use crate::kv::{self, Sent};
use crate::layout::{self, Native};
use crate::wire::{Operation, Pair};

/// The operations that a guard takes.
pub(crate) const GUARD_OPERATIONS: usize = 2;
/// The most that one change takes: a removal is a check and a deletion, for Consul deletes also what is
/// absent and calls it success.
pub(crate) const OPERATIONS_EACH: usize = 2;

/// Sends the commit, once.
pub(crate) async fn commit(http: &Http, seam: &Seam, commit: &Commit) -> Result<Outcome, Error> {
    let subject = commit.writes.first().map(|write| &write.key).or(commit.checks.first().map(|(key, _)| key));
    let subject = subject.map_or_else(|| "nothing".to_owned(), ToString::to_string);
    if subject == "nothing" && commit.guard.is_none() {
        return Ok(Outcome::Applied { revisions: Vec::new() });
    }
    let Some(plan) = Plan::of(commit, seam) else { return Ok(Outcome::Fenced) };
    if let Some(key) = plan.impossible {
        // No key has revision 0, and for Consul it means "absent". Whether the guard holds comes first.
        let guard: Vec<Operation> = plan.operations.into_iter().take(plan.guard).collect();
        if !guard.is_empty()
            && let Sent::Refused(_) = kv::transact(http, &guard).await.map_err(|f| f.of_read("commit", &subject))?
        {
            return Ok(Outcome::Fenced);
        }
        let found = kv::read(http, &key).await?;
        return Ok(Outcome::Conflict { key, found });
    }
    match kv::transact(http, &plan.operations).await.map_err(|failure| failure.of_write("commit", &subject))? {
        Sent::Applied(pairs) => applied(commit, &pairs),
        Sent::Refused(refused) => {
            if refused.iter().any(|(operation, _)| *operation < plan.guard) {
                return Ok(Outcome::Fenced);
            }
            let first = refused.iter().map(|(operation, _)| *operation).min();
            let Some(key) = first.and_then(|operation| plan.keys.get(operation - plan.guard)) else {
                let why = "Consul refuses an operation that was not sent";
                return Err(Error::new(ErrorKind::Indeterminate, "commit").at(subject).because(why));
            };
            // Nothing was applied, whatever becomes of this read.
            let found = kv::read(http, key).await?;
            Ok(Outcome::Conflict { key: key.clone(), found })
        }
    }
}

/// The operations of a commit, in their order.
struct Plan {
    operations: Vec<Operation>,
    /// How many of them are the guard.
    guard: usize,
    /// The key of each operation after the guard.
    keys: Vec<Key>,
    /// A key that is expected to have a revision that no key has.
    impossible: Option<Key>,
}

impl Plan {
    /// `None` if the guard names a term that never was.
    fn of(commit: &Commit, seam: &Seam) -> Option<Self> {
        let operations = match &commit.guard {
            Some(fence) => guard(fence)?.to_vec(),
            None => Vec::new(),
        };
        let mut plan = Self { guard: operations.len(), operations, keys: Vec::new(), impossible: None };
        for write in &commit.writes {
            let path = layout::path_of(&write.key);
            match (&write.value, write.expect) {
                // The flags differ each time: identical bytes and flags are no write for Consul, and the
                // same expectation would then be met again and again.
                (Some(value), expect) => {
                    let index = plan.index_of(&write.key, expect);
                    plan.push(&write.key, Operation::cas(path, index, value, seam.random_u64()));
                }
                (None, expect) => {
                    let index = plan.index_of(&write.key, expect);
                    plan.push(&write.key, Operation::check_index(path.clone(), index));
                    plan.push(&write.key, Operation::delete(path));
                }
            }
        }
        for (key, expect) in &commit.checks {
            let path = layout::path_of(key);
            let operation = match expect {
                Expect::Absent => Operation::check_absent(path),
                Expect::Revision(_) => Operation::check_index(path, plan.index_of(key, *expect)),
            };
            plan.push(key, operation);
        }
        Some(plan)
    }

    fn index_of(&mut self, key: &Key, expect: Expect) -> u64 {
        match expect {
            Expect::Absent => 0,
            Expect::Revision(revision) => {
                if revision.native() == 0 {
                    self.impossible.get_or_insert_with(|| key.clone());
                }
                revision.native()
            }
        }
    }

    fn push(&mut self, key: &Key, operation: Operation) {
        self.operations.push(operation);
        self.keys.push(key.clone());
    }
}

/// "The latch is held by this session since exactly this write": both, for either alone can come back.
fn guard(fence: &Fence) -> Option<[Operation; GUARD_OPERATIONS]> {
    let native = Native::of(&fence.term)?;
    let path = layout::path_of(fence.latch.key());
    Some([Operation::check_session(path.clone(), &native.session), Operation::check_index(path, native.index)])
}

fn applied(commit: &Commit, pairs: &[Pair]) -> Result<Outcome, Error> {
    let written: BTreeMap<&str, u64> = pairs.iter().map(|pair| (pair.key.as_str(), pair.modify_index)).collect();
    let revisions = commit.writes.iter().map(|write| match (&write.value, write.expect) {
        (None, Expect::Revision(revision)) => Ok(revision),
        _ => written.get(layout::path_of(&write.key).as_str()).map(|index| Revision::from_native(*index)).ok_or_else(
            || {
                // It was applied; which revision it has can be read.
                Error::new(ErrorKind::Indeterminate, "commit")
                    .at(&write.key)
                    .because("Consul applied the transaction and does not say what it wrote")
            },
        ),
    });
    Ok(Outcome::Applied { revisions: revisions.collect::<Result<_, Error>>()? })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use ha_core::backend::{KEY_BYTES_MAX, Latch, Prefix, Term};

    use super::*;

    /// As long as a key may be.
    fn key(number: usize) -> Key {
        let key = Key::new([format!("{number:0>127}"), "x".repeat(127), "y".repeat(127), "z".repeat(128)].join("/"));
        key.unwrap()
    }

    #[test]
    fn the_largest_commit_of_the_profile_is_not_larger_than_the_agent_allows() {
        // Fails if what a removal takes, whose key stands in it twice, is not counted.
        let limits = crate::http::Limits { value_bytes: 512 << 10, transaction_bytes: 512 << 10, operations: 64 };
        let profile = crate::backend::profile(limits).unwrap();
        let seam = Seam::system();
        let home = ["l".repeat(127), "m".repeat(127), "n".repeat(127), "o".repeat(120)].join("/");
        let latch = Latch::below(&Prefix::new(home).unwrap());
        let native = Native { session: "8ec0b1f2-0000-1111-2222-333344445555".into(), index: u64::MAX >> 1 };
        let term: Term = native.term(u64::MAX);
        for removals in [0, profile.commit_operations_max - 1] {
            let mut commit =
                Commit::new(seam.write_id()).guarded_by(Fence { latch: latch.clone(), term: term.clone() });
            for number in 0..removals {
                commit = commit.remove(key(number), Revision::from_native(u64::MAX >> 1));
            }
            let left = (profile.commit_bytes_max - commit.bytes() - KEY_BYTES_MAX).min(profile.value_bytes_max);
            let commit = commit.put(key(99), Expect::Absent, Bytes::from(vec![0xff; left]));
            commit.validate(&profile).unwrap();
            let plan = Plan::of(&commit, &seam).unwrap();
            let bytes = serde_json::to_vec(&plan.operations).unwrap().len();
            assert!(bytes <= limits.transaction_bytes, "{removals} removals: {bytes} bytes");
            assert!(bytes > limits.transaction_bytes / 100 * 90, "{bytes} bytes: room is given away");
        }
    }
}
