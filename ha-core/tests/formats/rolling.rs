use super::*;
use ha_core::JobStatus;
use ha_core::job_result::JobResult;

/// One term's work on everything that a leader stores; `term` counts from 1.
async fn work(leadership: &Leadership, term: u64) {
    leadership.publish(&format!("host:{term}")).await.unwrap();
    let id = counter(leadership).await.get_and_increment().await.unwrap();
    assert_eq!(id, term, "the counter goes on where the other version stopped");
    let store = checkpoints(leadership).await.unwrap();
    let before: Vec<u64> = store.get_all_checkpoints().await.unwrap().iter().map(|one| one.id).collect();
    assert_eq!(before, (term.saturating_sub(3).max(1)..term).collect::<Vec<_>>(), "all that the others left");
    store.add_checkpoint_and_subsume_oldest_one(checkpoint(id)).await.unwrap();
    let plans = plans(leadership).await;
    for earlier in 1..term {
        let name = format!("job-{earlier}");
        assert_eq!(plans.recover_execution_plan(&job(&name)).await.unwrap(), Some(plan(&name)));
    }
    plans.put_execution_plan(&plan(&format!("job-{term}"))).await.unwrap();
    let results = leadership.job_result_store();
    assert_eq!(results.dirty_results().await.unwrap().results.len() as u64, term - 1);
    results.create_dirty_result(&JobResult::new(job(&format!("over-{term}")), JobStatus::Finished)).await.unwrap();
    let blobs = leadership.blob_store();
    let key = blobs.put(&job("job"), chunks_of("a jar".into())).await.unwrap();
    let content: Vec<Bytes> = blobs.get(&job("job"), &key).await.unwrap().try_collect().await.unwrap();
    assert_eq!(content.concat(), b"a jar");
}

#[tokio::test]
async fn until_the_format_is_raised_two_versions_take_turns_on_one_store() {
    // Fails if the newer one writes what the older one cannot read, in anything that is stored.
    let cluster = Cluster::new();
    let versions = [cluster.process(old()), cluster.process(new())];
    let observers = versions.each_ref().map(|process| process.services.dispatcher_leader_retriever().unwrap());
    let mut watches = observers.map(|retrieval| retrieval.watch());
    for term in 1..=6 {
        let leadership = cluster.lead(&versions[usize::from(term % 2 == 0)]).await;
        work(&leadership, term).await;
        for watch in &mut watches {
            let seen = async {
                while watch.leader().await.address != format!("host:{term}") {
                    watch.changed().await;
                }
            };
            cluster.within("both versions see the leader", seen).await;
        }
        leadership.resign().await.unwrap();
    }
    assert_eq!(cluster.formats().await, BTreeSet::from([1]));
    assert!(cluster.contents().await.iter().all(|(key, ..)| key != RECORD), "nobody made a record of its own accord");
}

#[tokio::test]
async fn after_the_raise_the_newer_one_reads_both_formats_and_the_older_one_refuses_each_newer_record() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.process(old()), cluster.process(new()));
    let leadership = cluster.lead(&one).await;
    work(&leadership, 1).await;
    leadership.resign().await.unwrap();
    let leadership = cluster.lead(&two).await;
    leadership.raise_format(2).await.unwrap();
    work(&leadership, 2).await;
    assert_eq!(cluster.formats().await, BTreeSet::from([1, 2]), "what is stored is not rewritten");
    // Reading needs no leadership, so only the records themselves keep the older one out.
    let mut watch = one.services.dispatcher_leader_retriever().unwrap().watch();
    eventually("the older one sees a record", async || {
        watch.view();
        watch.error().is_some()
    })
    .await;
    assert_eq!(watch.error().unwrap().kind(), ErrorKind::NewerFormat);
    let results = one.services.job_result_store().unwrap();
    let all = results.dirty_results().await.unwrap();
    assert_eq!((all.results.len(), all.broken.len()), (1, 1), "the one that it can read is not hidden");
    assert_eq!(all.broken[0].error.kind(), ErrorKind::NewerFormat);
    let blobs = one.services.blob_store().unwrap();
    let key = leadership.blob_store().put(&job("new"), chunks_of("another jar".into())).await.unwrap();
    assert_eq!(blobs.get(&job("new"), &key).await.map(drop).unwrap_err().kind(), ErrorKind::NewerFormat);
    assert_eq!(
        one.services.running_jobs_registry().unwrap().job_scheduling_status(&job("over-2")).await.unwrap_err().kind(),
        ErrorKind::NewerFormat
    );
    // And the newer one goes on, over both.
    leadership.resign().await.unwrap();
    let leadership = cluster.leader(new()).await;
    work(&leadership, 3).await;
}

/// A process that campaigns again and again, and counts and stores while it leads.
async fn keep_leading(cluster: Cluster, process: HaServices, done: Arc<std::sync::Mutex<Vec<(u64, u64)>>>) {
    loop {
        let election = process.dispatcher_leader_election().unwrap();
        let Ok(leadership) = election.campaign().await else { return };
        drop(election);
        let lost = async {
            let counter = counter(&leadership).await;
            let store = checkpoints(&leadership).await?;
            loop {
                let id = counter.get_and_increment().await?;
                store.add_checkpoint_and_subsume_oldest_one(checkpoint(id)).await?;
                done.lock().unwrap().push((leadership.token().epoch(), id));
                cluster.seam.sleep(Duration::from_millis(1)).await;
            }
        };
        let lost: Result<(), Error> = lost.await;
        let kind = lost.unwrap_err().kind();
        assert!(matches!(kind, ErrorKind::NotLeader | ErrorKind::Fenced | ErrorKind::Closed), "{kind:?}");
        if kind == ErrorKind::Closed {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rolling_upgrade_under_load_with_fail_overs_both_ways_loses_nothing() {
    // Fails if an id is given twice, or a checkpoint that was acknowledged is not the next leader's latest.
    let cluster = Cluster::new();
    let done = Arc::new(std::sync::Mutex::new(Vec::new()));
    let start = |formats| {
        let process = cluster.process(formats);
        let task = cluster.seam.spawn(keep_leading(cluster.clone(), process.services, Arc::clone(&done)));
        (task, process.backend)
    };
    let count = || done.lock().unwrap().len();
    let progress = async |what: &str| {
        let before = count();
        eventually(what, async || count() >= before + 5).await;
    };
    let mut running: Vec<_> = (0..3).map(|_| start(old())).collect();
    progress("three old ones make progress").await;
    for process in &mut running {
        // Ended with no word, whether it leads or not; a newer one comes in its place.
        *process = start(new());
        progress("a mixed cluster makes progress").await;
        for _ in 0..4 {
            // Who leads is thrown out, so that versions take turns both ways.
            let leads = cluster.store.sessions().into_iter().find(|session| !session.holds.is_empty());
            if let Some(session) = leads {
                let _ = cluster.store.revoke(&session.id);
            }
            progress("and after a fail-over").await;
        }
    }
    assert_eq!(cluster.formats().await, BTreeSet::from([1]));
    drop(running);
    let last = cluster.process(new());
    let leadership = cluster.lead(&last).await;
    let mut done = done.lock().unwrap().clone();
    // A leader may note what was acknowledged just when the next one leads already.
    done.sort_unstable();
    assert!(done.windows(2).all(|pair| pair[0].1 < pair[1].1), "terms and ids only grow: {done:?}");
    let store = checkpoints(&leadership).await.unwrap();
    let latest = store.get_latest_checkpoint_id().await.unwrap();
    assert!(latest >= done.last().unwrap().1, "an acknowledged checkpoint is there");
    leadership.raise_format(2).await.unwrap();
    let id = counter(&leadership).await.get_and_increment().await.unwrap();
    assert!(id > latest);
    store.add_checkpoint_and_subsume_oldest_one(checkpoint(id)).await.unwrap();
    leadership.resign().await.unwrap();
    assert_too_old(&cluster.campaign(&cluster.process(old())).await.unwrap_err());
}
