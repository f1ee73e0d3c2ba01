//! What the doctor tries out: reads, and a record, a session and a state of its own, that it takes away again.

use std::time::Duration;

use ha::ErrorKind;
use ha::backend::{Commit, Expect, Key, Outcome, SessionOptions};

use super::{CLOCKS_APART_MS, Doctor, Verdict};
use crate::failure::{Failure, one_line};
use crate::time::rough;

/// How many reads the latency is taken from.
const READS: usize = 7;
/// A median above this is slow for a store that holds leaders' sessions.
const SLOW: Duration = Duration::from_millis(250);

impl Doctor<'_> {
    /// Whether the store answers at all.
    pub(super) async fn latency(&mut self) -> Result<bool, Failure> {
        let inside = self.inside()?;
        let key = Key::new("leader/barrier")?;
        let mut took = Vec::new();
        for _ in 0..READS {
            let start = self.cluster.seam.now();
            if let Err(error) = self.within(ha::backend::Backend::read(&inside, &key)).await {
                self.failed("read", &error)?;
                return Ok(false);
            }
            took.push(self.since(start));
        }
        took.sort();
        let (median, worst) = (took[READS / 2], took[READS - 1]);
        let verdict = if median > SLOW { Verdict::Warning } else { Verdict::Ok };
        let detail = format!("median of {READS} reads {:.1} ms, worst {:.1} ms", ms(median), ms(worst));
        self.tell("read", verdict, detail, Vec::new())?;
        Ok(true)
    }

    /// A record of our own, put and removed.
    pub(super) async fn writes(&mut self) -> Result<(), Failure> {
        let (inside, seam) = (self.inside()?, self.cluster.seam.clone());
        let key = Key::new(format!("doctor/{}", seam.uuid().simple()))?;
        let value = format!(r#"{{"format":1,"kind":"doctor","write_id":"{}","epoch":0,"body":null}}"#, seam.write_id());
        let put = Commit::new(seam.write_id()).put(key.clone(), Expect::Absent, value.into());
        let start = seam.now();
        let written = self.within(ha::backend::Backend::commit(&inside, &put)).await;
        let took = self.since(start);
        match written {
            Ok(Outcome::Applied { revisions }) => {
                let revision =
                    revisions.first().copied().ok_or_else(|| Failure::other("a commit without revisions"))?;
                let remove = Commit::new(seam.write_id()).remove(key.clone(), revision);
                match self.within(ha::backend::Backend::commit(&inside, &remove)).await {
                    Ok(_) => {
                        let detail = format!("one record put and removed, {:.1} ms", ms(took));
                        self.tell("write to the store", Verdict::Ok, detail, Vec::new())
                    }
                    Err(error) => self.failed("write to the store", &error),
                }
            }
            Ok(other) => self.tell(
                "write to the store",
                Verdict::Failed,
                format!("a new key was refused: {other:?}"),
                Vec::new(),
            ),
            // What is not allowed to this tool may be allowed to those who lead.
            Err(error) if error.kind() == ErrorKind::Denied => {
                self.tell("write to the store", Verdict::Warning, one_line(&error), Vec::new())
            }
            Err(error) => self.failed("write to the store", &error),
        }
    }

    pub(super) async fn session(&mut self) -> Result<(), Failure> {
        let (label, silence) = ("hactl doctor".to_owned(), self.cluster.options.session.silence);
        let options = SessionOptions { label, silence };
        let opened = self.within(self.cluster.backend.open_session(&options)).await;
        match opened {
            Ok(session) => {
                let left = session.valid_until().moment().since(self.cluster.seam.now());
                let closed = self.within(session.close()).await;
                let left = rough(u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
                match closed {
                    Ok(()) => self.tell("session", Verdict::Ok, format!("opened, good for {left}, closed"), Vec::new()),
                    Err(error) => self.failed("session", &error),
                }
            }
            Err(error) if error.kind() == ErrorKind::Denied => {
                self.tell("session", Verdict::Warning, one_line(&error), Vec::new())
            }
            Err(error) => self.failed("session", &error),
        }
    }

    /// A state of our own, written, read, and deleted; and what the storage says of the time.
    pub(super) async fn round_trip(&mut self) -> Result<(), Failure> {
        let (storage, seam) = (self.cluster.storage.clone(), self.cluster.seam.clone());
        let folder = [ha::backend::Name::new("doctor")?];
        let text = format!("hactl doctor {}", seam.uuid());
        let start = seam.now();
        let trip = async {
            let handle = storage.write(&folder, text.clone().into()).await?;
            let read = storage.read(&handle).await;
            let modified = storage.modified_unix_ms(&handle).await;
            storage.discard(&handle).await?;
            read.and(modified)
        };
        match self.within(trip).await {
            Ok(modified) => {
                let apart = seam.unix_ms().abs_diff(modified);
                let detail = format!("{}: written, read and deleted, {:.1} ms", storage.base(), ms(self.since(start)));
                self.tell("state storage", Verdict::Ok, detail, Vec::new())?;
                let (verdict, detail) = match apart > CLOCKS_APART_MS {
                    true => (Verdict::Warning, format!("storage and this machine are {} apart", rough(apart))),
                    false => (Verdict::Ok, "storage and this machine agree".to_owned()),
                };
                self.tell("clock", verdict, detail, Vec::new())
            }
            Err(error) if error.kind() == ErrorKind::Denied => {
                self.tell("state storage", Verdict::Warning, one_line(&error), Vec::new())
            }
            Err(error) => self.failed("state storage", &error),
        }
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
