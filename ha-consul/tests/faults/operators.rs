//! What people do to the store while somebody leads.

use bytes::Bytes;
use ha_consul::Consul;
use ha_core::backend::{Acquire, Backend, Latch, Prefix, SessionOptions};
use ha_core::retrieval::LeaderView;
use ha_core::seam::{Moment, Seam};
use ha_core::{ErrorKind, HighAvailabilityServices, JobId};
use ha_testkit::process::Process;
use ha_testkit::servers::consul::{Agent, Options};

use crate::member::{SILENCE, checkpoint, checkpoints, terms, writes};
use crate::world::{World, epoch, found, in_time, measured, quick, run, told_after};

/// It has lost its leadership after that moment, leads again under a greater epoch, and writes.
async fn leads_again(process: &Process, after: Moment, what: &str) {
    let lost = told_after(process, "lost", after).await;
    measured(&format!("{what}, leader has stepped down"), after, lost.at);
    let again = told_after(process, "leading", lost.at).await;
    measured(&format!("{what}, somebody leads again"), after, again.at);
    let terms = terms(&process.events());
    assert!(terms.is_sorted_by(|one, next| one < next), "{terms:?}");
    writes(process, 5).await;
}

/// What is done to the store costs the leader its term, and nothing that was acknowledged.
async fn done_to_the_store(what: &str, action: impl AsyncFn(&World)) -> Result<(), ha_testkit::Missing> {
    let w = World::shared().await?;
    let leader = w.spawn(what);
    writes(&leader, 10).await;
    let at = w.seam.now();
    action(&w).await;
    leads_again(&leader, at, what).await;
    w.place.assert_nothing_is_lost(vec![leader], &w.addresses()).await;
    Ok(())
}

#[test]
fn a_session_that_an_operator_destroys_costs_one_term() {
    run(done_to_the_store("session destroyed", async |w| {
        w.put(&format!("session/destroy/{}", w.holder().await), b"").await;
    }));
}

#[test]
fn a_check_that_is_deregistered_costs_one_term() {
    run(done_to_the_store("check deregistered", async |w| {
        let info = w.agent.ask("GET", &format!("/v1/session/info/{}", w.holder().await), b"").await.json();
        let check = info[0]["NodeChecks"][0].as_str().unwrap().to_owned();
        w.put(&format!("agent/service/deregister/{check}"), b"").await;
    }));
}

#[test]
fn a_check_that_is_set_critical_costs_one_term() {
    run(done_to_the_store("check set critical", async |w| {
        let info = w.agent.ask("GET", &format!("/v1/session/info/{}", w.holder().await), b"").await.json();
        let check = info[0]["NodeChecks"][0].as_str().unwrap().to_owned();
        w.put(&format!("agent/check/fail/{check}"), b"").await;
    }));
}

#[test]
fn a_latch_that_is_written_by_hand_costs_one_term() {
    // Fails if a value that someone puts on the latch leaves a leader that nobody can depose.
    run(done_to_the_store("latch edited", async |w| {
        w.put(&format!("kv/{}", w.place.latch()), b"by hand").await;
    }));
}

#[test]
fn a_latch_that_is_deleted_costs_one_term() {
    run(done_to_the_store("latch deleted", async |w| w.delete(&format!("kv/{}", w.place.latch())).await));
}

#[test]
fn an_epoch_that_is_deleted_costs_nothing_and_none_comes_back() {
    run(async {
        // Fails if the counter begins anew, or the leader's latch counts as free without it.
        let w = World::shared().await?;
        let (services, standby) = (w.services("leader").await, w.services("standby").await);
        let leadership = w.leadership(&services).await;
        let store = checkpoints(&leadership).await.unwrap();
        w.delete(&format!("kv/{}/default/leader/epoch", w.place.root)).await;
        let election = standby.dispatcher_leader_election().unwrap();
        assert!(w.seam.timeout(SILENCE * 2, election.campaign()).await.is_none(), "the latch is held");
        store.add_checkpoint_and_subsume_oldest_one(checkpoint(1)).await.unwrap();
        let before = epoch(&leadership);
        services.close().await.unwrap();
        let next = w.leadership(&standby).await;
        assert!(epoch(&next) > before);
        standby.close().await.unwrap();
        Ok(())
    });
}

#[test]
fn a_prefix_deleted_under_a_leader_ends_its_term_and_the_epoch_still_grows() {
    run(async {
        // Fails if what was deleted comes back by a write of the old term, or an epoch comes twice.
        let w = World::shared().await?;
        let leader = w.spawn("prefix deleted");
        writes(&leader, 10).await;
        let at = w.seam.now();
        w.delete(&format!("kv/{}?recurse", w.place.root)).await;
        leads_again(&leader, at, "prefix deleted").await;
        // Everything that stands there was written by the new term.
        let least = terms(&leader.events())[1];
        let old: Vec<_> = w.everything().await.into_iter().filter(|(_, index)| *index < least).collect();
        assert!(old.is_empty(), "{old:?}");
        Ok(())
    });
}

#[test]
fn foreign_keys_are_passed_over() {
    run(async {
        // Fails if one key of another program stops an election, a retrieval or a recovery.
        let w = World::shared().await?;
        let base = format!("kv/{}/default", w.place.root);
        let foreign =
            ["leader/", "leader/größe", "leader/x%20y", "leader/other/.lock", "leader/latch", "jobs/", "jobs/job/note"];
        for key in foreign {
            w.put(&format!("{base}/{}", key.replace("ö", "%C3%B6").replace("ß", "%C3%9F")), b"\xff\x00 foreign").await;
        }
        let services = w.services("leader").await;
        let leadership = w.leadership(&services).await;
        leadership.publish("here").await.unwrap();
        let store = checkpoints(&leadership).await.unwrap();
        store.add_checkpoint_and_subsume_oldest_one(checkpoint(1)).await.unwrap();
        let mut watch = services.dispatcher_leader_retriever().unwrap().watch();
        assert_eq!(w.in_time("it is seen", watch.leader()).await.address, "here");
        services.close().await.unwrap();
        let successor = w.services("successor").await;
        let leadership = w.leadership(&successor).await;
        assert!(found(&checkpoints(&leadership).await.unwrap()).await.contains(&1));
        successor.close().await.unwrap();
        Ok(())
    });
}

async fn own_agent(seam: &Seam) -> Result<(Agent, crate::world::Place), ha_testkit::Missing> {
    Ok((Agent::start(seam.clone(), quick(Options::developer())).await?, crate::world::Place::new(seam)))
}

#[test]
fn no_epoch_comes_twice_over_a_restored_snapshot_and_the_service_goes_on() {
    run(async {
        // Fails if the epoch is counted from what is stored alone: that goes back.
        let seam = Seam::system();
        let (agent, place) = own_agent(&seam).await?;
        let services = place.member("leader", &[agent.address()]).services(&seam).await;
        let mut epochs = Vec::new();
        let leadership = crate::world::leadership(&seam, &services).await;
        epochs.push(epoch(&leadership));
        let snapshot = agent.snapshot().await;
        leadership.resign().await.unwrap();
        for _ in 0..5 {
            let leadership = crate::world::leadership(&seam, &services).await;
            epochs.push(epoch(&leadership));
            leadership.resign().await.unwrap();
        }
        services.close().await.unwrap();

        agent.restore(&snapshot).await;
        let restored = seam.now();
        // Nobody of these has seen the epochs before.
        for turn in 0..3 {
            let services = place.member("after", &[agent.address()]).services(&seam).await;
            let leadership = crate::world::leadership(&seam, &services).await;
            if turn == 0 {
                measured("snapshot restored, somebody leads", restored, seam.now());
            }
            epochs.push(epoch(&leadership));
            leadership.publish("here").await.unwrap();
            let mut watch = services.dispatcher_leader_retriever().unwrap().watch();
            let seen = in_time(&seam, "it is seen", watch.leader()).await;
            assert_eq!(seen.token.to_string(), epochs.last().unwrap().to_string());
            services.close().await.unwrap();
        }
        assert!(epochs.is_sorted_by(|one, next| one < next), "{epochs:?}");
        Ok(())
    });
}

#[test]
fn a_leader_whose_term_a_restored_snapshot_does_not_know_steps_down() {
    run(async {
        let seam = Seam::system();
        let (agent, place) = own_agent(&seam).await?;
        let snapshot = agent.snapshot().await;
        let leader = crate::member::spawn(&seam, &place.member("leader", &[agent.address()]));
        writes(&leader, 10).await;
        let restored = seam.now();
        agent.restore(&snapshot).await;
        leads_again(&leader, restored, "snapshot restored").await;
        Ok(())
    });
}

#[test]
fn a_leader_whose_own_term_is_restored_goes_on_and_gives_out_no_id_again() {
    run(async {
        // Fails if its counter follows what was rolled back, or it sticks to revisions that are gone.
        let seam = Seam::system();
        let (agent, place) = own_agent(&seam).await?;
        let services = place.member("leader", &[agent.address()]).services(&seam).await;
        let leads = crate::world::leadership(&seam, &services).await;
        let counter = leads.checkpoint_recovery_factory().create_checkpoint_id_counter(&JobId::new("job").unwrap());
        counter.start().await.unwrap();
        let mut ids = Vec::new();
        let mut snapshot = Vec::new();
        for turn in 0..10 {
            if turn == 5 {
                snapshot = agent.snapshot().await;
            }
            ids.push(counter.get_and_increment().await.unwrap());
        }
        agent.restore(&snapshot).await;
        let deadline = seam.now() + SILENCE * 10;
        // It may be told of the change first.
        while ids.len() < 15 && seam.now() < deadline {
            match counter.get_and_increment().await {
                Ok(id) => ids.push(id),
                Err(error) if matches!(error.kind(), ErrorKind::NotLeader | ErrorKind::Fenced) => break,
                Err(_) => seam.sleep(std::time::Duration::from_millis(20)).await,
            }
        }
        assert!(ids.len() == 15 || !leads.is_valid(), "it neither counts nor steps down: {ids:?}");
        assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
        drop(leads);
        services.close().await.unwrap();
        Ok(())
    });
}

#[test]
fn no_epoch_comes_twice_where_all_data_were_lost_and_somebody_lives_who_saw_it() {
    run(async {
        // Fails if a new cluster's small numbers are taken for new ones: a developer's agent forgets all.
        let seam = Seam::system();
        let (mut agent, place) = own_agent(&seam).await?;
        let member = place.member("survivor", &[agent.address()]);
        let services = member.services(&seam).await;
        let mut retrieving = services.dispatcher_leader_retriever().unwrap().watch();
        let mut epochs = Vec::new();
        for _ in 0..20 {
            let leadership = crate::world::leadership(&seam, &services).await;
            epochs.push(epoch(&leadership));
            leadership.publish("before").await.unwrap();
            leadership.resign().await.unwrap();
        }
        agent.restart().await;
        let leadership = crate::world::leadership(&seam, &services).await;
        leadership.publish("after").await.unwrap();
        epochs.push(epoch(&leadership));
        assert!(epochs.is_sorted_by(|one, next| one < next), "{epochs:?}");
        in_time(&seam, "the new leader is seen", async {
            while !matches!(retrieving.view(), LeaderView::Leader(leader) if leader.address == "after") {
                retrieving.changed().await;
            }
        })
        .await;
        services.close().await.unwrap();
        Ok(())
    });
}

#[test]
fn an_epoch_raised_by_hand_is_gone_on_from_and_the_greatest_is_refused() {
    run(async {
        let w = World::shared().await?;
        let latch = Latch::below(&Prefix::new(format!("{}/raised", w.place.root)).unwrap());
        let key = format!("kv/{}", latch.epoch_key());
        let take = async || {
            let settings = w.member("raised").settings();
            let consul = Consul::connect(settings, w.seam.clone()).await.unwrap();
            let options = SessionOptions { silence: SILENCE, label: "raised".into() };
            let session = consul.open_session(&options).await.unwrap();
            let taken = session.try_acquire(&latch, Bytes::new(), None).await;
            consul.close().await.unwrap();
            taken
        };
        w.put(&key, b"1000000000000").await;
        for turn in 1..=3 {
            let Acquire::Won(term) = take().await.unwrap() else { panic!("it is free") };
            assert_eq!(term.epoch, 1_000_000_000_000 + turn);
        }
        w.put(&key, u64::MAX.to_string().as_bytes()).await;
        let error = take().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        // It is the trouble of this latch: whoever saw it takes others all the same.
        let consul = Consul::connect(w.member("raised").settings(), w.seam.clone()).await.unwrap();
        let options = SessionOptions { silence: SILENCE, label: "raised".into() };
        let session = consul.open_session(&options).await.unwrap();
        let error = session.try_acquire(&latch, Bytes::new(), None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        let other = Latch::below(&Prefix::new(format!("{}/other", w.place.root)).unwrap());
        assert!(matches!(session.try_acquire(&other, Bytes::new(), None).await.unwrap(), Acquire::Won(_)));
        consul.close().await.unwrap();
        w.put(&key, b"no number").await;
        assert!(matches!(take().await.unwrap(), Acquire::Won(_)));
        Ok(())
    });
}
