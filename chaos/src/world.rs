use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::Duration;

use ha::seam::{Moment, Seam, Task};
use ha_testkit::history::{EarlyEnd, Event, Recording, What};
use tokio::sync::{Mutex, MutexGuard};

use crate::clock::Skew;
use crate::consul::Consul;
use crate::directory::{Directory, MEGABYTES, Undo};
use crate::hindered::Signs;
use crate::keeper::Keeper;
use crate::members::{Member, Remains};
use crate::options::{Kind, Options, sabotage_names};
use crate::plan::{Step, Trouble};
use crate::run::Failed;
use crate::worker::Orders;

/// What begun terms may be noted later than they begin.
const NOTED_WITHIN_NS: u64 = 2_000_000_000;
/// How long a fault that is meant for the leader waits for one.
const LEADS_WITHIN: Duration = Duration::from_secs(3);
const NOBODY: usize = usize::MAX;

/// A time in which something may happen that may not happen otherwise.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    pub(crate) from_ns: u64,
    pub(crate) to_ns: u64,
    pub(crate) allows: Allows,
    /// Of which processes; `None`: of whichever it is.
    pub(crate) of: Option<BTreeSet<String>>,
}

/// What that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allows {
    /// Terms end otherwise than by silence.
    EarlyEnd(EarlyEnd),
    /// What is stored cannot be read: something of others stands in its place.
    Corrupt,
}

#[derive(Debug)]
enum Place {
    Consul(Consul),
    Directory(Directory),
}

/// The workers, what they have in common, and what is written down of them. Dropping it ends all of it.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) options: Options,
    pub(crate) seam: Seam,
    pub(crate) remains: Remains,
    /// What the nemesis does.
    notes: Recording,
    windows: Lock<Vec<Window>>,
    /// How often a fault met nothing that it could hinder.
    idle: Lock<BTreeMap<String, u64>>,
    members: Vec<Mutex<Member>>,
    /// Those of the members: known without waiting for one that something befalls.
    signs: Vec<Signs>,
    turns_of_ways: Vec<Mutex<()>>,
    /// For what befalls the servers or the directory: what was done to a full file system can be undone, and nothing to
    /// one that takes no writes.
    turn_of_all: Mutex<()>,
    auditor: Mutex<Member>,
    /// Who leads, as an observer is told that nothing stands in the way of.
    leader: Arc<AtomicUsize>,
    _observer: Task,
    place: Place,
    pub(crate) histories: PathBuf,
    // Last: removed when all others are gone.
    _keeper: Keeper,
}

impl World {
    /// Starts servers, if there are some, and the workers.
    ///
    /// # Errors
    /// Something is missing on this machine; the text says what.
    pub(crate) async fn start(options: Options, seam: Seam) -> Result<Self, Failed> {
        let keeper = Keeper::new()?;
        let histories = options.keep.clone().unwrap_or_else(|| keeper.folder().join("histories"));
        std::fs::create_dir_all(&histories).map_err(|error| format!("{}: {error}", histories.display()))?;
        let silence = options.silence.as_millis() as u64;
        let storage = format!("file://{}", keeper.shared().display());
        let (keeper, place) = match options.backend {
            Kind::Consul => {
                // One more than there are workers: for the one that reads everything at the end.
                let consul = Consul::start(&seam, options.servers, options.workers + 1).await;
                (keeper, Place::Consul(consul.map_err(Failed::Missing)?))
            }
            Kind::Filesystem => {
                let keeper = keeper.with_file_system(MEGABYTES);
                let directory = Directory::new(&keeper);
                (keeper, Place::Directory(directory))
            }
        };
        let url = async |number| match &place {
            Place::Consul(consul) => consul.url(number, &storage, silence).await,
            Place::Directory(directory) => directory.url(silence),
        };
        let member = async |number: usize, name: String, audits| {
            let orders = Orders {
                number,
                incarnation: 0,
                audits,
                url: url(number).await,
                silence_ms: silence,
                history: PathBuf::new(),
                sabotage: sabotage_names(&options.sabotage),
                clock: if options.clocks_differ { Skew::of(options.seed, number) } else { Skew::default() },
                signs: Signs::of(keeper.folder(), &name),
                name,
            };
            Mutex::new(Member::new(orders, &histories))
        };
        let (mut members, mut signs) = (Vec::new(), Vec::new());
        for number in 0..options.workers {
            let name = format!("jm-{}", number + 1);
            signs.push(Signs::of(keeper.folder(), &name));
            members.push(member(number, name, false).await);
        }
        let auditor = member(options.workers, "auditor".into(), true).await;
        let leader = Arc::new(AtomicUsize::new(NOBODY));
        let open = match &place {
            Place::Consul(consul) => consul.open_url(&storage, silence),
            Place::Directory(directory) => directory.url(silence),
        };
        let _observer = seam.spawn(observe(open, seam.clone(), Arc::clone(&leader)));
        let workers = options.workers;
        let (notes, remains, windows) = (Recording::new(seam.clone()), Remains::default(), Lock::default());
        let world = Self {
            options,
            seam,
            remains,
            notes,
            windows,
            idle: Lock::default(),
            members,
            signs,
            turns_of_ways: (0..workers).map(|_| Mutex::default()).collect(),
            turn_of_all: Mutex::default(),
            auditor,
            leader,
            _observer,
            place,
            histories,
            _keeper: keeper,
        };
        for member in &world.members {
            member.lock().await.start(&world.seam);
        }
        Ok(world)
    }

    /// What could not be done on this machine, and why.
    pub(crate) fn skipped(&self) -> Vec<String> {
        match &self.place {
            Place::Consul(_) => Vec::new(),
            Place::Directory(directory) => directory.skipped(),
        }
    }

    pub(crate) fn note(&self, what: What) {
        self.notes.note("nemesis", 0, what);
    }

    pub(crate) fn windows(&self) -> Vec<Window> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All that has happened so far.
    ///
    /// # Errors
    /// A history cannot be read.
    pub(crate) fn history(&self) -> Result<Vec<Event>, String> {
        self.remains.history(&self.histories, self.notes.events())
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.seam.now().since_origin().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Since then, and as long as it may still show.
    fn allow(&self, allows: Allows, from_ns: u64, of: Option<BTreeSet<String>>) {
        let silence_ns = u64::try_from(self.options.silence.as_nanos()).unwrap_or(0);
        let to_ns = self.now_ns() + silence_ns + NOTED_WITHIN_NS;
        self.windows.lock().unwrap_or_else(PoisonError::into_inner).push(Window { from_ns, to_ns, allows, of });
    }

    /// Carries out one step of the plan.
    pub(crate) async fn carry_out(&self, step: &Step, began: Moment) {
        self.seam.sleep_until(began + step.at).await;
        let mut leads = self.leader.load(Ordering::Relaxed);
        // While nobody leads there is nothing to hinder.
        let asked_until = self.seam.now() + LEADS_WITHIN;
        while step.trouble.needs_leader() && leads == NOBODY && self.seam.now() < asked_until {
            self.seam.sleep(Duration::from_millis(20)).await;
            leads = self.leader.load(Ordering::Relaxed);
        }
        let number = match step.leader && leads < self.members.len() {
            true => leads,
            false => step.target % self.members.len(),
        };
        let mut step = step.clone();
        // One fault at a time for each worker. Waiting for another one must not prolong the trouble.
        let mut held = Vec::new();
        match step.trouble {
            Trouble::KillAll => {
                for member in &self.members {
                    held.push(member.lock().await);
                }
            }
            trouble if is_of_a_worker(trouble) => held.push(self.members[number].lock().await),
            _ => {}
        }
        let is_of_a_worker = !held.is_empty();
        // Nor of each way, and of what all stand on: it is noted when it begins, not while it waits for another.
        let _turn = match step.trouble {
            _ if is_of_a_worker => None,
            trouble if is_of_all(trouble) => Some(self.turn_of_all.lock().await),
            _ => Some(self.turns_of_ways[number].lock().await),
        };
        let left = (began + self.options.trouble).since(self.seam.now());
        if left.is_zero() {
            return;
        }
        step.lasts = step.lasts.min(left);
        let name = match step.trouble {
            trouble if is_of_all(trouble) => trouble.name().to_owned(),
            trouble => format!("{} jm-{}", trouble.name(), number + 1),
        };
        let from_ns = self.now_ns();
        let undo = match &self.place {
            Place::Directory(directory) if !is_of_a_worker && is_of_all(step.trouble) => {
                match directory.hinder(step.trouble) {
                    None => return,
                    undo => undo,
                }
            }
            _ => None,
        };
        self.note(What::Fault { name: name.clone(), on: true });
        let met = match is_of_a_worker {
            true => self.befall(&step, &mut held).await,
            false => self.hinder(&step, number, undo).await,
        };
        self.note(What::Fault { name, on: false });
        if !met {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            *idle.entry(step.trouble.name().to_owned()).or_default() += 1;
        }
        if step.trouble == Trouble::EntryInTheWay {
            self.allow(Allows::Corrupt, from_ns, None);
        }
    }

    /// How often each fault met nothing that it could hinder.
    pub(crate) fn idle(&self) -> BTreeMap<String, u64> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What befalls workers themselves. Whether it befell any.
    async fn befall(&self, step: &Step, whom: &mut [MutexGuard<'_, Member>]) -> bool {
        let (seam, remains) = (&self.seam, &self.remains);
        match step.trouble {
            Trouble::Kill | Trouble::KillAll => {
                let mut any = false;
                for member in whom.iter_mut() {
                    any |= member.kill(seam, remains).await;
                }
                seam.sleep(step.lasts).await;
                whom.iter_mut().for_each(|member| member.start(seam));
                any
            }
            Trouble::Restart => {
                let mut any = false;
                for member in whom.iter_mut() {
                    any |= member.is_alive(seam, remains);
                    member.end(seam, remains).await;
                    member.start(seam);
                }
                any
            }
            Trouble::PauseInCommit => whom[0].pause_in_commit(step.lasts, seam, remains, &self.notes).await,
            _ => whom[0].pause(step.lasts, seam, remains, &self.notes).await,
        }
    }

    /// What befalls a worker's way to the store, or the store. `undo`: what has been done already. Whether it met anything.
    async fn hinder(&self, step: &Step, number: usize, undo: Option<Undo>) -> bool {
        let from_ns = self.now_ns();
        match &self.place {
            Place::Directory(_) if step.trouble == Trouble::AnswersLost => self.lose_answers(step, number).await,
            Place::Directory(_) => {
                self.seam.sleep(step.lasts).await;
                if let Some(Err(why)) = undo.map(Undo::undo) {
                    self.remains.finding(why);
                }
                true
            }
            Place::Consul(consul) if step.trouble == Trouble::DestroySession => {
                let destroyed = consul.destroy_session().await;
                if destroyed {
                    self.allow(Allows::EarlyEnd(EarlyEnd::Operator), from_ns, None);
                }
                destroyed
            }
            Place::Consul(consul) if is_servers(step.trouble) => {
                let workers = consul.hinder_servers(step, &self.seam, self.members.len()).await;
                let names = workers.into_iter().map(|number| format!("jm-{}", number + 1)).collect();
                // An agent that was started again may have forgotten the checks that sessions stand on. Those of others
                // have not.
                if !matches!(step.trouble, Trouble::PauseServer | Trouble::PauseServersLeader) {
                    self.allow(Allows::EarlyEnd(EarlyEnd::Store), from_ns, Some(names));
                }
                true
            }
            Place::Consul(consul) => consul.hinder_way(number, step, &self.seam).await,
        }
    }

    /// Where there is no way between: the worker loses them itself.
    async fn lose_answers(&self, step: &Step, number: usize) -> bool {
        let sign = self.signs[number].lose.clone();
        if let Err(error) = std::fs::write(&sign, b"") {
            self.remains.finding(format!("{}: {error}", sign.display()));
            return false;
        }
        self.seam.sleep(step.lasts).await;
        let lost = std::fs::metadata(&sign).is_ok_and(|sign| sign.len() > 0);
        if let Err(error) = std::fs::remove_file(&sign) {
            self.remains.finding(format!("a fault could not be undone: {}: {error}", sign.display()));
        }
        lost
    }

    /// Whether every worker lives. Who does not is started.
    pub(crate) async fn start_all(&self) {
        for member in &self.members {
            let mut member = member.lock().await;
            if !member.is_alive(&self.seam, &self.remains) {
                member.start(&self.seam);
            }
        }
    }

    /// Lets all workers end in order; which did not is a finding.
    pub(crate) async fn end_all(&self) {
        let ending = self.members.iter().enumerate().map(|(number, member)| async move {
            if !member.lock().await.end(&self.seam, &self.remains).await {
                self.remains.finding(format!("jm-{} did not end in order after the cluster had healed", number + 1));
            }
        });
        futures_util::future::join_all(ending).await;
    }

    /// Lets one last worker lead and read everything.
    pub(crate) async fn audit(&self, at_most: Duration) {
        let mut auditor = self.auditor.lock().await;
        auditor.start(&self.seam);
        if !auditor.has_told("audited", at_most, &self.seam).await {
            self.remains.finding("a last worker could not lead and read everything in time".into());
        }
        auditor.end(&self.seam, &self.remains).await;
    }
}

fn is_of_a_worker(trouble: Trouble) -> bool {
    matches!(trouble, Trouble::Kill | Trouble::Restart | Trouble::Pause | Trouble::LongPause | Trouble::PauseInCommit)
}

/// Whether it befalls no single worker.
fn is_of_all(trouble: Trouble) -> bool {
    let is_of_the_directory =
        matches!(trouble, Trouble::FullDisk | Trouble::ReadOnly | Trouble::ForeignFiles | Trouble::EntryInTheWay);
    matches!(trouble, Trouble::KillAll | Trouble::DestroySession) || is_servers(trouble) || is_of_the_directory
}

fn is_servers(trouble: Trouble) -> bool {
    matches!(
        trouble,
        Trouble::KillServer
            | Trouble::KillServers
            | Trouble::KillServersLeader
            | Trouble::PauseServer
            | Trouble::PauseServersLeader
    )
}

/// Follows the leader, so that faults can be aimed at it. If it sees none, they befall anybody.
async fn observe(url: String, seam: Seam, leader: Arc<AtomicUsize>) {
    let services = loop {
        match ha::open_url(&url).await {
            Ok(services) => break services,
            Err(_) => seam.sleep(Duration::from_millis(200)).await,
        }
    };
    let Ok(retriever) = services.dispatcher_leader_retriever() else { return };
    let mut watch = retriever.watch();
    loop {
        let view = watch.changed().await;
        let number = view.leader().and_then(|leader| {
            let name = leader.address.strip_prefix("jm-")?;
            name.split('-').next()?.parse::<usize>().ok()?.checked_sub(1)
        });
        leader.store(number.unwrap_or(NOBODY), Ordering::Relaxed);
    }
}
