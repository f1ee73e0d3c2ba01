//! What all handles of one store share.

use std::fmt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use ha_core::backend::{Change, EarlyEnd, Evidence, Mark, Profile, Scope, Snapshot};
use ha_core::seam::Seam;
use ha_core::{Error, ErrorKind};
use redb::{Database, ReadableDatabase};

use crate::news::{Heard, News};
use crate::sessions::Sessions;
use crate::tables::{Tables, View, failed, unknown};

pub(crate) struct Core {
    pub(crate) seam: Seam,
    pub(crate) news: News,
    sessions: Mutex<Sessions>,
    /// `None` once the store is closed.
    database: RwLock<Option<Database>>,
}

impl Core {
    // guide: open
    pub(crate) fn open(path: &Path, seam: Seam) -> Result<Self, Error> {
        Self::on(Database::create(path).map_err(failed)?, seam)
    }

    pub(crate) fn on(database: Database, seam: Seam) -> Result<Self, Error> {
        let transaction = database.begin_write().map_err(failed)?;
        let mut tables = Tables::open(&transaction)?;
        // No session survived, so every latch is free: whoever led before is fenced from here on.
        tables.free_all(|_| true)?;
        tables.finish()?;
        transaction.commit().map_err(unknown)?;
        let news = News::since(View::open(&database.begin_read().map_err(failed)?)?.sequence);
        Ok(Self { seam, news, sessions: Mutex::default(), database: RwLock::new(Some(database)) })
    }
    // guide: end

    // guide: profile
    /// What the layers above size themselves by. redb itself takes gigabytes; a commit stays small
    /// enough that the others need not wait for it.
    pub(crate) fn profile() -> Profile {
        Profile::new("redb", 1024 * 1024, 128, 4 * 1024 * 1024)
            .with_early_ends([EarlyEnd::Evidence, EarlyEnd::Operator])
            // One process has the file; when it dies, the next one to open the file frees every latch.
            .with_evidence(Evidence::Own)
    }
    // guide: end

    pub(crate) fn sessions(&self) -> MutexGuard<'_, Sessions> {
        // Nothing in here panics half-way through a change.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // guide: view
    /// Reads on the caller's own thread. A read transaction waits for no writer and no fsync; it reads
    /// pages, which redb and the operating system keep in memory: what is kept here is small.
    pub(crate) fn view<T>(&self, look: impl FnOnce(&View) -> Result<T, Error>) -> Result<T, Error> {
        let guard = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = guard.as_ref().ok_or_else(closed)?;
        look(&View::open(&database.begin_read().map_err(failed)?)?)
    }
    // guide: end

    // guide: transact
    /// Runs some steps in one transaction with one fsync. Called by the writer's thread alone.
    pub(crate) fn transact(&self, steps: impl FnOnce(&mut Tables<'_>) -> Result<(), Error>) -> Result<(), Error> {
        let guard = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let transaction = guard.as_ref().ok_or_else(closed)?.begin_write().map_err(failed)?;
        let mut tables = Tables::open(&transaction)?;
        let over = self.sessions().overdue(self.seam.now());
        if !over.is_empty() {
            tables.free_all(|session| over.contains(&session))?;
        }
        steps(&mut tables)?;
        let changes = tables.finish()?;
        transaction.commit().map_err(unknown)?;
        self.sessions().freed(&over);
        self.news.announce(changes);
        Ok(())
    }
    // guide: end

    // guide: change
    /// What differs in the scope from what was seen, or `None` if nothing does.
    pub(crate) fn change(&self, scope: &Scope, seen: Mark) -> Result<Option<Change>, Error> {
        self.view(|view| {
            let heard = match seen.native().checked_sub(1) {
                Some(seen) => self.news.between(seen, view.sequence, scope),
                None => Heard::Forgotten,
            };
            let keys = match heard {
                Heard::Keys(keys) if keys.is_empty() => return Ok(None),
                Heard::Keys(keys) => keys,
                Heard::NotYet => return Ok(None),
                Heard::Forgotten => return Ok(Some(Change::Snapshot(snapshot(view, scope)?))),
            };
            let (mut entries, mut removed) = (Vec::new(), Vec::new());
            for key in keys {
                match view.read(&key)? {
                    Some(entry) => entries.push(entry),
                    None => removed.push(key),
                }
            }
            Ok(Some(Change::Delta { entries, removed, mark: view.mark() }))
        })
    }
    // guide: end

    /// Closes the file. Waits for a transaction that is under way, not for those to come.
    pub(crate) fn close(&self) {
        drop(self.database.write().unwrap_or_else(PoisonError::into_inner).take());
        self.news.ring();
    }
}

pub(crate) fn snapshot(view: &View, scope: &Scope) -> Result<Snapshot, Error> {
    let entries = match scope {
        Scope::Key(key) => view.read(key)?.into_iter().collect(),
        Scope::Below(prefix) => view.below(prefix)?,
    };
    Ok(Snapshot { entries, mark: view.mark() })
}

pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "redb").because("the store or this handle on it was closed; open it again")
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("seam", &self.seam).field("waiting", &self.news.waiting()).finish_non_exhaustive()
    }
}
