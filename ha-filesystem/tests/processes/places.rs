//! Clusters that share a directory, and journals that lie in each other.

use std::collections::BTreeSet;

use ha_core::HighAvailabilityServices;
use ha_testkit::run::block_on;

use crate::member::{Member, acknowledged, checkpoints, leads_after, numbers, writes};
use crate::world::{ENDLESS, World, found};

/// Each leads in its place, and is disturbed by nothing that befalls another one. With a silence that no test waits for: the
/// lock of the one that dies is evidence.
async fn assert_apart(w: &World, members: &[Member]) {
    let members = members.iter().map(|member| Member { silence: ENDLESS, ..member.clone() });
    let members: Vec<Member> = members.collect();
    let mut processes = Vec::new();
    for member in &members {
        let process = member.spawn(&w.seam);
        // At once, whoever leads elsewhere.
        leads_after(&process, 0).await;
        processes.push(process);
    }
    for process in &processes {
        writes(process, 20).await;
    }
    // The first one dies; the others lead on as if nothing had been.
    processes[0].kill();
    processes[0].exited().await;
    for process in &processes[1..] {
        writes(process, 20).await;
        assert_eq!(numbers(&process.events(), "elected").len(), 1, "another one's death cost it its term");
        assert!(process.events().iter().all(|event| event.name != "lost"));
    }
    for (member, mut process) in members.iter().zip(processes) {
        let expected = acknowledged(&process.events());
        if process.status().is_none() {
            process.kill();
            process.exited().await;
        }
        let services = Member { label: "successor".into(), ..member.clone() }.services(&w.seam).await;
        let leadership = w.leadership(&services).await;
        let found: BTreeSet<u64> = found(&checkpoints(&leadership).await.unwrap()).await;
        assert!(expected.is_subset(&found), "{}: lost {:?}", member.label, expected.difference(&found));
        assert!(found.len() <= expected.len() + 1, "{}: something of another one is here", member.label);
        services.close().await.unwrap();
    }
}

#[test]
fn two_clusters_in_one_directory_do_not_see_each_other() {
    block_on(async {
        // Fails if a name of one cluster leads to a latch or a record of the other.
        let w = World::in_memory();
        let member = |root: &str| Member { root: root.into(), ..w.member(root) };
        assert_apart(&w, &[member("one"), member("one-more"), member("one/below")]).await;
    });
}

#[test]
fn two_journals_do_not_see_each_other_also_not_one_in_the_directory_of_the_other() {
    block_on(async {
        let w = World::in_memory();
        // States of journals of their own: nobody shares what belongs to one cluster.
        let member = |name: &str, states: &str| {
            std::fs::create_dir_all(w.path(states)).unwrap();
            Member { journal: w.path(name), states: w.path(states), ..w.member(name) }
        };
        let members =
            [member("journal", "states one"), member("another", "states two"), member("journal/in it", "states three")];
        assert_apart(&w, &members).await;
    });
}
