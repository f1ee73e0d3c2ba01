use super::*;

/// X-33: of many who create the result of one job at once, in two processes, exactly one succeeds.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_concurrent_creations_exactly_one_wins() {
    for _ in 0..20 {
        let rig = Rig::new();
        let leader = rig.lead().await;
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..16 {
            // Half of them by a committer of their own, as another process would: nothing in memory
            // keeps them apart.
            let backend = Arc::clone(&leader.backend) as Arc<dyn ha_core::backend::Backend>;
            let own = Writer::new(Committer::new(backend, rig.seam.clone()), Authority::Leader(leader.grant.clone()));
            let store = by(if number % 2 == 0 { leader.writer.clone() } else { own }, OnClean::Keep);
            tasks.spawn(async move {
                let result = finished("a").with_network_run_time_ms(number);
                (number, store.create_dirty_result(&result).await)
            });
        }
        let (mut won, mut refused) = (Vec::new(), 0);
        while let Some(ended) = tasks.join_next().await {
            match ended.unwrap() {
                (number, Ok(())) => won.push(number),
                (_, Err(error)) => {
                    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
                    refused += 1;
                }
            }
        }
        assert_eq!((won.len(), refused), (1, 15));
        assert_eq!(dirty(&keeping(&leader)).await, [finished("a").with_network_run_time_ms(won[0])]);
    }
}

/// X-01, X-13: whichever write it tries first, and whatever became of its answers.
#[tokio::test]
async fn a_deposed_leader_changes_no_result() {
    for (write, on_clean) in [(0, OnClean::Keep), (1, OnClean::Keep), (1, OnClean::Remove)] {
        let rig = Rig::new();
        let first = rig.lead().await;
        let deposed = by(first.writer.clone(), on_clean);
        deposed.create_dirty_result(&full("a")).await.unwrap();
        let second = rig.depose(&first).await;
        let successor = keeping(&second);
        assert_eq!(dirty(&successor).await, [full("a")]);
        let contents = rig.contents(BELOW).await;
        let attempt = async |write: usize| match write % 2 {
            0 => deposed.create_dirty_result(&finished("new")).await,
            _ => deposed.mark_result_as_clean(&job("a")).await,
        };
        assert_eq!(attempt(write).await.unwrap_err().kind(), ErrorKind::Fenced);
        assert_deposed(attempt(write + 1).await);
        assert_eq!(rig.contents(BELOW).await, contents);
        successor.mark_result_as_clean(&job("a")).await.unwrap();
        assert_eq!(answers(&successor, "a").await, CLEAN);
    }
}

/// X-13: the lost answer of an applied creation is not "already exists", and that of an applied
/// removal is not "not found".
#[tokio::test]
async fn a_lost_answer_is_found_out_and_is_a_success() {
    for on_clean in BOTH {
        for fault in [Fault::After, Fault::Lost] {
            let rig = Rig::new();
            let leader = rig.lead().await;
            let store = by(leader.writer.clone(), on_clean);
            leader.backend.next_commit(fault);
            store.create_dirty_result(&full("a")).await.unwrap();
            assert_eq!(dirty(&store).await, [full("a")]);
            leader.backend.next_commit(fault);
            store.mark_result_as_clean(&job("a")).await.unwrap();
            let expected = if on_clean == OnClean::Keep { CLEAN } else { NONE };
            assert_eq!(answers(&store, "a").await, expected);
        }
    }
}

/// X-33: the leader dies before, within or after any write; what the next one finds is whole.
#[tokio::test]
async fn after_a_crash_at_any_step_the_next_leader_finds_one_state_and_goes_on() {
    for on_clean in BOTH {
        for fault in [Fault::Before, Fault::After, Fault::Lost, Fault::Hang] {
            let applied = matches!(fault, Fault::After | Fault::Hang);
            let rig = Rig::new();
            let first = rig.lead().await;
            let store = by(first.hasty(), on_clean);
            // The creation is interrupted.
            first.backend.next_commit(fault);
            let answer = poll_and_drop(store.create_dirty_result(&full("a")));
            assert!(!matches!(answer, Some(Ok(()))), "{fault:?}");
            let second = rig.depose(&first).await;
            let store = by(second.hasty(), on_clean);
            assert_eq!(dirty(&store).await, if applied { vec![full("a")] } else { vec![] }, "{fault:?}");
            let again = store.create_dirty_result(&full("a")).await;
            assert_eq!(again.map_err(|e| e.kind()), if applied { Err(ErrorKind::AlreadyExists) } else { Ok(()) });
            // The step to clean is interrupted.
            second.backend.next_commit(fault);
            let answer = poll_and_drop(store.mark_result_as_clean(&job("a")));
            assert!(!matches!(answer, Some(Ok(()))), "{fault:?}");
            let third = rig.depose(&second).await;
            let store = by(third.writer.clone(), on_clean);
            let expected = match (applied, on_clean) {
                (false, _) => DIRTY,
                (true, OnClean::Keep) => CLEAN,
                (true, OnClean::Remove) => NONE,
            };
            assert_eq!(answers(&store, "a").await, expected, "{fault:?} {on_clean:?}");
            let again = store.mark_result_as_clean(&job("a")).await.map_err(|e| e.kind());
            assert_eq!(again, if expected == NONE { Err(ErrorKind::NotFound) } else { Ok(()) });
        }
    }
}

/// JR-12, X-29, X-33: hostile bytes hide no other job's result, are named, and are never deleted.
#[tokio::test]
async fn one_broken_entry_hides_no_other_and_is_reported_with_its_key() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let store = keeping(&leader);
    for name in ["good", "moved", "victim", "zoo"] {
        store.create_dirty_result(&full(name)).await.unwrap();
    }
    let good = String::from_utf8(rig.contents(BELOW).await[0].1.clone()).unwrap();
    let hostile = [
        (String::new(), ErrorKind::Corrupt),
        (good[..good.len() / 2].to_owned(), ErrorKind::Corrupt),
        (format!("{good}garbage"), ErrorKind::Corrupt),
        ("[".repeat(100_000), ErrorKind::Corrupt),
        (good.clone(), ErrorKind::Corrupt), // the result of another job
        (good.replace("\"good\"", "\"victim\"").replace("FAILED", "SUSPENDED"), ErrorKind::Corrupt),
        (good.replace("job_result", "execution_plan"), ErrorKind::Corrupt),
        (r#"{"format":2,"shape":"unheard of"}"#.to_owned(), ErrorKind::NewerFormat),
    ];
    for (bytes, kind) in hostile {
        rig.tamper("job-results/victim", Some(&bytes));
        rig.tamper("job-results/below/a-key", Some("?"));
        let before = rig.contents(BELOW).await;
        let all = store.dirty_results().await.unwrap();
        assert_eq!(all.results, [full("good"), full("moved"), full("zoo")]);
        let broken: Vec<_> = all.broken.iter().map(|b| (b.job.clone(), b.error.subject(), b.error.kind())).collect();
        let foreign = (None, "job-results/below/a-key", ErrorKind::Corrupt);
        assert_eq!(broken, [foreign, (Some(job("victim")), "job-results/victim", kind)]);
        // It is neither absent nor anything else.
        let victim = job("victim");
        assert_eq!(store.has_job_result_entry(&victim).await.unwrap_err().kind(), kind);
        assert_eq!(store.has_dirty_job_result_entry(&victim).await.unwrap_err().kind(), kind);
        assert_eq!(store.has_clean_job_result_entry(&victim).await.unwrap_err().kind(), kind);
        assert_eq!(store.mark_result_as_clean(&victim).await.unwrap_err().kind(), kind);
        assert_eq!(store.create_dirty_result(&full("victim")).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(rig.contents(BELOW).await, before);
    }
}

/// An error of the store is an error, never "no".
#[tokio::test]
async fn a_store_that_cannot_be_read_says_so() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let store = keeping(&leader);
    store.create_dirty_result(&finished("a")).await.unwrap();
    leader.backend.set_down(true);
    let (a, registry) = (job("a"), RunningJobsRegistry::new(Arc::clone(leader.writer.backend())));
    let down = ErrorKind::Unavailable;
    assert_eq!(store.has_job_result_entry(&a).await.unwrap_err().kind(), down);
    assert_eq!(store.has_dirty_job_result_entry(&a).await.unwrap_err().kind(), down);
    assert_eq!(store.has_clean_job_result_entry(&a).await.unwrap_err().kind(), down);
    assert_eq!(store.dirty_results().await.unwrap_err().kind(), down);
    assert_eq!(store.mark_result_as_clean(&a).await.unwrap_err().kind(), down);
    assert_eq!(store.create_dirty_result(&finished("b")).await.unwrap_err().kind(), down);
    assert_eq!(registry.job_scheduling_status(&a).await.unwrap_err().kind(), down);
    leader.backend.set_down(false);
    assert_eq!(dirty(&store).await, [finished("a")]);
}

/// X-21, and what could be written but not read again.
#[tokio::test]
async fn what_cannot_be_stored_is_refused_before_anything_is_sent() {
    let rig = Rig::with_profile(Profile::new("small", 4096, 8, 65536));
    let leader = rig.lead().await;
    let store = keeping(&leader);
    let nested = (0..200).fold(json!(1), |inner, _| json!([inner]));
    let mut long_error = finished("a");
    long_error.error = Some("x".repeat(ERROR_BYTES_MAX + 1));
    for (result, kind) in [
        (finished("a").with_accumulator("big", "x".repeat(4096).into()), ErrorKind::TooLarge),
        // Escaping makes it too large.
        (finished("a").with_error("\u{0}".repeat(1000)), ErrorKind::TooLarge),
        (long_error, ErrorKind::TooLarge),
        (finished("a").with_accumulator("deep", nested), ErrorKind::Invalid),
    ] {
        let error = store.create_dirty_result(&result).await.unwrap_err();
        assert_eq!((error.kind(), error.subject()), (kind, "a"), "{error}");
    }
    assert_eq!(leader.backend.commits.load(Ordering::SeqCst), 0);
    // Whatever is accepted can become clean, by later leaders too.
    let most = (0..4096).rev().find_map(|length| {
        let result = finished("a").with_accumulator("big", "x".repeat(length).into());
        let stored = futures_util::future::FutureExt::now_or_never(store.create_dirty_result(&result));
        stored?.is_ok().then_some(length)
    });
    assert!(most.is_some_and(|length| length > 3500), "{most:?}");
    let second = rig.depose(&leader).await;
    keeping(&second).mark_result_as_clean(&job("a")).await.unwrap();
    assert_eq!(answers(&keeping(&second), "a").await, CLEAN);
}
