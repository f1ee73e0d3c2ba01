//! Processes that contend while they are killed and stopped: no two of them ever believe at one instant that they
//! lead.

use std::collections::BTreeSet;

use ha_testkit::process::{Event, Process, role};
use ha_testkit::run::block_on;
use ha_testkit::trials::{assert_never_two_at_once, believe, believed, is_over};

use crate::member::Member;
use crate::world::{World, heavy};

/// How often the one that leads has asked itself before it is struck: for longer than its session takes to renew itself.
const ASKED: usize = 200;
/// Each blow falls so often.
const ROUNDS: usize = 3;

#[test]
fn believer() {
    role("believers::believer", believe::<Member>);
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

    /// Who leads, of that one or those after it, long enough to renew itself: on a busy machine a term may end by itself.
    async fn settled(&self, mut leader: usize, mut token: u64) -> (usize, u64) {
        loop {
            let over = is_over(token);
            let often = |events: &[Event]| {
                let in_term = believed(events).into_iter().filter(|believes| believes.token == token);
                let is_settled = in_term.count() >= ASKED;
                (is_settled || over(events).is_some()).then_some(is_settled)
            };
            if self.processes[leader].until("it leads long enough to renew itself", often).await {
                return (leader, token);
            }
            (leader, token) = self.leader_after(token).await;
        }
    }

    async fn strike(&mut self, blow: Blow, leader: usize, token: u64) -> (usize, u64) {
        let (leader, mut token) = self.settled(leader, token).await;
        let process = &mut self.processes[leader];
        match blow {
            Blow::Kill => {
                process.kill();
                process.exited().await;
                // Its last: it may have won another term just before.
                token = believed(&process.events()).last().map_or(token, |believes| token.max(believes.token));
                self.spawn();
                self.leader_after(token).await
            }
            Blow::Stop => {
                process.stop().await;
                let next = self.leader_after(token).await;
                self.processes[leader].cont();
                self.processes[leader].until("its term is over", is_over(token)).await;
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
