use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ha_core::Error;
use ha_core::backend::{Backend, Latch, Prefix};
use ha_core::journal::{JournalBackend, JournalOptions};
use ha_core::seam::{Deadline, Seam};
use ha_core::state::StateStorage;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use tokio::sync::watch;

use super::backend::SimBackend;
use super::counters::Counters;
use super::executor::{Executor, Owner};
use super::life::Life;
use super::network::Line;
use super::process::seam_of;
use super::scenario::{PROCESSES, Plan, Scenario, Storage};
use super::store::Store;
use super::workload::Surroundings;
use crate::faults::{FaultyStates, StatePlan};
use crate::history::{Call, EarlyEnd, Recording, Term, What};
use crate::journal::{MemoryHandle, MemoryJournal};

/// The one latch of the cluster, as it is called in the history.
pub const LATCH: &str = "leader";
/// How often the journal makes a snapshot and sweeps: often.
const POINT_ENTRIES: u64 = 32;
/// Beside the processes of the workload: one that reads everything at the end.
pub(super) const AUDITOR: usize = PROCESSES;

/// What the processes have in common.
pub(super) enum Common {
    Model(Arc<Store>),
    Journal(MemoryJournal),
}

/// A simulated world: processes, what they have in common, and what is written down of them.
pub(super) struct World {
    pub(super) scenario: Scenario,
    pub(super) plan: Plan,
    pub(super) seam: Seam,
    pub(super) executor: Executor,
    pub(super) recording: Recording,
    pub(super) counters: Counters,
    pub(super) common: Common,
    states: Arc<InMemory>,
    pub(super) processes: Vec<Process>,
    known: Mutex<Known>,
}

/// One process, over all its lives.
pub(super) struct Process {
    pub(super) name: String,
    /// Its line to the store, where there is a network.
    pub(super) line: Option<Line>,
    pub(super) states: StatePlan,
    /// How its devices are to be, those of later lives too.
    pub(super) device: Mutex<DeviceCondition>,
    now: Mutex<Now>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct DeviceCondition {
    pub(super) one_in: Option<u64>,
    pub(super) slow: (Duration, Duration),
    pub(super) deaf: bool,
    pub(super) cut: bool,
}

impl DeviceCondition {
    /// What a write takes where nothing is wrong: before it is there, and until that is told.
    pub(super) const SLOW: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(1));
}

impl Default for DeviceCondition {
    fn default() -> Self {
        Self { one_in: None, slow: Self::SLOW, deaf: false, cut: false }
    }
}

#[derive(Default)]
struct Now {
    incarnation: u32,
    alive: Option<Alive>,
}

#[derive(Clone)]
pub(super) struct Alive {
    pub(super) owner: Owner,
    pub(super) incarnation: u32,
    pub(super) stop: watch::Sender<bool>,
    pub(super) ended: watch::Sender<bool>,
    device: Option<Arc<MemoryHandle>>,
}

/// What whoever runs the world sees of it.
#[derive(Default)]
struct Known {
    /// Which process believes that it leads, and under which term, with its native part.
    leading: BTreeMap<usize, (u64, Arc<str>)>,
    /// Which epoch each observer of each process shows.
    shown: BTreeMap<(usize, String), Option<u64>>,
    /// Under which epoch each component of each process was told that it leads.
    told: BTreeMap<(usize, String), u64>,
    /// The epochs under which an address was published, and those under which something was written in the calm.
    published: BTreeSet<u64>,
    written: BTreeSet<u64>,
    /// What was written in the calm, as far as it is looked for.
    kinds: BTreeSet<(&'static str, String)>,
    /// The terms that somebody has ended in the store, for certain, and when.
    over: BTreeMap<u64, u64>,
    calm: bool,
    audited: bool,
}

impl World {
    pub(super) fn new(scenario: Scenario, seam: Seam) -> Arc<Self> {
        let plan = Plan::of(&scenario);
        let executor = Executor::new(seam.random_u64());
        let (recording, counters) = (Recording::new(seam.clone()), Counters::default());
        let common = match scenario.storage {
            Storage::Model => {
                Common::Model(Store::new(seam.clone(), scenario.defect, counters.clone(), seam.random_u64()))
            }
            Storage::Journal => Common::Journal(MemoryJournal::with_witness(seam.clone())),
        };
        let process = |index: usize| {
            let name = if index < AUDITOR { format!("jm-{}", index + 1) } else { "auditor".into() };
            let line = |store: &Arc<Store>| {
                let (executor, store, weather) = (executor.clone(), Arc::clone(store), plan.weather.clone());
                Line::new(seam.clone(), executor, store, counters.clone(), weather, seam.random_u64())
            };
            let line = match &common {
                Common::Model(store) => Some(line(store)),
                Common::Journal(_) => None,
            };
            Process { name, line, states: StatePlan::none(), device: Mutex::default(), now: Mutex::default() }
        };
        let processes = (0..=AUDITOR).map(process).collect();
        let (states, known) = (Arc::default(), Mutex::default());
        Arc::new(Self { scenario, plan, seam, executor, recording, counters, common, states, processes, known })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the latch stands in the store.
    pub(super) fn latch() -> Latch {
        Latch::below(&Prefix::new("flink/default/leader").expect("a path of three names"))
    }

    pub(super) fn alive(&self, process: usize) -> Option<Alive> {
        self.processes[process].now.lock().unwrap_or_else(PoisonError::into_inner).alive.clone()
    }

    /// Begins another life of a process, unless it lives.
    pub(super) fn start(self: &Arc<Self>, process: usize) {
        if self.alive(process).is_some() {
            return;
        }
        let of = &self.processes[process];
        let mut now = of.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.incarnation += 1;
        let incarnation = now.incarnation;
        let owner = Owner(1 + process as u64 * 1_000_000 + u64::from(incarnation));
        let seed = self.seam.random_u64();
        let seam = seam_of(&self.seam, &self.executor, owner, self.plan.rates[process], seed);
        let device = match &self.common {
            Common::Model(_) => None,
            Common::Journal(journal) => Some(journal.handle()),
        };
        let (stop, ended) = (watch::Sender::new(false), watch::Sender::new(false));
        let alive = Alive { owner, incarnation, stop, ended, device };
        now.alive = Some(alive.clone());
        drop(now);
        self.set_device(process, |_| {});
        let scribe = self.recording.scribe(&of.name, incarnation);
        scribe.note(What::Started);
        let life = Life { world: Arc::clone(self), process, seam, scribe, stop: alive.stop.subscribe() };
        let ended = alive.ended.clone();
        self.executor.spawn(owner, async move {
            life.live().await;
            ended.send_replace(true);
        });
    }

    /// Ends a life where it stands.
    pub(super) fn kill(&self, process: usize) {
        let Some(alive) = self.end_of_life(process) else { return };
        // A process that dies is seen to, where the device bears witness.
        if matches!(self.common, Common::Journal(_)) {
            self.may_end_early(process, EarlyEnd::Evidence);
        }
        self.recording.note(&self.processes[process].name, alive.incarnation, What::Killed);
        self.executor.kill(alive.owner);
        self.forget(process);
    }

    /// After a life that has ended in order: what is left of it goes.
    pub(super) fn bury(&self, process: usize) {
        if let Some(alive) = self.end_of_life(process) {
            self.executor.kill(alive.owner);
            // Last: nothing is told of a life after its end.
            self.recording.note(&self.processes[process].name, alive.incarnation, What::Closed);
            self.forget(process);
        }
    }

    fn end_of_life(&self, process: usize) -> Option<Alive> {
        self.processes[process].now.lock().unwrap_or_else(PoisonError::into_inner).alive.take()
    }

    fn forget(&self, process: usize) {
        let mut known = self.known();
        known.leading.remove(&process);
        known.shown.retain(|(of, _), _| *of != process);
        known.told.retain(|(of, _), _| *of != process);
    }

    /// Notes that the term which that process believes to hold may be ended by others than silence.
    pub(super) fn may_end_early(&self, process: usize, by: EarlyEnd) {
        let term = self.known().leading.get(&process).map(|(epoch, _)| *epoch);
        if let Some(epoch) = term {
            self.note(What::EndedEarly { term: Term::new(LATCH, epoch), by });
        }
    }

    /// Notes that this term is over in the store: what is written under it from now on is refused.
    pub(super) fn is_over(&self, epoch: u64) {
        let now = u64::try_from(self.seam.now().since_origin().as_nanos()).unwrap_or(u64::MAX);
        self.known().over.entry(epoch).or_insert(now);
    }

    /// Which terms are over for certain, and since when.
    pub(super) fn over(&self) -> BTreeMap<u64, u64> {
        self.known().over.clone()
    }

    pub(super) fn note(&self, what: What) {
        self.recording.note("nemesis", 0, what);
    }

    /// Changes how a process's device is, and will be.
    pub(super) fn set_device(&self, process: usize, change: impl FnOnce(&mut DeviceCondition)) {
        let condition = {
            let mut condition = self.processes[process].device.lock().unwrap_or_else(PoisonError::into_inner);
            change(&mut condition);
            *condition
        };
        if let Some(device) = self.alive(process).and_then(|alive| alive.device) {
            let faults = device.faults();
            faults.at_random(condition.one_in);
            faults.slow(condition.slow.0, condition.slow.1);
            faults.deaf(condition.deaf);
            faults.cut_off(condition.cut);
        }
    }

    /// A handle of this process on what all have in common.
    pub(super) async fn connect(&self, process: usize, seam: &Seam) -> Result<Arc<dyn Backend>, Error> {
        let backend: Arc<dyn Backend> = match (&self.processes[process].line, self.alive(process)) {
            (Some(line), _) => Arc::new(SimBackend::new(line.clone(), seam.clone())),
            (None, Some(Alive { device: Some(device), .. })) => {
                let options = JournalOptions::default().with_points(POINT_ENTRIES, 1 << 20);
                JournalBackend::open(device, seam.clone(), options).await?
            }
            // Whoever asks is alive, and a process without a line has a device.
            (None, _) => std::future::pending().await,
        };
        Ok(self.scenario.sabotage.of(backend))
    }

    /// The state storage, as this process reaches it.
    pub(super) fn storage(&self, process: usize, seam: &Seam) -> StateStorage {
        let inner: Arc<dyn ObjectStore> = Arc::<InMemory>::clone(&self.states);
        let faulty = FaultyStates::new(inner, seam.clone(), self.processes[process].states.clone());
        StateStorage::over(Arc::new(faulty), "memory:///", seam.clone())
    }

    pub(super) fn leader(&self) -> Option<(usize, u64, Arc<str>)> {
        let known = self.known();
        let newest = known.leading.iter().max_by_key(|(_, (epoch, _))| *epoch);
        newest.map(|(process, (epoch, native))| (*process, *epoch, Arc::clone(native)))
    }

    /// From now on writes count for the healing.
    pub(super) fn is_calm(&self) {
        self.known().calm = true;
    }

    pub(super) fn is_audited(&self) -> bool {
        self.known().audited
    }

    /// Whether somebody leads and has published, every observer shows it, nobody believes to lead any more who does not,
    /// and writes of every kind that is looked for were acknowledged: a job that is stuck must not hide behind another.
    pub(super) fn is_whole(&self) -> bool {
        let Some((_, epoch, _)) = self.leader() else { return false };
        let known = self.known();
        let all_there = known.shown.len() >= PROCESSES * super::life::OBSERVERS;
        let all_show = known.shown.values().all(|shown| *shown == Some(epoch));
        let all_know = known.told.values().all(|told| *told == epoch);
        let all_go_on = known.kinds.len() >= super::work::KINDS;
        let writes = known.published.contains(&epoch) && known.written.contains(&epoch) && all_go_on;
        all_there && all_show && all_know && writes
    }
}

impl Surroundings for World {
    fn leisure(&self) -> Duration {
        Duration::from_millis(self.plan.leisure_ms)
    }

    fn silence(&self) -> Duration {
        self.plan.silence
    }

    fn until_ns(&self, process: usize, seam: &Seam, until: Deadline) -> Option<u64> {
        let left = until.remaining(seam.now());
        let by_the_world =
            left.as_nanos() * 1_000_000 / (1_000_000 + i128::from(self.plan.rates[process])).unsigned_abs();
        let now = self.seam.now().since_origin().as_nanos();
        (!left.is_zero()).then(|| u64::try_from(now + by_the_world).unwrap_or(u64::MAX))
    }

    fn leads(&self, process: usize, epoch: u64, native: &Arc<str>) {
        self.known().leading.insert(process, (epoch, Arc::clone(native)));
    }

    fn leads_no_more(&self, process: usize, epoch: u64) {
        let mut known = self.known();
        if known.leading.get(&process).is_some_and(|(held, _)| *held == epoch) {
            known.leading.remove(&process);
        }
    }

    fn shows(&self, process: usize, observer: &str, epoch: Option<u64>) {
        self.known().shown.insert((process, observer.to_owned()), epoch);
    }

    fn published(&self, epoch: u64) {
        self.known().published.insert(epoch);
    }

    fn written(&self, epoch: u64, call: &Call) {
        let mut known = self.known();
        if known.calm {
            known.written.insert(epoch);
            known.kinds.extend(super::work::kind_of(call));
        }
    }

    fn told(&self, process: usize, component: &str, epoch: Option<u64>) {
        let of = (process, component.to_owned());
        match epoch {
            Some(epoch) => drop(self.known().told.insert(of, epoch)),
            None => drop(self.known().told.remove(&of)),
        }
    }

    fn audited(&self) {
        self.known().audited = true;
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("scenario", &self.scenario).finish_non_exhaustive()
    }
}
