use serde::{Deserialize, Serialize};

use super::{ERROR_BYTES_MAX, JobResult};
use crate::backend::{self, Revision, WriteId};
use crate::formats::Formats;
use crate::names::layout;
use crate::record::{self, Body};
use crate::{Error, ErrorKind, JobId, JobStatus};

/// Whether there is something left to clean up after the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Dirty,
    Clean,
}

/// What is stored of a job that is over: one record, so that clean follows dirty in one step and
/// there is no moment with both or none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ResultEntry {
    pub(crate) state: State,
    pub(crate) result: JobResult,
}

impl Body for ResultEntry {
    const KIND: &'static str = "job_result";
}

/// How a job has ended, by its stored result; `None` if that cannot be read.
pub(crate) fn status_in(entry: &backend::Entry, formats: Formats) -> Option<JobStatus> {
    let job = JobId::new(entry.key.last()).ok()?;
    Some(Found::decode(&job, entry, formats).ok()?.entry.result.status)
}

/// What an entry says: the result, and whether it is clean.
pub(crate) fn read_in(entry: &backend::Entry, formats: Formats) -> Result<(JobResult, bool), Error> {
    let job = JobId::new(entry.key.last())?;
    let ResultEntry { state, result } = Found::decode(&job, entry, formats)?.entry;
    Ok((result, state == State::Clean))
}

/// An entry as it was read.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) entry: ResultEntry,
    pub(super) revision: Revision,
}

impl Found {
    pub(super) fn decode(job: &JobId, entry: &backend::Entry, formats: Formats) -> Result<Self, Error> {
        let record = record::decode_within::<ResultEntry>(entry, formats)
            .map_err(|error| broken(job, entry, error.kind(), error))?;
        let (result, revision) = (&record.body.result, record.revision);
        let corrupt = |why: String| {
            let cause = Error::new(ErrorKind::Corrupt, "decode").at(&entry.key).because(why);
            Err(broken(job, entry, ErrorKind::Corrupt, cause))
        };
        if result.job != *job {
            return corrupt(format!("it is the result of another job, {}", result.job));
        }
        if !result.status.is_globally_terminal() {
            return corrupt(format!("{} is no status that a job ends with for good", result.status));
        }
        Ok(Self { entry: record.body, revision })
    }
}

/// The error of an entry that is there and cannot be used.
fn broken(job: &JobId, entry: &backend::Entry, kind: ErrorKind, cause: Error) -> Error {
    let advice = match kind {
        ErrorKind::NewerFormat => "upgrade this process",
        ErrorKind::Unsupported => "read it with an older version",
        _ => "do not run the job again; restore the entry, or clean up after the job and remove it by hand",
    };
    Error::new(kind, "read job result")
        .at(&entry.key)
        .because(format!("the result of {job} cannot be read; nothing was deleted: {advice}"))
        .caused_by(cause)
}

/// The entry for a new result, if it can be stored and read again.
///
/// Everything is looked at before anything is sent: a result that is refused later, when it is to
/// become clean, could never be cleaned up after.
pub(super) fn checked(result: &JobResult, value_bytes_max: usize) -> Result<ResultEntry, Error> {
    let refuse = |kind, why: String| Err(Error::new(kind, "create job result").at(&result.job).because(why));
    if !result.status.is_globally_terminal() {
        let why = format!("{} is not globally terminal: another leader will recover this job", result.status);
        return refuse(ErrorKind::Invalid, why);
    }
    let error_bytes = result.error.as_ref().map_or(0, String::len);
    if error_bytes > ERROR_BYTES_MAX {
        let why = format!("an error text of {error_bytes} bytes, at most {ERROR_BYTES_MAX} are stored: shorten it");
        return refuse(ErrorKind::TooLarge, why);
    }
    let entry = ResultEntry { state: State::Dirty, result: result.clone() };
    // The largest epoch, because a later leader writes it anew; `dirty` and `clean` are equally long.
    let value = record::encode(&entry, WriteId::from_bits(0, 0), u64::MAX)?;
    if value.len() > value_bytes_max {
        let why = format!(
            "{} bytes, the backend takes {value_bytes_max}: keep the accumulators elsewhere, and here where they are",
            value.len()
        );
        return refuse(ErrorKind::TooLarge, why);
    }
    let stored =
        backend::Entry { key: layout::job_result(&result.job), value, revision: Revision::from_native(0), held: None };
    // JSON can be written deeper than it can be read.
    match Found::decode(&result.job, &stored, Formats::SUPPORTED) {
        Ok(_) => Ok(entry),
        Err(error) => Err(Error::new(ErrorKind::Invalid, "create job result")
            .at(&result.job)
            .because("it could be stored but not be read again: are the accumulators nested too deep?")
            .caused_by(error)),
    }
}
