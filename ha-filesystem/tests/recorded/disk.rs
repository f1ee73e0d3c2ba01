//! A handle's way to a disk in memory. Each handle can be given one fault, at one step.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use ha_filesystem::disk::{Disk, DiskFile, Folder, Stat};

use crate::world::Contents;
pub use crate::world::World;

/// What a handle meets at one of its steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// The process ends before that step.
    Crash(u64),
    /// The process ends in the middle of it, if it is a write.
    Torn(u64),
    /// The step fails, without effect.
    Fails(u64, i32),
    /// The step fails, and was done.
    FailsDone(u64, i32),
    /// From that step on nothing can be made.
    Full(u64),
    /// From that step on nothing can be changed.
    ReadOnly(u64),
}

/// What a disk says it made durable, and did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    Folder(Folder),
    Files,
}

pub const EIO: i32 = 5;
const ENOENT: i32 = 2;
const EEXIST: i32 = 17;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;
const EPERM: i32 = 1;

/// One handle's way to the medium.
#[derive(Debug)]
pub struct Recorded {
    world: Arc<Mutex<World>>,
    fault: Arc<Mutex<Fault>>,
    steps: Arc<AtomicU64>,
    listed: Arc<Mutex<BTreeMap<Folder, Vec<String>>>>,
    /// Whether a write was torn.
    tore: Arc<AtomicBool>,
    has_links: bool,
}

/// What becomes of the step at hand.
enum Go {
    On,
    Half,
    ThenFail(i32),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Look,
    Make,
    Change,
    Write,
}

impl Recorded {
    pub fn on(world: &Arc<Mutex<World>>, fault: Fault) -> Arc<Self> {
        let (world, steps) = (Arc::clone(world), Arc::new(AtomicU64::new(0)));
        Arc::new(Self {
            world,
            fault: Arc::new(Mutex::new(fault)),
            steps,
            listed: Arc::default(),
            tore: Arc::default(),
            has_links: true,
        })
    }

    pub fn without_links(world: &Arc<Mutex<World>>, fault: Fault) -> Arc<Self> {
        let mut disk = Self::on(world, fault);
        Arc::get_mut(&mut disk).unwrap().has_links = false;
        disk
    }

    /// How many steps were asked for.
    pub fn steps(&self) -> u64 {
        self.steps.load(Ordering::SeqCst)
    }

    /// Whether the process has ended: then nothing fails, there is nothing any more.
    fn is_dead(&self) -> bool {
        matches!(*self.fault.lock().unwrap(), Fault::Crash(at) | Fault::Torn(at) if self.steps() > at)
    }

    pub fn tore(&self) -> bool {
        self.tore.load(Ordering::SeqCst)
    }

    pub fn heal(&self) {
        *self.fault.lock().unwrap() = Fault::None;
    }

    fn step(&self, kind: Kind) -> io::Result<(MutexGuard<'_, World>, Go)> {
        let go = self.plan(kind)?;
        Ok((self.world.lock().unwrap(), go))
    }

    fn plan(&self, kind: Kind) -> io::Result<Go> {
        let now = self.steps.fetch_add(1, Ordering::SeqCst);
        let fail = |code: i32| Err(io::Error::from_raw_os_error(code));
        Ok(match *self.fault.lock().unwrap() {
            Fault::Torn(at) if now == at && kind == Kind::Write => {
                self.tore.store(true, Ordering::SeqCst);
                Go::Half
            }
            Fault::Crash(at) | Fault::Torn(at) if now >= at => return fail(EIO),
            Fault::Fails(at, code) if now == at => return fail(code),
            Fault::FailsDone(at, code) if now == at => Go::ThenFail(code),
            Fault::Full(at) if now >= at && matches!(kind, Kind::Make | Kind::Write) => return fail(ENOSPC),
            Fault::ReadOnly(at) if now >= at && kind != Kind::Look => return fail(EROFS),
            _ => Go::On,
        })
    }
}

fn done<T>(go: Go, value: T) -> io::Result<T> {
    match go {
        Go::ThenFail(code) => Err(io::Error::from_raw_os_error(code)),
        Go::Half => Err(io::Error::from_raw_os_error(EIO)),
        Go::On => Ok(value),
    }
}

fn code<T>(code: i32) -> io::Result<T> {
    Err(io::Error::from_raw_os_error(code))
}

impl Recorded {
    fn name(&self, staged: &str, folder: Folder, name: &str, moves: bool) -> io::Result<()> {
        let (mut world, go) = self.step(Kind::Make)?;
        let from = (Folder::Staged, staged.to_owned());
        let Some(inode) = world.names.get(&from).copied() else { return code(ENOENT) };
        if !world.folders.contains(&folder) {
            return code(ENOENT);
        }
        if world.names.contains_key(&(folder, name.to_owned())) {
            return code(EEXIST);
        }
        world.names.insert((folder, name.to_owned()), inode);
        if moves {
            world.names.remove(&from);
        }
        done(go, ())
    }

    fn look(&self, folder: Folder, name: &str) -> io::Result<Stat> {
        let (world, go) = self.step(Kind::Look)?;
        let Some(inode) = world.names.get(&(folder, name.to_owned())) else { return code(ENOENT) };
        let modified_s = world.files[inode].modified_s;
        done(go, Stat { device: 1, inode: *inode, modified_s, is_file: true })
    }
}

impl Disk for Recorded {
    fn root(&self) -> &Path {
        Path::new("recorded-disk")
    }

    fn make_folder(&self, folder: Folder) -> io::Result<()> {
        let (mut world, go) = self.step(Kind::Change)?;
        if folder.parent() != Folder::Root && !world.folders.contains(&folder.parent()) {
            return code(ENOENT);
        }
        world.folders.insert(folder);
        done(go, ())
    }

    fn sync_folder(&self, folder: Folder) -> io::Result<()> {
        let planned = self.plan(Kind::Look);
        let mut world = self.world.lock().unwrap();
        if let Err(error) = &planned
            && self.is_dead()
        {
            return code(error.raw_os_error().unwrap_or(EIO));
        }
        if !matches!(planned, Ok(Go::On)) {
            let pending = world.differing().into_iter().filter(|(of, _)| *of == folder);
            let pending: Vec<_> = pending.collect();
            world.forgotten.extend(pending);
            return Err(planned.err().unwrap_or_else(|| io::Error::from_raw_os_error(EIO)));
        }
        if world.lie == Some(Lie::Folder(folder)) {
            return Ok(());
        }
        for name in world.differing().into_iter().filter(|(of, _)| *of == folder) {
            if world.forgotten.contains(&name) {
                continue;
            }
            match world.names.get(&name).copied() {
                Some(inode) => world.durable_names.insert(name, inode),
                None => world.durable_names.remove(&name),
            };
        }
        let made: Vec<Folder> = world.folders.iter().copied().filter(|made| made.parent() == folder).collect();
        world.durable_folders.extend(made);
        Ok(())
    }

    fn create(&self, folder: Folder, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let (mut world, go) = self.step(Kind::Make)?;
        let key = (folder, name.to_owned());
        if !world.folders.contains(&folder) {
            return code(ENOENT);
        }
        if world.names.contains_key(&key) {
            return code(EEXIST);
        }
        let inode = world.files.len() as u64 + 100;
        let modified_s = world.clock_s;
        world.files.insert(inode, Contents { modified_s, ..Contents::default() });
        world.names.insert(key, inode);
        drop(world);
        self.listed.lock().unwrap().remove(&folder);
        done(go, ())?;
        Ok(self.file(inode))
    }

    fn open(&self, folder: Folder, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let found = self.look(folder, name)?;
        Ok(self.file(found.inode))
    }

    fn link(&self, staged: &str, folder: Folder, name: &str) -> io::Result<()> {
        if !self.has_links {
            return self.step(Kind::Make).and_then(|_| code(EPERM));
        }
        self.name(staged, folder, name, false)
    }

    fn rename_new(&self, staged: &str, folder: Folder, name: &str) -> io::Result<()> {
        self.name(staged, folder, name, true)
    }

    fn read(&self, folder: Folder, name: &str, _bytes_max: u64) -> io::Result<Vec<u8>> {
        let (world, go) = self.step(Kind::Look)?;
        let Some(inode) = world.names.get(&(folder, name.to_owned())) else { return code(ENOENT) };
        done(go, world.files[inode].bytes.clone())
    }

    fn list(&self, folder: Folder) -> io::Result<Vec<String>> {
        let (world, go) = self.step(Kind::Look)?;
        let mut listed = self.listed.lock().unwrap();
        if !world.caches {
            listed.insert(folder, world.names(folder));
        }
        done(go, listed.entry(folder).or_insert_with(|| world.names(folder)).clone())
    }

    fn stat(&self, folder: Folder, name: &str) -> io::Result<Stat> {
        self.look(folder, name)
    }

    fn stat_by_path(&self, folder: Folder, name: &str) -> io::Result<Stat> {
        self.look(folder, name)
    }

    fn remove(&self, folder: Folder, name: &str) -> io::Result<()> {
        let (mut world, go) = self.step(Kind::Change)?;
        match world.names.remove(&(folder, name.to_owned())) {
            Some(_) => done(go, ()),
            None => code(ENOENT),
        }
    }
}

impl Recorded {
    fn file(&self, inode: u64) -> Box<dyn DiskFile> {
        let (world, steps, fault) = (Arc::clone(&self.world), Arc::clone(&self.steps), Arc::clone(&self.fault));
        let disk = Self {
            world,
            fault,
            steps,
            listed: Arc::clone(&self.listed),
            tore: Arc::clone(&self.tore),
            has_links: self.has_links,
        };
        Box::new(RecordedFile { disk, inode })
    }
}

#[derive(Debug)]
struct RecordedFile {
    disk: Recorded,
    inode: u64,
}

impl DiskFile for RecordedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (mut world, go) = self.disk.step(Kind::Write)?;
        let part = if matches!(go, Go::Half) { &bytes[..bytes.len() / 2] } else { bytes };
        world.files.get_mut(&self.inode).unwrap().bytes.extend_from_slice(part);
        done(go, ())
    }

    fn sync(&self) -> io::Result<()> {
        match self.disk.step(Kind::Look) {
            Ok((mut world, go)) => {
                let lies = world.lie == Some(Lie::Files);
                let file = world.files.get_mut(&self.inode).unwrap();
                if !file.forgotten && !lies {
                    file.durable = Some(file.bytes.clone());
                }
                done(go, ())
            }
            Err(error) => {
                if !self.disk.is_dead() {
                    self.disk.world.lock().unwrap().files.get_mut(&self.inode).unwrap().forgotten = true;
                }
                Err(error)
            }
        }
    }

    fn stat(&self) -> io::Result<Stat> {
        // No step of its own: the file is open, and the answer is in memory.
        let world = self.disk.world.lock().unwrap();
        let modified_s = world.files[&self.inode].modified_s;
        Ok(Stat { device: 1, inode: self.inode, modified_s, is_file: true })
    }
}
