//! State storage on a real server that speaks S3, which is killed, stopped and misused.
#![allow(clippy::unwrap_used, reason = "a test: panicking is how it fails")]
#![allow(clippy::disallowed_methods, reason = "a test waits for the tasks that it spawns, or ends with them")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use ha_core::backend::{Name, SessionOptions};
use ha_core::checkpoint::{
    CheckpointKind, CompletedCheckpoint, CompletedCheckpointStore, DiscardStateOnly, RecoveryClaimMode,
};
use ha_core::cleanup::{OrphanCollector, OrphanOptions};
use ha_core::election::Leadership;
use ha_core::job_result::JobResult;
use ha_core::plan::{ExecutionPlan, ExecutionPlanListener, ExecutionPlanStore};
use ha_core::seam::Seam;
use ha_core::state::{StateStorage, StorageOptions, chunks_of};
use ha_core::{Error, ErrorKind, HaServices, HighAvailabilityServices, JobId, JobStatus, ServicesOptions};
use ha_embedded::Embedded;
use ha_testkit::Missing;
use ha_testkit::servers::s3::S3;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// However slow this machine is.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where there is no server the test is shown as skipped here, and fails where `CI` is set.
async fn server(seam: &Seam) -> Option<S3> {
    match S3::start(seam.clone()).await {
        Ok(server) => Some(server),
        Err(Missing(what)) => {
            assert!(std::env::var_os("CI").is_none(), "missing in CI: {what}");
            eprintln!("SKIPPED: {what}");
            None
        }
    }
}

fn folder() -> [Name; 2] {
    [Name::new("completedCheckpoint").unwrap(), Name::new("job-1").unwrap()]
}

fn bytes(length: usize, seed: usize) -> Bytes {
    (0..length).map(|at| ((at + seed) / 3 % 251) as u8).collect::<Vec<_>>().into()
}

/// Names of the objects below the prefix; an upload that is not complete is none.
fn objects(server: &S3, prefix: &str) -> Vec<String> {
    fn walk(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => walk(&entry.path(), found),
                false => found.push(entry.path().to_string_lossy().into_owned()),
            }
        }
    }
    let mut found = Vec::new();
    walk(&server.bucket().join(prefix), &mut found);
    found
}

fn quick(retry: &str) -> StorageOptions {
    StorageOptions::new()
        .with("high-availability.storage.request-timeout", "10 s")
        .with("high-availability.storage.retry-timeout", retry)
        .with("high-availability.storage.part-size", "5 mb")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn states_of_all_sizes_come_back_as_they_were_and_go_when_they_are_discarded() {
    let seam = Seam::system();
    let Some(server) = server(&seam).await else { return };
    let storage = server.storage("a/b", &quick("30 s"));
    let mut handles = Vec::new();
    for length in [0, 1, 5 << 20, (5 << 20) + 1, 23 << 20] {
        let state = bytes(length, length);
        let handle = storage.write(&folder(), state.clone()).await.unwrap();
        assert!(handle.uri.starts_with("s3://states/a/b/completedCheckpoint/job-1/"), "{handle:?}");
        assert!(storage.read(&handle).await.unwrap() == state, "{length} bytes");
        assert!(storage.seems_whole(&handle).await.unwrap());
        handles.push(handle);
    }
    assert_eq!(objects(&server, "a/b").len(), handles.len());
    // Another process, with a URL that says all but the secrets.
    let again = StateStorage::open_with(&server.url("a/b"), &server.options(), seam).unwrap();
    for handle in &handles {
        again.read(handle).await.unwrap();
        again.discard(handle).await.unwrap();
        again.discard(handle).await.unwrap();
        assert_eq!(again.read(handle).await.unwrap_err().kind(), ErrorKind::StateMissing);
    }
    assert_eq!(objects(&server, "a/b"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_and_comes_back_delays_writes_and_reads_and_loses_nothing() {
    let seam = Seam::system();
    let Some(mut server) = server(&seam).await else { return };
    let storage = server.storage("deaths", &quick("60 s"));
    let large = storage.write(&folder(), bytes(17 << 20, 1)).await.unwrap();
    // Writers and a reader in the middle of their work, small and large.
    let writing = |number: usize| {
        let storage = storage.clone();
        tokio::spawn(async move {
            let mut written = Vec::new();
            for round in 0..6 {
                let state = bytes(if number == 0 { 12 << 20 } else { 30_000 }, 100 * number + round);
                written.push((storage.write(&folder(), state.clone()).await, state));
            }
            written
        })
    };
    let writers: Vec<_> = (0..4).map(writing).collect();
    let (storage_of_reader, handle) = (storage.clone(), large.clone());
    let reader = tokio::spawn(async move {
        for _ in 0..4 {
            assert!(storage_of_reader.read(&handle).await.unwrap() == bytes(17 << 20, 1));
        }
    });
    for _ in 0..3 {
        seam.sleep(Duration::from_millis(300)).await;
        server.kill();
        seam.sleep(Duration::from_millis(500)).await;
        server.restart().await;
    }
    let mut acknowledged = 1;
    for writer in writers {
        for (written, state) in seam.timeout(PATIENCE, writer).await.expect("writers end").unwrap() {
            match written {
                Ok(handle) => {
                    acknowledged += 1;
                    assert!(storage.read(&handle).await.unwrap() == state, "{handle:?}");
                }
                // What a killed server knew of an upload in parts may be gone with it (and this one then refuses whoever
                // asks for it): an error, and no handle.
                Err(error) => {
                    assert!(matches!(error.kind(), ErrorKind::Storage | ErrorKind::Denied), "{error:?}");
                    assert!(state.len() > 5 << 20, "small states are sent again: {error:?}");
                }
            }
        }
    }
    seam.timeout(PATIENCE, reader).await.expect("the reader ends").unwrap();
    assert!(acknowledged >= 19, "{acknowledged} states");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_is_an_error_in_time_and_goes_on_afterwards() {
    let seam = Seam::system();
    let Some(server) = server(&seam).await else { return };
    let handle = server.storage("stops", &quick("60 s")).write(&folder(), "state".into()).await.unwrap();
    server.stop().await;
    let storage = server.storage("stops", &quick("1 s").with("high-availability.storage.request-timeout", "2 s"));
    let asked = async {
        let kind = |error: Error| error.kind();
        assert_eq!(storage.write(&folder(), "more".into()).await.map_err(kind), Err(ErrorKind::Storage));
        assert_eq!(storage.read(&handle).await.map_err(kind), Err(ErrorKind::Storage));
        assert_eq!(storage.discard(&handle).await.map_err(kind), Err(ErrorKind::Storage));
        let large = storage.write(&folder(), bytes(11 << 20, 0)).await;
        assert_eq!(large.map_err(kind), Err(ErrorKind::Storage));
    };
    assert!(seam.timeout(PATIENCE, asked).await.is_some(), "nothing ends while the server stands still");
    server.cont();
    let slow = server.storage("stops", &quick("60 s"));
    let later = slow.write(&folder(), "later".into()).await.unwrap();
    assert_eq!(slow.read(&later).await.unwrap(), "later");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_credentials_are_told_clearly_and_no_secret_is() {
    let seam = Seam::system();
    let Some(server) = server(&seam).await else { return };
    let open = |url: &str, options: &StorageOptions| StateStorage::open_with(url, options, seam.clone()).unwrap();
    let wrong = server.options().with("s3.secret-key", "not-the-Secret-1");
    let stranger = server.options().with("s3.access-key", "stranger-Key-2");
    for (options, secret) in [(&wrong, "not-the-Secret-1"), (&stranger, "stranger-Key-2")] {
        let denied = open(&server.url("a"), options);
        let error = denied.write(&folder(), "state".into()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
        assert!(!format!("{error:?}{error:#?}{denied:?}").contains(secret), "{error:?}");
    }
    assert_eq!(objects(&server, ""), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_is_given_up_in_the_middle_is_withdrawn() {
    let seam = Seam::system();
    let Some(server) = server(&seam).await else { return };
    let storage = server.storage("a", &quick("30 s"));
    // Parts of uploads lie beside the bucket.
    let parts = || {
        let entries = std::fs::read_dir(server.bucket().parent().unwrap()).unwrap().flatten();
        entries.filter(|entry| entry.file_name().to_string_lossy().contains("upload")).count()
    };
    let until = async |what: &str, fits: &dyn Fn() -> bool| {
        let waited = async {
            while !fits() {
                seam.sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(seam.timeout(PATIENCE, waited).await.is_some(), "waited in vain: {what}");
    };
    let endless = stream::iter([Ok(bytes(12 << 20, 0))]).chain(stream::pending()).boxed();
    let folder = folder();
    {
        let mut writing = std::pin::pin!(storage.write_chunks(&folder, endless));
        let arrived = || parts() > 2;
        let sent = until("parts have arrived", &arrived);
        tokio::select! {
            biased;
            written = &mut writing => panic!("it never ends: {written:?}"),
            () = sent => {}
        }
    }
    until("they are withdrawn", &|| parts() == 0).await;
    let breaks = stream::iter([Ok(bytes(12 << 20, 0)), Err(Error::new(ErrorKind::Invalid, "give"))]).boxed();
    assert_eq!(storage.write_chunks(&folder, breaks).await.unwrap_err().kind(), ErrorKind::Invalid);
    until("they are withdrawn", &|| parts() == 0).await;
    assert_eq!(objects(&server, ""), Vec::<String>::new());
}

/// A service that answers every request with this, as Amazon's does.
async fn answering(status: &'static str, body: &'static str) -> (String, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let serving = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 64 << 10];
            // The head of the request; these answers come before what follows is looked at.
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (endpoint, serving)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_service_refuses_is_told_with_what_to_do_and_without_what_it_repeats() {
    let seam = Seam::system();
    for (status, body, kind, says) in [
        (
            "404 Not Found",
            "<Error><Code>NoSuchBucket</Code></Error>",
            ErrorKind::Storage,
            "no bucket `states`: create it",
        ),
        ("403 Forbidden", "<Error><Code>RequestTimeTooSkewed</Code></Error>", ErrorKind::Denied, "clocks"),
        (
            "403 Forbidden",
            "<Error><Code>InvalidAccessKeyId</Code></Error>",
            ErrorKind::Denied,
            "does not know the access key",
        ),
        ("403 Forbidden", "<Error><Code>SignatureDoesNotMatch</Code></Error>", ErrorKind::Denied, "secret"),
        ("400 Bad Request", "<Error><Code>ExpiredToken</Code></Error>", ErrorKind::Denied, "expired"),
        ("301 Moved Permanently", "<Error><Code>PermanentRedirect</Code></Error>", ErrorKind::Storage, "region"),
        ("503 Slow Down", "<Error><Code>SlowDown</Code></Error>", ErrorKind::Storage, "overloaded"),
        (
            "400 Bad Request",
            "<?xml version=\"1.0\"?><Error><Code>InvalidToken</Code><Message>key-1 s3cret-2</Message>\
             <Token-0>t0ken-3</Token-0><StringToSign>AWS4 s1gned-4</StringToSign></Error>",
            ErrorKind::Denied,
            "credentials",
        ),
    ] {
        let (endpoint, serving) = answering(status, body).await;
        let options = quick("300 ms")
            .with("s3.endpoint", endpoint)
            .with("s3.access-key", "key-1")
            .with("s3.secret-key", "s3cret-2")
            .with("s3.session-token", "t0ken-3");
        let storage = StateStorage::open_with("s3://states/a", &options, seam.clone()).unwrap();
        for written in
            [storage.write(&folder(), "state".into()).await, storage.write(&folder(), bytes(6 << 20, 0)).await]
        {
            let error = written.unwrap_err();
            // A look at a name (HEAD) is answered without a body: then the status is all that is known.
            let looked = error.operation() == "write state" && format!("{error:?}").contains("performing HEAD");
            if !looked {
                assert_eq!(error.kind(), kind, "{status}: {error:?}");
                assert!(error.to_string().contains(says), "{status}: {error}");
            }
            for secret in ["key-1", "s3cret-2", "t0ken-3", "s1gned-4"] {
                assert!(
                    !format!("{error:?} {error:#?} {storage:?} {options:?}").contains(secret),
                    "{status}: {error:?}"
                );
            }
        }
        serving.abort();
    }
}

/// One process's services on a store that they share, with states on the server.
fn services(store: &Embedded, storage: &StateStorage, seam: &Seam) -> HaServices {
    let session = SessionOptions { silence: Duration::from_secs(60), label: "member".into() };
    let options = ServicesOptions { session, ..ServicesOptions::default() };
    HaServices::new(Arc::new(store.connect()), storage.clone(), &options, seam.clone()).unwrap()
}

/// What one leader has stored of everything, or finds again.
struct Stores {
    plans: Arc<dyn ExecutionPlanStore>,
    checkpoints: Arc<dyn CompletedCheckpointStore>,
}

async fn stores(leadership: &Leadership, job: &JobId) -> Stores {
    let plans = leadership.execution_plan_store();
    plans.start(Arc::new(Deaf)).await.unwrap();
    let factory = leadership.checkpoint_recovery_factory();
    let (mode, discarder) = (RecoveryClaimMode::default(), Arc::new(DiscardStateOnly));
    let checkpoints = factory.create_recovered_completed_checkpoint_store(job, 2, mode, discarder).await.unwrap();
    Stores { plans, checkpoints }
}

struct Deaf;

impl ExecutionPlanListener for Deaf {
    fn on_added_execution_plan(&self, _job: &JobId) {}
    fn on_removed_execution_plan(&self, _job: &JobId) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_store_finds_its_states_again_after_a_death_and_orphans_alone_are_collected() {
    let seam = Seam::system();
    let Some(mut server) = server(&seam).await else { return };
    let (store, storage) = (Embedded::new(seam.clone()), server.storage("ha", &quick("60 s")));
    let (job, over) = (JobId::new("job-1").unwrap(), JobId::new("over").unwrap());
    let (graph, artefact) = (bytes(100_000, 1), bytes(12 << 20, 4));
    let first = services(&store, &storage, &seam);
    let leadership = first.dispatcher_leader_election().unwrap().campaign().await.unwrap();
    let begun = stores(&leadership, &job).await;
    begun.plans.put_execution_plan(&ExecutionPlan::new(job.clone(), graph.clone())).await.unwrap();
    for id in 1..=3 {
        let checkpoint = CompletedCheckpoint::new(id, CheckpointKind::Checkpoint, id, bytes(7 << 20, id as usize));
        begun.checkpoints.add_checkpoint_and_subsume_oldest_one(checkpoint).await.unwrap();
    }
    begun.checkpoints.discards_settled().await;
    let blob = leadership.blob_store().put(&job, chunks_of(artefact.clone())).await.unwrap();
    leadership
        .job_result_store()
        .create_dirty_result(&JobResult::new(over.clone(), JobStatus::Finished))
        .await
        .unwrap();
    // A plan, two checkpoints of three, a blob.
    let held = objects(&server, "ha");
    assert_eq!(held.len(), 4, "{held:?}");
    // As a crash between state and pointer leaves them: under this epoch, and nothing leads there.
    for (number, object) in held.iter().enumerate() {
        let orphan = format!("{}{number:032x}", &object[..object.len() - 32]);
        std::fs::copy(object, orphan).unwrap();
    }
    drop((begun, leadership));
    first.close().await.unwrap();
    server.restart().await;

    let second = services(&store, &storage, &seam);
    let leadership = second.dispatcher_leader_election().unwrap().campaign().await.unwrap();
    let found = stores(&leadership, &job).await;
    assert!(found.plans.recover_execution_plan(&job).await.unwrap().unwrap().plan == graph);
    let ids: Vec<u64> = found.checkpoints.get_all_checkpoints().await.unwrap().iter().map(|one| one.id).collect();
    assert_eq!(ids, [2, 3]);
    let pieces: Vec<Bytes> = leadership.blob_store().get(&job, &blob).await.unwrap().try_collect().await.unwrap();
    assert!(pieces.concat() == artefact);
    assert!(leadership.job_result_store().has_dirty_job_result_entry(&over).await.unwrap());
    let collected = OrphanCollector::of(&leadership, OrphanOptions::default()).collect().await.unwrap();
    assert_eq!(collected.deleted.len(), 4, "{collected:?}");
    let mut left = objects(&server, "ha");
    left.sort();
    let mut kept = held.clone();
    kept.sort();
    assert_eq!(left, kept);
}
