use std::fmt;

use super::Engine;
use super::reader::missing;
use crate::journal::{SnapshotName, State};
use crate::{Error, ErrorKind};

/// How often the snapshots are listed anew because one of them was removed before it was read.
const LISTS_MAX: usize = 20;

/// What became of one look at the snapshots.
enum Look {
    Loaded(Box<State>),
    None,
    /// A snapshot that was listed is gone: a newer one has taken its place.
    Gone,
}

impl Engine {
    /// Goes on with the newest snapshot, if it leads further than the state does.
    ///
    /// When the handle is opened there may be none. Later the device said that the state is behind the floor, so one
    /// must be there.
    pub(super) async fn load_newest(&self, opening: bool) -> Result<(), Error> {
        for _ in 0..LISTS_MAX {
            match self.look_for_snapshots().await? {
                Look::Loaded(state) => {
                    let now = self.seam.now();
                    self.core().replace(*state, now);
                    return Ok(());
                }
                Look::None if opening => return Ok(()),
                Look::None | Look::Gone => self.seam.sleep(self.seam.jittered(super::LOAD_PAUSE)).await,
            }
        }
        let why = "the snapshot that its floor stands for cannot be found; try again";
        Err(Error::new(ErrorKind::Unavailable, "load a snapshot").because(why))
    }

    async fn look_for_snapshots(&self) -> Result<Look, Error> {
        let mut names = self.bounded("list snapshots", self.device.snapshots()).await?;
        names.sort_unstable_by(|a, b| b.cmp(a));
        let Some(newest) = names.first().copied() else { return Ok(Look::None) };
        if newest.number <= newest.floor {
            let why = format!("a snapshot is named {}, which names its own floor", Shown(newest));
            return Err(Error::new(ErrorKind::Corrupt, "load a snapshot").because(why));
        }
        let error = match self.load(newest).await? {
            Some(Ok(state)) => return Ok(Look::Loaded(Box::new(state))),
            None => return Ok(Look::Gone),
            Some(Err(error)) => error,
        };
        if error.kind() != ErrorKind::Corrupt {
            return Err(error);
        }
        self.without(newest, &names[1..], error).await
    }

    // Race: none; a snapshot was damaged. What is needed to do without it may have been swept because of it.
    // Closed by: an older snapshot is used only if no entry behind it can have been swept, and only if the entries
    //       really lead to where the damaged one stood.
    // Cost if missed: an older state that is taken for the present one.
    async fn without(&self, damaged: SnapshotName, older: &[SnapshotName], error: Error) -> Result<Look, Error> {
        let mut state = (damaged.floor == 0).then(|| State::new(self.journal, self.options));
        for name in older.iter().filter(|name| name.number >= damaged.floor) {
            match self.load(*name).await? {
                Some(Ok(loaded)) => {
                    state = Some(loaded);
                    break;
                }
                Some(Err(error)) => tracing::error!(%error, "an older snapshot is damaged, too"),
                None => return Ok(Look::Gone),
            }
        }
        let Some(state) = state else {
            tracing::error!(%error, "the newest snapshot is damaged, and nothing else leads to the present state");
            return Err(error);
        };
        tracing::warn!(%error, from = state.position(), "the newest snapshot is damaged; what it was made of is replayed");
        self.core().reaches = Some((damaged.number, missing(Shown(damaged))));
        Ok(Look::Loaded(Box::new(state)))
    }

    async fn load(&self, name: SnapshotName) -> Result<Option<Result<State, Error>>, Error> {
        let bytes = match self.bounded("read a snapshot", self.device.read_snapshot(name)).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(None),
            // Something foreign has its name: as if its bytes were damaged.
            Err(error) if error.kind() == ErrorKind::Corrupt => return Ok(Some(Err(error))),
            Err(error) => return Err(error),
        };
        let (journal, options) = (self.journal, self.options);
        // A large one takes long, and renewals share this thread.
        let decoded = self.seam.compute(move || State::decode_snapshot(name, &bytes, journal, options)).await;
        decoded.map(Some).ok_or_else(|| super::not_computed("load a snapshot"))
    }
}

struct Shown(SnapshotName);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (floor {})", self.0.number, self.0.floor)
    }
}
