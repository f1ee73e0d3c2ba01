//! Processes that contend while they are killed and stopped: no two of them ever believe at one instant that they
//! lead.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ha_core::HighAvailabilityServices;
use ha_core::election::Leadership;
use ha_core::seam::Seam;
use ha_testkit::process::{Event, Process, Stage, role};
use ha_testkit::run::block_on;
use serde::{Deserialize, Serialize};

use crate::member::{Member, nanoseconds};
use crate::world::{World, heavy};

/// How often a process asks itself whether it leads.
pub(crate) const ASK_EVERY: Duration = Duration::from_millis(5);
/// How often the one that leads has asked itself before it is struck: for longer than its session takes to renew itself.
const ASKED: usize = 120;
/// Each blow falls so often.
const ROUNDS: usize = 3;

/// One answer to the question who leads: from `asked` to `answered` there is an instant at which this one did, by all
/// that it knows. All processes of a machine have one clock.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Believes {
    pub(crate) token: u64,
    asked: u64,
    answered: u64,
}

impl Believes {
    /// `None` if it does not lead any more.
    pub(crate) fn ask(leadership: &Leadership, seam: &Seam) -> Option<Self> {
        let asked = nanoseconds(seam.now());
        let leads = leadership.is_valid();
        let (token, answered) = (leadership.token().epoch(), nanoseconds(seam.now()));
        leads.then_some(Self { token, asked, answered })
    }
}

async fn believe(member: Member, stage: Stage) {
    let services = member.services(stage.seam()).await;
    loop {
        let Ok(leadership) = services.dispatcher_leader_election().unwrap().campaign().await else {
            stage.seam().sleep(ASK_EVERY).await;
            continue;
        };
        while let Some(believes) = Believes::ask(&leadership, stage.seam()) {
            stage.tell("believes", believes);
            stage.seam().sleep(ASK_EVERY).await;
        }
        stage.tell("over", leadership.token().epoch());
    }
}

#[test]
fn believer() {
    role("believers::believer", believe);
}

fn believed(events: &[Event]) -> Vec<Believes> {
    let believes = events.iter().filter(|event| event.name == "believes");
    believes.map(|event| serde_json::from_value(event.value.clone()).unwrap()).collect()
}

/// Panics if one believed that it led after another one had begun to, under a later token.
pub(crate) fn assert_never_two_at_once(told: &[(usize, Believes)]) {
    // A term is one process's. Once begun, it lasted up to each later question.
    let mut terms: BTreeMap<u64, (usize, u64, u64)> = BTreeMap::new();
    for (who, believes) in told {
        let term = terms.entry(believes.token).or_insert((*who, believes.answered, believes.asked));
        assert_eq!(term.0, *who, "token {} was given to two", believes.token);
        term.1 = term.1.min(believes.answered);
        term.2 = term.2.max(believes.asked);
    }
    let terms: Vec<_> = terms.into_iter().collect();
    for pair in terms.windows(2) {
        let [(old, (one, _, until)), (new, (other, from, _))] = pair else { unreachable!("windows of two") };
        let late = until.saturating_sub(*from);
        assert!(until <= from, "{one} believed in {old} {late} ns after {other} had begun to lead under {new}");
    }
}

#[test]
fn two_beliefs_at_one_instant_are_seen() {
    let believes = |who: usize, token, at| (who, Believes { token, asked: at, answered: at + 1 });
    let apart = [believes(0, 1, 10), believes(0, 1, 20), believes(1, 2, 30), believes(0, 3, 40)];
    assert_never_two_at_once(&apart);
    for wrong in [believes(0, 1, 32), believes(1, 3, 50)] {
        let told: Vec<_> = apart.iter().copied().chain([wrong]).collect();
        assert!(std::panic::catch_unwind(|| assert_never_two_at_once(&told)).is_err(), "{told:?}");
    }
}

/// What befalls the one that leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blow {
    Kill,
    /// Until another leads.
    Stop,
    /// Stopped and let go on at once: it may lead on.
    Falter,
}

struct Contest {
    w: World,
    ignore_locks: bool,
    processes: Vec<Process>,
}

impl Contest {
    fn spawn(&mut self) {
        let label = format!("contender {}", self.processes.len());
        let member = Member { ignore_locks: self.ignore_locks, ..self.w.member(&label) };
        self.processes.push(Process::spawn(self.w.seam.clone(), "believers::believer", &member));
    }

    /// Who leads under a greater token than that.
    async fn leader_after(&self, token: u64) -> (usize, u64) {
        let told = |(number, process): (usize, &Process)| Some((believed(&process.events()).last()?.token, number));
        let find = || {
            let latest = self.processes.iter().enumerate().filter_map(told).max();
            latest.filter(|(now, _)| *now > token).map(|(now, number)| (number, now))
        };
        self.w.until("another one leads", find).await
    }

    async fn strike(&mut self, blow: Blow, leader: usize, token: u64) -> (usize, u64) {
        let process = &mut self.processes[leader];
        let often = |events: &[Event]| {
            let in_term = believed(events).into_iter().filter(|believes| believes.token == token);
            (in_term.count() >= ASKED).then_some(())
        };
        process.until("it leads long enough to renew itself", often).await;
        match blow {
            Blow::Kill => {
                process.kill();
                process.exited().await;
                self.spawn();
                self.leader_after(token).await
            }
            Blow::Stop => {
                process.stop().await;
                let next = self.leader_after(token).await;
                let over = |events: &[Event]| {
                    let mut over = events.iter().filter(|event| event.name == "over");
                    over.any(|event| event.value.as_u64() == Some(token)).then_some(())
                };
                self.processes[leader].cont();
                self.processes[leader].until("its term is over", over).await;
                next
            }
            Blow::Falter => {
                process.stop().await;
                process.cont();
                let asked = believed(&process.events()).len();
                let more = |events: &[Event]| (believed(events).len() > asked).then_some(());
                process.until("it goes on", more).await;
                self.leader_after(token - 1).await
            }
        }
    }
}

///
#[test]
fn no_two_processes_on_a_directory_ever_believe_at_one_instant_that_they_lead() {
    block_on(async {
        // Fails if a deadline is counted from an answer instead of its request, does not run while a process is
        // stopped, or somebody is taken for dead who is not. Without locks silence alone decides.
        let _turn = heavy().await;
        for ignore_locks in [false, true] {
            let mut contest = Contest { w: World::on_disk(), ignore_locks, processes: Vec::new() };
            (0..3).for_each(|_| contest.spawn());
            let (mut leader, mut token) = contest.leader_after(0).await;
            let blows = [Blow::Stop, Blow::Falter, Blow::Kill].repeat(ROUNDS);
            for blow in &blows {
                (leader, token) = contest.strike(*blow, leader, token).await;
            }
            let told = contest.processes.iter().enumerate().flat_map(|(number, process)| {
                believed(&process.events()).into_iter().map(move |believes| (number, believes))
            });
            let told: Vec<_> = told.collect();
            assert_never_two_at_once(&told);
            let tokens: BTreeSet<u64> = told.iter().map(|(_, believes)| believes.token).collect();
            assert!(tokens.len() > 2 * ROUNDS, "after each stop and each kill another one led: {tokens:?}");
            ha_testkit::run::tell(format_args!(
                "{} answers in {} terms, ignoring locks: {ignore_locks}",
                told.len(),
                tokens.len()
            ));
        }
    });
}
