use std::fmt::Debug;

use bytes::Bytes;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Draw;
use crate::backend::{Entry, Key, Revision, WriteId};
use crate::blob::{self, BlobKey};
use crate::checkpoint::{
    self, CheckpointKind, CheckpointOrigin, CompletedCheckpoint, RecoveryClaimMode, RetentionPolicy,
};
use crate::election::{HolderInformation, LeaderInformation, StepDownRequest};
use crate::evidence::{Identity, Presence, PresenceWithdrawal};
use crate::formats::{ClusterFormat, Formats, Standing};
use crate::job_result::{self, JobResult, State};
use crate::names::layout;
use crate::record::{self, Body};
use crate::resolve::Raised;
use crate::state::StateHandle;
use crate::{Error, ErrorKind, JobId, JobStatus, plan};

/// The job that everything is said to belong to, and its checkpoint.
const JOB: &str = "job-1";
const CHECKPOINT: u64 = 7;

/// A record as it would stand under that key.
fn stored(key: &Key, bytes: &[u8]) -> Entry {
    Entry { key: key.clone(), value: Bytes::copy_from_slice(bytes), revision: Revision::from_native(1), held: None }
}

/// Reads a record of every kind that services write, as the services do, and writes it again: the second reading finds
/// the same.
///
/// # Errors
/// It is none of them.
pub fn bodies(bytes: &[u8]) -> Result<(), Error> {
    let (job, formats) = (JobId::new(JOB)?, Formats::SUPPORTED);
    let blob = format!("{}-0", "0".repeat(64)).parse::<BlobKey>()?;
    // What a service makes of it may be refused where the record alone can be read.
    let checkpoint = stored(&layout::checkpoint(&job, CHECKPOINT), bytes);
    let _refused_or_not = (checkpoint::read_in(&checkpoint, formats), checkpoint::state_in(&checkpoint, None, formats));
    let _refused_or_not = checkpoint::next_in(&stored(&layout::checkpoint_id_counter(&job), bytes), formats);
    let _refused_or_not = plan::state_in(&job, &stored(&layout::execution_plan(&job), bytes), formats);
    let _refused_or_not = job_result::read_in(&stored(&layout::job_result(&job), bytes), formats);
    let _refused_or_not = blob::state_in(&job, &stored(&layout::blob(&job, &blob.name()), bytes), formats);
    let _refused_or_not = Standing::of(Some(&stored(&layout::formats(), bytes)));
    let mut refusal = Error::new(ErrorKind::Corrupt, "decode");
    for read in [
        again::<checkpoint::Pointer>,
        again::<checkpoint::Count>,
        again::<plan::Pointer>,
        again::<job_result::ResultEntry>,
        again::<blob::Pointer>,
        again::<ClusterFormat>,
        again::<LeaderInformation>,
        again::<HolderInformation>,
        again::<PresenceWithdrawal>,
        again::<StepDownRequest>,
        again::<Raised>,
    ] {
        match read(bytes) {
            Ok(()) => return Ok(()),
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}

/// Reads, writes, and reads what was written.
fn again<T: Body + PartialEq + Debug>(bytes: &[u8]) -> Result<(), Error> {
    let key = Key::new("a/record")?;
    let first = record::decode::<T>(&stored(&key, bytes))?;
    let written = record::encode(&first.body, first.write_id, first.epoch).expect("what was read can be written");
    let second = record::decode::<T>(&stored(&key, &written)).expect("what was just written");
    assert_eq!(second, first, "written otherwise than it was read");
    let twice = record::encode(&second.body, second.write_id, second.epoch).expect("what was read can be written");
    assert_eq!(twice, written, "the form is canonical");
    Ok(())
}

/// A record of every kind, whose bodies are drawn. Each is read as it was written, byte for byte.
///
/// # Panics
/// One is not: that is what is looked for.
pub fn drawn_bodies(draw: &mut Draw<'_>) -> Vec<Bytes> {
    let job = JobId::new(JOB).expect("a name");
    let checkpoint = drawn_checkpoint(draw);
    let identity = identity(draw);
    let address = if draw.below(2) == 0 { "127.0.0.1:80" } else { "[::1]:65535" };
    let presence = draw.maybe(|_| Presence { address: address.parse().expect("an address"), identity });
    let holder = HolderInformation {
        label: draw.text(20),
        since_unix_ms: draw.number(),
        silence_ms: draw.maybe(Draw::number),
        presence,
        took_over_from: draw.maybe(|_| identity),
    };
    let mut result = JobResult::new(job, draw.of(&[JobStatus::Failed, JobStatus::Canceled, JobStatus::Finished]))
        .with_network_run_time_ms(draw.number())
        .with_error(draw.text(30));
    for _ in 0..draw.below(3) {
        result = result.with_accumulator(draw.text(10), value(draw, 3));
    }
    let requirements = draw.maybe(|draw| value(draw, 3)).filter(|value| !value.is_null());
    let leader = LeaderInformation { address: draw.text(30), session_id: Uuid::from_u128(draw.wide()) };
    let request = StepDownRequest {
        epoch: draw.number(),
        native: draw.text(20),
        by: draw.text(20),
        at_unix_ms: draw.number(),
        stay_away_ms: draw.number(),
    };
    vec![
        written(&checkpoint::Pointer::new(&checkpoint, handle(draw)), draw),
        written(&checkpoint::Count { next: draw.number() }, draw),
        written(&plan::Pointer { state: handle(draw), requirements }, draw),
        written(&job_result::ResultEntry { state: draw.of(&[State::Dirty, State::Clean]), result }, draw),
        written(&blob::Pointer { state: handle(draw) }, draw),
        written(&ClusterFormat { format: draw.number() as u32 }, draw),
        written(&leader, draw),
        written(&holder, draw),
        written(&PresenceWithdrawal { identity }, draw),
        written(&request, draw),
        written(&Raised { times: draw.number() }, draw),
    ]
}

fn drawn_checkpoint(draw: &mut Draw<'_>) -> CompletedCheckpoint {
    let kinds = [CheckpointKind::Checkpoint, CheckpointKind::Savepoint, CheckpointKind::SynchronousSavepoint];
    let policies = [
        RetentionPolicy::NeverRetainAfterTermination,
        RetentionPolicy::RetainOnFailure,
        RetentionPolicy::RetainOnCancellation,
    ];
    let modes = [RecoveryClaimMode::Claim, RecoveryClaimMode::NoClaim, RecoveryClaimMode::Legacy];
    let restored = CheckpointOrigin::Restored(draw.of(&modes));
    let id = if draw.below(2) == 0 { CHECKPOINT } else { draw.number() };
    let checkpoint = CompletedCheckpoint::new(id, draw.of(&kinds), draw.number(), Bytes::new())
        .with_retention(draw.of(&policies))
        .with_origin(draw.of(&[CheckpointOrigin::Taken, restored]));
    match draw.maybe(|draw| draw.text(30)) {
        Some(external) => checkpoint.with_external(external),
        None => checkpoint,
    }
}

/// As bytes that are read as the same.
fn written<T: Body + PartialEq + Debug>(body: &T, draw: &mut Draw<'_>) -> Bytes {
    let (id, epoch) = (WriteId::from_bits(draw.number(), draw.number()), draw.number());
    let bytes = record::encode(body, id, epoch).expect("a record");
    let key = Key::new("a/record").expect("a key");
    let read = record::decode::<T>(&stored(&key, &bytes)).expect("what was just written");
    assert_eq!((&read.body, read.write_id, read.epoch), (body, id, epoch));
    assert_eq!(record::write_id_of(&stored(&key, &bytes)), Some(id));
    assert_eq!(record::encode(&read.body, id, epoch).expect("a record"), bytes, "the form is canonical");
    bytes
}

fn identity(draw: &mut Draw<'_>) -> Identity {
    Identity::try_from(format!("{:032x}", draw.wide())).expect("32 digits")
}

fn handle(draw: &mut Draw<'_>) -> StateHandle {
    let sha256 = format!("{:032x}{:032x}", draw.wide(), draw.wide());
    StateHandle { uri: format!("file:///{}", draw.text(30)), length: draw.number(), sha256 }
}

/// Any JSON.
fn value(draw: &mut Draw<'_>, depth: u64) -> Value {
    match draw.below(if depth == 0 { 6 } else { 8 }) {
        0 => Value::Null,
        1 => json!(draw.below(2) == 0),
        2 => json!(draw.number()),
        3 => json!(draw.number() as i64),
        // Not a number, and what is not finite, are null in JSON.
        4 => json!(f64::from_bits(draw.number())),
        5 => json!(draw.text(12)),
        6 => (0..draw.below(4)).map(|_| value(draw, depth - 1)).collect(),
        _ => Value::Object((0..draw.below(4)).map(|_| (draw.text(6), value(draw, depth - 1))).collect()),
    }
}
