use super::*;

/// EP-01, EP-02, EP-04, EP-09, EP-21.
#[tokio::test]
async fn plans_are_found_by_a_later_leader_and_a_missing_one_is_none() {
    let rig = Rig::new();
    let first = rig.lead().await;
    let (store, _) = started(&rig, &first).await;
    assert_eq!(store.recover_execution_plan(&job("a")).await.unwrap(), None);
    for name in ["b", "a", "c"] {
        store.put_execution_plan(&plan(name, "graph")).await.unwrap();
    }
    let with = plan("d", "graph").with_requirements(json!({"source": {"lower": 1, "upper": 4}}));
    store.put_execution_plan(&with).await.unwrap();
    let second = rig.depose(&first).await;
    let (store, _) = started(&rig, &second).await;
    assert_eq!(store.job_ids().await.unwrap(), ["a", "b", "c", "d"].map(job));
    for name in ["a", "b", "c"] {
        assert_eq!(store.recover_execution_plan(&job(name)).await.unwrap(), Some(plan(name, "graph")));
    }
    assert_eq!(store.recover_execution_plan(&job("d")).await.unwrap(), Some(with));
}

/// EP-05: the old state goes after the pointer, not before.
#[tokio::test]
async fn an_own_plan_is_replaced_and_its_old_state_deleted() {
    let (directory, rig) = in_directory();
    let leader = rig.lead().await;
    let (store, _) = started(&rig, &leader).await;
    store.put_execution_plan(&plan("a", "one")).await.unwrap();
    let reads = leader.backend.reads.load(Ordering::SeqCst);
    for _ in 0..20 {
        store.put_execution_plan(&plan("a", "two")).await.unwrap();
    }
    // The watch may look once or twice beside it.
    let more = leader.backend.reads.load(Ordering::SeqCst) - reads;
    assert!(more < 10, "the revision is known, and yet there were {more} reads");
    store.discards_settled().await;
    assert_eq!((recovered(&store, "a").await.as_str(), files(&directory, "a")), ("two", 1));
}

/// EP-23, SH-03.
#[tokio::test]
async fn a_plan_of_another_is_not_replaced_until_it_was_recovered() {
    let (directory, rig) = in_directory();
    let leader = rig.lead().await;
    let (one, _) = started(&rig, &leader).await;
    let (other, _) = started(&rig, &leader).await;
    one.put_execution_plan(&plan("a", "one")).await.unwrap();
    let contents = rig.contents(BELOW).await;
    let error = other.put_execution_plan(&plan("a", "two")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotOwned);
    assert!(error.to_string().contains("recover"), "{error}");
    assert_eq!((rig.contents(BELOW).await, files(&directory, "a")), (contents, 1));
    assert_eq!(recovered(&other, "a").await, "one");
    other.put_execution_plan(&plan("a", "two")).await.unwrap();
    // Now the first one's knowledge is old: its write is refused, not applied.
    assert_eq!(one.put_execution_plan(&plan("a", "three")).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(one.put_execution_plan(&plan("a", "three")).await.unwrap_err().kind(), ErrorKind::NotOwned);
    for store in [&one, &other] {
        store.discards_settled().await;
        assert_eq!(recovered(store, "a").await, "two");
    }
    assert_eq!(files(&directory, "a"), 1);
}

#[tokio::test]
async fn an_own_plan_that_vanished_is_created_anew() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let (one, _) = started(&rig, &leader).await;
    let (other, _) = started(&rig, &leader).await;
    one.put_execution_plan(&plan("a", "one")).await.unwrap();
    other.global_cleanup(&job("a")).await.unwrap();
    one.put_execution_plan(&plan("a", "two")).await.unwrap();
    assert_eq!(recovered(&other, "a").await, "two");
}

/// EP-06, EP-07, EP-20, FLINK-26690.
#[tokio::test]
async fn a_global_cleanup_removes_pointer_and_state_also_of_a_job_never_seen() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let (store, _) = started(&rig, &leader).await;
    for name in ["a", "b"] {
        store.put_execution_plan(&plan(name, "graph")).await.unwrap();
    }
    let (a, b) = (handle_of(&rig, "a").await, handle_of(&rig, "b").await);
    let (other, _) = started(&rig, &leader).await;
    for _ in 0..2 {
        other.global_cleanup(&job("a")).await.unwrap();
    }
    other.global_cleanup(&job("never")).await.unwrap();
    assert_eq!(store.job_ids().await.unwrap(), [job("b")]);
    assert!(!exists(&rig.storage, &a).await && exists(&rig.storage, &b).await);
}

/// EP-03, FLINK-5193: it is named, not taken, not deleted, and does not stop the others.
#[tokio::test]
async fn a_broken_plan_says_so_and_what_to_do_and_the_others_are_recovered() {
    let (directory, rig) = in_directory();
    let leader = rig.lead().await;
    let (store, _) = started(&rig, &leader).await;
    for name in ["good", "garbage", "newer", "missing", "cut"] {
        store.put_execution_plan(&plan(name, "graph")).await.unwrap();
    }
    rig.tamper("execution-plans/garbage", Some("garbage"));
    rig.tamper("execution-plans/newer", Some(r#"{"format":9}"#));
    let path = async |name: &str| handle_of(&rig, name).await.uri.strip_prefix("file://").unwrap().to_owned();
    std::fs::remove_file(path("missing").await).unwrap();
    std::fs::write(path("cut").await, "gra").unwrap();
    let contents = rig.contents(BELOW).await;
    let (other, _) = started(&rig, &leader).await;
    let cases = [
        ("garbage", ErrorKind::Corrupt, "repair tool"),
        ("newer", ErrorKind::NewerFormat, "upgrade"),
        ("missing", ErrorKind::StateMissing, "repair tool"),
        ("cut", ErrorKind::Corrupt, "repair tool"),
    ];
    for (name, kind, advice) in cases {
        let error = other.recover_execution_plan(&job(name)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let text = error.to_string();
        assert!(text.contains(name) && text.contains(advice) && text.contains("nothing was deleted"), "{text}");
        let put = other.put_execution_plan(&plan(name, "new")).await.unwrap_err();
        assert!(matches!(put.kind(), ErrorKind::NotOwned | ErrorKind::Corrupt | ErrorKind::NewerFormat), "{put}");
    }
    assert_eq!(recovered(&other, "good").await, "graph");
    for name in ["garbage", "newer"] {
        assert!(other.global_cleanup(&job(name)).await.is_err(), "what cannot be read is not deleted");
    }
    assert_eq!((rig.contents(BELOW).await, files(&directory, "garbage")), (contents, 1));
}

#[tokio::test]
async fn a_plan_that_was_replaced_while_it_was_read_is_not_called_broken() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let (store, _) = started(&rig, &leader).await;
    store.put_execution_plan(&plan("a", "one")).await.unwrap();
    let below = ha_core::backend::Prefix::new(BELOW).unwrap();
    let before = leader.writer.backend().list(&below).await.unwrap();
    store.put_execution_plan(&plan("a", "two")).await.unwrap();
    store.discards_settled().await;
    // By a process of its own, whose watch does not take the old answer away.
    let other = rig.depose(&leader).await;
    let reader = store_by(&rig, other.writer.clone());
    reader.start(Arc::new(Heard::default())).await.unwrap();
    other.backend.stale.lock().unwrap().push_back(before);
    assert_eq!(recovered(&reader, "a").await, "two");
}

#[tokio::test]
async fn names_that_are_no_jobs_are_left_out() {
    let rig = Rig::new();
    let (store, _) = started(&rig, &rig.lead().await).await;
    store.put_execution_plan(&plan("a", "graph")).await.unwrap();
    rig.tamper("execution-plans/a/locks", Some("x"));
    rig.tamper("execution-plans-of-others/b", Some("x"));
    assert_eq!(store.job_ids().await.unwrap(), [job("a")]);
}

/// EP-18, EP-19.
#[tokio::test]
async fn requirements_are_replaced_without_touching_the_plan() {
    let (directory, rig) = in_directory();
    let leader = rig.lead().await;
    let (store, _) = started(&rig, &leader).await;
    let missing = store.put_job_resource_requirements(&job("a"), json!(1)).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    store.put_execution_plan(&plan("a", "graph")).await.unwrap();
    let state = handle_of(&rig, "a").await;
    for requirements in [json!({"source": 2}), json!({"source": 3, "sink": 1})] {
        store.put_job_resource_requirements(&job("a"), requirements.clone()).await.unwrap();
        let plan = store.recover_execution_plan(&job("a")).await.unwrap().unwrap();
        assert_eq!((plan.plan, plan.requirements), ("graph".into(), Some(requirements)));
    }
    store.discards_settled().await;
    assert_eq!((handle_of(&rig, "a").await, files(&directory, "a")), (state, 1));
    // They make the plan this store's, as in Flink.
    let (other, _) = started(&rig, &leader).await;
    other.put_job_resource_requirements(&job("a"), json!(5)).await.unwrap();
    other.put_execution_plan(&plan("a", "other")).await.unwrap();
}

#[tokio::test]
async fn requirements_that_are_too_large_are_refused_before_state_is_written() {
    let (directory, rig) = in_directory();
    let (store, _) = started(&rig, &rig.lead().await).await;
    let large = json!("x".repeat(600_000));
    let error = store.put_execution_plan(&plan("a", "graph").with_requirements(large)).await.unwrap_err();
    assert_eq!((error.kind(), files(&directory, "a")), (ErrorKind::TooLarge, 0));
}

/// EP-16, EP-17.
#[tokio::test]
async fn what_was_let_go_must_be_recovered_before_it_is_replaced() {
    let rig = Rig::new();
    let (store, heard) = started(&rig, &rig.lead().await).await;
    store.put_execution_plan(&plan("a", "one")).await.unwrap();
    store.local_cleanup(&job("a")).await.unwrap();
    assert_eq!(store.put_execution_plan(&plan("a", "two")).await.unwrap_err().kind(), ErrorKind::NotOwned);
    assert_eq!(recovered(&store, "a").await, "one");
    store.stop().await.unwrap();
    store.start(heard).await.unwrap();
    assert_eq!(store.put_execution_plan(&plan("a", "two")).await.unwrap_err().kind(), ErrorKind::NotOwned);
    assert_eq!(recovered(&store, "a").await, "one");
}

#[tokio::test]
async fn all_but_the_list_of_jobs_needs_a_start_and_both_start_and_stop_may_be_repeated() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let store = store_by(&rig, leader.writer.clone());
    let refused = async |store: &DefaultExecutionPlanStore| {
        let results = [
            store.recover_execution_plan(&job("a")).await.map(drop),
            store.put_execution_plan(&plan("a", "x")).await,
            store.put_job_resource_requirements(&job("a"), json!(1)).await,
            store.global_cleanup(&job("a")).await,
            store.local_cleanup(&job("a")).await,
        ];
        results.into_iter().all(|result| result.is_err_and(|error| error.kind() == ErrorKind::IllegalState))
    };
    assert!(refused(&store).await);
    assert!(store.job_ids().await.unwrap().is_empty());
    let heard = Arc::new(Heard::default());
    for _ in 0..2 {
        store.start(Arc::clone(&heard) as _).await.unwrap();
    }
    store.put_execution_plan(&plan("a", "x")).await.unwrap();
    for _ in 0..2 {
        store.stop().await.unwrap();
    }
    assert!(refused(&store).await);
    assert_eq!(store.job_ids().await.unwrap(), [job("a")], "stopping deletes nothing");
    store.start(heard).await.unwrap();
    assert_eq!(recovered(&store, "a").await, "x");
}
