//! Two attempts at once: the older one can neither hurt the output nor hide that it is over.

mod common;

use std::fs;
use std::path::Path;

use stream_processor::{Engine, ErrorKind, ExecutionPlan, Snapshot, SourceSpec};

fn long_plan(directory: &Path) -> ExecutionPlan {
    common::plan(directory, SourceSpec::Generator { seed: 3, events: 100_000_000 })
}

/// Runs until the snapshot lists a part, so that there is something to lose.
async fn with_parts(engine: &Engine, id: u64) -> Snapshot {
    engine.progress().reached(engine.progress().events() + 60_000).await;
    engine.trigger(id).await.expect("a healthy engine answers")
}

fn of_attempt(names: &[String], attempt: u64) -> Vec<String> {
    let (part, open) = (format!("-{attempt:020}.ndjson"), format!("open-{attempt:020}-"));
    names.iter().filter(|name| name.ends_with(&part) || name.starts_with(&open)).cloned().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restoring_attempt_clears_up_what_no_checkpoint_lists() {
    // Fails if pending files pile up, or if one that the restored snapshot lists is taken for a leftover.
    let directory = tempfile::tempdir().unwrap();
    let plan = long_plan(directory.path());
    let first = Engine::start(plan.clone(), None, 1).await.unwrap();
    let completed = with_parts(&first, 1).await;
    let listed = of_attempt(&common::names(&common::pending(&plan)), 1);
    let listed: Vec<_> = listed.into_iter().filter(|name| name.starts_with("part-")).collect();
    assert!(!listed.is_empty());
    with_parts(&first, 2).await;
    drop(first);
    fs::write(common::pending(&plan).join("somebody else's"), b"").unwrap();
    assert_eq!(of_attempt(&common::names(&plan.output), 1), [""; 0], "nothing is visible before a commit");
    let _second = Engine::start(plan.clone(), Some(completed), 2).await.unwrap();
    assert_eq!(of_attempt(&common::names(&plan.output), 1), listed, "the restored checkpoint is published, no more");
    let pending = common::names(&common::pending(&plan));
    assert!(pending.contains(&"somebody else's".to_owned()));
    assert_eq!(of_attempt(&pending, 1).iter().filter(|name| name.starts_with("part-")).count(), 0, "{pending:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposed_attempt_that_starts_late_removes_nothing_of_its_successor() {
    // Fails if the sweep goes by "not listed in my snapshot" alone.
    let directory = tempfile::tempdir().unwrap();
    let plan = long_plan(directory.path());
    let successor = Engine::start(plan.clone(), None, 2).await.unwrap();
    let completed = with_parts(&successor, 1).await;
    let before = of_attempt(&common::names(&common::pending(&plan)), 2);
    let deposed = Engine::start(plan.clone(), None, 1).await.unwrap();
    let after = common::names(&common::pending(&plan));
    assert!(before.iter().filter(|name| name.starts_with("part-")).all(|name| after.contains(name)), "{after:?}");
    successor.commit(&completed).await.expect("its parts are all there");
    drop(deposed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_whose_files_were_swept_stops_by_itself() {
    // Fails if rows written to a removed file are listed in a snapshot as if they were safe.
    let directory = tempfile::tempdir().unwrap();
    let plan = long_plan(directory.path());
    let deposed = Engine::start(plan.clone(), None, 1).await.unwrap();
    let completed = with_parts(&deposed, 1).await;
    let mut id = 1;
    let error = loop {
        // The successor comes when a file of the deposed one is open; which moment that is, only the disk can say.
        deposed.progress().reached(deposed.progress().events() + 60_000).await;
        let _successor = Engine::start(plan.clone(), Some(completed.clone()), 1 + id).await.unwrap();
        id += 1;
        match deposed.trigger(id).await {
            Err(error) => break error,
            Ok(_) => assert!(id < 200, "its open files are never swept"),
        }
    };
    assert_eq!(error.kind(), ErrorKind::Superseded, "{error}");
    assert_eq!(common::within_deadline("the end", deposed.finished()).await.unwrap_err().kind(), ErrorKind::Superseded);
    assert_eq!(deposed.trigger(id + 1).await.unwrap_err().kind(), ErrorKind::Superseded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_was_used_before_is_refused_when_it_would_write() {
    // Fails if two attempts can write one file.
    let directory = tempfile::tempdir().unwrap();
    let plan = long_plan(directory.path());
    let running = Engine::start(plan.clone(), None, 1).await.unwrap();
    common::within_deadline("every task has a file open", async {
        while of_attempt(&common::names(&common::pending(&plan)), 1).len() < 3 {
            running.progress().reached(running.progress().events() + 1000).await;
        }
    })
    .await;
    let again = Engine::start(plan, None, 1).await.unwrap();
    let error = common::within_deadline("the refusal", again.finished()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Mismatch, "{error}");
    assert!(error.to_string().contains("attempt 1 has been used before"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_does_not_begin_anew_beside_published_output() {
    // Fails if forgetting the checkpoint doubles the output instead of being noticed.
    let directory = tempfile::tempdir().unwrap();
    let plan = long_plan(directory.path());
    let engine = Engine::start(plan.clone(), None, 1).await.unwrap();
    let completed = with_parts(&engine, 1).await;
    engine.commit(&completed).await.unwrap();
    drop(engine);
    let error = Engine::start(plan.clone(), None, 2).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Mismatch, "{error}");
    Engine::start(plan, Some(completed), 2).await.expect("with the checkpoint it goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn triggers_at_once_are_taken_one_after_the_other() {
    // Fails if the answers to two barriers are mixed up.
    let directory = tempfile::tempdir().unwrap();
    let plan = common::plan(directory.path(), SourceSpec::Generator { seed: 9, events: 100_000 });
    let engine = Engine::start(plan.clone(), None, 1).await.unwrap();
    let (first, second, third) = tokio::join!(engine.trigger(1), engine.trigger(2), engine.trigger(3));
    let snapshots = [first.unwrap(), second.unwrap(), third.unwrap()];
    assert_eq!(snapshots.each_ref().map(Snapshot::checkpoint), [1, 2, 3]);
    assert!(snapshots.is_sorted_by_key(Snapshot::events));
    engine.finished().await.unwrap();
    let last = engine.trigger(4).await.unwrap();
    assert!(last.is_final());
    assert_eq!((last.events(), engine.progress().events()), (100_000, 100_000));
    // Nothing was committed so far, so the last snapshot stands for all; out of order and again is no harm.
    for snapshot in [&last, &snapshots[1], &snapshots[0], &last] {
        engine.commit(snapshot).await.unwrap();
    }
    let verdict = common::judge(&plan);
    assert!(verdict.is_exact() && verdict.rows > 0, "{verdict}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_judge_sees_lost_doubled_and_altered_rows() {
    // Fails if the comparison that every other test trusts is blind.
    let directory = tempfile::tempdir().unwrap();
    let plan = common::plan(directory.path(), SourceSpec::Generator { seed: 5, events: 30_000 });
    let engine = Engine::start(plan.clone(), None, 1).await.unwrap();
    engine.finished().await.unwrap();
    let last = engine.trigger(1).await.unwrap();
    let nothing = common::judge(&plan);
    assert!(nothing.lost > 0 && nothing.rows == 0, "{nothing}");
    engine.commit(&last).await.unwrap();
    let good = common::judge(&plan);
    assert!(good.is_exact() && good.rows == nothing.lost, "{good}");

    let part = common::names(&plan.output).into_iter().find(|name| name.starts_with("part-")).unwrap();
    let text = fs::read_to_string(plan.output.join(&part)).unwrap();
    let row = text.lines().next().unwrap();
    fs::write(plan.output.join("part-extra"), format!("{row}\nno row\n")).unwrap();
    let verdict = common::judge(&plan);
    assert_eq!((verdict.lost, verdict.duplicated, verdict.wrong), (0, 1, 1), "{verdict}");
    fs::remove_file(plan.output.join("part-extra")).unwrap();
    let altered = text.replacen("\"count\":", "\"count\":1", 1);
    fs::write(plan.output.join(&part), altered).unwrap();
    assert_eq!(common::judge(&plan).wrong, 1);
    fs::write(plan.output.join(&part), &text[row.len() + 1..]).unwrap();
    assert_eq!(common::judge(&plan).lost, 1);
}
