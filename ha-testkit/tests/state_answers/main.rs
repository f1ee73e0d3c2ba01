//! State storage on a service whose answers are hostile, broken, or rare: nothing is held that was not asked for, nothing
//! panics, and what is refused is told as what it is.
#![allow(clippy::unwrap_used, reason = "a test: panicking is how it fails")]
#![allow(clippy::disallowed_methods, reason = "a test waits for the tasks that it spawns, or ends with them")]

mod lists;
mod server;

use std::time::Duration;

use ha_core::backend::Name;
use ha_core::seam::Seam;
use ha_core::state::{StateHandle, StateStorage, StorageOptions};
use ha_core::{Error, ErrorKind};
use server::{Answer, ENDLESS_BYTES, Server};

/// However slow this machine is.
const PATIENCE: Duration = Duration::from_secs(120);
/// What may be on its way in buffers when a client hangs up, and one answer as large as the longest that is read.
const TAKEN_BYTES_MAX: u64 = 64 << 20;

fn storage(server: &Server) -> StateStorage {
    storage_with(server, "10 s")
}

fn storage_with(server: &Server, retry: &str) -> StateStorage {
    let options = StorageOptions::new()
        .with("high-availability.storage.request-timeout", "20 s")
        .with("high-availability.storage.retry-timeout", retry)
        .with("high-availability.storage.part-size", "5 mb")
        .with("s3.endpoint", server.endpoint())
        .with("s3.access-key", "key-1")
        .with("s3.secret-key", "s3cret-2");
    StateStorage::open_with("s3://states/a", &options, Seam::system()).unwrap()
}

fn folder(job: &str) -> [Name; 2] {
    [Name::new("completedCheckpoint").unwrap(), Name::new(job).unwrap()]
}

fn handle(length: u64) -> StateHandle {
    let uri = "s3://states/a/completedCheckpoint/job-1/0123456789abcdef0123456789abcdef".to_owned();
    StateHandle { uri, length, sha256: "00".repeat(32) }
}

async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    Seam::system().timeout(PATIENCE, work).await.unwrap_or_else(|| panic!("{what}: longer than {PATIENCE:?}"))
}

async fn write(storage: &StateStorage, job: &str) -> Result<StateHandle, Error> {
    in_time("a write", storage.write(&folder(job), "state".into())).await
}

const ETAG: &str = "ETag: \"e\"";
const MODIFIED: &str = "Last-Modified: Sat, 01 Jan 2022 00:00:00 GMT";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_without_an_end_is_hung_up_on_whatever_was_asked() {
    // A refusal.
    let server = Server::start(|_, _| Answer::endless("403 Forbidden", &[])).await;
    assert_eq!(write(&storage(&server), "job-1").await.unwrap_err().kind(), ErrorKind::Denied);
    assert!(server.sent() < TAKEN_BYTES_MAX, "{} of {ENDLESS_BYTES} bytes", server.sent());
    // The state itself; it says that it has the right length.
    let server = Server::start(move |_, _| {
        let range = "Content-Range: bytes 0-5242879/6000000";
        let head = format!("HTTP/1.1 206 Partial Content\r\nContent-Length: {ENDLESS_BYTES}\r\n{ETAG}\r\n{MODIFIED}");
        Answer::Endless(format!("{head}\r\n{range}\r\n\r\n").into_bytes())
    })
    .await;
    let read = in_time("a read", storage(&server).read(&handle(6_000_000))).await;
    assert_eq!(read.unwrap_err().kind(), ErrorKind::Corrupt);
    assert!(server.sent() < TAKEN_BYTES_MAX, "{} of {ENDLESS_BYTES} bytes", server.sent());
    // The beginning of an upload.
    let server = Server::start(|request, _| match request.method.as_str() {
        "HEAD" => Answer::new("404 Not Found", &[], ""),
        _ => Answer::endless("200 OK", &[]),
    })
    .await;
    let written = in_time("an upload", storage(&server).write(&folder("job-1"), vec![0; 6 << 20].into())).await;
    assert_eq!(written.unwrap_err().kind(), ErrorKind::Storage);
    // It is begun twice.
    assert!(server.sent() < 2 * TAKEN_BYTES_MAX, "{} of {ENDLESS_BYTES} bytes", server.sent());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_length_that_no_memory_has_is_only_a_number() {
    // More than one piece comes, and far more is announced.
    let announced = |status: &str, lines: &str| {
        let head = format!("HTTP/1.1 {status}\r\n{lines}Content-Length: {}\r\n\r\n", 1u64 << 62);
        Answer::Bytes([head.as_bytes(), &[b'<'; 1 << 20]].concat())
    };
    let server = Server::start(move |_, _| announced("403 Forbidden", "")).await;
    assert_eq!(write(&storage(&server), "job-1").await.unwrap_err().kind(), ErrorKind::Denied);
    let server = Server::start(move |_, _| {
        announced("206 Partial Content", &format!("{ETAG}\r\n{MODIFIED}\r\nContent-Range: bytes 0-5242879/6000000\r\n"))
    })
    .await;
    let read = in_time("a read", storage(&server).read(&handle(6_000_000))).await;
    assert!(matches!(read.unwrap_err().kind(), ErrorKind::Corrupt | ErrorKind::Storage));
    for range in ["bytes 0-18446744073709551615/6000000", "bytes 18446744073709551615-0/1", "bytes -/", "é"] {
        let line = format!("Content-Range: {range}");
        let server =
            Server::start(move |_, _| Answer::new("206 Partial Content", &[ETAG, MODIFIED, &line], "state")).await;
        let read = in_time("a read", storage(&server).read(&handle(6_000_000))).await;
        // The length that it says of the whole is another, too.
        assert!(matches!(read.unwrap_err().kind(), ErrorKind::Corrupt | ErrorKind::Storage), "{range}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_stays_one_when_its_body_is_cut_off_or_no_text() {
    for rest in [&b"Content-Length: 1000\r\n\r\n<Error>"[..], b"Content-Length: 4\r\n\r\n\xff\xfe\xff\xfe"] {
        let server = Server::start(move |_, _| {
            Answer::Bytes([b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\n", rest].concat())
        })
        .await;
        let error = write(&storage(&server), "job-1").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
        assert_eq!(server.asked().len(), 1, "a refusal is not asked for again");
    }
    // What something in between says may repeat what was sent: no page of it is shown.
    for status in ["403 Forbidden", "400 Bad Request", "404 Not Found"] {
        let server = Server::start(move |_, _| Answer::new(status, &[], "not good: Authorization AWS4 s1gned")).await;
        let error = write(&storage(&server), "job-1").await.unwrap_err();
        assert!(!format!("{error:?}").contains("s1gned") && format!("{error:?}").contains(status), "{error:?}");
    }
}

/// Names of jobs stand in what is asked, and so in the texts of errors.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_called_as_an_error_is_makes_none() {
    for job in ["NoSuchBucket", "ExpiredToken", "InvalidToken", "169.254.169.254", "RequestTimeTooSkewed"] {
        let resource = format!("<Error><Code>NoSuchKey</Code><Resource>/states/{job}/1</Resource></Error>");
        let server = Server::start(move |_, _| Answer::new("404 Not Found", &[], &resource)).await;
        let uri = format!("s3://states/a/completedCheckpoint/{job}/0123456789abcdef0123456789abcdef");
        let gone = StateHandle { uri, ..handle(5) };
        let error = in_time("a read", storage(&server).read(&gone)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StateMissing, "{job}: {error:?}");
    }
}

const EXISTS: &str = "<Error><Code>PreconditionFailed</Code></Error>";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_in_each_others_way_are_tried_again_and_no_name_is_blamed() {
    for code in ["ConditionalRequestConflict", "OperationAborted", "ContainerBeingDeleted"] {
        let body = format!("<Error><Code>{code}</Code></Error>");
        let server = Server::start(move |_, before| match before {
            0..5 => Answer::new("409 Conflict", &[], &body),
            _ => Answer::new("200 OK", &[ETAG], ""),
        })
        .await;
        write(&storage_with(&server, "60 s"), "job-1").await.unwrap();
        let asked = server.asked();
        assert_eq!(asked.len(), 6, "{code}: {asked:?}");
        assert!(asked.iter().all(|one| one.target == asked[0].target), "{code}: one name is enough: {asked:?}");
    }
    // What stands there is another matter.
    let server = Server::start(move |_, before| match before {
        0 => Answer::new("412 Precondition Failed", &[], EXISTS),
        1 => Answer::new("409 Conflict", &[], "<Error><Code>BlobAlreadyExists</Code></Error>"),
        _ => Answer::new("200 OK", &[ETAG], ""),
    })
    .await;
    write(&storage(&server), "job-1").await.unwrap();
    let mut names: Vec<String> = server.asked().into_iter().map(|one| one.target).collect();
    names.dedup();
    assert_eq!(names.len(), 3, "{names:?}");
}

/// The answer to the first attempt is lost, and the store is still at it when the second comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_taken_and_has_nothing_yet_is_asked_for_again() {
    let server = Server::start(move |request, before| match (before, request.method.as_str()) {
        (0, _) => Answer::none(),
        (1, "PUT") => Answer::new("412 Precondition Failed", &[], EXISTS),
        (2, "GET") => Answer::new("404 Not Found", &[], "<Error><Code>NoSuchKey</Code></Error>"),
        _ => Answer::new("200 OK", &[ETAG], ""),
    })
    .await;
    write(&storage(&server), "job-1").await.unwrap();
    let asked: Vec<String> = server.asked().into_iter().map(|one| one.method).collect();
    assert_eq!(asked, ["PUT", "PUT", "GET", "PUT"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_cannot_create_says_so_at_once() {
    let body = "<Error><Code>NotImplemented</Code><Message>If-None-Match</Message></Error>";
    let server = Server::start(move |_, _| Answer::new("501 Not Implemented", &[], body)).await;
    let error = write(&storage(&server), "job-1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    assert!(error.to_string().contains("If-None-Match"), "{error}");
    assert_eq!(server.asked().len(), 1);
    // As is one that sends us elsewhere.
    let there = "Location: http://127.0.0.1:1/";
    let server = Server::start(move |_, _| Answer::new("301 Moved Permanently", &[there], "")).await;
    let error = write(&storage(&server), "job-1").await.unwrap_err();
    assert_eq!((error.kind(), server.asked().len()), (ErrorKind::Storage, 1), "{error:?}");
    assert!(error.to_string().contains("region"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_is_conditional_and_no_answer_is_asked_for_in_another_form() {
    let server = Server::start(|_, _| Answer::new("200 OK", &[ETAG], "")).await;
    write(&storage(&server), "job-1").await.unwrap();
    let asked = server.asked();
    assert!(asked[0].head.contains("if-none-match: *") && !asked[0].head.contains("accept-encoding"), "{asked:?}");
}
