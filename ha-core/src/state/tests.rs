use std::error::Error as _;

use bytes::Bytes;
use url::Url;

use super::*;

fn folder() -> Vec<Name> {
    vec![Name::new("completedCheckpoint").unwrap(), Name::new("job-1").unwrap()]
}

fn local() -> (tempfile::TempDir, StateStorage) {
    let directory = tempfile::tempdir().unwrap();
    let url = Url::from_directory_path(directory.path()).unwrap();
    let storage = StateStorage::open(url.as_str(), Seam::system()).unwrap();
    (directory, storage)
}

#[tokio::test]
async fn state_survives_reopening_the_directory() {
    let (directory, storage) = local();
    let handle = storage.write(&folder(), "state".into()).await.unwrap();
    assert!(handle.uri.contains("/completedCheckpoint/job-1/"), "{handle:?}");
    drop(storage);
    let url = Url::from_directory_path(directory.path()).unwrap();
    let again = StateStorage::open(url.as_str(), Seam::system()).unwrap();
    assert_eq!(again.read(&handle).await.unwrap(), "state");
}

#[tokio::test]
async fn truncated_flipped_grown_and_missing_state_is_told_apart_and_kept() {
    let (_directory, storage) = local();
    let handle = storage.write(&folder(), Bytes::from(vec![7; 1000])).await.unwrap();
    let path = Url::parse(&handle.uri).unwrap().to_file_path().unwrap();
    for bytes in [vec![7; 999], vec![7; 1001], vec![8; 1000], vec![]] {
        std::fs::write(&path, &bytes).unwrap();
        let error = storage.read(&handle).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains(&handle.uri), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "a failed read must not touch the file");
    }
    std::fs::remove_file(&path).unwrap();
    assert_eq!(storage.read(&handle).await.unwrap_err().kind(), ErrorKind::StateMissing);
    storage.discard(&handle).await.unwrap();
}

#[tokio::test]
async fn a_handle_cannot_lead_out_of_the_storage() {
    let (_directory, storage) = local();
    let good = storage.write(&folder(), "x".into()).await.unwrap();
    for uri in [
        "file:///etc/passwd".to_owned(),
        format!("{}../../etc/passwd", storage.base()),
        format!("{}a/../../b", storage.base()),
        format!("{}/etc/passwd", storage.base()),
        String::new(),
    ] {
        let handle = StateHandle { uri: uri.clone(), ..good.clone() };
        assert_eq!(storage.read(&handle).await.unwrap_err().kind(), ErrorKind::Invalid, "{uri}");
        assert_eq!(storage.discard(&handle).await.unwrap_err().kind(), ErrorKind::Invalid, "{uri}");
    }
}

#[tokio::test]
async fn a_storage_that_cannot_be_written_says_so_and_leaves_no_handle() {
    let (directory, storage) = local();
    // A file where the folder should be: fails for every user, root included.
    std::fs::write(directory.path().join("completedCheckpoint"), b"in the way").unwrap();
    let error = storage.write(&folder(), "x".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert!(error.source().is_some(), "the cause is kept: {error:?}");
}

#[tokio::test]
async fn an_unknown_scheme_lists_what_there_is() {
    let error = StateStorage::open("hdfs:///flink", Seam::system()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("file://"), "{error}");
    assert_eq!(StateStorage::open("flink/ha", Seam::system()).unwrap_err().kind(), ErrorKind::Invalid);
}
