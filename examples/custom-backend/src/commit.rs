//! One commit, inside of a transaction.

use ha_core::Error;
use ha_core::backend::{Commit, Expect, Fence, Outcome};

use crate::tables::Tables;

// guide: apply
/// Compares guard and expectations and writes. Whatever it answers, the transaction goes on: a
/// refusal has written nothing.
pub(crate) fn apply(tables: &mut Tables<'_>, commit: &Commit) -> Result<Outcome, Error> {
    // First, because fenced outranks conflict: a deposed leader must learn that it is deposed.
    if let Some(fence) = &commit.guard
        && !is_current(tables, fence)?
    {
        return Ok(Outcome::Fenced);
    }
    let writes = commit.writes.iter().map(|write| (&write.key, write.expect));
    for (key, expect) in writes.chain(commit.checks.iter().map(|(key, expect)| (key, *expect))) {
        let found = tables.read(key)?;
        if !expect.is_met_by(found.as_ref().map(|entry| entry.revision)) {
            return Ok(Outcome::Conflict { key: key.clone(), found });
        }
    }
    let mut revisions = Vec::with_capacity(commit.writes.len());
    for write in &commit.writes {
        revisions.push(match (&write.value, write.expect) {
            (Some(value), _) => tables.put(&write.key, value)?,
            (None, Expect::Revision(removed)) => {
                tables.remove(&write.key)?;
                removed
            }
            // Refused by `Commit::validate`.
            (None, Expect::Absent) => continue,
        });
    }
    Ok(Outcome::Applied { revisions })
}

fn is_current(tables: &Tables<'_>, fence: &Fence) -> Result<bool, Error> {
    Ok(tables.holder(fence.latch.key())?.is_some_and(|(_, term)| term == fence.term))
}
// guide: end
