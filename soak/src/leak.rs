//! Leaks on purpose: a soak that finds none of them proves nothing.

use std::fs::File;

use bytes::Bytes;
use ha_core::Error;
use ha_core::backend::{Backend, Commit, Expect, Key, Session, SessionOptions};
use ha_core::seam::Seam;

use crate::Gauge;

/// So much that it shows in resident memory after a few cycles, when what is allocated still grows by itself.
const MEMORY_BYTES: usize = 256 * 1024;

/// What is leaked, once in each cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leak {
    /// A task that waits for ever.
    Task,
    /// A session that nobody closes.
    Session,
    /// An open file.
    Descriptor,
    /// A key that nobody removes.
    Key,
    /// A quarter of a megabyte.
    Memory,
}

impl Leak {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Task, Self::Session, Self::Descriptor, Self::Key, Self::Memory];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Session => "session",
            Self::Descriptor => "descriptor",
            Self::Key => "key",
            Self::Memory => "memory",
        }
    }

    /// Where it must be found.
    #[must_use]
    pub fn found_as(self) -> Gauge {
        match self {
            Self::Task => Gauge::Tasks,
            Self::Session => Gauge::Sessions,
            Self::Descriptor => Gauge::Descriptors,
            Self::Key => Gauge::Keys,
            Self::Memory => Gauge::Resident,
        }
    }
}

/// What was leaked.
#[derive(Debug, Default)]
pub(crate) struct Leaked {
    sessions: Vec<Box<dyn Session>>,
    files: Vec<File>,
    bytes: Vec<Vec<u8>>,
}

impl Leaked {
    pub(crate) async fn leak(&mut self, what: Leak, seam: &Seam, backend: &dyn Backend) -> Result<(), Error> {
        match what {
            Leak::Task => seam.spawn(std::future::pending()).detach(),
            Leak::Session => {
                let session = backend.open_session(&SessionOptions::default()).await?;
                // A journal knows a session only when it has taken something.
                let latch =
                    ha_core::backend::Latch::below(&Key::new(format!("leaked-{}/a", self.sessions.len()))?.home());
                session.try_acquire(&latch, Bytes::from_static(b"leak"), None).await?;
                self.sessions.push(session);
            }
            Leak::Descriptor => self.files.extend(File::open("/dev/null")),
            Leak::Key => {
                let key = Key::new(format!("leaked/{}", seam.uuid()))?;
                let commit = Commit::new(seam.write_id()).put(key, Expect::Absent, Bytes::from_static(b"leak"));
                backend.commit(&commit).await?;
            }
            Leak::Memory => self.bytes.push(vec![1; MEMORY_BYTES]),
        }
        Ok(())
    }
}
