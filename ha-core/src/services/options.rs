use std::time::Duration;

use crate::backend::{Prefix, SessionOptions};
use crate::formats::Formats;
use crate::job_result::JobResultStoreOptions;
use crate::names::layout;
use crate::{Error, ErrorKind, PresenceOptions};

/// How the services of one process are set up. Plain data; [`ServicesOptions::validate`] says what
/// does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicesOptions {
    /// The place of all clusters in the store. Default: `flink`.
    pub root: String,
    /// The cluster: those with another id see nothing of it. Slashes divide, as in `/prod/eu`; behind one,
    /// the names are taken under which clusters keep their records: `leader`, `latches`, `jobs`,
    /// `job-results`, `execution-plans`, `blobs`, `application`, `formats`.
    /// Default: `default`.
    pub cluster_id: String,
    /// How the session is kept. Its `silence` is also how long a view of a leader is believed
    /// without the store, and how often what is followed is read anew.
    pub session: SessionOptions,
    /// How long this process waits (give or take half of it) before it tries to take a latch that may be
    /// free, at its start and each time: zero (the default) for a preferred candidate, more for one of
    /// lower priority. At most a minute.
    pub handicap: Duration,
    /// Whether others see that this process lives, so that a crash of it is acted on at once. Default: where
    /// the backend has no evidence of its own.
    pub presence: PresenceOptions,
    /// How results of jobs are kept. Default: they are removed once they are clean.
    pub job_results: JobResultStoreOptions,
    /// The formats that this process reads and can take part in. Default: those of this version. Another
    /// range is for tests that let two versions meet.
    pub formats: Formats,
}

impl Default for ServicesOptions {
    fn default() -> Self {
        Self {
            root: "flink".into(),
            cluster_id: "default".into(),
            session: SessionOptions::default(),
            handicap: Duration::ZERO,
            presence: PresenceOptions::default(),
            job_results: JobResultStoreOptions::default(),
            formats: Formats::SUPPORTED,
        }
    }
}

impl ServicesOptions {
    const HANDICAP_MAX: Duration = Duration::from_secs(60);

    /// Checks every field and gives the place of the cluster in the store.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`]: names the field, the value and the bound.
    pub fn validate(&self) -> Result<Prefix, Error> {
        let invalid =
            |field: &str, why: String| Error::new(ErrorKind::Invalid, "services options").at(field).because(why);
        let part = |field, value: &str| {
            Prefix::new(value).map_err(|e| invalid(field, "not a path of names".into()).caused_by(e))
        };
        let (root, cluster) = (part("root", &self.root)?, part("cluster_id", &self.cluster_id)?);
        if cluster == Prefix::root() {
            return Err(invalid("cluster_id", "it is empty; two clusters would share their data".into()));
        }
        // A cluster `prod/jobs` would have its records where cluster `prod` has those of its jobs, and be cleaned up
        // with them.
        if let Some(taken) = cluster.as_str().split('/').skip(1).find(|part| layout::is_taken(part)) {
            let why = format!("{taken:?} cannot stand behind a slash: a cluster keeps records of its own under it");
            return Err(invalid("cluster_id", why));
        }
        if self.handicap > Self::HANDICAP_MAX {
            let most = Self::HANDICAP_MAX;
            return Err(invalid("handicap", format!("{:?}; at most {most:?} are allowed", self.handicap)));
        }
        self.presence.validate()?;
        Ok(root.join(&cluster))
    }
}
