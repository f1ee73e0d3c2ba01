//! The names that services give to things, and where these are stored.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::backend::{Key, Name, Prefix};

/// Names that stand beside components below a latch, and so cannot be components themselves.
const TAKEN: [&str; 5] = ["latch", "epoch", "barrier", "presence", "step_down"];

macro_rules! named {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Name);

        impl $type {
            /// The name as one segment of a key.
            #[must_use]
            pub fn name(&self) -> &Name {
                &self.0
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl TryFrom<String> for $type {
            type Error = Error;
            fn try_from(name: String) -> Result<Self, Error> {
                Self::new(name)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.as_str().to_owned()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

named! {
    /// A part of a process that takes part in an election, such as a dispatcher. Flink's component id.
    ComponentId
}

named! {
    /// A job. Flink's is 32 hexadecimal digits; here any [`Name`] will do.
    JobId
}

impl ComponentId {
    /// Checks and takes the name.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid): it is no [`Name`], or one of `latch`, `epoch`, `barrier`,
    /// `presence`, `step_down`.
    pub fn new(name: impl AsRef<str>) -> Result<Self, Error> {
        let name = Name::new(name)?;
        if TAKEN.contains(&name.as_str()) {
            return Err(Error::new(crate::ErrorKind::Invalid, "component id")
                .at(&name)
                .because("this name has a meaning of its own beside a latch; choose another"));
        }
        Ok(Self(name))
    }

    fn fixed(name: &'static str) -> Self {
        Self(Name::new(name).expect("a fixed name of letters and underscores"))
    }

    /// Flink's resource manager.
    #[must_use]
    pub fn resource_manager() -> Self {
        Self::fixed("resource_manager")
    }

    /// Flink's dispatcher.
    #[must_use]
    pub fn dispatcher() -> Self {
        Self::fixed("dispatcher")
    }

    /// Flink's REST endpoint, once called web monitor.
    #[must_use]
    pub fn rest_server() -> Self {
        Self::fixed("rest_server")
    }

    /// The job master of a job.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid): the job's name is too long to stand behind `job-`.
    pub fn job_master(job: &JobId) -> Result<Self, Error> {
        Self::new(format!("job-{job}"))
    }
}

impl JobId {
    /// Checks and takes the name.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid): it is no [`Name`], or one of `latch` and `epoch`: under these
    /// neither the plan nor the result of a job could be stored.
    pub fn new(name: impl AsRef<str>) -> Result<Self, Error> {
        let job = Self(Name::new(name)?);
        if layout::job_result(&job).is_reserved() {
            return Err(Error::new(crate::ErrorKind::Invalid, "job id")
                .at(&job)
                .because("this name has a meaning of its own in a key; choose another"));
        }
        Ok(job)
    }
}

/// The place for records of the application's own; see
/// [`Leadership::guarded`](crate::election::Leadership::guarded).
#[must_use]
pub fn application_prefix() -> Prefix {
    layout::application()
}

/// Where everything of one cluster is stored, below its root. People see these paths; they do not
/// change between versions.
pub(crate) mod layout {
    use super::{ComponentId, JobId, Key, Prefix};
    use crate::backend::{Latch, Name};

    /// Whether something of a cluster stands under that name, directly below its place.
    pub(crate) fn is_taken(name: &str) -> bool {
        let places = [leader(), extra_latches(), jobs(), job_results(), execution_plans(), all_blobs(), application()];
        formats().as_str() == name || places.iter().any(|place| place.as_str().trim_end_matches('/') == name)
    }

    /// The place of records that the application keeps for itself.
    pub(crate) fn application() -> Prefix {
        Prefix::root().fixed("application")
    }

    /// What the cluster writes; see [`formats`](crate::formats).
    pub(crate) fn formats() -> Key {
        Prefix::root().fixed_key("formats")
    }

    /// The place of the process's one latch and of what its components publish.
    pub(crate) fn leader() -> Prefix {
        Prefix::root().fixed("leader")
    }

    /// The place of an independent latch.
    pub(crate) fn extra_latch(name: &Name) -> Prefix {
        extra_latches().below(name)
    }

    /// The place of all independent latches.
    pub(crate) fn extra_latches() -> Prefix {
        Prefix::root().fixed("latches")
    }

    /// Which latch it is: `Some(None)` for the process's one latch, `Some` of its name for an independent one.
    pub(crate) fn latch_name(latch: &Latch) -> Option<Option<Name>> {
        if *latch == Latch::below(&leader()) {
            return Some(None);
        }
        let name = extra_latches().relative(latch.key())?.strip_suffix("/latch")?;
        Some(Some(Name::new(name).ok()?))
    }

    /// Where a leader takes back, for its epoch, what its presence proves.
    pub(crate) fn presence(latch: &Latch) -> Key {
        latch.home().fixed_key("presence")
    }

    /// Where an operator asks the leader of one term to step down.
    pub(crate) fn step_down(latch: &Latch) -> Key {
        latch.home().fixed_key("step_down")
    }

    /// The latch of that name below the cluster's place; without a name, the process's one latch.
    pub(crate) fn latch(name: Option<&Name>) -> Latch {
        Latch::below(&name.map_or_else(leader, extra_latch))
    }

    pub(crate) fn connection_info(latch: &Latch, component: &ComponentId) -> Key {
        latch.home().below(component.name()).fixed_key("connection_info")
    }

    pub(crate) fn execution_plans() -> Prefix {
        Prefix::root().fixed("execution-plans")
    }

    pub(crate) fn execution_plan(job: &JobId) -> Key {
        execution_plans().key(job.name())
    }

    pub(crate) fn job_results() -> Prefix {
        Prefix::root().fixed("job-results")
    }

    pub(crate) fn job_result(job: &JobId) -> Key {
        job_results().key(job.name())
    }

    pub(crate) fn all_blobs() -> Prefix {
        Prefix::root().fixed("blobs")
    }

    pub(crate) fn jobs() -> Prefix {
        Prefix::root().fixed("jobs")
    }

    pub(crate) fn blobs(job: &JobId) -> Prefix {
        all_blobs().below(job.name())
    }

    pub(crate) fn blob(job: &JobId, blob: &Name) -> Key {
        blobs(job).key(blob)
    }

    pub(crate) fn job(job: &JobId) -> Prefix {
        jobs().below(job.name())
    }

    pub(crate) fn checkpoints(job_id: &JobId) -> Prefix {
        job(job_id).fixed("checkpoints")
    }

    /// Fixed width, so that the order of names is the order of ids.
    pub(crate) fn checkpoint(job: &JobId, id: u64) -> Key {
        let name = Name::new(format!("{id:019}")).expect("digits are a name");
        checkpoints(job).key(&name)
    }

    /// The folders of the state storage, each with what points to the states in it.
    pub(crate) const PLAN_STATES: &str = "submittedJobGraph";
    pub(crate) const CHECKPOINT_STATES: &str = "completedCheckpoint";
    pub(crate) const BLOB_STATES: &str = "blob";

    /// Each folder of states, and where what points to them stands.
    pub(crate) fn state_folders() -> [(&'static str, Prefix); 3] {
        [(PLAN_STATES, execution_plans()), (CHECKPOINT_STATES, jobs()), (BLOB_STATES, all_blobs())]
    }

    /// The folder of one job's states.
    pub(crate) fn states(folder: &'static str, job: &JobId) -> [Name; 2] {
        [Name::new(folder).expect("letters are a name"), job.name().clone()]
    }

    pub(crate) fn checkpoint_id_counter(job_id: &JobId) -> Key {
        job(job_id).fixed_key("checkpoint_id_counter")
    }
}
