use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng};

use super::network::Weather;
use super::process::RatePpm;
use super::sabotage::Sabotage;
use crate::mutants::Defect;

/// What the processes of a simulated cluster have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Storage {
    /// The contract's model, behind a simulated network.
    Model,
    /// The journal, on a simulated device that bears witness of deaths.
    Journal,
}

impl Storage {
    /// Its name on a command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Journal => "journal",
        }
    }
}

/// How far the rates of the processes' clocks are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clocks {
    /// Less than the 64th part of a silence, which the store waits longer.
    WithinBound,
    /// Up to a fifth: the bound by `valid_until` does not hold then, and all else does.
    BeyondBound,
}

/// Which world is to be simulated. All else follows from the seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scenario {
    /// Decides everything.
    pub seed: u64,
    /// What the processes have in common.
    pub storage: Storage,
    /// What is broken in the model.
    pub defect: Defect,
    /// What is broken between the services and their backend.
    pub sabotage: Sabotage,
    /// How the clocks run.
    pub clocks: Clocks,
}

impl Scenario {
    /// The sound world of that seed: seeds in turn run on the model and on the journal, and one in sixteen has clocks
    /// beyond the bound.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let storage = if seed.is_multiple_of(2) { Storage::Model } else { Storage::Journal };
        let clocks = if (seed / 2) % 16 == 15 { Clocks::BeyondBound } else { Clocks::WithinBound };
        Self { seed, storage, defect: Defect::None, sabotage: Sabotage::None, clocks }
    }

    /// How to see the world of that seed again.
    #[must_use]
    pub fn replay(&self) -> String {
        format!("cargo xtask sim --seed {} --backend {}", self.seed, self.storage.name())
    }

    /// The same on that storage.
    #[must_use]
    pub fn on(self, storage: Storage) -> Self {
        Self { storage, ..self }
    }

    /// The same, on a model that is broken.
    #[must_use]
    pub fn with_defect(self, defect: Defect) -> Self {
        Self { storage: Storage::Model, defect, ..self }
    }

    /// The same, with services that are led astray.
    #[must_use]
    pub fn with_sabotage(self, sabotage: Sabotage) -> Self {
        Self { sabotage, ..self }
    }
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trouble {
    /// A process is dropped where it stands, and another life of it begins after the time.
    Crash,
    /// All processes at once.
    CrashAll,
    /// A process ends in order, and another life begins.
    Restart,
    /// A process stands still.
    Pause,
    /// Nothing gets from a process to the store.
    CutThere,
    /// Nothing gets back.
    CutBack,
    /// A process is cut off altogether.
    CutOff,
    /// Messages are lost, late and doubled.
    Storm,
    /// Messages take long.
    Slow,
    /// Writes of the leader are held up for longer than it waits for their answers.
    HeldUp,
    /// No commit of the leader arrives, or none is answered, for longer than it tries to find out; it leads all the time.
    InDoubt,
    /// Answers to the leader take long, and then nothing gets through to the store.
    Fading,
    /// Watches are told nothing.
    Deaf,
    /// The store (or each device) fails now and then.
    StoreErrors,
    /// Writes take long.
    SlowDisk,
    /// The state storage of a process fails.
    StateErrors,
    /// The state storage of a process is slow.
    SlowStates,
    /// A living leader is taken for dead.
    FalseEvidence,
    /// Evidence about a term that is over arrives.
    StaleEvidence,
    /// An operator ends the leader's session.
    Revoke,
    /// The store forgets all sessions.
    ForgetSessions,
    /// A foreign program overwrites the latch.
    Tamper,
}

impl Trouble {
    const EVERYWHERE: [Self; 13] = [
        Self::Crash,
        Self::Crash,
        Self::CrashAll,
        Self::Restart,
        Self::Pause,
        Self::Pause,
        Self::CutOff,
        Self::Deaf,
        Self::StoreErrors,
        Self::SlowDisk,
        Self::StateErrors,
        Self::SlowStates,
        Self::FalseEvidence,
    ];
    const ON_THE_MODEL: [Self; 15] = [
        Self::CutThere,
        Self::CutBack,
        Self::Storm,
        Self::Storm,
        Self::Storm,
        Self::Slow,
        Self::HeldUp,
        Self::HeldUp,
        Self::Fading,
        Self::Fading,
        Self::InDoubt,
        Self::StaleEvidence,
        Self::Revoke,
        Self::ForgetSessions,
        Self::Tamper,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::CrashAll => "crash of all",
            Self::Restart => "restart",
            Self::Pause => "pause",
            Self::CutThere => "requests cut",
            Self::CutBack => "answers cut",
            Self::CutOff => "cut off",
            Self::Storm => "storm",
            Self::Slow => "slow network",
            Self::HeldUp => "writes held up",
            Self::InDoubt => "commits in doubt",
            Self::Fading => "fading",
            Self::Deaf => "watches lost",
            Self::StoreErrors => "store errors",
            Self::SlowDisk => "slow disk",
            Self::StateErrors => "state errors",
            Self::SlowStates => "slow states",
            Self::FalseEvidence => "false evidence",
            Self::StaleEvidence => "stale evidence",
            Self::Revoke => "session revoked",
            Self::ForgetSessions => "sessions forgotten",
            Self::Tamper => "latch overwritten",
        }
    }
}

/// One thing that goes wrong, when, for how long, and where.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) at: Duration,
    pub(super) lasts: Duration,
    pub(super) process: usize,
    pub(super) trouble: Trouble,
}

/// What a seed decides before anything runs.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) silence: Duration,
    pub(super) rates: Vec<RatePpm>,
    pub(super) weather: Weather,
    /// Between two calls of one worker, in milliseconds, about.
    pub(super) leisure_ms: u64,
    pub(super) steps: Vec<Step>,
}

pub(super) const PROCESSES: usize = 3;
/// The clocks of two processes are at most twice this apart: less than a 64th.
const RATE_WITHIN: u64 = 7_000;
const RATE_BEYOND: u64 = 200_000;

impl Plan {
    pub(super) fn of(scenario: &Scenario) -> Self {
        let mut random = StdRng::seed_from_u64(scenario.seed ^ 0x706c_616e);
        let mut up_to = |most: u64| random.next_u64() % most.max(1);
        let silence = Duration::from_millis(1000 + up_to(4000));
        let troubled = Duration::from_secs(20 + up_to(40));
        let most = match scenario.clocks {
            Clocks::WithinBound => RATE_WITHIN,
            Clocks::BeyondBound => RATE_BEYOND,
        };
        let rates = (0..=PROCESSES).map(|_| up_to(2 * most + 1) as i64 - most as i64).collect();
        let slowest = [2_000, 2_000, 12_000, 60_000][up_to(4) as usize];
        let weather = Weather { delay_us: 100..slowest, ..Weather::calm() };
        let leisure_ms = [60, 150, 400][up_to(3) as usize];
        let between = [700, 2000, 6000][up_to(3) as usize];
        let mut steps = Vec::new();
        let mut at = Duration::from_millis(500 + up_to(5000));
        while at < troubled {
            let kinds = match scenario.storage {
                Storage::Model => Trouble::EVERYWHERE.len() + Trouble::ON_THE_MODEL.len(),
                Storage::Journal => Trouble::EVERYWHERE.len(),
            };
            let which = up_to(kinds as u64) as usize;
            let everywhere = Trouble::EVERYWHERE.get(which).copied();
            let trouble = everywhere.unwrap_or_else(|| Trouble::ON_THE_MODEL[which - Trouble::EVERYWHERE.len()]);
            // Most are short: many things happen while a process is about to notice.
            let most = [300, 2000, 5000, 15_000][up_to(4) as usize];
            let lasts = Duration::from_millis(20 + up_to(most)).min(troubled - at);
            steps.push(Step { at, lasts, process: up_to(PROCESSES as u64) as usize, trouble });
            at += Duration::from_millis(50 + up_to(2 * between));
        }
        Self { silence, rates, weather, leisure_ms, steps }
    }
}
