//! What lies in the state storage and may be nobody's: for the collection of orphans.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::StreamExt;
use object_store::path::Path;

use super::{Origin, StateStorage, Tag};
use crate::backend::Name;
use crate::{Error, ErrorKind};

/// Something with the name of a state of this cluster. Whether a pointer leads to it is not known here.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    /// Its name, unique in all folders.
    pub(crate) name: String,
    pub(crate) uri: String,
    pub(crate) tag: Tag,
    pub(crate) bytes: u64,
    /// By the clock of the storage.
    pub(crate) modified_unix_ms: u64,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    State(Path),
    /// What a killed upload has left in a directory: `<name>#<number>`, which the object store hides.
    Unfinished(PathBuf),
}

impl Candidate {
    /// Whether one of these pointers' URLs ends in its name. The name alone counts, so that a storage that was
    /// given another URL meanwhile does not make orphans of its states.
    pub(crate) fn is_among(&self, names: &BTreeSet<String>) -> bool {
        matches!(self.place, Place::State(_)) && names.contains(&self.name)
    }
}

/// Tells a list that goes round from one that is long: it holds one name, and another one after twice as many.
#[derive(Default)]
struct Round {
    mark: Option<Path>,
    since: u64,
    next: u64,
}

impl Round {
    /// Whether this name was listed before. A round is found before it was gone twice beyond what it took to reach it.
    fn has_come_back(&mut self, listed: &Path) -> bool {
        if self.mark.as_ref() == Some(listed) {
            return true;
        }
        if self.since == self.next {
            (self.mark, self.since, self.next) = (Some(listed.clone()), 0, (self.next * 2).max(1));
        }
        self.since += 1;
        false
    }
}

/// The name of the state that a URL leads to.
pub(crate) fn name_in(uri: &str) -> &str {
    uri.rsplit('/').next().unwrap_or_default()
}

impl StateStorage {
    /// Whether this is the part of one cluster, without which its states cannot be told from others.
    pub(crate) fn is_of_cluster(&self) -> bool {
        !self.place.is_empty()
    }

    /// The candidates in that folder that are wanted; each is asked for. Foreign names are passed over.
    pub(crate) async fn candidates(
        &self,
        folder: &'static str,
        mut wanted: impl FnMut(&Candidate) -> bool + Send,
    ) -> Result<Vec<Candidate>, Error> {
        let below = Path::from(format!("{}{folder}", self.below));
        let mut found = Vec::new();
        let mut listed = self.store.list(Some(&below));
        let mut round = Round::default();
        // Each page within the limits; how many there are is for the store to say.
        while let Some(meta) = self.bounded("list states", &below, async { Ok(listed.next().await) }).await? {
            let meta = match meta {
                Ok(meta) => meta,
                // Deleted since the list began.
                Err(object_store::Error::NotFound { .. }) => continue,
                Err(error) => return Err(self.failed("list states", &below, error)),
            };
            if round.has_come_back(&meta.location) {
                return Err(Error::new(ErrorKind::Storage, "list states")
                    .at(self.shown(&below))
                    .because("the store lists the same name twice: does it know how to go on after a page?"));
            }
            // Exactly where states of this folder lie: below the name of a job.
            let relative = meta.location.as_ref().strip_prefix(&*self.below).unwrap_or_default().to_owned();
            let [_, job, name] = relative.split('/').collect::<Vec<_>>()[..] else { continue };
            let Some(tag) = Origin::collectable(name, &self.place).filter(|_| Name::new(job).is_ok()) else { continue };
            let candidate = Candidate {
                name: name.to_owned(),
                uri: format!("{}{relative}", self.base),
                tag,
                bytes: meta.size,
                modified_unix_ms: u64::try_from(meta.last_modified.timestamp_millis()).unwrap_or(0),
                place: Place::State(meta.location),
            };
            if wanted(&candidate) {
                found.push(candidate);
            }
        }
        found.extend(self.unfinished(folder).await?.into_iter().filter(wanted));
        Ok(found)
    }

    /// What killed uploads have left behind in a directory.
    async fn unfinished(&self, folder: &'static str) -> Result<Vec<Candidate>, Error> {
        let Some(directory) = &self.directory else { return Ok(Vec::new()) };
        let home = directory.join(&*self.below).join(folder);
        let (base, place) = (format!("{}{folder}", self.base), Arc::clone(&self.place));
        let failed =
            |e| Error::new(ErrorKind::Storage, "list states").at(format!("{}{folder}", self.base)).caused_by(e);
        let walk = move || walk(&home, &base, &place);
        // Where there is no runtime there is nothing that a slow disk could hold up.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => runtime.spawn_blocking(walk).await.map_err(std::io::Error::other).flatten(),
            Err(_) => walk(),
        }
        .map_err(failed)
    }

    /// Deletes a candidate. Success also if it is gone already.
    pub(crate) async fn sweep(&self, candidate: &Candidate) -> Result<(), Error> {
        match &candidate.place {
            Place::State(path) => self.delete("collect orphan", path).await,
            Place::Unfinished(path) => match std::fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(Error::new(ErrorKind::Storage, "collect orphan").at(&candidate.uri).caused_by(error))
                }
                _ => Ok(()),
            },
        }
    }
}

/// The unfinished uploads below the folders of jobs. What vanishes meanwhile is passed over.
fn walk(home: &std::path::Path, base: &str, place: &str) -> std::io::Result<Vec<Candidate>> {
    let entries = |directory: &std::path::Path| match std::fs::read_dir(directory) {
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        entries => entries?.collect::<std::io::Result<Vec<_>>>(),
    };
    let mut found = Vec::new();
    for job in entries(home)? {
        let Ok(job_name) = job.file_name().into_string() else { continue };
        if Name::new(&job_name).is_err() || !job.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        for file in entries(&job.path())? {
            let Ok(name) = file.file_name().into_string() else { continue };
            let Some((state, number)) = name.split_once('#') else { continue };
            let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
            let tag = Origin::collectable(state, place).filter(|_| is_number);
            let (Some(tag), Ok(meta)) = (tag, file.metadata()) else { continue };
            if !meta.is_file() {
                continue;
            }
            let modified = meta.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
            found.push(Candidate {
                name: state.to_owned(),
                uri: format!("{base}/{job_name}/{name}"),
                tag,
                bytes: meta.len(),
                modified_unix_ms: modified.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
                place: Place::Unfinished(file.path()),
            });
        }
    }
    Ok(found)
}
