use std::io;
use std::sync::Arc;

use bytes::Bytes;
use ha_core::journal::{Published, Read};
use ha_core::{Error, ErrorKind};

use crate::disk::Folder;
use crate::failure::{is_refusal, unknown};
use crate::names;
use crate::shared::{Naming, Shared};

/// The largest entry: what the protocol puts into one, and its head.
pub(crate) const ENTRY_BYTES_MAX: usize = 16 << 20;
/// How many entries one read answers at most.
const READ_ENTRIES_MAX: usize = 4096;
/// How often a staged file may vanish before its name is given. Collecting takes those that are older than an hour.
const STAGINGS_MAX: usize = 3;
const PUBLISH: &str = "publish an entry";
const READ: &str = "read entries";

/// What publishes and reads entries, on one thread.
#[derive(Debug)]
pub(crate) struct Front {
    shared: Arc<Shared>,
    /// What was written for an entry that has no number yet.
    staged: Option<Staged>,
    /// The file that won. Its first name is taken away after the answer.
    used: Option<String>,
    /// Entries up to this number are durable, names included: this handle saw them and fsynced the folder then.
    durable: u64,
}

#[derive(Debug)]
struct Staged {
    entry: u128,
    name: String,
}

impl Front {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, staged: None, used: None, durable: 0 }
    }

    pub(crate) fn publish(&mut self, number: u64, entry: u128, bytes: &Bytes) -> Result<Published, Error> {
        self.shared.usable()?;
        if number == 0 {
            return Err(Error::new(ErrorKind::Invalid, PUBLISH).because("numbers begin with 1"));
        }
        if bytes.len() > ENTRY_BYTES_MAX {
            let why = format!("{} bytes, an entry may have {ENTRY_BYTES_MAX}", bytes.len());
            return Err(Error::new(ErrorKind::TooLarge, PUBLISH).at(number).because(why));
        }
        let name = names::entry(number);
        for _ in 0..STAGINGS_MAX {
            let staged = self.stage(entry, bytes)?;
            match self.shared.name(&staged, Folder::Entries, &name) {
                Ok(()) => return self.won(number, staged),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return self.taken(&name),
                // Race: we slept for an hour, and the staged file was collected as a leftover.
                // Closed by: writing it anew; the number itself is as exclusive as before. With a rename, a server
                //       that was asked twice answers the same after it was done: that stays unknown.
                // Cost if missed: an idle writer fails for ever.
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound
                        && self.shared.naming == Naming::Link
                        && self.is_gone(&staged) =>
                {
                    self.staged = None;
                }
                Err(error) => return Err(self.unnamed(&name, error)),
            }
        }
        let why = "what was staged there vanishes at once: what removes it?";
        Err(Error::new(ErrorKind::Unavailable, PUBLISH).at(self.shared.path(Folder::Staged, "")).because(why))
    }

    /// The number is ours, but nobody may build on it before this.
    fn won(&mut self, number: u64, staged: String) -> Result<Published, Error> {
        // A rename has taken the first name away.
        self.staged = None;
        self.used = (self.shared.naming == Naming::Link).then_some(staged);
        let unsure = |cause: Error| {
            let why = format!("the entry was made, and then: {cause}");
            Error::new(ErrorKind::Indeterminate, PUBLISH).at(number).because(why)
        };
        self.shared.sync(Folder::Entries).map_err(unsure)?;
        self.durable = self.durable.max(number);
        // After the link, never before: a floor at or above the number says that the number was used and swept, and
        // only a look after the link is sure to see it.
        let floor = self.shared.floor().map_err(|error| unknown(PUBLISH, number, error))?;
        self.shared.same_directory(PUBLISH).map_err(unsure)?;
        Ok(Published::Won { floor })
    }

    // Race: none; somebody made a folder, a link or a pipe where the next entry comes. No entry can be there, and nobody
    //       can read past it: the whole journal stands still until it is moved away.
    // Closed by: a look at what has the name. Where the disk is this kernel's own, its refusal is the whole truth, and
    //       the entry is certainly in no state. A server that was asked twice may have made the entry first.
    // Cost if missed: every commit is answered as unknown for ever, and nobody hears why.
    fn taken(&self, name: &str) -> Result<Published, Error> {
        match self.shared.disk.stat(Folder::Entries, name) {
            Ok(found) if !found.is_file => {
                let path = self.shared.path(Folder::Entries, name);
                let why = "no entry, but a folder, a link or a pipe has the name of the next one";
                let error = io::Error::new(io::ErrorKind::InvalidData, why);
                match self.shared.mount.is_local() {
                    true => Err(self.shared.failed(PUBLISH, path, error)),
                    false => Err(unknown(PUBLISH, path, error)),
                }
            }
            // What cannot be seen is for the reader to find out, who compares.
            _ => Ok(Published::Taken),
        }
    }

    fn unnamed(&mut self, name: &str, error: io::Error) -> Error {
        let path = self.shared.path(Folder::Entries, name);
        // A server that was asked twice may have done it the first time, whatever it says the second time.
        if self.shared.mount.is_local() && is_refusal(&error) {
            // On a full disk nothing may lie about that is not needed.
            self.discard();
            return self.shared.failed(PUBLISH, path, error);
        }
        // It names the reason if the directory is gone, and poisons the handle.
        let gone = self.shared.same_directory(PUBLISH).err();
        let error = unknown(PUBLISH, path, error);
        gone.map_or(error.clone(), |gone| error.because(gone))
    }

    /// The name of what is staged for the entry.
    fn stage(&mut self, entry: u128, bytes: &Bytes) -> Result<String, Error> {
        if let Some(staged) = self.staged.as_ref().filter(|staged| staged.entry == entry) {
            return Ok(staged.name.clone());
        }
        self.tidy();
        self.discard();
        let name = self.shared.stage(PUBLISH, bytes)?;
        self.staged = Some(Staged { entry, name: name.clone() });
        Ok(name)
    }

    fn is_gone(&self, staged: &str) -> bool {
        let found = self.shared.disk.stat(Folder::Staged, staged);
        found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    pub(crate) fn read(&mut self, from: u64) -> Result<Read, Error> {
        self.shared.usable()?;
        let (mut entries, mut bytes) = (Vec::new(), 0);
        let mut number = from.max(1);
        while entries.len() < READ_ENTRIES_MAX && bytes < ENTRY_BYTES_MAX {
            let name = names::entry(number);
            match self.shared.disk.read(Folder::Entries, &name, ENTRY_BYTES_MAX as u64) {
                Ok(entry) => {
                    bytes += entry.len();
                    entries.push(Bytes::from(entry));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => return Err(self.shared.failed(READ, self.shared.path(Folder::Entries, &name), error)),
            }
            let Some(next) = number.checked_add(1) else { break };
            number = next;
        }
        let last = from.max(1).saturating_add(entries.len() as u64) - 1;
        // Race: the writer of an entry lost its machine between link and fsync, and so does ours after we answered.
        // Closed by: our own fsync, before the first answer that rests on the name.
        // Cost if missed: somebody acts on an entry that a loss of power takes back.
        if !entries.is_empty() && last > self.durable {
            self.shared.sync(Folder::Entries)?;
            self.durable = last;
        }
        let floor = if entries.is_empty() { self.shared.floor_as_listed() } else { self.shared.floor() };
        let floor = floor.map_err(|error| self.shared.failed(READ, self.shared.path(Folder::Snapshots, ""), error))?;
        self.shared.same_directory(READ)?;
        Ok(Read { entries, floor })
    }

    /// Whether the number exists, as far as can be seen.
    pub(crate) fn exists(&self, number: u64) -> bool {
        // A failure is for the reader to find out.
        let found = self.shared.disk.stat(Folder::Entries, &names::entry(number));
        !found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    /// Takes away the first name of what has a number now. Off the path of an answer; what stays is collected one day.
    pub(crate) fn tidy(&mut self) {
        if let Some(name) = self.used.take() {
            let _ = self.shared.disk.remove(Folder::Staged, &name);
        }
    }

    /// Gives up what was staged.
    pub(crate) fn discard(&mut self) {
        if let Some(staged) = self.staged.take() {
            let _ = self.shared.disk.remove(Folder::Staged, &staged.name);
        }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.tidy();
        self.discard();
    }
}
