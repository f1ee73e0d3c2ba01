//! A server that led, was paused, and answers again before it has heard that another one leads.

use std::time::Duration;

use ha_consul::{Consul, ConsulSettings};
use ha_core::ErrorKind;
use ha_core::backend::{Backend, Change, Commit, Expect, Key, Outcome, Prefix, Revision, Scope};
use ha_core::seam::Seam;
use ha_testkit::proxy::{Matching, Proxy, Treatment};
use ha_testkit::servers::consul::{Agent, Cluster, Options};

use crate::world::{Place, heavy, in_time, quick, run};

/// How often a leader is paused.
const ROUNDS: u64 = 3;

async fn connect(seam: &Seam, addresses: Vec<String>) -> Consul {
    let mut settings = ConsulSettings::at("");
    settings.addresses = addresses;
    settings.request_timeout = Duration::from_secs(40);
    settings.blocking_wait = Duration::from_secs(5);
    Consul::connect(settings, seam.clone()).await.unwrap()
}

/// Writes it, through elections too.
async fn put(seam: &Seam, consul: &Consul, key: &Key, value: &str) -> Revision {
    let write = async {
        loop {
            let found = consul.read(key).await.ok().map(|found| found.map(|entry| entry.revision));
            if let Some(found) = found {
                let expect = found.map_or(Expect::Absent, Expect::Revision);
                let commit = Commit::new(seam.write_id()).put(key.clone(), expect, value.to_owned().into());
                if let Ok(Outcome::Applied { revisions }) = consul.commit(&commit).await {
                    return revisions[0];
                }
            }
            seam.sleep(Duration::from_millis(50)).await;
        }
    };
    in_time(seam, "it is written", write).await
}

#[test]
fn a_leader_of_the_servers_that_was_paused_answers_nothing_old_when_it_goes_on() {
    run(async {
        // Fails if a read is not consistent, or a commit that only checks is answered by whoever thinks that it leads.
        let _turn = heavy().await;
        let seam = Seam::system();
        let cluster = Cluster::start(seam.clone(), quick(Options::server())).await?;
        let place = Place::new(&seam);
        let key = Key::new(format!("{}/place/key", place.root)).unwrap();
        let below = Prefix::new(format!("{}/place", place.root)).unwrap();
        let mut bare = 0;
        for round in 0..ROUNDS {
            let old = cluster.leader(&[0, 1, 2]).await;
            let others: Vec<usize> = (0..3).filter(|number| *number != old).collect();
            let addresses = others.iter().map(|number| cluster.agents()[*number].address()).collect();
            let elsewhere = connect(&seam, addresses).await;
            let before = put(&seam, &elsewhere, &key, &format!("old {round}")).await;
            let proxy = Proxy::to(cluster.agents()[old].address(), seam.clone()).await;
            let there = connect(&seam, vec![proxy.address().to_owned()]).await;
            let seen = there.list(&below).await.unwrap().mark;

            cluster.agents()[old].stop().await;
            cluster.leader(&others).await;
            let after = put(&seam, &elsewhere, &key, &format!("new {round}")).await;
            // All wait at its door when it goes on.
            let sent = proxy.treat(Matching::path("/v1/"), Treatment::SlowAnswer(Duration::ZERO));
            let old_holds = Commit::new(seam.write_id()).check(key.clone(), Expect::Revision(before));
            let scope = Scope::Key(key.clone());
            let agent: &Agent = &cluster.agents()[old];
            let bare_path = format!("/v1/kv/{key}");
            let asking = async {
                futures_util::join!(
                    there.read(&key),
                    there.list(&below),
                    there.commit(&old_holds),
                    there.changed(&scope, &seen),
                    agent.ask("GET", &bare_path, b""),
                )
            };
            let going_on = async {
                sent.matched(4).await;
                agent.cont();
            };
            let ((read, list, commit, changed, default), ()) =
                in_time(&seam, "it answers", futures_util::future::join(asking, going_on)).await;
            let unavailable = |error: ha_core::Error| assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            match read {
                Ok(entry) => assert_eq!(entry.unwrap().revision, after, "an old value"),
                Err(error) => unavailable(error),
            }
            match list {
                Ok(snapshot) => assert_eq!(snapshot.entries[0].revision, after, "an old list"),
                Err(error) => unavailable(error),
            }
            match commit {
                Ok(Outcome::Conflict { found, .. }) => assert_eq!(found.unwrap().revision, after),
                Ok(other) => panic!("what is none any more was confirmed: {other:?}"),
                Err(error) => assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Indeterminate)),
            }
            match changed {
                Ok(Change::Snapshot(snapshot)) => assert_eq!(snapshot.entries[0].revision, after, "old news"),
                Ok(other) => panic!("{other:?}"),
                Err(error) => unavailable(error),
            }
            bare += u64::from(default.text().contains(&format!("\"ModifyIndex\":{}", before.native())));
        }
        eprintln!("MEASURED of {ROUNDS} default reads without this library {bare} were answered with the old value");
        Ok(())
    });
}
