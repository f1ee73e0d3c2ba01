//! Three servers, of which some or all are lost for a while.

use ha_core::seam::{Moment, Seam};
use ha_testkit::Missing;
use ha_testkit::process::Process;
use ha_testkit::servers::consul::{Cluster, Options};

use crate::member::{spawn, terms, writes};
use crate::world::{Place, heavy, measured, quick, run, told_after};

/// Two processes that contend, of which one writes.
struct Load {
    seam: Seam,
    cluster: Cluster,
    place: Place,
    processes: Vec<Process>,
}

impl Load {
    async fn start() -> Result<Self, Missing> {
        let seam = Seam::system();
        let cluster = Cluster::start(seam.clone(), quick(Options::server())).await?;
        let place = Place::new(&seam);
        let mut load = Self { seam, cluster, place, processes: Vec::new() };
        for label in ["one", "other"] {
            let process = spawn(&load.seam, &load.place.member(label, &load.addresses()));
            process.told("there").await;
            if load.processes.is_empty() {
                writes(&process, 10).await;
            }
            load.processes.push(process);
        }
        Ok(load)
    }

    fn addresses(&self) -> Vec<String> {
        self.cluster.agents().iter().map(ha_testkit::servers::consul::Agent::address).collect()
    }

    /// Either writes again after that moment.
    async fn writes_again(&self, after: Moment, what: &str) {
        let [one, other] = &self.processes[..] else { panic!("there are two") };
        let wrote = tokio::select! {
            wrote = told_after(one, "acknowledged", after) => wrote,
            wrote = told_after(other, "acknowledged", after) => wrote,
        };
        measured(&format!("{what}, writes again"), after, wrote.at);
    }

    async fn assert_nothing_is_lost(mut self) {
        let mut all: Vec<u64> = self.processes.iter().flat_map(|process| terms(&process.events())).collect();
        all.sort_unstable();
        assert!(all.is_sorted_by(|one, next| one < next), "an epoch came twice: {all:?}");
        let processes = std::mem::take(&mut self.processes);
        self.place.assert_nothing_is_lost(processes, &self.addresses()).await;
    }
}

#[test]
fn the_servers_leader_killed_under_load_loses_nothing() {
    run(async {
        let _turn = heavy().await;
        let mut load = Load::start().await?;
        let leader = load.cluster.leader(&[0, 1, 2]).await;
        let killed = load.cluster.agent(leader).kill();
        load.writes_again(killed + std::time::Duration::from_millis(1), "servers' leader killed").await;
        load.cluster.agent(leader).restart().await;
        load.assert_nothing_is_lost().await;
        Ok(())
    });
}

#[test]
fn the_servers_leader_stopped_under_load_loses_nothing_when_it_goes_on() {
    run(async {
        // Fails if an answer of a server that was deposed without knowing counts.
        let _turn = heavy().await;
        let load = Load::start().await?;
        let leader = load.cluster.leader(&[0, 1, 2]).await;
        let stopped = load.cluster.agents()[leader].stop().await;
        let others: Vec<usize> = (0..3).filter(|number| *number != leader).collect();
        load.cluster.leader(&others).await;
        load.writes_again(load.seam.now(), "servers' leader stopped, another elected").await;
        measured("servers' leader stopped until writes went on", stopped, load.seam.now());
        load.cluster.agents()[leader].cont();
        load.cluster.leader(&[0, 1, 2]).await;
        load.writes_again(load.seam.now(), "servers' old leader goes on").await;
        load.assert_nothing_is_lost().await;
        Ok(())
    });
}

#[test]
fn all_servers_killed_and_restarted_lose_nothing() {
    run(async {
        let _turn = heavy().await;
        let mut load = Load::start().await?;
        for number in 0..3 {
            load.cluster.agent(number).kill();
        }
        for number in 0..3 {
            load.cluster.agent(number).start_again();
        }
        load.cluster.complete().await;
        load.writes_again(load.seam.now(), "all servers restarted").await;
        load.assert_nothing_is_lost().await;
        Ok(())
    });
}

#[test]
fn a_quorum_lost_for_a_while_stops_the_leader_and_the_service_resumes_by_itself() {
    run(async {
        // Fails if a leader goes on without servers, or needs a hand when they are back.
        let _turn = heavy().await;
        let mut load = Load::start().await?;
        let lost_at = load.seam.now();
        for number in [1, 2] {
            load.cluster.agent(number).kill();
        }
        let [one, other] = &load.processes[..] else { panic!("there are two") };
        let lost = tokio::select! {
            lost = told_after(one, "lost", lost_at) => lost,
            lost = told_after(other, "lost", lost_at) => lost,
        };
        measured("quorum lost, leader has stepped down", lost_at, lost.at);
        for number in [1, 2] {
            load.cluster.agent(number).start_again();
        }
        load.cluster.complete().await;
        load.writes_again(load.seam.now(), "quorum regained").await;
        load.assert_nothing_is_lost().await;
        Ok(())
    });
}
