use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng};

use crate::options::{Kind, Options};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// SIGKILL of a worker, which is started again later.
    Kill,
    /// SIGKILL of all workers at once.
    KillAll,
    /// A worker is asked to end, and started again.
    Restart,
    /// SIGSTOP of a worker, for less than the silence.
    Pause,
    /// SIGSTOP of a worker, for longer than the silence.
    LongPause,
    /// As that, in the very moment in which its next commit under a leadership is sent.
    PauseInCommit,
    /// A worker's connections are closed, and new ones too.
    Cut,
    /// Nothing passes between a worker and its server, and nobody is told.
    Hang,
    /// No request of a worker passes.
    RequestsHang,
    /// No answer to a worker passes.
    AnswersHang,
    /// Servers' halves of a worker's connections are closed, and it is not told.
    HalfOpen,
    /// All messages of a worker take long.
    Slow,
    /// A worker's transactions are carried out, and their answers lost.
    AnswersLost,
    /// A worker's transactions arrive late, when nobody waits for them any more.
    Late,
    /// SIGKILL of a server, which is started again with its data.
    KillServer,
    /// SIGKILL of the servers' leader.
    KillServersLeader,
    /// SIGKILL of all servers.
    KillServers,
    /// SIGSTOP of a server.
    PauseServer,
    /// SIGSTOP of the servers' leader.
    PauseServersLeader,
    /// An operator destroys the session that holds the latch.
    DestroySession,
    /// The file system is full.
    FullDisk,
    /// The file system takes no writes.
    ReadOnly,
    /// Files of others appear in all folders.
    ForeignFiles,
    /// A folder stands where the next entry of the journal would.
    EntryInTheWay,
}

impl Trouble {
    /// All there is.
    pub const ALL: [Self; 24] = [
        Self::Kill,
        Self::KillAll,
        Self::Restart,
        Self::Pause,
        Self::LongPause,
        Self::PauseInCommit,
        Self::Cut,
        Self::Hang,
        Self::RequestsHang,
        Self::AnswersHang,
        Self::HalfOpen,
        Self::Slow,
        Self::AnswersLost,
        Self::Late,
        Self::KillServer,
        Self::KillServersLeader,
        Self::KillServers,
        Self::PauseServer,
        Self::PauseServersLeader,
        Self::DestroySession,
        Self::FullDisk,
        Self::ReadOnly,
        Self::ForeignFiles,
        Self::EntryInTheWay,
    ];

    /// What it is called in command lines and histories.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::KillAll => "kill-all",
            Self::Restart => "restart",
            Self::Pause => "pause",
            Self::LongPause => "long-pause",
            Self::PauseInCommit => "pause-in-commit",
            Self::Cut => "cut",
            Self::Hang => "hang",
            Self::RequestsHang => "requests-hang",
            Self::AnswersHang => "answers-hang",
            Self::HalfOpen => "half-open",
            Self::Slow => "slow",
            Self::AnswersLost => "answers-lost",
            Self::Late => "late",
            Self::KillServer => "kill-server",
            Self::KillServersLeader => "kill-servers-leader",
            Self::KillServers => "kill-servers",
            Self::PauseServer => "pause-server",
            Self::PauseServersLeader => "pause-servers-leader",
            Self::DestroySession => "destroy-session",
            Self::FullDisk => "full-disk",
            Self::ReadOnly => "read-only",
            Self::ForeignFiles => "foreign-files",
            Self::EntryInTheWay => "entry-in-the-way",
        }
    }

    /// How often it is drawn beside the others, on that backend; zero if there is no such thing.
    pub(crate) fn weight(self, options: &Options) -> u64 {
        let (consul, three) = (options.backend == Kind::Consul, options.servers == 3);
        match self {
            Self::Kill | Self::PauseInCommit => 4,
            Self::LongPause | Self::AnswersLost => 3,
            Self::Restart | Self::Pause => 2,
            Self::KillAll => 1,
            Self::Cut | Self::Hang | Self::RequestsHang | Self::AnswersHang if consul => 2,
            Self::HalfOpen | Self::Slow | Self::Late | Self::DestroySession if consul => 1,
            Self::KillServer | Self::PauseServer | Self::KillServers if consul => 1,
            Self::KillServersLeader | Self::PauseServersLeader if consul && three => 2,
            Self::FullDisk | Self::EntryInTheWay if !consul => 2,
            Self::ReadOnly | Self::ForeignFiles if !consul => 1,
            _ => 0,
        }
    }

    /// Whether it hinders commits, which only a leader makes.
    pub(crate) fn needs_leader(self) -> bool {
        matches!(self, Self::PauseInCommit | Self::AnswersLost | Self::Late)
    }

    /// For how long it lasts: from, and by at most how much more, in milliseconds.
    fn lasts(self, silence: u64) -> (u64, u64) {
        match self {
            Self::Kill | Self::KillAll | Self::Restart => (0, silence),
            Self::Pause => (silence / 10, silence * 6 / 10),
            Self::LongPause | Self::PauseInCommit => (silence * 11 / 10, silence),
            Self::Cut | Self::Hang | Self::RequestsHang | Self::AnswersHang => (silence / 10, silence * 3),
            Self::AnswersLost | Self::Late | Self::Slow => (500, silence * 2),
            Self::DestroySession => (0, 1),
            // Long enough for every connection to be closed by its server; they stay dead without it.
            Self::HalfOpen => (100, silence / 10),
            Self::KillServer | Self::KillServersLeader | Self::KillServers => (0, silence * 2),
            Self::PauseServer | Self::PauseServersLeader => (silence / 2, silence * 2),
            Self::FullDisk | Self::ReadOnly | Self::EntryInTheWay => (200, silence * 2),
            Self::ForeignFiles => (1000, silence),
        }
    }
}

/// One fault of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// How long after the beginning.
    pub at: Duration,
    /// For how long.
    pub lasts: Duration,
    /// What.
    pub trouble: Trouble,
    /// Whom: the number of a worker or of a server.
    pub target: usize,
    /// Whether it befalls whoever leads then, if that is known, instead.
    pub leader: bool,
}

/// The plan of that seed: the same options give the same plan.
///
/// Faults overlap; each has ended when the time is over.
#[must_use]
pub fn plan(options: &Options) -> Vec<Step> {
    let mut random = StdRng::seed_from_u64(options.seed);
    let mut up_to = |bound: u64| random.next_u64() % bound.max(1);
    let wanted = |trouble: &Trouble| options.only.is_empty() || options.only.contains(trouble);
    let weights: Vec<(Trouble, u64)> =
        Trouble::ALL.into_iter().filter(wanted).map(|of| (of, of.weight(options))).collect();
    let (all, end) = (weights.iter().map(|(_, weight)| weight).sum::<u64>(), options.trouble.as_millis() as u64);
    let silence = options.silence.as_millis() as u64;
    let (mut steps, mut at) = (Vec::new(), 500);
    while at < end && all > 0 {
        let mut drawn = up_to(all);
        let chosen = weights.iter().find(|(_, weight)| {
            let here = drawn < *weight;
            drawn = drawn.saturating_sub(*weight);
            here
        });
        let (trouble, _) = *chosen.expect("a number below the sum of the weights");
        let (least, more) = trouble.lasts(silence);
        let lasts = (least + up_to(more)).min(end - at);
        let (target, leader) = (up_to(1 << 20) as usize, up_to(5) < 3 || trouble.needs_leader());
        let (at_then, lasts) = (Duration::from_millis(at), Duration::from_millis(lasts));
        steps.push(Step { at: at_then, lasts, trouble, target, leader });
        at += silence / 4 + up_to(silence * 3 / 2);
    }
    steps
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Which are killed, and started again at once, perhaps.
    fn is_of_servers(trouble: Trouble) -> bool {
        matches!(trouble, Trouble::KillServer | Trouble::KillServers | Trouble::KillServersLeader)
    }

    #[test]
    fn a_seed_is_a_plan_and_plans_hold_every_fault_of_their_backend() {
        for kind in [Kind::Consul, Kind::Filesystem] {
            let of = |seed| plan(&Options { seed, trouble: Duration::from_secs(600), ..Options::on(kind) });
            assert_eq!(of(7), of(7));
            assert_ne!(of(7), of(8));
            let seen: BTreeSet<Trouble> = (0..4).flat_map(of).map(|step| step.trouble).collect();
            let possible = Trouble::ALL.into_iter().filter(|trouble| trouble.weight(&Options::on(kind)) > 0);
            assert_eq!(seen, possible.collect());
            // What lasts no time at all meets nothing: whatever waits for it never sees it.
            let instant = [Trouble::Kill, Trouble::KillAll, Trouble::Restart, Trouble::DestroySession];
            let begins = of(7).into_iter().filter(|step| step.at < Duration::from_secs(599));
            let lasting = begins.filter(|step| !instant.contains(&step.trouble) && !is_of_servers(step.trouble));
            for step in lasting {
                assert!(step.lasts >= Duration::from_millis(100), "{step:?}");
            }
            let last = of(7).into_iter().map(|step| step.at + step.lasts).max();
            assert!(last <= Some(Duration::from_secs(600)), "{last:?}");
        }
    }
}
