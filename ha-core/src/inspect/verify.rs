use futures_util::{StreamExt, stream};
use serde::Serialize;

use super::contents::{Contents, Pointer, chain};
use super::{Inspector, Problem, ProblemKind};
use crate::{Error, ErrorKind};

/// How many states are read at a time. Each is read in pieces, so memory does not grow with their size.
const PARALLEL: usize = 16;
/// After how many states that could not be reached, one after another, the storage counts as unreachable.
const UNREACHABLE: usize = 4;

/// How closely states are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// There is something of the right length.
    Length,
    /// All of it is read, and its checksum compared.
    Checksum,
}

/// How far a verification has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Pointers that were followed.
    pub done: usize,
    /// All pointers.
    pub all: usize,
    /// Bytes of the states that they lead to.
    pub bytes: u64,
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Verified {
    /// Pointers that lead to intact states.
    pub intact: usize,
    /// Pointers that were removed or replaced meanwhile: a leader works on.
    pub changed: usize,
    /// Bytes of the states that were looked at.
    pub bytes: u64,
    /// Pointers that do not.
    pub problems: Vec<Problem>,
}

enum Finding {
    Intact,
    Changed,
    Broken(Problem),
}

impl Inspector {
    /// Follows every pointer of the contents. Changes nothing, whatever it finds.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`], [`ErrorKind::Denied`]: the state storage cannot be reached, or not read.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn verify(
        &self,
        contents: &Contents,
        depth: Depth,
        mut progress: impl FnMut(Progress),
    ) -> Result<Verified, Error> {
        let all = contents.pointers.len();
        let mut verified = Verified { intact: 0, changed: 0, bytes: 0, problems: Vec::new() };
        let (mut unreachable, mut done) = (0, 0);
        // Spelled out with owned values, so that the future can be sent to another thread.
        let looks = stream::iter(contents.pointers.iter().cloned()).map(|pointer| self.look_at(pointer, depth));
        let mut looks = std::pin::pin!(looks.buffered(PARALLEL));
        while let Some((bytes, finding)) = looks.next().await {
            done += 1;
            verified.bytes = verified.bytes.saturating_add(bytes);
            match finding {
                Ok(Finding::Intact) => verified.intact += 1,
                Ok(Finding::Changed) => verified.changed += 1,
                Ok(Finding::Broken(problem)) => verified.problems.push(problem),
                Err(error) => {
                    unreachable += 1;
                    if unreachable >= UNREACHABLE || done == all {
                        return Err(error);
                    }
                    verified.problems.push(Problem::new(ProblemKind::Unknown, error.subject(), None, chain(&error)));
                    continue;
                }
            }
            unreachable = 0;
            progress(Progress { done, all, bytes: verified.bytes });
        }
        Ok(verified)
    }

    async fn look_at(&self, pointer: Pointer, depth: Depth) -> (u64, Result<Finding, Error>) {
        let bytes = pointer.state.length;
        let looked = match depth {
            Depth::Checksum => self.read_whole(&pointer).await,
            Depth::Length => match self.storage.seems_whole(&pointer.state).await {
                Ok(true) => Ok(()),
                Ok(false) => Err(Error::new(ErrorKind::StateMissing, "look for state")
                    .at(pointer.state.shown())
                    .because(format!("nothing of {} bytes is there", pointer.state.length))),
                Err(error) => Err(error),
            },
        };
        let Err(error) = looked else { return (bytes, Ok(Finding::Intact)) };
        let kind = ProblemKind::of_state(&error);
        if kind == ProblemKind::Unknown {
            return (bytes, Err(error));
        }
        // Race: a leader subsumes the checkpoint, or replaces the plan, after it was listed, and deletes its state.
        // Closed by: the pointer goes first, so one that still stands as it was leads to what is meant to be there.
        // Cost if missed: a false alarm beside every busy job.
        match self.backend.read(&pointer.key).await {
            Ok(Some(entry)) if entry.revision == pointer.revision => {
                let problem = Problem::new(kind, &pointer.key, Some(&pointer.job), chain(&error));
                (bytes, Ok(Finding::Broken(problem)))
            }
            Ok(_) => (bytes, Ok(Finding::Changed)),
            Err(error) => (bytes, Err(error)),
        }
    }

    async fn read_whole(&self, pointer: &Pointer) -> Result<(), Error> {
        let mut chunks = self.storage.read_chunks(&pointer.state).await?;
        while let Some(chunk) = chunks.next().await {
            chunk?;
        }
        Ok(())
    }
}
