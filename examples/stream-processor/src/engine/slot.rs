use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use ha::seam::Seam;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::runtime::Handle;

use crate::gate::Gate;
use crate::wire::Frames;

/// Where an engine runs, what it reads, and how far.
#[derive(Debug, Default)]
pub struct Placement {
    /// Places for the keyed tasks, used in turn; without any they run where the engine is started.
    /// A task ends with its engine, or with its place, in which case the engine fails.
    pub slots: VecDeque<Slot>,
    /// What the source does not read past.
    pub gate: Arc<Gate>,
    /// Where the copy of the plan's artefact lies, if it has one.
    pub artefact: Option<PathBuf>,
}

/// A place for a keyed task.
#[derive(Debug)]
pub enum Slot {
    /// Threads of this process; any number of tasks, one after the other or at once.
    Threads(Handle),
    /// Another process, which is asked to run one task: see [`serve`](super::serve).
    Elsewhere(Link),
}

/// A connection to a process that runs one task.
#[derive(Debug)]
pub struct Link {
    /// What comes in.
    pub frames: Frames<OwnedReadHalf>,
    /// Where frames are written.
    pub out: OwnedWriteHalf,
    /// Time.
    pub seam: Seam,
}

/// A longer frame between an engine and its tasks is refused: the open windows of one task must fit.
pub(super) const FRAME_BYTES_MAX: usize = 256 << 20;

impl Placement {
    /// The place of the next task. Threads are used again, the other end of a link serves one task alone.
    pub(super) fn next_slot(&mut self) -> Option<Slot> {
        let slot = self.slots.pop_front()?;
        if let Slot::Threads(handle) = &slot {
            self.slots.push_back(Slot::Threads(handle.clone()));
        }
        Some(slot)
    }
}

impl Link {
    /// A link over a connection.
    #[must_use]
    pub fn new(stream: TcpStream, seam: Seam) -> Self {
        let (input, out) = stream.into_split();
        Self { frames: Frames::new(input, FRAME_BYTES_MAX), out, seam }
    }

    /// A link over a connection that other frames have been read from.
    #[must_use]
    pub fn over(frames: Frames<OwnedReadHalf>, out: OwnedWriteHalf, seam: Seam) -> Self {
        Self { frames: frames.with_most(FRAME_BYTES_MAX), out, seam }
    }

    /// Whether the other end is there, as far as can be seen without asking it. It says nothing before it is given
    /// a task, so anything that has come is the end of the connection, or from somebody who is no worker.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let mut byte = [0];
        let seen = self.out.as_ref().try_read(&mut byte);
        self.frames.is_empty() && matches!(seen, Err(cause) if cause.kind() == std::io::ErrorKind::WouldBlock)
    }
}
