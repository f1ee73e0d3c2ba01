use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use async_trait::async_trait;
use ha_core::backend::{
    Backend, Change, Commit, EarlyEnd, Entry, KEY_BYTES_MAX, Key, Mark, Outcome, Prefix, Profile, Scope, Session,
    SessionOptions, Snapshot,
};
use ha_core::seam::Seam;
use ha_core::{Error, ErrorKind};

use crate::http::{Http, Limits};
use crate::session::{ConsulSession, Epochs, Living};
use crate::settings::ConsulSettings;
use crate::watch::Watches;
use crate::{commit, kv};

/// What an operation takes in a transaction's JSON beside its key and value, at most, and what the key takes that a
/// removal names twice.
const OPERATION_BYTES: usize = 192;

/// A handle on Consul, as one process has it. Clones are the same handle.
///
/// See the [crate](crate) for what it guarantees and what it needs.
#[derive(Clone)]
pub struct Consul(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) settings: ConsulSettings,
    pub(crate) seam: Seam,
    /// For reads and commits.
    pub(crate) http: Http,
    /// For renewals, on a thread of their own: its connections live there.
    pub(crate) renewals: Http,
    watches: Watches,
    profile: Profile,
    sessions: Mutex<Vec<Weak<Living>>>,
    pub(crate) epochs: Epochs,
    closed: AtomicBool,
}

impl Consul {
    /// Connects: asks the agent for its limits, and so finds out whether it is there and lets us in. Proves what
    /// [`prove_access_below`](ConsulSettings::prove_access_below) names.
    ///
    /// # Errors
    /// * [`ErrorKind::Invalid`]: a setting does not fit; the text names it. Or the agent's limits leave no room for
    ///   a commit.
    /// * [`ErrorKind::Unavailable`]: no agent answers, or what answers is no Consul. Try again later.
    /// * [`ErrorKind::Denied`]: the token is not known, or may not do what was to be proved.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn connect(settings: ConsulSettings, seam: Seam) -> Result<Self, Error> {
        settings.validate()?;
        let http = Http::new(&settings)?;
        let limits = http.limits().await.map_err(|failure| failure.of_read("connect", "agent/self"))?;
        let profile = profile(limits)?;
        if let Some(below) = settings.place_to_prove()? {
            http.prove_access(&below).await.map_err(|failure| failure.of_read("connect", &below))?;
        }
        let watches = Watches::new(Http::new(&settings)?, seam.clone(), settings.blocking_wait);
        let renewals = Http::new(&settings)?;
        let (sessions, epochs, closed) = (Mutex::default(), Epochs::default(), AtomicBool::new(false));
        Ok(Self(Arc::new(Inner { settings, seam, http, renewals, watches, profile, sessions, epochs, closed })))
    }

    /// Proves that the token may read and write below that place, without writing. Do this at the start: Consul
    /// shows a place that may not be read as an empty one.
    ///
    /// Rules for single keys further below are not proved, nor that sessions may be opened, which Consul refuses
    /// openly.
    ///
    /// # Errors
    /// * [`ErrorKind::Denied`]: the token may not; the text says what.
    /// * [`ErrorKind::Unavailable`]: it could not be found out. Try again later.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn prove_access(&self, below: &Prefix) -> Result<(), Error> {
        let http = &self.open("prove access")?.http;
        http.prove_access(below).await.map_err(|failure| failure.of_read("prove access", below))
    }

    fn open(&self, operation: &'static str) -> Result<&Inner, Error> {
        if self.0.closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Closed, operation).because("this handle was closed; connect another"));
        }
        Ok(&self.0)
    }
}

impl Inner {
    fn remember(&self, session: &ConsulSession) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|living| living.strong_count() > 0);
        sessions.push(Arc::downgrade(session.living()));
    }
}

/// What fits into a commit on this agent.
pub(crate) fn profile(limits: Limits) -> Result<Profile, Error> {
    let operations = limits.operations.saturating_sub(commit::GUARD_OPERATIONS) / commit::OPERATIONS_EACH;
    // Values travel as base64, four bytes for three, within the JSON of the transaction.
    let overhead = limits.operations * OPERATION_BYTES + 4096;
    let bytes = limits.transaction_bytes.saturating_sub(overhead) / 4 * 3;
    // A commit of one value also holds its key.
    let (value, least) = (limits.value_bytes.min(bytes.saturating_sub(KEY_BYTES_MAX)), 4096);
    if operations == 0 || value < least {
        let why = format!(
            "{limits:?} leaves no room for values of {least} bytes; raise `kv_max_value_size` and \
                           `txn_max_req_len` of the agent"
        );
        return Err(Error::new(ErrorKind::Invalid, "connect").at("agent/self").because(why));
    }
    // Gossip also where no session has `serfHealth`: an agent that is a server itself, and that the others take for
    // dead, is removed from the catalogue by them (`cleanup_dead_servers`), and all sessions of its node with it.
    Ok(Profile::new("consul", value, operations, bytes).with_early_ends([
        EarlyEnd::Evidence,
        EarlyEnd::Operator,
        EarlyEnd::Gossip,
        EarlyEnd::Agent,
        EarlyEnd::Restore,
    ]))
}

#[async_trait]
impl Backend for Consul {
    fn profile(&self) -> Profile {
        self.0.profile.clone()
    }

    async fn read(&self, key: &Key) -> Result<Option<Entry>, Error> {
        kv::read(&self.open("read")?.http, key).await
    }

    async fn list(&self, below: &Prefix) -> Result<Snapshot, Error> {
        kv::list(&self.open("list")?.http, below).await
    }

    async fn changed(&self, scope: &Scope, seen: &Mark) -> Result<Change, Error> {
        let inner = self.open("follow")?;
        if *seen == Mark::UNSEEN {
            let snapshot = match scope {
                Scope::Below(prefix) => kv::list(&inner.http, prefix).await?,
                Scope::Key(key) => {
                    let mut snapshot = kv::list(&inner.http, &key.home()).await?;
                    snapshot.entries.retain(|entry| entry.key == *key);
                    snapshot
                }
            };
            return Ok(Change::Snapshot(snapshot));
        }
        inner.watches.changed(scope, *seen).await
    }

    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        let inner = self.open("commit")?;
        commit.validate(&inner.profile)?;
        commit::commit(&inner.http, &inner.seam, commit).await
    }

    async fn open_session(&self, options: &SessionOptions) -> Result<Box<dyn Session>, Error> {
        let inner = self.open("open session")?;
        let session = ConsulSession::open(Arc::clone(&self.0), options).await?;
        inner.remember(&session);
        // Race: the handle may have been closed meanwhile, and does not know this session.
        // Closed by: whoever comes second, closing or opening, sees the other.
        // Cost if missed: a session that is renewed behind a closed handle.
        if inner.closed.load(Ordering::Acquire) {
            session.close().await?;
            self.open("open session")?;
        }
        Ok(Box::new(session))
    }

    async fn close(&self) -> Result<(), Error> {
        self.0.closed.store(true, Ordering::Release);
        self.0.watches.close();
        let living: Vec<_> = {
            let sessions = self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            sessions.iter().filter_map(Weak::upgrade).collect()
        };
        let closed = futures_util::future::join_all(living.iter().map(|living| living.close())).await;
        closed.into_iter().collect()
    }
}

impl fmt::Debug for Consul {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consul").field("http", &self.0.http).finish_non_exhaustive()
    }
}
