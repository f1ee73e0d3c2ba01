//! Notifications of the kernel that a folder has new names.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use tokio::sync::watch;

use crate::names;

/// Watches a folder, on a thread that sleeps until the kernel has something. Dropping it ends the thread.
#[derive(Debug)]
pub(crate) struct Notify {
    queue: Arc<OwnedFd>,
    watched: i32,
    /// The number that appeared last. Ends when nothing will be told any more.
    pub(crate) news: watch::Receiver<u64>,
}

impl Notify {
    pub(crate) fn start(folder: &Path) -> io::Result<Self> {
        let queue = Arc::new(inotify::init(CreateFlags::CLOEXEC)?);
        // A link is a creation, a rename arrives from elsewhere.
        let what = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        let watched = inotify::add_watch(&queue, folder, what)?;
        let (told, news) = watch::channel(0);
        let thread_queue = Arc::clone(&queue);
        let listen = move || listen(&thread_queue, &told);
        std::thread::Builder::new().name("ha-fs-notify".into()).stack_size(128 << 10).spawn(listen)?;
        Ok(Self { queue, watched, news })
    }
}

impl Drop for Notify {
    fn drop(&mut self) {
        // The kernel tells of this in the queue, and so the thread ends. It fails if the folder is gone: then it has.
        let _ = inotify::remove_watch(&self.queue, self.watched);
    }
}

fn listen(queue: &OwnedFd, told: &watch::Sender<u64>) {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut reader = Reader::new(queue, &mut buffer);
    let mut last = None;
    loop {
        let event = match reader.next() {
            Ok(event) => event,
            Err(Errno::INTR) => continue,
            Err(_) => return,
        };
        if event.events().contains(ReadFlags::IGNORED) {
            return;
        }
        // Events were lost: everybody looks.
        let overflow = event.events().contains(ReadFlags::QUEUE_OVERFLOW);
        let number = event.file_name().and_then(|name| names::parse_entry(name.to_str().ok()?));
        last = last.max(number.or(overflow.then_some(0)));
        if reader.is_buffer_empty()
            && let Some(number) = last.take()
        {
            told.send_replace(number);
        }
    }
}
