use super::*;
use std::sync::Mutex;

use ha_core::backend::{Change, Commit, Entry, Mark, Name, Outcome, Prefix, Profile, Scope, Session, Snapshot};
use ha_core::election::LeaderContender;
use uuid::Uuid;

/// Remembers what it was told.
#[derive(Default)]
struct Told {
    granted: Mutex<usize>,
    errors: Mutex<Vec<Error>>,
}

#[async_trait]
impl LeaderContender for Told {
    async fn grant_leadership(&self, _: Uuid) {
        *self.granted.lock().unwrap() += 1;
    }
    async fn revoke_leadership(&self) {}
    async fn handle_error(&self, error: Error) {
        self.errors.lock().unwrap().push(error);
    }
    fn description(&self) -> String {
        "a contender of the test".into()
    }
}

/// The format is raised just after a process has looked, and before it tries for the latch.
#[derive(Debug)]
struct RaisedInBetween {
    inner: Arc<dyn Backend>,
    store: Embedded,
    record: Mutex<Option<String>>,
}

#[async_trait]
impl Backend for RaisedInBetween {
    fn profile(&self) -> Profile {
        self.inner.profile()
    }
    async fn read(&self, key: &Key) -> Result<Option<Entry>, Error> {
        self.inner.read(key).await
    }
    async fn list(&self, below: &Prefix) -> Result<Snapshot, Error> {
        self.inner.list(below).await
    }
    async fn changed(&self, scope: &Scope, seen: &Mark) -> Result<Change, Error> {
        self.inner.changed(scope, seen).await
    }
    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        self.inner.commit(commit).await
    }
    async fn open_session(&self, options: &SessionOptions) -> Result<Box<dyn Session>, Error> {
        let record = self.record.lock().unwrap().take();
        if let Some(record) = record {
            self.store.tamper(&Key::new(RECORD).unwrap(), Some(record.into()));
        }
        self.inner.open_session(options).await
    }
    async fn close(&self) -> Result<(), Error> {
        self.inner.close().await
    }
}

async fn raised() -> Cluster {
    let cluster = Cluster::new();
    let process = cluster.process(new());
    let leadership = cluster.lead(&process).await;
    leadership.raise_format(2).await.unwrap();
    counter(&leadership).await.get_and_increment().await.unwrap();
    leadership.resign().await.unwrap();
    process.services.close().await.unwrap();
    cluster
}

#[tokio::test]
async fn a_version_that_is_too_old_takes_no_part_and_changes_nothing() {
    // Fails if it as much as takes a latch, which raises the stored epoch.
    let cluster = raised().await;
    let before = cluster.contents().await;
    let process = cluster.process(old());
    assert_too_old(&cluster.campaign(&process).await.unwrap_err());
    let shard = Name::new("shard").unwrap();
    let election = process.services.leader_election_on(&shard, ha_core::ComponentId::dispatcher()).unwrap();
    assert_too_old(&cluster.within("it is refused", election.campaign()).await.unwrap_err());
    assert_too_old(&process.services.cluster_format().await.unwrap_err());
    let told = Arc::new(Told::default());
    let election = process.services.dispatcher_leader_election().unwrap();
    election.start_leader_election(Arc::<Told>::clone(&told)).await.unwrap();
    eventually("a contender is told, again and again", async || told.errors.lock().unwrap().len() >= 3).await;
    told.errors.lock().unwrap().iter().for_each(assert_too_old);
    assert_eq!(cluster.contents().await, before);
    assert!(cluster.store.sessions().is_empty(), "not even a session is opened");
    // It blocks nobody: the other one leads at once, beside it.
    let leadership = cluster.leader(new()).await;
    assert_eq!(*told.granted.lock().unwrap(), 0);
    assert!(leadership.is_valid());
    let backend = &process.backend;
    assert_eq!(backend.commits.load(std::sync::atomic::Ordering::SeqCst), 0);
    election.close().await.unwrap();
}

#[tokio::test]
async fn a_version_that_is_too_new_takes_no_part_and_changes_nothing() {
    let cluster = Cluster::new();
    let first = cluster.process(old());
    let leadership = cluster.lead(&first).await;
    counter(&leadership).await.get_and_increment().await.unwrap();
    leadership.resign().await.unwrap();
    eventually("its session ends", async || cluster.store.sessions().is_empty()).await;
    let before = cluster.contents().await;
    let error = cluster.campaign(&cluster.process(newest())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let text = error.to_string();
    assert!(text.contains("format 1") && text.contains("formats 2 to 3") && text.contains("raise"), "{text}");
    assert_eq!(cluster.contents().await, before);
    assert!(cluster.store.sessions().is_empty());
    // A version between raises it, and then the newest may come.
    let leadership = cluster.leader(new()).await;
    leadership.raise_format(2).await.unwrap();
    drop(leadership);
    let leadership = cluster.leader(newest()).await;
    assert_eq!(leadership.cluster_format(), 2);
    // What is left in the oldest format is refused by itself.
    let error = counter(&leadership).await.get_and_increment().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_keeps_everybody_out_loudly_until_it_is_restored() {
    // Fails if a broken record counts as none.
    let cluster = raised().await;
    let sound = String::from_utf8(cluster.contents().await.iter().find(|e| e.0 == RECORD).unwrap().1.to_vec()).unwrap();
    for (kind, broken) in [
        (ErrorKind::Corrupt, "garbage".to_owned()),
        (ErrorKind::Corrupt, String::new()),
        (ErrorKind::Corrupt, "[".repeat(10_000)),
        (ErrorKind::Corrupt, sound[..sound.len() / 2].to_owned()),
        (ErrorKind::Corrupt, format!("{sound}garbage")),
        (ErrorKind::Corrupt, sound.replace("cluster_format", "checkpoint_id_counter")),
        (ErrorKind::Corrupt, sound.replace("\"body\":{\"format\":2}", "\"body\":{\"format\":0}")),
        (ErrorKind::Corrupt, sound.replace("\"body\":{\"format\":2}", "\"body\":{\"format\":-1}")),
        (ErrorKind::Corrupt, sound.replace("\"body\":{\"format\":2}", "\"body\":{\"format\":4294967296}")),
        (ErrorKind::Corrupt, sound.replace("{\"format\":1", "{\"format\":0")),
        (ErrorKind::NewerFormat, sound.replace("\"body\":{\"format\":2}", "\"body\":{\"format\":4294967295}")),
        (ErrorKind::NewerFormat, sound.replace("{\"format\":1", "{\"format\":2")),
    ] {
        assert_ne!(broken, sound);
        cluster.tamper(Some(&broken));
        let before = cluster.contents().await;
        let error = cluster.campaign(&cluster.process(new())).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{broken:.80}: {error}");
        assert!(error.to_string().contains("formats"), "{error}");
        assert_eq!(cluster.contents().await, before);
        assert!(cluster.store.sessions().is_empty());
    }
    // A contender keeps trying, slowly.
    let (process, told) = (cluster.process(new()), Arc::new(Told::default()));
    let election = process.services.dispatcher_leader_election().unwrap();
    election.start_leader_election(Arc::<Told>::clone(&told)).await.unwrap();
    eventually("it is told", async || !told.errors.lock().unwrap().is_empty()).await;
    cluster.tamper(Some(&sound));
    eventually("and leads when it is restored", async || *told.granted.lock().unwrap() == 1).await;
    election.close().await.unwrap();
}

#[tokio::test]
async fn a_raise_between_the_look_and_the_latch_is_seen_under_the_latch_before_anybody_is_granted_it() {
    // Fails if what was read before the latch was taken is believed after it.
    let cluster = raised().await;
    let record =
        String::from_utf8(cluster.contents().await.iter().find(|e| e.0 == RECORD).unwrap().1.to_vec()).unwrap();
    for record in [record, "garbage".to_owned()] {
        cluster.tamper(None);
        let backend = RaisedInBetween {
            inner: Arc::new(cluster.store.connect()),
            store: cluster.store.clone(),
            record: Mutex::new(Some(record)),
        };
        let services = cluster.services_on(Arc::new(backend), old());
        let told = Arc::new(Told::default());
        let election = services.dispatcher_leader_election().unwrap();
        election.start_leader_election(Arc::<Told>::clone(&told)).await.unwrap();
        eventually("it is refused", async || !told.errors.lock().unwrap().is_empty()).await;
        eventually("and has let go", async || cluster.store.sessions().is_empty()).await;
        let before = cluster.contents().await;
        eventually("it tries again", async || told.errors.lock().unwrap().len() >= 3).await;
        assert_eq!(*told.granted.lock().unwrap(), 0, "nobody was granted what could not be admitted");
        assert_eq!(cluster.contents().await, before, "and from then on it leaves the latch alone");
        election.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_standby_that_became_too_old_while_it_waited_makes_way() {
    let cluster = Cluster::new();
    let leads = cluster.process(new());
    let leadership = cluster.lead(&leads).await;
    let (waits, told) = (cluster.process(old()), Arc::new(Told::default()));
    let election = waits.services.dispatcher_leader_election().unwrap();
    election.start_leader_election(Arc::<Told>::clone(&told)).await.unwrap();
    eventually("it waits", async || cluster.store.sessions().len() == 2).await;
    leadership.raise_format(2).await.unwrap();
    leadership.resign().await.unwrap();
    eventually("it is refused", async || !told.errors.lock().unwrap().is_empty()).await;
    assert_too_old(&told.errors.lock().unwrap()[0]);
    let leadership = cluster.leader(new()).await;
    assert_eq!(leadership.cluster_format(), 2);
    assert_eq!(*told.granted.lock().unwrap(), 0);
    election.close().await.unwrap();
}
