//! A store that speaks S3, for tests of the state storage.
//!
//! It is `s3s-fs`, which keeps objects as files: what it has acknowledged is there again after it was killed. It
//! checks signatures. **Its conditional writes are not atomic**: of several at the same moment more than one may win. So it
//! says nothing on races between writers; nor need it, for every state has a name that was drawn for it alone.

use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ha_core::seam::{Moment, Seam};
use ha_core::state::{StateStorage, StorageOptions};
use tempfile::TempDir;

use super::ports::Ports;
use super::program::Program;
use super::{http, sought};
use crate::factory::Missing;

/// How long it may take until it serves.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(10);
const BUCKET: &str = "states";
const ACCESS_KEY: &str = "test-access-key";
const SECRET_KEY: &str = "test-secret-key";

/// An S3 server with one bucket. Dropping it kills it and removes what it stored.
pub struct S3 {
    program: Program,
    /// The command line, for the next start.
    command: Vec<String>,
    ports: Arc<Ports>,
    seam: Seam,
    // Last: removed when the server is gone.
    folder: TempDir,
}

impl S3 {
    /// Starts one on loopback and waits until it serves.
    ///
    /// # Errors
    /// [`Missing`]: there is no program.
    ///
    /// # Panics
    /// It does not serve within two minutes; the text shows what it wrote.
    ///
    /// # Cancel safety
    /// After a drop nothing is left of it.
    pub async fn start(seam: Seam) -> Result<Self, Missing> {
        let server = sought::program("s3s-fs", "S3S_FS_BIN")?;
        let ports = Arc::new(Ports::reserve(&seam, &[Ipv4Addr::LOCALHOST]));
        let folder = tempfile::Builder::new().prefix("ha-s3-").tempdir().expect("a temporary folder");
        let data = folder.path().join("data");
        std::fs::create_dir_all(data.join(BUCKET)).expect("a bucket in a folder of ours");
        let port = ports.port(0).to_string();
        let text = |path: PathBuf| path.into_os_string().into_string().expect("paths of tests are UTF-8");
        let mut command = vec![text(server), "--host".into(), Ipv4Addr::LOCALHOST.to_string(), "--port".into(), port];
        let secrets = ["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY];
        command.extend(secrets.map(str::to_owned));
        command.push(text(data));
        let program = Self::run(&seam, &command, &folder);
        let server = Self { program, command, ports, seam, folder };
        server.ready().await;
        Ok(server)
    }

    fn run(seam: &Seam, command: &[String], folder: &TempDir) -> Program {
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        Program::start(seam.clone(), "s3s-fs", &command, folder.path())
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}:{}", Ipv4Addr::LOCALHOST, self.ports.port(0))
    }

    /// The address as clients are told it.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address())
    }

    /// A place in its bucket.
    #[must_use]
    pub fn url(&self, prefix: &str) -> String {
        format!("s3://{BUCKET}/{prefix}?endpoint={}", self.endpoint())
    }

    /// What opens its places, beside the URL.
    #[must_use]
    pub fn options(&self) -> StorageOptions {
        StorageOptions::new()
            .with("s3.endpoint", self.endpoint())
            .with("s3.access-key", ACCESS_KEY)
            .with("s3.secret-key", SECRET_KEY)
    }

    /// The same as environment variables, for other processes.
    #[must_use]
    pub fn variables(&self) -> [(&'static str, String); 3] {
        [
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.into()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.into()),
        ]
    }

    /// A state storage in it.
    ///
    /// # Panics
    /// It cannot be opened: the cargo feature `s3` is missing, or an option does not fit.
    #[must_use]
    pub fn storage(&self, prefix: &str, options: &StorageOptions) -> StateStorage {
        let options = options.names().fold(self.options(), |all, name| all.with(name, options.get(name).unwrap_or("")));
        StateStorage::open_with(&self.url(prefix), &options, self.seam.clone()).expect("a storage on a server of ours")
    }

    /// The folder that its bucket is: an object is a file in it, an upload that is not complete is none.
    #[must_use]
    pub fn bucket(&self) -> PathBuf {
        self.folder.path().join("data").join(BUCKET)
    }

    /// Waits until it serves.
    ///
    /// # Panics
    /// It does not within two minutes, or ends.
    pub async fn ready(&self) {
        let deadline = self.seam.now() + PATIENCE;
        // Any answer will do: this one is a refusal.
        while http::ask(&self.seam, &self.address(), "GET", "/", &[], b"").await.is_err() {
            assert!(!self.program.has_ended(), "the server ended{}", self.program.report());
            assert!(self.seam.now() < deadline, "waited {PATIENCE:?} in vain{}", self.program.report());
            self.seam.sleep(PAUSE).await;
        }
    }

    /// Kills it and waits until it is gone. Answers the moment just before.
    pub fn kill(&mut self) -> Moment {
        self.program.kill()
    }

    /// Starts it again after its end, with its data and its address, and waits until it serves.
    ///
    /// # Panics
    /// As [`S3::start`].
    pub async fn restart(&mut self) {
        self.program.kill();
        self.program = Self::run(&self.seam, &self.command, &self.folder);
        self.ready().await;
    }

    /// Stops all of its threads. Answers the moment just before.
    ///
    /// # Panics
    /// It has ended already, or is not stopped within two minutes.
    pub async fn stop(&self) -> Moment {
        self.program.stop().await
    }

    /// Lets it go on after [`S3::stop`]. Answers the moment just before.
    ///
    /// # Panics
    /// It has ended already.
    pub fn cont(&self) -> Moment {
        self.program.cont()
    }
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3").field("address", &self.address()).finish_non_exhaustive()
    }
}
