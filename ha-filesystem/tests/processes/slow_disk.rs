//! A disk that is too slow for heartbeats.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use ha_core::backend::{Backend, Commit, Expect, Key, Outcome, Prefix};
use ha_core::journal::{JournalBackend, JournalOptions};
use ha_core::seam::Seam;
use ha_core::{ErrorKind, HighAvailabilityServices};
use ha_filesystem::disk::{Disk, DiskFile, Folder, RealDisk, Stat};
use ha_filesystem::{FilesystemDevice, FilesystemSettings, Mount, Reach};
use ha_testkit::run::block_on;
use ha_testkit::trials::{ASK_EVERY, Believes, assert_never_two_at_once};

use crate::member::Member;
use crate::world::World;

const SILENCE: Duration = Duration::from_millis(600);
/// How long one fsync takes: longer than the silence.
const SLOW: Duration = Duration::from_millis(900);
const ROUNDS: usize = 4;

/// The real disk, of which every fsync may be made slow.
#[derive(Debug, Clone)]
struct Slow {
    disk: Arc<RealDisk>,
    trouble: Trouble,
}

#[derive(Debug, Clone, Default)]
struct Trouble {
    is_slow: Arc<AtomicBool>,
    /// No fsync comes to an end while this is set.
    hangs: Arc<AtomicBool>,
    /// How many fsyncs hang.
    hanging: Arc<AtomicUsize>,
}

impl Slow {
    fn wait(&self) {
        if self.trouble.is_slow.load(Ordering::SeqCst) {
            block(SLOW);
        }
        self.trouble.hanging.fetch_add(1, Ordering::SeqCst);
        while self.trouble.hangs.load(Ordering::SeqCst) {
            block(ASK_EVERY);
        }
        self.trouble.hanging.fetch_sub(1, Ordering::SeqCst);
    }

    fn file(&self, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(SlowFile { disk: self.clone(), file })
    }
}

#[derive(Debug)]
struct SlowFile {
    disk: Slow,
    file: Box<dyn DiskFile>,
}

impl DiskFile for SlowFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.wait();
        self.file.sync()
    }

    fn stat(&self) -> io::Result<Stat> {
        self.file.stat()
    }

    fn file(&self) -> Option<&std::fs::File> {
        self.file.file()
    }
}

impl Disk for Slow {
    fn root(&self) -> &Path {
        self.disk.root()
    }
    fn make_folder(&self, folder: Folder) -> io::Result<()> {
        self.disk.make_folder(folder)
    }
    fn sync_folder(&self, folder: Folder) -> io::Result<()> {
        self.wait();
        self.disk.sync_folder(folder)
    }
    fn create(&self, folder: Folder, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.file(self.disk.create(folder, name)?))
    }
    fn open(&self, folder: Folder, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.file(self.disk.open(folder, name)?))
    }
    fn link(&self, staged: &str, folder: Folder, name: &str) -> io::Result<()> {
        self.disk.link(staged, folder, name)
    }
    fn rename_new(&self, staged: &str, folder: Folder, name: &str) -> io::Result<()> {
        self.disk.rename_new(staged, folder, name)
    }
    fn read(&self, folder: Folder, name: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
        self.disk.read(folder, name, bytes_max)
    }
    fn list(&self, folder: Folder) -> io::Result<Vec<String>> {
        self.disk.list(folder)
    }
    fn stat(&self, folder: Folder, name: &str) -> io::Result<Stat> {
        self.disk.stat(folder, name)
    }
    fn stat_by_path(&self, folder: Folder, name: &str) -> io::Result<Stat> {
        self.disk.stat_by_path(folder, name)
    }
    fn remove(&self, folder: Folder, name: &str) -> io::Result<()> {
        self.disk.remove(folder, name)
    }
}

#[expect(clippy::disallowed_methods, reason = "a disk blocks the thread that waits for it")]
fn block(duration: Duration) {
    std::thread::sleep(duration);
}

async fn open(w: &World, trouble: Trouble) -> Arc<JournalBackend> {
    let journal = w.path("journal");
    std::fs::create_dir_all(&journal).unwrap();
    let disk = Slow { disk: Arc::new(RealDisk::open(&journal).unwrap()), trouble };
    let mount = Mount { name: "slow", reach: Reach::Machine };
    let settings = FilesystemSettings::at(&journal);
    let device = FilesystemDevice::open_on(Arc::new(disk), mount, settings, w.seam.clone()).await.unwrap();
    JournalBackend::open(Arc::new(device), w.seam.clone(), JournalOptions::default()).await.unwrap()
}

type Told = Arc<Mutex<Vec<(usize, Believes)>>>;

/// Leads again and again, and writes down whenever it believes to.
async fn contend(member: Member, backend: Arc<JournalBackend>, seam: Seam, who: usize, told: Told) {
    let services = member.services_on(backend, &seam);
    loop {
        let Ok(leadership) = services.dispatcher_leader_election().unwrap().campaign().await else {
            seam.sleep(ASK_EVERY).await;
            continue;
        };
        while let Some(believes) = Believes::ask(&leadership, &seam) {
            told.lock().unwrap().push((who, believes));
            seam.sleep(ASK_EVERY).await;
        }
    }
}

#[test]
fn a_leader_whose_disk_is_slower_than_its_silence_steps_down_before_another_one_leads() {
    block_on(async {
        // Fails if a renewal counts from when the disk was done with it, or a leader waits for its disk instead of its
        // deadline.
        let w = World::in_memory();
        let slow: [Trouble; 2] = Default::default();
        let told = Told::default();
        let mut tasks = Vec::new();
        for (who, trouble) in slow.iter().enumerate() {
            let backend = open(&w, trouble.clone()).await;
            let member = Member { silence: SILENCE, ..w.member(&format!("contender {who}")) };
            let contending = contend(member, backend, w.seam.clone(), who, Arc::clone(&told));
            tasks.push(w.seam.spawn(contending));
        }
        let leader_after = async |token: u64| {
            let latest = || told.lock().unwrap().iter().map(|(who, one)| (one.token, *who)).max();
            w.until("somebody leads", || latest().filter(|(now, _)| *now > token)).await
        };
        let (mut token, mut who) = leader_after(0).await;
        for round in 0..ROUNDS {
            slow[who].is_slow.store(true, Ordering::SeqCst);
            // Its own slow end may let it win once more; the other one leads in the end.
            loop {
                let (next, by) = leader_after(token).await;
                token = next;
                if by != who {
                    break;
                }
            }
            slow[who].is_slow.store(false, Ordering::SeqCst);
            who = 1 - who;
            ha_testkit::run::tell(format_args!("round {round}: {who} leads under {token}"));
        }
        drop(tasks);
        let told = told.lock().unwrap();
        assert_never_two_at_once(&told);
    });
}

#[test]
fn a_write_that_hung_in_its_disk_until_another_one_led_lands_nowhere() {
    block_on(async {
        // Fails if a leader waits for its disk instead of its deadline, or what comes out of a disk late is applied.
        let w = World::in_memory();
        // What hangs does so for as long as it takes: this silence need not be short.
        let member = |label: &str| w.member(label);
        let trouble = Trouble::default();
        let backend = open(&w, trouble.clone()).await;
        let leader = member("hangs").services_on(Arc::clone(&backend), &w.seam);
        let leadership = w.leadership(&leader).await;
        leadership.publish("before").await.unwrap();
        let other = open(&w, Trouble::default()).await;
        let standby = member("standby").services_on(Arc::clone(&other), &w.seam);

        trouble.hangs.store(true, Ordering::SeqCst);
        let write = leadership.publish("late");
        let rest = async {
            w.until("a write hangs", || (trouble.hanging.load(Ordering::SeqCst) > 0).then_some(())).await;
            w.in_time("it steps down although its disk hangs", leadership.lost()).await;
            let successor = w.leadership(&standby).await;
            assert!(!leadership.is_valid());
            successor.publish("successor").await.unwrap();
            let before = other.list(&Prefix::root()).await.unwrap().entries;
            trouble.hangs.store(false, Ordering::SeqCst);
            (successor, before)
        };
        let (written, (successor, before)) = w.in_time("all of it", async { futures_util::join!(write, rest) }).await;
        let kind = written.unwrap_err().kind();
        assert!(matches!(kind, ErrorKind::NotLeader | ErrorKind::Fenced | ErrorKind::Indeterminate), "{kind:?}");
        // What it had under way is settled when this is answered, for it comes later.
        let key = Key::new("afterwards").unwrap();
        let commit = Commit::new(w.seam.write_id()).put(key.clone(), Expect::Absent, Bytes::from_static(b"x"));
        let outcome = w.in_time("a later write of the same handle", backend.commit(&commit)).await.unwrap();
        assert!(matches!(outcome, Outcome::Applied { .. }));
        let mut after = other.list(&Prefix::root()).await.unwrap().entries;
        after.retain(|entry| entry.key != key);
        assert_eq!(after, before, "what hung has changed something");
        assert!(successor.is_valid());
        w.in_time("a close", backend.close()).await.unwrap();
    });
}
