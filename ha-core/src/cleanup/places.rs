//! Which keys of a cluster belong to what.

use crate::backend::{Entry, Key, Snapshot};
use crate::election::LeaderInformation;
use crate::formats::Formats;
use crate::names::layout;
use crate::state::StateHandle;
use crate::{ComponentId, Error, ErrorKind, JobId, JobStatus, blob, checkpoint, plan, record};

/// What a key of a cluster stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Plan(JobId),
    Checkpoint(JobId),
    Counter(JobId),
    Blob(JobId),
    /// Something below the place of plans, jobs or blobs that this library does not write.
    Strange,
    /// What a component publishes of its leader, and the key of the latch that it leads by.
    LeaderInformation {
        latch: Key,
    },
    /// Latches, epochs, barriers, results of jobs, records of the application, and all that is not known.
    Other,
}

pub(crate) fn place_of(key: &Key) -> Place {
    let parts: Vec<&str> = key.as_str().split('/').collect();
    let of = |job: &str, place: fn(JobId) -> Place| JobId::new(job).map_or(Place::Strange, place);
    match parts[..] {
        // Never written by a commit, wherever they stand.
        _ if key.is_reserved() => Place::Other,
        ["execution-plans", job] => of(job, Place::Plan),
        ["jobs", job, "checkpoints", _] => of(job, Place::Checkpoint),
        ["jobs", job, "checkpoint_id_counter"] => of(job, Place::Counter),
        ["blobs", job, _] => of(job, Place::Blob),
        ["execution-plans" | "jobs" | "blobs", _, ..] => Place::Strange,
        ["leader", component, "connection_info"] if ComponentId::new(component).is_ok() => {
            Place::LeaderInformation { latch: layout::leader().fixed_key("latch") }
        }
        ["latches", _, component, "connection_info"] if ComponentId::new(component).is_ok() => {
            let home = key.home().as_str().len() - component.len() - 1;
            let latch = Key::new(format!("{}latch", &key.as_str()[..home]));
            latch.map_or(Place::Other, |latch| Place::LeaderInformation { latch })
        }
        _ => Place::Other,
    }
}

/// The state that an entry leads to, and whether it goes with its pointer when the job has ended so. `None` for an
/// entry that leads to none.
pub(crate) fn state_in(
    entry: &Entry,
    ended: Option<JobStatus>,
    formats: Formats,
) -> Result<Option<(StateHandle, bool)>, Error> {
    match place_of(&entry.key) {
        Place::Plan(job) => Ok(Some((plan::state_in(&job, entry, formats)?, true))),
        Place::Checkpoint(_) => checkpoint::state_in(entry, ended, formats).map(Some),
        Place::Blob(job) => Ok(Some((blob::state_in(&job, entry, formats)?, true))),
        Place::Strange => Err(Error::new(ErrorKind::Corrupt, "read pointer")
            .at(&entry.key)
            .because("this library writes no such key; find out who does, and remove it by hand")),
        Place::Counter(_) | Place::LeaderInformation { .. } | Place::Other => Ok(None),
    }
}

/// Whether this information is of the leader that holds the latch in the same snapshot.
pub(crate) fn is_of_present_leader(snapshot: &Snapshot, entry: &Entry, latch: &Key, formats: Formats) -> bool {
    let held = snapshot.entries.iter().find(|other| other.key == *latch).and_then(|latch| latch.held.as_ref());
    let published = record::decode_within::<LeaderInformation>(entry, formats).ok().map(|record| record.epoch);
    held.is_some() && published == held.map(|term| term.epoch)
}

/// Whether this is a state that was written for that entry: it lies in the folder of its kind and job. Another's
/// state, to which a pointer was copied by hand, say, is not for this one's clean-up to delete.
pub(crate) fn is_its_own(entry: &Entry, state: &StateHandle) -> bool {
    let (folder, job) = match place_of(&entry.key) {
        Place::Plan(job) => (layout::PLAN_STATES, job),
        Place::Checkpoint(job) => (layout::CHECKPOINT_STATES, job),
        Place::Blob(job) => (layout::BLOB_STATES, job),
        _ => return false,
    };
    let mut parts = state.uri.rsplit('/').skip(1);
    parts.next() == Some(job.as_str()) && parts.next() == Some(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Latch, Name};

    fn of(key: &str) -> Place {
        place_of(&Key::new(key).unwrap())
    }

    #[test]
    fn every_key_of_the_layout_is_told_apart() {
        let job = JobId::new("job-1").unwrap();
        let name = Name::new("x").unwrap();
        let main = Latch::below(&layout::leader());
        let shard = Latch::below(&layout::extra_latch(&Name::new("shard").unwrap()));
        assert_eq!(place_of(&layout::execution_plan(&job)), Place::Plan(job.clone()));
        assert_eq!(place_of(&layout::checkpoint(&job, 7)), Place::Checkpoint(job.clone()));
        assert_eq!(place_of(&layout::checkpoint_id_counter(&job)), Place::Counter(job.clone()));
        assert_eq!(place_of(&layout::blob(&job, &name)), Place::Blob(job.clone()));
        for latch in [&main, &shard] {
            let info = layout::connection_info(latch, &ComponentId::dispatcher());
            assert_eq!(place_of(&info), Place::LeaderInformation { latch: latch.key().clone() });
            for other in [latch.key().clone(), latch.epoch_key(), latch.home().fixed_key("barrier")] {
                assert_eq!(place_of(&other), Place::Other, "{other}");
            }
        }
        assert_eq!(place_of(&layout::job_result(&job)), Place::Other);
        for kept in ["formats", "application/a/b", "application/jobs/x", "new-thing/x", "leader/x", "jobs"] {
            assert_eq!(of(kept), Place::Other, "{kept}");
        }
        for strange in ["jobs/a/b", "jobs/a", "jobs/a/checkpoints/1/2", "blobs/a", "execution-plans/a/b"] {
            assert_eq!(of(strange), Place::Strange, "{strange}");
        }
    }
}
